"""What every network of pictures must do: entries of `IMAGE_POSES`, `IMAGE_ROOTS` and `BACKBONES` are tested by being
in the table."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from poselift.errors import InputError
from poselift.models import weights
from poselift.models.cards import model_info
from poselift.models.images import IMAGE_POSES, IMAGE_ROOTS
from poselift.models.images.base import IMAGENET_MEAN, IMAGENET_STD
from poselift.models.kinds import KINDS, build_model, kind_and_family
from poselift.models.resnet import BACKBONES
from poselift.models.weights import load_backbone, load_image, load_image_root, load_model, save_model

SMALL: dict[str, Any] = {"depth": 18, "size_hw": (64, 96), "filters": (16, 16, 16)}
POSES, ROOTS = [("image", n) for n in IMAGE_POSES], [("image_root", n) for n in IMAGE_ROOTS]
models = pytest.mark.parametrize(("kind", "name"), [*POSES, *ROOTS])
everything = pytest.mark.parametrize(("kind", "name"), [*POSES, *ROOTS, *(("backbone", n) for n in BACKBONES)])
LOADERS = {"image": load_image, "image_root": load_image_root, "backbone": load_backbone}


def fresh(kind: str, name: str, **other: Any) -> Any:
    config_class, model_class = KINDS[kind][name]
    known = {f.name for f in dataclasses.fields(config_class)}
    torch.manual_seed(0)
    return model_class(config_class(**{k: v for k, v in {**SMALL, **other}.items() if k in known}))


@cache
def default(kind: str, name: str) -> Any:
    """Heads begin near 0, where hardly anything shows: their weights are made larger."""
    model = fresh(kind, name)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 4 and p.std() < 0.01:
                p.mul_(20)
    return model.eval()


def crops(b: int = 2, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (b, 3, *SMALL["size_hw"]), dtype=torch.uint8, generator=g)


def run(model: Any, image_norm: Tensor) -> Tensor:
    kind, _ = kind_and_family(model.config)
    return model(image_norm, torch.linspace(3, 8, len(image_norm))) if kind == "image_root" else model(image_norm)


def test_every_kind_has_a_loader():
    for kind in KINDS:
        assert callable(getattr(weights, "load_model" if kind == "lifter" else f"load_{kind}"))


@everything
def test_table_is_consistent(kind: str, name: str):
    config_class, model_class = KINDS[kind][name]
    model = default(kind, name)
    assert type(model) is model_class
    assert kind_and_family(model.config) == (kind, name)
    assert type(build_model(config_class(depth=18))) is model_class
    assert config_class.__dataclass_params__.frozen  # type: ignore[attr-defined]


@everything
def test_a_picture_is_seen_whatever_else_is_in_the_batch(kind: str, name: str):
    model, x = default(kind, name), torch.randn(3, 3, *SMALL["size_hw"])
    with torch.no_grad():
        both = run(model, x)
        assert_close(run(model, x[:1]), both[:1], rtol=1e-4, atol=1e-4)
        assert (both[0] - both[1]).abs().max() > 1e-3


@everything
def test_gradients_reach_every_parameter(kind: str, name: str):
    model = fresh(kind, name).train()
    run(model, torch.randn(4, 3, *SMALL["size_hw"])).square().sum().backward()
    for key, p in model.named_parameters():
        assert p.grad is not None, key
        assert torch.isfinite(p.grad).all(), key
        if key.endswith("weight"):
            assert p.grad.abs().sum() > 0, key


@everything
def test_checkpoint_round_trip(kind: str, name: str, tmp_path: Path):
    model, x = default(kind, name), torch.randn(2, 3, *SMALL["size_hw"])
    folder = save_model(model, tmp_path / name)
    assert model_info(folder).kind == kind
    again = LOADERS[kind](folder)
    assert again.config == model.config
    with torch.no_grad():
        assert torch.equal(run(again, x), run(model, x))
    with pytest.raises(InputError, match=f"expected lifter, found {kind}"):
        load_model(folder)
    assert f"load_{kind}" in (folder / "README.md").read_text(encoding="utf-8")


@models
@pytest.mark.parametrize(
    ("field", "value"),
    [("size_hw", (64, 100)), ("size_hw", (0, 64)), ("size_hw", (64, 4096)), ("std", (1.0, 0.0, 1.0)),
     ("mean", (float("nan"), 0.0, 0.0))],
)  # fmt: skip
def test_impossible_inputs_are_refused(kind: str, name: str, field: str, value: Any):
    with pytest.raises(InputError, match=field):
        fresh(kind, name, **{field: value})


@models
def test_colours_and_their_range_are_the_config_s(kind: str, name: str):
    """The network sees the same numbers however its config writes them."""
    image = crops()
    plain = fresh(kind, name).normalize(image)
    of_bytes = fresh(
        kind, name, unit_range=False, mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
        std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
    )  # fmt: skip
    assert_close(of_bytes.normalize(image), plain)
    raw = fresh(kind, name, unit_range=False).normalize(image)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    assert_close(raw, (image - mean) / std)
    assert raw.max() > 1000
    swapped = fresh(kind, name, channels="bgr", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)).normalize(image)
    assert_close(swapped[:, 0], image[:, 2] / 255)


@pytest.mark.parametrize(("kind", "name"), POSES)
def test_joints_of_crops(kind: str, name: str):
    model, (h, w) = default(kind, name), SMALL["size_hw"]
    for image in (crops(), torch.zeros_like(crops()), torch.full_like(crops(), 255)):
        with torch.no_grad():
            kp, conf = model.estimate(image)
        assert kp.shape == (2, len(model.skeleton), 2)
        assert torch.isfinite(kp).all()
        assert (kp >= 0).all()
        assert (kp <= kp.new_tensor((w, h))).all()
        assert (conf >= 0).all()
        assert (conf <= 1).all()
    assert model.map_hw == (h // 4, w // 4) == tuple(model.heatmaps(crops()).shape[-2:])


@pytest.mark.parametrize(("kind", "name"), POSES)
def test_flip_average_does_not_know_left_from_right(kind: str, name: str):
    model = default(kind, name)
    same = fresh(kind, name, flip_shift=False)
    same.load_state_dict(model.state_dict())
    same.eval()
    with torch.no_grad():
        a, b = same.heatmaps(crops(), flip_average=True), same.heatmaps(crops().flip(-1), flip_average=True)
        assert_close(b, a.flip(-1)[:, list(model.skeleton.flip)], rtol=1e-4, atol=1e-5)
        assert (same.heatmaps(crops()) - a).abs().max() > 1e-4


@pytest.mark.parametrize(("kind", "name"), ROOTS)
def test_flip_average_places_the_mirrored_crop_on_the_other_side(kind: str, name: str):
    model, k = default(kind, name), torch.tensor([4.0, 5.0])
    h, w = crops().shape[-2:]
    K = torch.tensor([[1000.0, 0, (w - 1) / 2], [0, 1000, (h - 1) / 2], [0, 0, 1]]).repeat(2, 1, 1)
    box = torch.tensor([[0.0, 0, w, h]]).repeat(2, 1)  # pixels of the crop are those of the image
    with torch.no_grad():
        a = model.locate(crops(), k, box, K, flip_average=True)
        b = model.locate(crops().flip(-1), k, box, K, flip_average=True)
        once = model.locate(crops(), k, box, K)
    assert_close(b, a * torch.tensor([-1.0, 1, 1]), rtol=1e-4, atol=1e-5)
    assert (a - once).abs().amax() > 1e-6


@pytest.mark.parametrize(("kind", "name"), ROOTS)
def test_roots_of_crops(kind: str, name: str):
    """Twice the k, twice the depth; whatever the network sees is placed in its box."""
    model = default(kind, name)
    K = torch.tensor([[1100.0, 0, 500], [0, 1150, 400], [0, 0, 1]]).repeat(2, 1, 1)
    box = torch.tensor([[100.0, 200, 240, 160], [900.0, -50, 480, 320]])
    with torch.no_grad():
        at = model.locate(crops(), torch.tensor([4.0, 5.0]), box, K)
        far = model.locate(crops(), torch.tensor([8.0, 10.0]), box, K)
    assert at.shape == (2, 3)
    assert_close(far, 2 * at)
    uv = (at @ K.mT)[torch.arange(2), torch.arange(2)]
    uv = uv[:, :2] / uv[:, 2:]
    assert ((uv > box[:, :2]) & (uv < box[:, :2] + box[:, 2:])).all()
