"""Root solvers against ERD's numbers, on exact data, and on frames that cannot be solved."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from parity_vectors import vectors
from poselift.geometry.projection import project, unproject
from poselift.geometry.roots import root_depth_only, root_from_z, root_homogeneous, root_least_squares, root_solver

V = vectors("erd_pelvis_ls")


def erd_camera() -> torch.Tensor:
    K = torch.zeros(6, 3, 3)
    K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2] = V["x_cam"].unbind(-1)
    K[:, 2, 2] = 1
    return K


def test_parity_with_erd():
    kp, pose, K = V["x_uv_px"], V["x_pose_mm"], erd_camera()  # any unit of length: mm here, as published
    assert_close(root_least_squares(kp, pose, K), V["y_pelvis"], rtol=1e-6, atol=1e-3)
    assert_close(root_least_squares(kp, pose, K), V["y_pelvis_batched"], rtol=2e-6, atol=1e-3)
    weighted = root_least_squares(kp, pose, K, V["x_weight"][..., 0])
    assert_close(weighted, V["y_pelvis_weighted"], rtol=2e-6, atol=1e-3)
    assert (weighted - V["y_pelvis"]).abs().max() > 10
    assert_close(root_homogeneous(kp, pose, K), V["y_pelvis_homogeneous"], rtol=1e-6, atol=1e-3)
    assert_close(unproject(kp, V["x_depth_mm"][..., 0], K), V["y_backproj_mm"], rtol=1e-6, atol=1e-3)
    reprojection = project(pose + root_least_squares(kp, pose, K)[:, None], K) - kp
    assert float(reprojection.abs().mean()) == pytest.approx(float(V["y_mean_abs_reproj_px"]), abs=1e-3)


def scene(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(5)
    root = torch.randn(*shape, 3, generator=g, dtype=dtype) * 0.7 + torch.tensor([0, 0, 5.0], dtype=dtype)
    pose = torch.randn(*shape, 17, 3, generator=g, dtype=dtype) * 0.3
    pose[..., 0, :] = 0
    K = torch.tensor([[1145.0, 0, 512], [0, 1100, 515], [0, 0, 1]], dtype=dtype)
    return project(pose + root[..., None, :], K), pose, K, root


SOLVERS = {
    "least squares": root_least_squares,
    "homogeneous": root_homogeneous,
    "depth only": root_depth_only,
    "depth only, mean": lambda *a: root_depth_only(*a, root_xy_from="mean"),
}


@pytest.mark.parametrize("solver", [s for s in SOLVERS if s != "depth only, mean"])
@pytest.mark.parametrize("shape", [(), (7,), (2, 3)])
def test_exact_data_give_the_exact_root(solver: str, shape: tuple[int, ...]):
    kp, pose, K, root = scene(*shape)
    assert_close(SOLVERS[solver](kp, pose, K), root, rtol=1e-6, atol=1e-6)
    each = K.expand(*shape[:1], 3, 3)  # a camera per clip
    assert_close(SOLVERS[solver](kp, pose, each), root, rtol=1e-6, atol=1e-6)


def test_depth_only_from_the_mean_is_near_for_shallow_poses():
    kp, pose, K, _ = scene(50)
    pose = pose * torch.tensor([1, 1, 0.1], dtype=pose.dtype)
    root = torch.tensor([0.5, -0.2, 5.0], dtype=pose.dtype)
    kp = project(pose + root, K)
    kp[:, 0] = torch.nan  # the root itself is not seen
    conf = torch.ones(50, 17, dtype=pose.dtype)
    found = root_depth_only(kp, pose, K, conf, root_xy_from="mean")
    assert (found - root).norm(dim=-1).max() < 0.1
    assert torch.isnan(root_depth_only(kp, pose, K, conf, root_xy_from="kp")).all()


def test_float32_is_as_good_as_double():
    kp, pose, K, root = scene(1000)
    found = root_least_squares(kp.float(), pose.float(), K.float())
    assert (found - root).norm(dim=-1).max() < 2e-3  # 2 mm in 5 m, from pixels rounded to 1e-4


@pytest.mark.parametrize("solver", list(SOLVERS))
@pytest.mark.parametrize("bad", [torch.nan, 1e5])
def test_joints_without_confidence_do_not_matter(solver: str, bad: float):
    kp, pose, K, _ = scene(4)
    conf = torch.ones(4, 17, dtype=pose.dtype)
    conf[:, 3:9] = 0
    clean = SOLVERS[solver](kp[:, [0, 1, 2, *range(9, 17)]], pose[:, [0, 1, 2, *range(9, 17)]], K)
    kp[:, 3:9], pose[:, 3:9] = bad, bad
    pose.requires_grad_()
    found = SOLVERS[solver](kp, pose, K, conf)
    assert_close(found, clean)
    found.sum().backward()
    assert pose.grad is not None
    assert torch.isfinite(pose.grad).all()
    assert (pose.grad[:, 3:9] == 0).all()


def test_confidence_pulls_the_answer():
    kp, pose, K, root = scene()
    kp[16] += 80  # a detector's mistake
    error = [
        float((root_least_squares(kp, pose, K, torch.tensor([*[1.0] * 16, c])) - root).norm()) for c in (1, 0.3, 0.1, 0)
    ]
    assert error == sorted(error, reverse=True)
    assert error[-1] < 1e-9 < error[-2]


@pytest.mark.parametrize("solver", list(SOLVERS))
@pytest.mark.parametrize("seen", [0, 1])
def test_frames_that_cannot_be_solved_are_nan_without_gradient(solver: str, seen: int):
    kp, pose, K, _ = scene(2)
    conf = torch.ones(2, 17, dtype=pose.dtype)
    conf[0] = 0
    conf[0, :seen] = 1
    kp.requires_grad_()
    pose.requires_grad_()
    found = SOLVERS[solver](kp, pose, K, conf)
    assert torch.isnan(found[0]).all()
    assert torch.isfinite(found[1]).all()
    found[1].sum().backward()
    for x in (kp, pose):
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
        assert (x.grad[0] == 0).all()


def test_joints_on_one_ray_cannot_be_solved():
    _, pose, K, _ = scene()
    kp = torch.full((17, 2), 300.0, dtype=pose.dtype)
    assert torch.isnan(root_least_squares(kp, pose, K)).all()
    assert torch.isnan(root_depth_only(kp, pose, K)).all()


def test_gradients_are_right():
    kp, pose, K, _ = scene(2)
    conf = torch.rand(2, 17, dtype=pose.dtype) + 0.1
    inputs = kp.requires_grad_(), pose.requires_grad_(), K, conf.requires_grad_()
    assert torch.autograd.gradcheck(root_least_squares, inputs)
    assert torch.autograd.gradcheck(root_depth_only, inputs)


def test_root_from_a_given_depth():
    kp, _, K, root = scene(6)
    assert_close(root_from_z(kp[:, 0], root[:, 2], K), root)


def test_a_solver_for_many_poses_of_the_same_keypoints():
    kp, pose, K, _ = scene(3)
    conf = torch.rand(3, 17, dtype=pose.dtype) + 0.1
    conf[0, 4], conf[1, 1:] = 0, 0  # of the second frame nothing can be told
    kp[0, 4] = torch.nan
    solve = root_solver(kp, K, conf)
    for p in (pose, 1.1 * pose, pose + 0.1):
        want = root_least_squares(kp, p, K, conf)
        assert torch.isnan(want[1]).all()
        assert torch.isfinite(want[[0, 2]]).all()
        assert_close(solve(p), want, equal_nan=True)
    assert_close(solve(pose + 0.1), solve(pose) - 0.1, equal_nan=True)
