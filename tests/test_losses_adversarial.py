"""Losses without pairs: parity with RepNet's, gradient penalty by hand, masks, the growing weight."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch.testing import assert_close

from parity_vectors import vectors
from poselift.errors import InputError
from poselift.geometry.projection import project, weak_perspective
from poselift.losses import mse
from poselift.losses_adversarial import (
    GrowingWeight,
    camera_loss,
    critic_loss,
    depth_weighted_reprojection,
    generator_loss,
    gradient_penalty,
    weighted_l1,
)

V = vectors("repnet_losses")


def test_parity_of_camera_loss_and_reprojection():
    assert_close(camera_loss(V["x0"].view(-1, 3, 2)), V["y0"], rtol=0, atol=1e-5)
    pose, M, target = V["x1"][:, :48].view(-1, 16, 3), V["x1"][:, 48:].view(-1, 3, 2), V["x2"].view(-1, 16, 2)
    reprojected = weak_perspective(pose, M)
    assert_close(reprojected.flatten(1), V["y1"], rtol=0, atol=1e-5)
    assert float(mse(reprojected, target)) == pytest.approx(float(V["y2"]), rel=1e-6)
    assert 100 * 100 * float(mse(reprojected, target)) == pytest.approx(float(V["y3"]), rel=1e-6)


def test_camera_loss_is_zero_for_scaled_rotations_alone():
    Q = torch.linalg.qr(torch.randn(5, 3, 3, dtype=torch.float64))[0]
    M = Q[:, :, :2] * torch.tensor([0.1, 0.5, 1.0, 3.0, 40.0], dtype=torch.float64)[:, None, None]
    for norm in ("frobenius", "sum"):
        assert_close(camera_loss(M, norm=norm), torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-12)
    flat = torch.tensor([[1.0, 0], [0, 0], [0, 0]])  # K = diag(1, 0): 2 K / 1 - I = diag(1, -1)
    assert float(camera_loss(flat)) == pytest.approx(2**0.5)
    assert float(camera_loss(flat, norm="sum")) == 2
    nothing = torch.zeros(2, 3, 2, requires_grad=True)
    camera_loss(nothing).sum().backward()
    assert nothing.grad is not None
    assert torch.isfinite(nothing.grad).all()


def test_wasserstein_terms():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0, 2.0])
    assert float(critic_loss(real, fake)) == -1
    assert float(generator_loss(fake)) == -1


def test_gradient_penalty_by_hand():
    """critic(x) = ½ ‖A x‖²: its gradient is AᵀA x, and the penalty's own gradient in A follows in closed form."""
    torch.manual_seed(0)
    A = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    real, fake = torch.randn(5, 2, 3, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    mix = torch.rand(5, dtype=torch.float64)
    found = gradient_penalty(lambda x: (x.flatten(1) @ A.T).square().sum(1) / 2, real, fake, mix)
    (slope,) = torch.autograd.grad(found, A)

    want, want_slope = torch.zeros((), dtype=torch.float64), torch.zeros_like(A)
    with torch.no_grad():
        for r, f, a in zip(real.flatten(1), fake.flatten(1), mix, strict=True):
            x = a * r + (1 - a) * f
            g = A.T @ A @ x
            norm = g.norm()
            want += (norm - 1) ** 2 / 5
            # d‖g‖/dA = (A x gᵀ + A g xᵀ) / ‖g‖, since g = AᵀA x
            want_slope += 2 * (norm - 1) / norm * (torch.outer(A @ x, g) + torch.outer(A @ g, x)) / 5
    assert_close(found, want)
    assert_close(slope, want_slope)


def test_gradient_penalty_knows_each_sample_by_itself():
    w = torch.tensor([3.0, 4.0], requires_grad=True)

    def critic(x: torch.Tensor) -> torch.Tensor:
        return x @ w

    real, fake = torch.randn(7, 2, requires_grad=True), torch.randn(7, 2, requires_grad=True)
    for n in (1, 7):
        penalty = gradient_penalty(critic, real[:n], fake[:n], torch.rand(n))
        assert float(penalty.detach()) == pytest.approx(16.0), "(5 - 1)², whatever the poses are"
    penalty.backward()
    assert_close(w.grad, 2 * 4 * w.detach() / 5)
    assert real.grad is None
    assert fake.grad is None
    with torch.no_grad():
        assert float(gradient_penalty(critic, real, fake, torch.rand(7))) == pytest.approx(16.0)


def test_gradient_penalty_of_a_critic_that_says_nothing():
    w = torch.zeros(2, requires_grad=True)
    penalty = gradient_penalty(lambda x: x @ w, torch.randn(3, 2), torch.randn(3, 2), torch.rand(3))
    assert float(penalty.detach()) == 1
    penalty.backward()
    assert w.grad is not None
    assert torch.isfinite(w.grad).all()


def test_the_authors_weighted_reprojection():
    pred, target = torch.randn(4, 16, 2), torch.randn(4, 16, 2)
    weight = torch.ones(16)
    weight[6], weight[8], weight[9] = 0, 0.1, 0.1
    want = (weight[:, None] * (pred - target).abs()).sum((1, 2)).mean() / 32
    assert_close(weighted_l1(pred, target, weight[None]), want)
    target[:, 6] = torch.nan
    p = pred.clone().requires_grad_()
    found = weighted_l1(p, target, weight[None])
    assert_close(found.detach(), want)
    found.backward()
    assert p.grad is not None
    assert torch.isfinite(p.grad).all()


def test_depth_weighted_reprojection_is_the_plain_one_times_depth():
    K = torch.tensor([[2.3, 0, 0.02], [0, 2.2, 0.03], [0, 0, 1]]).repeat(3, 1, 1)
    p = torch.randn(3, 17, 3) * 0.4 + torch.tensor((0.0, 0.0, 5.0))
    kp = torch.rand(3, 17, 2) - 0.5
    plain = (project(p, K) - kp) * p[..., 2:]
    assert_close(depth_weighted_reprojection(p, kp, K), plain.square().mean())
    assert_close(depth_weighted_reprojection(p, project(p, K), K), torch.zeros(()), rtol=0, atol=1e-10)

    conf = torch.rand(3, 17)
    conf[:, 4] = 0
    want = (conf * plain.square().mean(-1)).sum() / conf.sum()
    kp[:, 4] = torch.nan
    p.requires_grad_()
    found = depth_weighted_reprojection(p, kp, K, conf)
    assert_close(found.detach(), want)
    found.backward()
    assert p.grad is not None
    assert torch.isfinite(p.grad).all()
    assert (p.grad[:, 4] == 0).all()
    assert float(depth_weighted_reprojection(p.detach(), kp, K, torch.zeros(3, 17))) == 0


def test_the_weight_grows_in_a_step_or_geometrically():
    step = GrowingWeight()
    assert [step.at(x) for x in (0, 0.79, 0.8, 1)] == [10_000, 10_000, 250_000, 250_000]
    grow = GrowingWeight(first=1, last=100, begin=0.2, end=0.6)
    assert [grow.at(x) for x in (0, 0.2, 0.6, 1)] == [1, 1, 100, 100]
    assert grow.at(0.4) == pytest.approx(10)
    values = [grow.at(i / 100) for i in range(101)]
    assert all(a <= b for a, b in pairwise(values))
    constant = GrowingWeight(first=3, last=3)
    assert {constant.at(i / 10) for i in range(11)} == {3}


@pytest.mark.parametrize(
    "wrong",
    [{"first": 0.0}, {"first": -5.0}, {"last": float("nan")}, {"begin": 0.9, "end": 0.2}, {"end": 1.5}],
    ids=str,
)
def test_a_weight_that_cannot_grow_is_refused(wrong: dict[str, float]):
    with pytest.raises(InputError, match=rf"reprojection\.{next(iter(wrong))}"):
        GrowingWeight(**wrong)
