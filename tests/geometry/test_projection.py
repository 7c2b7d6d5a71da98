"""Projection against VideoPose3D's numbers, and its inverses."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from parity_vectors import vectors
from poselift.geometry.projection import (
    distort,
    image_coordinates,
    normalize_screen,
    project,
    rays,
    undistort,
    unproject,
)

V = vectors("cameras")


def intrinsics(i: int) -> tuple[torch.Tensor, torch.Tensor]:
    fx, fy, cx, cy = V["x_intrinsic"][i][:4].tolist()
    return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), V["x_intrinsic"][i][4:]


@pytest.mark.parametrize("i", range(4))
def test_parity_of_both_projections(i: int):
    K, dist = intrinsics(i)
    p = V[f"y_cam{i}"]
    assert_close(project(p, K, dist, clamp=True), V[f"y_proj{i}"], rtol=0, atol=2e-7)
    assert_close(project(p, K, clamp=True), V[f"y_proj_linear{i}"], rtol=0, atol=2e-7)
    assert (V[f"y_proj{i}"] - V[f"y_proj_linear{i}"]).abs().max() > 1e-4  # the distortion is not nothing


def test_parity_where_the_clamp_acts():
    K, dist = intrinsics(0)
    assert_close(project(V["x_close"], K, dist, clamp=True), V["y_proj_close"], rtol=1e-6, atol=1e-6)
    assert (project(V["x_close"], K, dist) - V["y_proj_close"]).abs().max() > 1e-2


@pytest.mark.parametrize("i", range(4))
def test_parity_of_screen_coordinates(i: int):
    size = V["x_res"][i]
    pixels = image_coordinates(V[f"y_proj{i}"].double(), size)
    assert_close(pixels, V[f"y_pixel{i}"], rtol=0, atol=1e-9)
    assert_close(normalize_screen(pixels, size), V[f"y_renorm{i}"], rtol=0, atol=1e-12)


def test_screen_size_per_clip_of_a_batch():
    kp = torch.rand(3, 5, 17, 2) * 800
    size = torch.tensor([[1000, 1002], [640, 480], [100, 300]])
    both = normalize_screen(kp, size)
    for b in range(3):
        assert_close(both[b], normalize_screen(kp[b], size[b].tolist()))
    assert_close(image_coordinates(both, size), kp, rtol=0, atol=1e-3)


def random_cameras(*shape: int) -> torch.Tensor:
    K = torch.zeros(*shape, 3, 3, dtype=torch.float64)
    K[..., 0, 0], K[..., 1, 1] = 900 + 300 * torch.rand(shape), 900 + 300 * torch.rand(shape)
    K[..., 0, 2], K[..., 1, 2] = 500 * torch.rand(shape), 500 * torch.rand(shape)
    K[..., 0, 1], K[..., 2, 2] = 3.0, 1
    return K


@pytest.mark.parametrize("batch", [(), (4,), (4, 5)])
def test_cameras_belong_to_the_leading_axes(batch: tuple[int, ...]):
    torch.manual_seed(0)
    K, p = random_cameras(*batch), torch.randn(4, 5, 17, 3, dtype=torch.float64) + torch.tensor([0, 0, 6.0])
    kp = project(p, K)
    for i in range(4):
        for k in range(5):
            mine = K[(i, k)[: len(batch)]]
            m = (mine @ p[i, k].T).T
            assert_close(kp[i, k], m[:, :2] / m[:, 2:])
    assert_close(unproject(kp, p[..., 2], K), p)
    assert_close(rays(kp, K), p[..., :2] / p[..., 2:])


def test_points_at_or_behind_the_camera_have_no_image_and_no_gradient():
    p = torch.tensor([[0.1, 0.2, 2.0], [0.1, 0.2, 0.0], [0.1, 0.2, -2.0]], requires_grad=True)
    kp = project(p, random_cameras().float())
    assert torch.isfinite(kp[0]).all()
    assert torch.isnan(kp[1:]).all()
    kp.nan_to_num().sum().backward()
    assert p.grad is not None
    assert torch.isfinite(p.grad).all()
    assert (p.grad[1:] == 0).all()
    assert (p.grad[0] != 0).all()


@pytest.mark.parametrize("i", range(4))
def test_undistort_inverts_the_lens(i: int):
    K, dist = (a.double() for a in intrinsics(i))
    kp = torch.rand(200, 2, dtype=torch.float64) * 2 - 1  # the whole image in these normalised units
    ideal = undistort(kp, K, dist)
    m = rays(ideal, K)
    back = distort(m, dist) * torch.stack((K[0, 0], K[1, 1])) + K[:2, 2]
    assert_close(back, kp, rtol=0, atol=1e-9)
    assert (ideal - kp).abs().max() > 1e-3
    assert torch.isnan(undistort(torch.full((1, 2), 1e6, dtype=torch.float64), K, dist)).all()
    torch.testing.assert_close(undistort(kp, K, torch.zeros(5, dtype=torch.float64)), kp)
