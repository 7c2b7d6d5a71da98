from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from poselift.errors import InputError
from poselift.geometry.bones import bone_lengths, from_bones
from poselift.geometry.projection import project
from poselift.geometry.roots import root_least_squares
from poselift.models.base import RootSource
from poselift.models.refiners.gauss_newton import GaussNewton, GaussNewtonConfig
from poselift.models.refiners.reprojection import Problem
from poselift.structures.skeleton import skeleton

H36M = skeleton("h36m17")
OTHERS = [j for j in range(len(H36M)) if j != H36M.root]
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def refiner(**config: Any) -> GaussNewton:
    return GaussNewton(GaussNewtonConfig(**config)).double().eval()


def people(n: int = 6, seed: int = 0) -> Inputs:
    """kp_img, conf, p_root, root_cam, K: what n persons truly are, equal on both sides, exactly projected; float64."""
    g = torch.Generator().manual_seed(seed)
    length = 0.2 + 0.2 * torch.rand(n, 17, generator=g).double()
    length = ((length + length[:, list(H36M.flip)]) / 2)[:, OTHERS]
    way = torch.nn.functional.normalize(torch.randn(n, 16, 3, generator=g).double(), dim=-1)
    p = from_bones(torch.zeros(n, 3).double(), way, length, H36M.parents)[:, None]
    at = torch.tensor((0.4, -0.3, 5.0)) + torch.rand(n, 1, 3, generator=g).double()
    K = torch.tensor([[1145.0, 2, 512], [0, 1140, 515], [0, 0, 1]]).double().repeat(n, 1, 1)
    return project(p + at[:, :, None], K), torch.ones(n, 1, 17).double(), p, at, K


def lifted(p: Tensor, sd: tuple[float, float, float] = (0.01, 0.01, 0.06), seed: int = 1) -> Tensor:
    """Poses with a lifter's errors: far larger in depth than across."""
    g = torch.Generator().manual_seed(seed)
    off = torch.randn(p.shape, generator=g).double() * torch.tensor(sd).double()
    off[..., H36M.root, :] = 0
    return p + off


def off_mm(p: Tensor, truth: Tensor) -> float:
    return float((p - truth).norm(dim=-1).mean() * 1000)


def off_px(kp: Tensor, p: Tensor, at: Tensor, K: Tensor) -> Tensor:
    return (project(p + at[:, :, None], K) - kp).norm(dim=-1).mean((-2, -1))


@pytest.mark.parametrize("root", get_args(RootSource))
def test_the_truth_stays(root: RootSource):
    kp, conf, p, at, K = people()
    refined, found, cost = refiner().solve(kp, conf, p, at, K, root=root)
    assert (refined - p).abs().max() < 2e-4  # lengths are drawn to 0 by a ten thousandth where nothing was fitted
    assert (found - at).abs().max() < 1e-3
    assert cost.max() < 1e-2


@pytest.mark.parametrize("root", get_args(RootSource))
def test_a_lifted_pose_gets_better(root: RootSource):
    kp, conf, truth, at, K = people(20)
    p = lifted(truth)
    refined, found, _ = refiner(noise=0.001, freedom=0, steps=10).solve(kp, conf, p, at, K, root=root)
    assert off_mm(refined, truth) < off_mm(p, truth)
    before = off_px(kp, p, at if root == "given" else root_least_squares(kp, p, K), K)
    assert (off_px(kp, refined, found, K) < 0.25 * before).all()
    assert (refined[:, :, H36M.root] == p[:, :, H36M.root]).all()


def test_known_lengths_tell_depth():
    kp, conf, truth, at, K = people(20)
    truth = (
        truth[:1] @ torch.linalg.qr(torch.randn(20, 1, 3, 3, generator=torch.Generator().manual_seed(6)).double())[0]
    )
    kp, p = project(truth + at[:, :, None], K), lifted(truth)
    known, unknown = refiner(noise=0.001, freedom=0, steps=10), refiner(noise=0.001, freedom=0, steps=10)
    known.length_cross.zero_()
    known.length_mean[1] = bone_lengths(truth[0, 0], H36M.parents)
    errors = [off_mm(r.refine(kp, conf, p, at, K, root="given"), truth) for r in (known, unknown)]
    assert errors[0] < 0.8 * errors[1] < 0.8 * off_mm(p, truth)


