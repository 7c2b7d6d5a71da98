"""Files of RootNet, Pose ResNet and ImageNet as their codes write them: outputs of the parity vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from parity_vectors import vectors
from poselift.errors import InputError
from poselift.models.cards import model_info
from poselift.models.importers import import_checkpoint
from poselift.models.weights import load_backbone, load_image, load_image_root, save_model
from published_checkpoints import save_pictures, state_of

LOADERS = {"rootnet": load_image_root, "pose-resnet": load_image, "resnet-imagenet": load_backbone}


def stored(file: Path, family: str) -> tuple[Any, list[str]]:
    """Imported without naming the family, written as a native folder and loaded again, and the notes."""
    imported = import_checkpoint(file)
    assert imported.family == family
    folder = save_model(imported.model, file.parent / "model", card=imported.card)
    return LOADERS[family](folder), imported.notes


def seventeen(state: dict[str, torch.Tensor], joints: int = 17) -> dict[str, torch.Tensor]:
    """Pose ResNet with another number of joints."""
    return {**state, "final_layer.weight": torch.ones(joints, 256, 1, 1), "final_layer.bias": torch.ones(joints)}


def module(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"module.{k}": v for k, v in state.items()}


def test_rootnet(tmp_path: Path):
    """Its input's range is the one that it was trained on."""
    state = state_of("rootnet18")
    file = save_pictures(tmp_path / "snapshot_18.pth.tar", "network", module(state), epoch=18)
    model, notes = stored(file, "rootnet")
    assert (model.config.depth, model.config.size_hw, model.config.unit_range) == (18, (256, 256), False)
    assert any("not divided by 255" in n for n in notes)
    assert all(torch.equal(v, state[k]) for k, v in model.net.state_dict().items())
    card = model_info(tmp_path / "model").card
    assert "MuCo" in card["data"]
    assert card["what_the_checkpoint_says"] == {"epoch": 18}


def test_pose_resnet_of_human36m(tmp_path: Path):
    state = seventeen(state_of("pose_resnet18"))
    file = save_pictures(tmp_path / "pose_resnet_18_384x384.tar", "model", state, scheduler={}, best_acc=0.9)
    config: Any = import_checkpoint(file).model.config
    assert (config.skeleton, config.channels, config.decoding) == ("h36m17", "rgb", "marginal")
    assert (config.size_hw, config.mean[0]) == ((384, 384), 0.44487878)


@pytest.mark.slow
def test_outputs_of_published_networks(tmp_path: Path):
    """The whole way from a file to the outputs of the parity vectors, 50 layers."""
    file = save_pictures(tmp_path / "snapshot_18.pth.tar", "network", module(state_of("rootnet50")), epoch=18)
    model, v = stored(file, "rootnet")[0], vectors("rootnet50")
    with torch.no_grad():
        assert_close(model(v["x0"], v["k0"][:, 0]), v["y0"], atol=1e-4, rtol=2e-6)
    file = save_pictures(tmp_path / "pose_resnet_50_384x384.tar", "model", state_of("pose_resnet50"))
    model, v = stored(file, "pose-resnet")[0], vectors("pose_resnet50")
    with torch.no_grad():
        assert_close(model(v["x0"]), v["y0"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", ["flat", "checkpoint"])
def test_pose_resnet_of_its_authors(form: str, tmp_path: Path):
    """A bare state dict with the crop's size in its name; the training script's file, whose name says nothing."""
    state = state_of("pose_resnet18")
    file = tmp_path / "pose_resnet_18_256x192.pth.tar"
    if form == "flat":
        torch.save(state, file)
    else:
        file = save_pictures(
            tmp_path / "checkpoint.pth.tar", "state_dict", module(state), model="pose_resnet", perf=88.5
        )
    model, notes = stored(file, "pose-resnet")
    config = model.config
    assert (config.depth, config.skeleton, config.channels, config.decoding) == (18, "mpii16", "bgr", "quarter")
    assert config.size_hw == ((256, 192) if form == "flat" else (256, 256))
    assert any("256 × 256" in n for n in notes) == (form == "checkpoint")
    assert all(torch.equal(v, state[k]) for k, v in model.net.state_dict().items())


def test_pose_resnet_of_coco_and_caffe(tmp_path: Path):
    state = state_of("pose_resnet18")
    torch.save(seventeen(state), tmp_path / "pose_resnet_18_256x192_caffe.pth.tar")
    found = import_checkpoint(tmp_path / "pose_resnet_18_256x192_caffe.pth.tar")
    config: Any = found.model.config
    assert (config.skeleton, config.style) == ("coco17", "caffe")
    torch.save(seventeen(state, 14), tmp_path / "c.pth.tar")
    with pytest.raises(InputError, match=r"expected 16 joints \(MPII\) or 17 \(COCO, Human3.6M\), found 14"):
        import_checkpoint(tmp_path / "c.pth.tar")


@pytest.mark.parametrize("form", ["torchvision", "training"])
def test_backbone(form: str, tmp_path: Path):
    """The backbone is the same whatever follows it, and can be put into a network of pictures."""
    state = state_of("resnet18")
    file = tmp_path / "resnet18-5c106cde.pth"
    if form == "torchvision":
        old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
        torch.save(old, file, _use_new_zipfile_serialization=False)
    else:
        file = save_pictures(tmp_path / "model_best.pth.tar", "state_dict", module(state), epoch=90, arch="resnet18")
    model, notes = stored(file, "resnet-imagenet")
    assert notes == ["its classifier is left out"]
    assert model.config.depth == 18
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_other_residual_networks_are_refused(tmp_path: Path):
    state = {k: v for k, v in state_of("resnet18").items() if not k.startswith("layer3.1.")}
    torch.save(state, tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"blocks of a ResNet of 18, 34, 50, 101, 152 layers, found \(2, 2, 1, 2\)"):
        import_checkpoint(tmp_path / "c.pth")
