"""The alignment: parity, optimality against an SVD, masks, degenerate poses, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from parity_vectors import vectors
from poselift.geometry.procrustes import align, aligned_distances, procrustes
from poselift.geometry.rotations import random_matrix

F64 = torch.float64


def by_svd(source: np.ndarray, target: np.ndarray, scale: bool = True) -> np.ndarray:
    """The textbook alignment of one pose, in double precision."""
    x, y = source.astype(np.float64), target.astype(np.float64)
    x0, y0 = x - x.mean(0), y - y.mean(0)
    u, s, vt = np.linalg.svd(y0.T @ x0)
    d = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    a = (s * d).sum() / (x0**2).sum() if scale else 1.0
    return a * x0 @ ((u * d) @ vt).T + y.mean(0)


def poses(kind: str, n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(7)
    y = torch.randn(n, 17, 3, generator=g, dtype=F64) * torch.tensor([0.3, 0.5, 0.2])
    if kind == "unrelated":
        return torch.randn(n, 17, 3, generator=g, dtype=F64), y
    if kind == "flat":
        y = y * torch.tensor([1, 1, 0])
    if kind == "line":
        y = y[:, :, :1] * torch.tensor([1.0, -2, 0.5])
    x = y * torch.tensor([-1, 1, 1]) if kind == "mirrored" else y
    x = 1.7 * x @ random_matrix(n, generator=g, dtype=F64).mT + torch.randn(n, 1, 3, generator=g, dtype=F64)
    noise = 0 if kind in ("exact", "line") else 0.03
    return x + noise * torch.randn(n, 17, 3, generator=g, dtype=F64), y


KINDS = ["exact", "noisy", "mirrored", "flat", "line", "unrelated"]


def test_parity_with_erd():
    v = vectors("erd_pelvis_ls")
    x, y = v["x_pose_mm"][0].double(), v["x_gt_mm"][0].double()
    s, R, t = procrustes(x, y)
    assert_close(s, v["y_procrustes_scale"])
    assert_close(R.mT, v["y_procrustes_R"], rtol=0, atol=1e-12)  # ERD multiplies from the right
    assert_close(t, v["y_procrustes_t"], rtol=1e-9, atol=1e-9)
    assert_close(align(x, y), v["y_procrustes_aligned"], rtol=1e-9, atol=1e-9)


def test_parity_with_repnet():
    v = vectors("repnet_losses")
    truth, pred = v["x3"], v["x4"]
    assert_close(align(pred, truth).double(), v["y4"].double(), rtol=0, atol=1e-5)
    assert_close(aligned_distances(pred, truth).double().mean(), v["y5"].double().mean(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [True, False])
def test_as_good_as_an_svd_and_never_a_reflection(kind: str, scale: bool):
    x, y = poses(kind)
    s, R, _ = procrustes(x, y, scale=scale)
    assert_close(R @ R.mT, torch.eye(3, dtype=F64).expand_as(R), rtol=0, atol=2e-7)
    assert_close(torch.linalg.det(R), torch.ones(len(R), dtype=F64), rtol=0, atol=2e-7)
    want = torch.from_numpy(np.stack([by_svd(a, b, scale) for a, b in zip(x.numpy(), y.numpy(), strict=True)]))
    cost, best = ((p - y).square().sum((1, 2)) for p in (align(x, y, scale=scale), want))
    assert (cost <= best * (1 + 1e-9) + 1e-12).all()  # on a line the rotation is one of many, the cost is not
    if kind != "line":
        assert_close(align(x, y, scale=scale), want, rtol=0, atol=1e-7)
    if not scale:
        assert (s == 1).all()
    if kind == "exact" and scale:
        assert_close(align(x, y), y)
    if kind == "mirrored":
        assert cost.min() > 0.1  # a mirrored pose cannot be laid on the original


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision_agrees_to_a_micrometre(kind: str):
    x, y = poses(kind)
    single = aligned_distances(x.float() + 0, y.float()).double()
    double = aligned_distances(x.float().double(), y.float().double())
    assert (single.mean(-1) - double.mean(-1)).abs().max() < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_distances_are_those_of_the_aligned_pose(kind: str):
    x, y = poses(kind)
    m = torch.rand(40, 17, generator=torch.Generator().manual_seed(1)) < 0.7
    assert_close(aligned_distances(x, y), (align(x, y) - y).norm(dim=-1), rtol=0, atol=1e-9)
    want = torch.where(m, (align(x, y, m) - y).norm(dim=-1), 0)
    assert_close(aligned_distances(x, y, m), want, rtol=0, atol=1e-9)


def test_masked_joints_take_no_part():
    x, y = poses("noisy")
    m = torch.ones(40, 17, dtype=torch.bool)
    m[:, 4:9] = False
    clean = procrustes(x[:, m[0]], y[:, m[0]])
    for bad in (1e6, torch.nan):
        x[:, 4:9], y[:, 4:6] = bad, bad
        for mask in (m, m.double()):
            for mine, want in zip(procrustes(x, y, mask), clean, strict=True):
                assert_close(mine, want)
        assert torch.isfinite(align(x, y, m)[:, m[0]]).all()
        assert (aligned_distances(x, y, m)[:, 4:9] == 0).all()
    moved = align(torch.where(x.isfinite(), x, 7.0), y, m)
    s, R, t = clean
    assert_close(moved[:, 5], s[:, None] * (R @ torch.full((3, 1), 7.0, dtype=F64))[..., 0] + t)


def test_weights_are_repeated_joints():
    x, y = poses("noisy")
    w = torch.ones(40, 17, dtype=F64)
    w[:, 2] = 3
    again = [*range(17), 2, 2]
    for mine, want in zip(procrustes(x, y, w), procrustes(x[:, again], y[:, again]), strict=True):
        assert_close(mine, want)


def degenerate() -> dict[str, tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
    g = torch.Generator().manual_seed(2)
    any_pose = torch.randn(1, 17, 3, generator=g)
    one, none = torch.zeros(1, 17), torch.zeros(1, 17)
    one[0, 3] = 1
    line = torch.linspace(-1, 1, 17)[:, None] * torch.tensor([0.3, 0.1, -0.2]) + 0.5
    point = torch.full((1, 17, 3), 0.3)
    return {
        "one visible joint": (any_pose, any_pose.flip(1), one),
        "no visible joint": (any_pose, any_pose.flip(1), none),
        "source on a line": (line[None], any_pose, None),
        "target on a line": (any_pose, line[None], None),
        "both on a line": (line[None], line[None] * 2, None),
        "source is one point": (point, any_pose, None),
        "target is one point": (any_pose, point, None),
        "both are one point": (point, point + 1, None),
        "all at the origin": (point * 0, point * 0, None),
        "equal": (any_pose, any_pose.clone(), None),
    }


@pytest.mark.parametrize("case", list(degenerate()))
@pytest.mark.parametrize("scale", [True, False])
def test_degenerate_poses_give_finite_rotations_and_gradients(case: str, scale: bool):
    x, y, m = degenerate()[case]
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    s, R, t = procrustes(x, y, m, scale=scale)
    assert_close(torch.linalg.det(R), torch.ones(1), rtol=0, atol=1e-5)
    assert_close(R @ R.mT, torch.eye(3)[None], rtol=0, atol=1e-5)
    distance = aligned_distances(x, y, m, scale=scale)
    (align(x, y, m, scale=scale).square().sum() + distance.sum() + s.sum() + R.sum() + t.sum()).backward()
    for v in (s, t, distance, x.grad, y.grad):
        assert v is not None
        assert torch.isfinite(v).all()
    if case in ("one visible joint", "no visible joint", "source is one point", "both are one point"):
        assert_close(s, torch.ones(1))
        assert_close(R, torch.eye(3)[None])
    if case == "no visible joint":
        assert (t == 0).all()
    if case in ("one visible joint", "both on a line", "both are one point", "equal") and (scale or "line" not in case):
        assert distance.max() < 1e-6


@pytest.mark.parametrize("kind", ["noisy", "mirrored", "flat", "unrelated"])
def test_gradients_are_right(kind: str):
    x, y = (a[:3, :6].clone().requires_grad_() for a in poses(kind))
    w = (torch.rand(3, 6, dtype=F64) + 0.2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y, w: procrustes(x, y, w), (x, y, w))
    assert torch.autograd.gradcheck(lambda x, y: align(x, y, scale=False), (x, y))
    assert torch.autograd.gradcheck(lambda x, y: aligned_distances(x, y), (x, y))


def test_a_masked_nan_leaves_the_gradient_alone():
    x, y = poses("noisy", 2)
    m = torch.ones(2, 17)
    m[0, 5] = 0
    x[0, 5] = torch.nan
    x.requires_grad_()
    (aligned_distances(x, y, m).sum() + align(x, y, m)[m > 0].sum()).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert (x.grad[0, 5] == 0).all()


def test_a_nan_spoils_its_own_pose_only():
    x, y = poses("noisy")
    clean = align(x, y)
    x[3, 2, 1] = torch.nan
    found = align(x, y)
    assert torch.isnan(found[3]).all()
    keep = [i for i in range(40) if i != 3]
    assert_close(found[keep], clean[keep])


def test_batches_of_any_shape_and_size():
    x, y = poses("noisy", 12)
    flat = align(x, y)
    assert_close(align(x.view(3, 4, 17, 3), y.view(3, 4, 17, 3)), flat.view(3, 4, 17, 3))
    assert_close(align(x[0], y[0]), flat[0])
    assert align(x[:0], y[:0]).shape == (0, 17, 3)
    assert aligned_distances(x[:0], y[:0]).shape == (0, 17)
    many = torch.arange(20000) % 12  # several pieces
    s, R, t = procrustes(x[many], y[many])
    assert_close(s[:, None, None] * x[many] @ R.mT + t[:, None], flat[many])
    assert_close(aligned_distances(x[many], y[many])[-12:], aligned_distances(x, y)[many[-12:]])
