"""What every entry of `LIFTERS` must do. A new lifter is tested by being in the table."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from poselift.errors import InputError
from poselift.models import predict
from poselift.models.base import Lifter, Stretch
from poselift.models.lifters import LIFTERS, build_lifter, family_of
from poselift.models.predict import lift_frames
from poselift.models.weights import load_model, save_model

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]
lifters = pytest.mark.parametrize("name", LIFTERS)


def prepared(config: Any) -> Lifter:
    """An untrained lifter with plausible statistics, so that its output is of the order of a metre."""
    torch.manual_seed(0)
    lifter = build_lifter(config)
    j = len(lifter.skeleton)
    g = torch.Generator().manual_seed(1)
    lifter.set_statistics(
        mean3d=0.1 * torch.randn(j, 3, generator=g), std3d=0.1 + 0.3 * torch.rand(j, 3, generator=g),
        mean2d=torch.tensor((500.0, 400.0)).repeat(j, 1), std2d=torch.full((j, 2), 120.0),
    )  # fmt: skip
    return lifter.eval()


@cache
def default(name: str) -> Lifter:
    return prepared(LIFTERS[name][0]())


def people(lifter: Lifter, n: int, out: int = 1, seed: int = 0) -> Inputs:
    """n persons in a 1000 x 800 picture, with frames for `out` poses; some joints of low confidence, none missing."""
    g, t, j = torch.Generator().manual_seed(seed), lifter.receptive_field - 1 + out, len(lifter.skeleton)
    kp = torch.tensor((500.0, 400.0)) + 150 * torch.randn(n, t, 1, 2, generator=g)
    kp = kp + 90 * torch.randn(n, t, j, 2, generator=g)
    K = torch.tensor([[1100.0, 0, 480], [0, 1090, 410], [0, 0, 1]]).repeat(n, 1, 1)
    return kp, 0.2 + 0.8 * torch.rand(n, t, j, generator=g), K, torch.tensor((1000.0, 800.0)).repeat(n, 1)


def lift(lifter: Lifter, inputs: Inputs, **options: bool) -> Tensor:
    with torch.no_grad():
        return lifter.lift(*inputs, **options)  # type: ignore[arg-type]


@lifters
def test_table_is_consistent(name: str):
    config_class, lifter_class = LIFTERS[name]
    lifter = default(name)
    assert type(lifter) is lifter_class
    assert lifter.config == config_class()
    assert family_of(lifter.config) == name
    assert dataclasses.is_dataclass(lifter.config)
    assert config_class.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert lifter.receptive_field >= 1
    assert lifter_class.__module__ == f"poselift.models.lifters.{name}"


@lifters
@pytest.mark.parametrize("out", [1, 3])
def test_shapes(name: str, out: int):
    lifter = default(name)
    inputs = people(lifter, 2, out)
    kp_norm, R = lifter.encode(*inputs)
    j = len(lifter.skeleton)
    assert kp_norm.shape == (2, lifter.receptive_field - 1 + out, j, lifter.in_channels)
    assert R is None or R.shape == (*kp_norm.shape[:2], 3, 3)
    p = lift(lifter, inputs)
    assert p.shape == (2, out, j, 3)
    assert torch.isfinite(p).all()
    assert p.dtype == torch.float32


@lifters
def test_backward_reaches_every_parameter(name: str):
    lifter = prepared(LIFTERS[name][0]()).train()
    kp_norm, _ = lifter.encode(*people(lifter, 6, 2))
    loss = lifter(kp_norm).square().mean()
    loss.backward()
    for key, parameter in lifter.named_parameters():
        if key.startswith(lifter.only_in_losses) or not parameter.requires_grad:  # the latter: a part that is given
            assert parameter.grad is None, key
            continue
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    assert sum(float(p.grad.abs().sum()) for p in lifter.parameters() if p.grad is not None) > 0


@lifters
def test_eval_is_deterministic(name: str):
    lifter = default(name)
    inputs = people(lifter, 3, 2)
    assert torch.equal(lift(lifter, inputs), lift(lifter, inputs))


@lifters
def test_one_person_alone_gives_the_same_as_in_a_batch(name: str):
    lifter = default(name)
    inputs = people(lifter, 5, 2)
    alone = lift(lifter, tuple(x[3:4] for x in inputs))  # type: ignore[arg-type]
    assert torch.allclose(alone, lift(lifter, inputs)[3:4], atol=1e-5)


@lifters
def test_one_frame_alone_gives_the_same_as_in_a_sequence(name: str):
    lifter = default(name)
    if lifter.sequence:
        pytest.skip("sees the whole sequence")
    kp, conf, K, size = people(lifter, 2, 4)
    cut = slice(2, 2 + lifter.receptive_field)
    alone = lift(lifter, (kp[:, cut], conf[:, cut], K, size))
    assert torch.allclose(alone, lift(lifter, (kp, conf, K, size))[:, 2:3], atol=1e-5)


@lifters
def test_what_a_pose_needs_is_all_it_depends_on(name: str):
    """Poses a to b from the frames that `needs` says are those of the whole; of a sequence, with the place told."""
    lifter = default(name)
    ends = lifter.receptive_field - 1
    total = ends + 2 * lifter.context + 4 * lifter.grid + 5
    kp, conf, K, size = people(lifter, 1, total - ends)
    whole = lift_frames(lifter, kp[0], conf[0], K, size)
    assert whole.shape == (total, len(lifter.skeleton), 3)
    for a in (0, total // 2, total - 2):
        first, last = lifter.needs(a, a + 2, total)
        assert first % lifter.grid == 0
        of = Stretch(start=first, total=total) if lifter.sequence else None
        part = lift_frames(lifter, kp[0, first:last], conf[0, first:last], K, size, of=of)
        assert torch.allclose(part[a - first : a + 2 - first], whole[a : a + 2], atol=1e-5), a
    if lifter.sequence:
        kp[0, total // 2] += 50
        assert (lift_frames(lifter, kp[0], conf[0], K, size) != whole).any(-1).any(-1).sum() > 1, "sees one frame only"


@lifters
def test_long_sequences_in_pieces_are_the_whole(name: str, monkeypatch: pytest.MonkeyPatch):
    lifter = default(name)
    total = lifter.receptive_field + 2 * lifter.context + 8 * lifter.grid
    kp, conf, K, size = people(lifter, 1, total - lifter.receptive_field + 1)
    results = []
    for piece in (1 << 20, 5 * lifter.grid + 3):
        monkeypatch.setattr(predict, "PIECE", piece)
        results.append(lift_frames(lifter, kp[0], conf[0], K, size, flip_average=True))
    assert torch.allclose(*results, atol=1e-5)


@lifters
def test_the_copy_for_inference_is_the_same_function(name: str):
    lifter = default(name)
    inputs = people(lifter, 3, 4)
    assert torch.allclose(
        lift(lifter.fold(), inputs, flip_average=True), lift(lifter, inputs, flip_average=True), atol=1e-5
    )
    assert not lifter.fold().training


@lifters
def test_flip_average_is_equivariant(name: str):
    """A mirrored person gives the mirrored pose."""
    lifter = default(name)
    kp, conf, K, size = people(lifter, 4, 2)
    swap = list(lifter.skeleton.flip)
    mirrored = (lifter.frame.mirror(kp, K, size)[:, :, swap], conf[:, :, swap], K, size)
    p, q = (lift(lifter, x, flip_average=True) for x in ((kp, conf, K, size), mirrored))
    assert torch.allclose(lifter.flip_pose(q), p, atol=1e-4)
    plain, other = lift(lifter, (kp, conf, K, size)), lift(lifter, mirrored)
    assert not torch.allclose(lifter.flip_pose(other), plain, atol=1e-3), "without averaging it is not, untrained"


@lifters
def test_missing_joints_have_no_influence(name: str):
    lifter = default(name)
    kp, conf, K, size = people(lifter, 3, 2)
    conf[0, :, lifter.skeleton.index("l_wrist")] = 0
    conf[1, :, len(conf[1, 0]) // 2 :] = 0
    conf[2] = 0
    missing = (conf == 0)[..., None]
    results = [
        lift(lifter, (torch.where(missing, garbage, kp), conf, K, size), flip_average=True)
        for garbage in (0.0, -1e7, float("nan"), float("inf"))
    ]
    assert torch.isfinite(results[0]).all()
    assert all(torch.equal(r, results[0]) for r in results[1:])


@lifters
def test_gradients_survive_missing_joints(name: str):
    lifter = prepared(LIFTERS[name][0]())
    kp, conf, K, size = people(lifter, 3, 1)
    conf[0, :, 3] = 0
    conf[1, :, 1:] = 0
    conf[2] = 0
    kp[conf == 0] = float("nan")
    kp.requires_grad_()
    lifter.lift(kp, conf, K, size).square().sum().backward()
    assert kp.grad is not None
    assert torch.isfinite(kp.grad).all()
    assert (kp.grad[conf == 0] == 0).all()
    assert (kp.grad[0, :, 1:3] != 0).any()


@lifters
def test_confidence_is_an_input_where_the_config_says_so(name: str):
    lifter = default(name)
    kp, conf, K, size = people(lifter, 2, 1)
    same = torch.equal(lift(lifter, (kp, conf, K, size)), lift(lifter, (kp, conf / 2, K, size)))
    assert same == (not lifter.config.confidence)


@lifters
def test_resolution_of_the_picture_does_not_matter(name: str):
    """Picture, its size and intrinsics scaled together change nothing."""
    lifter = default(name)
    if lifter.config.input_frame == "pixels":
        pytest.skip("sees pixels")
    kp, conf, K, size = people(lifter, 2, 1)
    scaled = K * torch.tensor([[2.0], [2.0], [1.0]])
    assert torch.allclose(lift(lifter, (kp * 2, conf, scaled, size * 2)), lift(lifter, (kp, conf, K, size)), atol=1e-4)


@lifters
def test_checkpoint_round_trip(name: str, tmp_path: Path):
    lifter = default(name)
    again = load_model(save_model(lifter, tmp_path / name, card={"data_licence": "none"}))
    assert type(again) is type(lifter)
    inputs = people(lifter, 2, 2)
    assert torch.equal(lift(again, inputs), lift(lifter, inputs))


@lifters
def test_onnx_round_trip(name: str, tmp_path: Path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    from poselift.models.onnx import OnnxLifter, export_onnx

    config: Any = LIFTERS[name][0]()
    narrow = {f.name: 16 for f in dataclasses.fields(config) if f.name in ("width", "hidden", "channels")}
    lifter = prepared(dataclasses.replace(config, **narrow))
    file = tmp_path / "lifter.onnx"
    if lifter.sequence:
        with pytest.raises(InputError, match="whole sequences"):
            export_onnx(lifter, file)
        assert not file.exists()
        return
    assert export_onnx(lifter, file) <= 1e-4
    runner = OnnxLifter(file, threads=1)
    assert (runner.skeleton, runner.receptive_field) == (lifter.skeleton, lifter.receptive_field)
    for n, out in ((1, 1), (4, 3)):
        kp, conf, K, size = people(lifter, n, out, seed=n)
        conf[0, :, 4] = 0
        kp[0, :, 4] = float("nan")
        want = lift(lifter, (kp, conf, K, size))
        got = torch.from_numpy(runner.lift(kp.numpy(), conf.numpy(), K.numpy(), size.numpy()))
        assert got.shape == want.shape
        assert torch.allclose(got, want, atol=1e-4)