def problem(r: GaussNewton) -> tuple[Problem, Tensor]:
    """The inner problem of lifted poses with noisy keypoints, some missing, and corrections to look at it from."""
    kp, conf, truth, at, K = people()
    g = torch.Generator().manual_seed(3)
    conf = 0.3 + 0.7 * torch.rand(conf.shape, generator=g).double()
    conf[0, 0, 5:8] = 0
    kp = kp + 5 * torch.randn(kp.shape, generator=g).double()
    f, _ = r._problem(kp[:, 0], conf[:, 0], lifted(truth)[:, 0], at[:, 0], K)
    return f, 0.03 * torch.randn(6, 17, 3, generator=g).double()


def test_the_jacobian_of_the_projection():
    r = refiner()
    f, u = problem(r)
    _, m, z = f.project(u)
    want = torch.autograd.functional.jacobian(lambda x: f.project(x)[0], u)
    want = torch.einsum("njanjb->njab", want)  # a joint's residual depends on that joint alone
    assert torch.allclose(f.jacobian(m, z), want, atol=1e-9)
    assert want.abs().max() > 1


@pytest.mark.parametrize("config", [{}, {"freedom": 0}, {"bone_sd": 0}, {"root_sd": 0.05}, {"prior_scale": 3}])
def test_the_gradient_of_the_cost(config: dict[str, Any]):
    r = refiner(**config)
    r.fit_prior(torch.randn(200, 17, 3).double() @ torch.diag(torch.tensor((0.02, 0.01, 0.05))).double())
    f, u = problem(r)
    u.requires_grad_()
    (want,) = torch.autograd.grad(f.cost(u).sum() / 2, u)
    _, g = f.normal_equations(u)
    g = g.view_as(want)
    free = slice(None) if config.get("root_sd") else OTHERS
    assert torch.allclose(g[:, free], want[:, free], rtol=1e-7, atol=1e-7)
    assert config.get("root_sd") or (g[:, H36M.root] == 0).all()


def test_the_normal_equations_are_the_squared_jacobian():
    """With Gaussian noise, A is JᵀJ of all residuals, and every term a residual."""
    r = refiner(freedom=0, root_sd=0.1, prior_scale=1.5)
    f, u = problem(r)
    L = torch.linalg.cholesky(r.precision.view(17, 3, 17, 3)[OTHERS][:, :, OTHERS].reshape(48, 48))

    def residuals(u: Tensor) -> Tensor:
        d = (u - u[:, H36M.root : H36M.root + 1])[:, OTHERS].flatten(1)
        x = f.start @ f.R.mT + u
        bones = (bone_lengths(x, H36M.parents) - f.lengths) * f.bone_weight
        return torch.cat((f.project(u)[0].flatten(1), d @ L / 1.5, bones, u[:, H36M.root] / 0.1), 1)

    J = torch.autograd.functional.jacobian(lambda x: residuals(x).sum(0), u).transpose(0, 1).flatten(2)
    A, g = f.normal_equations(u)
    assert torch.allclose(A.tril(), (J.mT @ J).tril(), rtol=1e-8, atol=1e-6)
    assert torch.allclose(g, (J.mT @ residuals(u)[..., None])[..., 0], rtol=1e-8, atol=1e-6)
    assert torch.allclose(f.cost(u), residuals(u).square().sum(1), rtol=1e-8)


def test_one_step_is_the_kalman_update():
    """Linear and Gaussian: d = Σ Hᵀ (H Σ Hᵀ + σ² I)⁻¹ r, of all joints at once, missing ones among them."""
    r = refiner(freedom=0, bone_sd=0, damping=0, noise=0, noise_px=2.0, steps=1)
    kp, conf, truth, at, K = people(1)
    K = K * torch.tensor((2000.0, 2000.0, 1.0)).double()[:, None]
    K[:, :2, 2] = 500
    at = torch.tensor([[[0.0, 0.0, 10_000.0]]]).double()  # so far away that projection is linear
    g = torch.Generator().manual_seed(5)
    mix = torch.randn(48, 48, generator=g).double() / 7
    r.fit_prior(torch.nn.functional.pad((torch.randn(500, 48, generator=g).double() @ mix * 0.03).view(500, 16, 3),
                                        (0, 0, 1, 0)), shrinkage=0)  # fmt: skip
    S = torch.linalg.inv(r.precision.view(17, 3, 17, 3)[1:, :, 1:].reshape(48, 48))
    p = lifted(truth)
    kp = project(truth + at[:, :, None], K)
    conf[..., 4] = 0
    H = torch.autograd.functional.jacobian(lambda x: project(x + at[0, 0], K[0]), p[0, 0])
    H = H[1:, :, 1:][[i for i in range(16) if i != 3]].reshape(30, 48)
    e = (kp - project(p + at[:, :, None], K))[0, 0, 1:][[i for i in range(16) if i != 3]].flatten()
    want = S @ H.mT @ torch.linalg.solve(H @ S @ H.mT + 4 * torch.eye(30), e)
    got, _, cost = r.solve(kp, conf, p, at, K, root="given")
    assert torch.allclose((got - p)[0, 0, 1:].flatten(), want, atol=1e-6)
    assert want.view(16, 3)[3].abs().max() > 1e-3, "a missing joint follows the others"
    again = r.solve(kp, conf, p, at, K, root="given", steps=5)
    assert torch.allclose(again[0], got, atol=1e-5)
    assert torch.allclose(again[2], cost, rtol=1e-4)


