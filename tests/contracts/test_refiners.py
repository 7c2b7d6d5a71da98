"""What every entry of `REFINERS` must do. A new refiner is tested by being in the table."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from poselift.errors import InputError
from poselift.geometry.projection import project
from poselift.models.base import Refiner, RootSource
from poselift.models.cards import model_info
from poselift.models.refiners import REFINERS
from poselift.models.weights import load_model, load_refiner, save_model

Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
refiners = pytest.mark.parametrize("name", REFINERS)
roots = pytest.mark.parametrize("root", get_args(RootSource))


def prepared(config: Any) -> Any:
    """An untrained refiner with plausible statistics."""
    torch.manual_seed(0)
    refiner: Any = next(cls for config_class, cls in REFINERS.values() if config_class is type(config))(config)
    if hasattr(refiner, "set_statistics"):
        j = len(refiner.skeleton)
        refiner.set_statistics(mean2d=torch.tensor((500.0, 400.0)).repeat(j, 1), std2d=torch.full((j, 2), 120.0))
    return refiner.eval()


@cache
def default(name: str) -> Any:
    return prepared(REFINERS[name][0]())


def people(refiner: Any, n: int, t: int = 1, seed: int = 0) -> Inputs:
    """kp_img, conf, p_root, root_cam, K: n persons some 5 m away, 2D and 3D not quite agreeing; no joint missing."""
    g, j = torch.Generator().manual_seed(seed), len(refiner.skeleton)
    p = 0.4 * torch.randn(n, t, j, 3, generator=g)
    p[..., refiner.skeleton.root, :] = 0
    at = torch.tensor((0.2, -0.1, 5.0)) + 0.5 * torch.randn(n, t, 3, generator=g)
    K = torch.tensor([[1100.0, 0, 480], [0, 1090, 410], [0, 0, 1]]).repeat(n, 1, 1)
    kp = project(p + at[..., None, :], K) + 8 * torch.randn(n, t, j, 2, generator=g)
    return kp, 0.2 + 0.8 * torch.rand(n, t, j, generator=g), p, at, K


def refine(refiner: Any, inputs: Inputs, **options: Any) -> Tensor:
    with torch.no_grad():
        return refiner.refine(*inputs, **options)


@refiners
def test_table_is_consistent(name: str):
    config_class, refiner_class = REFINERS[name]
    refiner = default(name)
    assert type(refiner) is refiner_class
    assert isinstance(refiner, Refiner)
    assert refiner.config == config_class()
    assert config_class.__dataclass_params__.frozen
    assert refiner.skeleton.name == config_class().skeleton
    assert refiner_class.__module__ == f"poselift.models.refiners.{name}"


@refiners
@roots
@pytest.mark.parametrize(("n", "t"), [(1, 1), (3, 2)])
def test_shapes(name: str, root: RootSource, n: int, t: int):
    inputs = people(default(name), n, t)
    p = refine(default(name), inputs, root=root)
    assert p.shape == inputs[2].shape
    assert p.dtype == torch.float32
    assert torch.isfinite(p).all()
    assert not torch.equal(p, inputs[2])


@refiners
@roots
def test_backward_reaches_every_parameter(name: str, root: RootSource):
    refiner = prepared(REFINERS[name][0]()).train()
    kp, conf, p, at, K = people(refiner, 6, 2)
    p.requires_grad_()
    refiner.refine(kp, conf, p, at, K, root=root).square().mean().backward()
    for key, parameter in refiner.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    assert p.grad is not None
    assert torch.isfinite(p.grad).all()
    assert (p.grad != 0).any()


@refiners
@roots
def test_eval_is_deterministic(name: str, root: RootSource):
    inputs = people(default(name), 3, 2)
    assert torch.equal(refine(default(name), inputs, root=root), refine(default(name), inputs, root=root))


@refiners
@roots
def test_one_person_alone_gives_the_same_as_in_a_batch(name: str, root: RootSource):
    inputs = people(default(name), 5, 2)
    alone = refine(default(name), tuple(x[3:4] for x in inputs), root=root)  # type: ignore[arg-type]
    assert torch.allclose(alone, refine(default(name), inputs, root=root)[3:4], atol=1e-5)


@refiners
def test_inputs_are_left_as_they_were(name: str):
    inputs = people(default(name), 2, 2)
    copies = [x.clone() for x in inputs]
    refine(default(name), inputs, root="resolved")
    assert all(torch.equal(x, y) for x, y in zip(inputs, copies, strict=True))


@refiners
def test_a_solved_root_does_not_look_at_the_given_one(name: str):
    kp, conf, p, at, K = people(default(name), 2, 2)
    for root in ("least_squares", "resolved"):
        results = [refine(default(name), (kp, conf, p, g, K), root=root) for g in (at, at + 1, None)]  # type: ignore
        assert all(torch.equal(r, results[0]) for r in results)
    with pytest.raises(InputError, match="root_cam"):
        refine(default(name), (kp, conf, p, None, K), root="given")  # type: ignore[arg-type]


@refiners
@roots
def test_missing_joints_have_no_influence(name: str, root: RootSource):
    refiner = default(name)
    kp, conf, p, at, K = people(refiner, 4, 2)
    conf[0, :, refiner.skeleton.index("l_wrist")] = 0
    conf[1, :, len(conf[1, 0]) // 2 :] = 0
    conf[2] = 0
    conf[3, :, refiner.skeleton.root] = 0
    missing = (conf == 0)[..., None]
    results = [
        refine(refiner, (torch.where(missing, garbage, kp), conf, p, at, K), root=root)
        for garbage in (0.0, -1e7, float("nan"), float("inf"))
    ]
    assert torch.isfinite(results[0]).all()
    assert all(torch.equal(r, results[0]) for r in results[1:])
    moved = torch.where(missing & torch.tensor((True, True, False, False))[:, None, None, None], p + 0.2, p)
    here, there = (refine(refiner, (kp, conf, q, at, K), root=root) - q for q in (p, moved))
    assert torch.allclose(here, there, atol=1e-5), "nor has their place in the pose"


@refiners
def test_nobody_keeps_the_pose(name: str):
    kp, conf, p, at, K = people(default(name), 3, 1)
    conf[1] = 0
    result = refine(default(name), (kp, conf, p, at, K))
    assert torch.equal(result[1], p[1])
    assert not torch.equal(result[0], p[0])


@refiners
@roots
def test_one_bad_frame_leaves_the_others_alone(name: str, root: RootSource):
    """Behind the camera, no root, one joint only: such a frame stays finite, the others do not notice."""
    kp, conf, p, at, K = people(default(name), 5, 1)
    want = refine(default(name), (kp, conf, p, at, K), root=root)
    at = at.clone()
    at[1, :, 2], at[2] = -3, float("nan")
    conf[3, :, 1:] = 0
    conf[1:3, :, 1:] = conf[1:3, :, 1:] * (root == "given")  # no root by least squares either
    result = refine(default(name), (kp, conf, p, at, K), root=root)
    assert torch.isfinite(result).all()
    assert torch.equal(result[1:3], p[1:3])
    assert torch.allclose(result[[0, 4]], want[[0, 4]], atol=1e-6)


@refiners
@roots
def test_gradients_survive_missing_joints(name: str, root: RootSource):
    refiner = prepared(REFINERS[name][0]())
    kp, conf, p, at, K = people(refiner, 4, 1)
    conf[0, :, 3] = 0
    conf[1, :, 1:] = 0
    conf[2] = 0
    kp[conf == 0] = float("nan")
    at[3, :, 2] = 0.2  # some joints behind the camera
    for x in (kp, p):
        x.requires_grad_()
    refiner.refine(kp, conf, p, at, K, root=root).square().sum().backward()
    for x in (kp, p):
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
    assert kp.grad is not None
    assert (kp.grad[conf == 0] == 0).all()
    assert all(torch.isfinite(w.grad).all() for w in refiner.parameters() if w.grad is not None)


@refiners
def test_another_skeleton(name: str):
    kp, conf, p, at, K = people(default(name), 2, 1)
    with pytest.raises(InputError, match="joints"):
        refine(default(name), (kp[:, :, :-1], conf[:, :, :-1], p[:, :, :-1], at, K))


@refiners
def test_checkpoint_round_trip(name: str, tmp_path: Path):
    refiner = default(name)
    folder = save_model(refiner, tmp_path / name, card={"data_licence": "none"})
    assert (model_info(folder).kind, model_info(folder).family) == ("refiner", name)
    again = load_refiner(folder)
    assert type(again) is type(refiner)
    inputs = people(refiner, 2, 2)
    assert torch.equal(refine(again, inputs), refine(refiner, inputs))
    with pytest.raises(InputError, match="expected lifter, found refiner"):
        load_model(folder)
    assert "load_refiner" in (folder / "README.md").read_text(encoding="utf-8")


@refiners
def test_every_config_field_is_documented_and_plain(name: str):
    for field in dataclasses.fields(REFINERS[name][0]):
        assert isinstance(getattr(default(name).config, field.name), (str, int, float, bool, tuple, type(None)))
