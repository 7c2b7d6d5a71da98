"""Files of VideoPose3D, UGCN, RepNet and the temporal GAN as their codes write them: outputs of the parity vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from parity_vectors import description, vectors
from poselift.errors import InputError
from poselift.geometry.projection import project
from poselift.models.importers import ImportOptions, import_checkpoint
from poselift.models.weights import load_model, load_root, save_model
from published_checkpoints import FAMILIES, save_gan, save_videopose3d, state_of

SCREEN = torch.tensor([[2.0, 2.0]])
"""A picture two pixels wide, whose screen coordinates are its pixels minus 1."""


def stored(file: Path, family: str, **options: Any) -> tuple[Any, list[str]]:
    """Imported without naming the family, written as a native folder and loaded again, and the notes."""
    imported = import_checkpoint(file, options=ImportOptions(**options))
    assert imported.family == family
    folder = save_model(imported.model, file.parent / "model", card=imported.card)
    return (load_root if family.endswith("root") else load_model)(folder), imported.notes


def lift(lifter: Any, kp_norm: Tensor) -> Tensor:
    with torch.no_grad():
        return lifter.lift(kp_norm + 1, torch.ones(kp_norm.shape[:-1]), torch.eye(3).repeat(len(kp_norm), 1, 1),
                           SCREEN.repeat(len(kp_norm), 1))  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES["videopose3d"])
def test_videopose3d(name: str, tmp_path: Path):
    """Filters and features by the shapes, holes or none too; whether it is causal has to be said."""
    arrays, made = vectors(name), description(name)["constructor"]
    causal = True if made["causal"] else None
    lifter, notes = stored(save_videopose3d(tmp_path / "epoch_60.bin", state_of(name)), "videopose3d", causal=causal)
    config = lifter.config
    assert (list(config.filter_widths), config.causal, config.dense) == (
        made["filter_widths"], made["causal"], made["dense"],
    )  # fmt: skip
    assert any("COCO" in n for n in notes)
    assert any("--causal" in n for n in notes) == (not made["causal"])
    assert any("--dense" in n for n in notes) == made["dense"]
    for key in (k for k in arrays if k.startswith("x")):
        want = arrays[key.replace("x", "y")]
        with torch.no_grad():
            assert torch.allclose(lifter.net(arrays[key].flatten(2)), want, atol=5e-6)
        assert torch.allclose(lift(lifter, arrays[key])[:, :, 1:], want[:, :, 1:], atol=2e-5)


@pytest.mark.parametrize("name", FAMILIES["videopose3d-root"])
def test_trajectory(name: str, tmp_path: Path):
    """Of a file with both networks the poses' is taken unless the other is asked for.

    A person seen by any camera gives what the published network gives for the mean camera's picture of them.
    """
    vector = name.partition(":")[0]
    arrays, causal = vectors(vector), True if "causal" in name else None
    file = save_videopose3d(tmp_path / "epoch_200.bin", state_of(vector), state_of(name))
    both = import_checkpoint(file)
    assert both.family == "videopose3d"
    assert any("taken from the file: model_pos; left out: model_traj" in n for n in both.notes)
    model, notes = stored(file, "videopose3d-root", part="model_traj", causal=causal)
    assert any("left out: model_pos" in n for n in notes)
    x, want = arrays["x0"], arrays["y0"][:, :, 0]
    fx, fy, cx, cy = model.config.camera
    rays = (x - torch.tensor([cx, cy])) / torch.tensor([fx, fy])
    K = torch.tensor([[1500.0, 0, 900], [0, 1400, 500], [0, 0, 1]]).repeat(len(x), 1, 1)
    kp = project(torch.nn.functional.pad(rays, (0, 1), value=1.0), K)
    with torch.no_grad():
        got = model(model.encode(kp, torch.ones(kp.shape[:-1]), K))
    assert want.abs().max() > 0.1
    assert torch.allclose(got, want, atol=2e-5)


@pytest.mark.parametrize("name", FAMILIES["ugcn"])
def test_ugcn(name: str, tmp_path: Path):
    """A plain state dict; its revision is told from the graph and the head."""
    file, arrays = tmp_path / "model_97_4561.pth", vectors(name)
    torch.save(state_of(name), file)
    lifter, notes = stored(file, "ugcn")
    assert lifter.config.revision.replace("-", "_") == (name.partition("rev_")[2] or "latest")
    assert any(f"revision '{lifter.config.revision}'" in n for n in notes)
    x, want = (arrays[k][..., 0].permute(0, 2, 3, 1) for k in ("x0", "y0"))
    with torch.no_grad():
        assert torch.allclose(lifter.net(x), want, atol=5e-6)
    assert torch.allclose(lift(lifter, x)[:, :, 1:], want[:, :, 1:], atol=2e-5)


def test_ugcn_of_another_graph(tmp_path: Path):
    state = state_of("ugcn")
    torch.save({**state, "A": state["A"].flip(0)}, tmp_path / "c.pth")
    with pytest.raises(InputError, match=r"c\.pth: A: expected the graph of revision 'latest'.*found another"):
        import_checkpoint(tmp_path / "c.pth")


def test_repnet(tmp_path: Path):
    """Poses and camera; the critic is left out."""
    arrays = vectors("repnet_generator")
    critic = state_of("repnet_critic")
    file = save_gan(tmp_path / "repnet_resnet.tar", model_G=state_of("repnet_generator"), model_D=critic)
    lifter, notes = stored(file, "repnet")
    assert any("left out: model_D" in n for n in notes)
    with torch.no_grad():
        assert torch.allclose(lifter.net(arrays["x0"]), arrays["y0"], atol=1e-4, rtol=1e-4)
    kp = torch.cat((torch.zeros(6, 1, 2), arrays["x0"].unflatten(1, (16, 2))), 1)[:, None] + 0.25
    want = arrays["y0"][:, :48].unflatten(1, (16, 3))
    assert torch.allclose(lift(lifter, kp)[:, 0, 1:], want, atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match=r"expected weights of one of linear-erd"):
        import_checkpoint(file, options=ImportOptions(part="model_D"))


def test_temporal_gan(tmp_path: Path):
    """Both generators of one file, the poses' without asking."""
    pose, root = vectors("video_gan_pose"), vectors("video_gan_root")
    networks = {f"model_G_{k}": state_of(f"video_gan_{k}") for k in ("root", "pose")}
    file = save_gan(tmp_path / "video_absolute_resnet.tar", **networks, model_D=state_of("video_gan_critic"))
    lifter, notes = stored(file, "video-gan")
    assert any("taken from the file: model_G_pose; left out: model_G_root, model_D" in n for n in notes)
    kp = torch.cat((torch.zeros(4, 27, 1, 2), pose["x0"].unflatten(2, (16, 2))), 2) + 0.25
    want = pose["y0"].unflatten(1, (16, 3))
    assert torch.allclose(lift(lifter, kp)[:, 0, 1:], want, atol=1e-4, rtol=1e-4)
    model, _ = stored(file, "video-gan-root", part="model_G_root")
    pixels = (root["x0"].unflatten(2, (17, 2)) + 1) * 500
    at = model.locate(pixels, torch.ones(4, 27, 17), torch.zeros(4, 27, 17, 3), torch.eye(3).repeat(4, 1, 1))
    assert torch.allclose(at[:, 13], root["y0"], atol=1e-4, rtol=1e-4)
    card = import_checkpoint(file).card
    assert card["what_the_checkpoint_says"] == {"iteration": 50_000, "best_error": 70.5}


def test_parts_that_are_not_there(tmp_path: Path):
    state = state_of("vp3d_temporal_27")
    file = save_videopose3d(tmp_path / "c.bin", state)
    with pytest.raises(InputError, match="--part: expected model_pos, found model_traj"):
        import_checkpoint(file, options=ImportOptions(part="model_traj"))
    torch.save(state, file)
    with pytest.raises(InputError, match="--part: expected none, the file holds one network, found model_traj"):
        import_checkpoint(file, options=ImportOptions(part="model_traj"))


def test_layers_that_are_no_network(tmp_path: Path):
    """Filters of even widths, half a block, and nothing over time."""
    state = state_of("vp3d_temporal_27")
    odd = {k: v for k, v in state.items() if not k.startswith(("layers_conv.3", "layers_bn.3"))}
    even = {**state, "layers_conv.0.weight": torch.ones(64, 64, 2)}
    none = {**state, "expand_conv.weight": torch.ones(64, 34, 0)}
    for tensors, complaint in ((odd, "layers_conv: expected an even number"), (even, "odd numbers"), (none, "odd")):
        with pytest.raises(InputError, match=complaint):
            import_checkpoint(save_videopose3d(tmp_path / "c.bin", tensors))