@pytest.mark.parametrize("root", get_args(RootSource))
@pytest.mark.parametrize("damping", [0.0, 1e-3, 10.0])
def test_no_step_raises_the_cost(root: RootSource, damping: float):
    r = refiner(damping=damping, noise=0.002)
    kp, conf, truth, at, K = people(30)
    kp = kp + 20 * torch.randn(kp.shape, generator=torch.Generator().manual_seed(0)).double()
    p = lifted(truth, (0.3, 0.3, 0.3))
    costs = torch.stack([r.solve(kp, conf, p, at, K, root=root, steps=k)[2] for k in range(12)])
    assert (costs.diff(dim=0) <= 0).all()
    assert (costs[-1] < costs[0]).all()


def test_what_each_root_means():
    kp, conf, truth, at, K = people()
    p = lifted(truth)
    wrong = at + torch.tensor((0.0, 0.0, 0.2)).double()
    assert torch.equal(refiner().solve(kp, conf, p, wrong, K, root="given")[1], wrong)
    soft = refiner(root_sd=0.3).solve(kp, conf, p, wrong, K, root="given")
    hard = refiner().solve(kp, conf, p, wrong, K, root="given")
    assert off_mm(soft[1], at) < off_mm(wrong, at)
    assert (soft[2] < hard[2]).all()
    refined, found, _ = refiner().solve(kp, conf, p, None, K, root="resolved")
    assert torch.allclose(found, root_least_squares(kp, refined, K, conf), atol=1e-9)
    refined, free, cost = refiner(steps=30, noise=0.008).solve(kp, conf, p, None, K, root="least_squares")
    assert not torch.allclose(free, root_least_squares(kp, refined, K, conf), atol=1e-4)
    assert (cost <= refiner(steps=30, noise=0.008).solve(kp, conf, p, None, K, root="resolved")[2] + 1e-6).all()


def test_an_outlier_is_outweighed():
    kp, conf, truth, at, K = people()
    p = lifted(truth)
    kp[:, :, 16] += 150.0
    robust, gauss = (refiner(freedom=f, steps=20).refine(kp, conf, p, at, K) for f in (3, 0))
    assert off_mm(robust[:, :, 16], truth[:, :, 16]) < 0.7 * off_mm(gauss[:, :, 16], truth[:, :, 16])
    conf[:, :, 16] = 1e-3
    doubted = refiner(freedom=0, steps=20).refine(kp, conf, p, at, K)
    assert off_mm(doubted[:, :, 16], truth[:, :, 16]) < 0.7 * off_mm(gauss[:, :, 16], truth[:, :, 16])


def test_lengths_before_a_fit_are_the_mean_of_both_sides():
    r = refiner()
    p = lifted(people()[2])[:, 0]
    lengths = bone_lengths(p, H36M.parents)
    seen = torch.ones(6, 16, dtype=torch.bool)
    mirror = torch.tensor(H36M.flip)[OTHERS] - 1
    assert torch.allclose(r._lengths(p, seen), (lengths + lengths[:, mirror]) / 2, atol=1e-4)
    left = OTHERS.index(H36M.index("l_knee"))
    right = OTHERS.index(H36M.index("r_knee"))
    seen[:, left] = False
    assert torch.allclose(r._lengths(p, seen)[:, [left, right]], lengths[:, [right, right]], atol=1e-4)


def test_fit_takes_prior_and_lengths_from_samples():
    """Errors in look axes give the precision; a person's lengths are regressed on those of the lifted pose."""
    r = refiner()
    _, _, truth, at, _ = people(4000)
    size = torch.linspace(0.8, 1.2, 4000).double()[torch.randperm(4000, generator=torch.Generator().manual_seed(0))]
    truth = truth[:1] * size[:, None, None, None]
    p = lifted(truth, (0.02, 0.02, 0.02))
    r.fit([(p[:2000], truth[:2000], at[:2000]), (p[2000:], truth[2000:], at[2000:])], shrinkage=0)
    sd = torch.linalg.inv(r.precision.view(17, 3, 17, 3)[1:, :, 1:].reshape(48, 48)).diag().sqrt()
    assert torch.allclose(sd, torch.full_like(sd, 0.02), rtol=0.1)
    assert (r.precision.view(17, 3, 17, 3)[H36M.root] == 0).all()
    x, y = (bone_lengths(v[:, 0], H36M.parents) for v in (p, truth))
    ones = torch.ones(4000, 1).double()
    want = torch.cat((x, ones), 1) @ torch.linalg.lstsq(torch.cat((x, ones), 1), y).solution
    assert torch.allclose(r._lengths(p[:, 0], torch.ones(4000, 16, dtype=torch.bool)), want, atol=1e-6)
    assert (want - y).abs().mean() < 0.5 * (x - y).abs().mean()


def test_depth_of_the_prior_is_along_the_ray_of_the_person():
    r = refiner()
    _, _, truth, _, _ = people(500)
    at = torch.tensor((5.0, 0.0, 5.0)).double().expand(500, 1, 3)
    ray = torch.nn.functional.normalize(at[0, 0], dim=0)
    along = 0.1 * torch.randn(500, 1, 17, 1).double() * ray
    along[:, :, H36M.root] = 0
    r.fit([(truth + along + 1e-3 * torch.randn(truth.shape).double(), truth, at)])
    sd = torch.linalg.inv(r.precision[3:, 3:]).diag().sqrt().view(16, 3)
    assert (sd[:, 2] > 0.08).all()
    assert (sd[:, :2] < 0.003).all()


def test_a_fitted_prior_refines_better_than_none():
    kp, conf, truth, at, K = people(50)
    _, _, other, place, _ = people(3000, seed=9)
    g = torch.Generator().manual_seed(4)
    chain = 0.05 * torch.randn(48, 48, generator=g).double() / 7

    def lift(p: Tensor) -> Tensor:
        off = (torch.randn(len(p), 48, generator=g).double() @ chain).view(-1, 1, 16, 3)
        return p + torch.nn.functional.pad(off, (0, 0, 1, 0))

    p = lift(truth)
    plain, fitted = (refiner(bone_sd=0, noise=0.001, freedom=0) for _ in range(2))
    fitted.fit([(lift(other), other, place)])
    errors = [off_mm(r.refine(kp, conf, p, at, K, root="given"), truth) for r in (plain, fitted)]
    assert errors[1] < 0.8 * errors[0] < off_mm(p, truth)


def test_equations_without_a_solution_keep_the_pose():
    r = refiner(bone_sd=0)
    r.precision.zero_()  # nothing holds the depth of any joint
    r.config = replace(r.config, damping=0.0)
    kp, conf, truth, at, K = people()
    conf[:, :, 3] = 0
    p = lifted(truth)
    assert torch.equal(r.refine(kp, conf, p, at, K), p)


@pytest.mark.parametrize("errors", [torch.zeros(10, 17, 3), torch.full((100, 17, 3), torch.nan), torch.ones(3, 17, 3)])
def test_errors_that_give_no_prior(errors: Tensor):
    r = refiner()
    before = r.precision.clone()
    with pytest.raises(InputError, match="errors of the lifter"):
        r.fit_prior(errors, shrinkage=0)
    assert torch.equal(r.precision, before)


@pytest.mark.parametrize(
    ("config", "complaint"),
    [({"steps": 0}, "steps"), ({"noise_px": 0.0}, "noise_px"), ({"prior_scale": 0.0}, "prior_scale"),
     ({"bone_sd": -1.0}, "bone_sd")],
)  # fmt: skip
def test_impossible_configs(config: Any, complaint: str):
    with pytest.raises(InputError, match=complaint):
        GaussNewton(GaussNewtonConfig(**config))
