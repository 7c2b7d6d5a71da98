"""Look-at and crop cameras."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from poselift.errors import InputError
from poselift.geometry.cameras import crop_K, look_at_matrix, look_at_rotation
from poselift.geometry.projection import project

EYE, TARGET = np.array([4.0, -1.0, 1.6]), np.array([0.5, 0.3, 0.9])


def to_cam(t: np.ndarray, p: np.ndarray) -> np.ndarray:
    return t[:3, :3] @ p + t[:3, 3]


def test_look_at_is_rigid_aimed_and_level():
    t = look_at_matrix(EYE, TARGET)
    np.testing.assert_allclose(t[:3, :3] @ t[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(t[:3, :3]) == pytest.approx(1)
    np.testing.assert_allclose(to_cam(t, EYE), 0, atol=1e-12)
    np.testing.assert_allclose(to_cam(t, TARGET), (0, 0, float(np.linalg.norm(TARGET - EYE))), atol=1e-12)
    higher = to_cam(t, TARGET + np.array([0, 0, 0.5]))
    assert higher[0] == pytest.approx(0, abs=1e-12)  # the horizon is level
    assert higher[1] < 0  # up in the world is up in the image, where y points down


def test_right_of_the_target_is_right_in_the_image():
    t = look_at_matrix(np.array([0, -3.0, 1]), np.array([0, 0, 1.0]))  # looks along +y: its right is +x
    np.testing.assert_allclose(to_cam(t, np.array([1.0, 0, 1])), (1, 0, 3), atol=1e-12)


@pytest.mark.parametrize("dz", [3.0, -3.0])
def test_straight_down_and_up_are_defined(dz: float):
    t = look_at_matrix(np.array([1.0, 2, dz]), np.array([1.0, 2, 0]))
    np.testing.assert_allclose(t[:3, :3] @ t[:3, :3].T, np.eye(3), atol=1e-12)
    assert to_cam(t, np.array([1.0, 3, 0]))[1] < 0  # world +y is towards the top


def test_another_up():
    t = look_at_matrix(EYE, TARGET, np.array([0.0, 1.0, 0.0]))
    assert to_cam(t, TARGET + np.array([0, 0.5, 0]))[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("target", [EYE, np.array([np.nan, 0, 0])])
def test_impossible_look_at_is_refused(target: np.ndarray):
    with pytest.raises(InputError, match="look-at"):
        look_at_matrix(EYE, target)


def test_look_at_rotation_turns_the_ray_to_the_axis_without_roll():
    ray = torch.randn(50, 2, dtype=torch.float64) * 2
    R = look_at_rotation(ray)
    assert_close(R @ R.mT, torch.eye(3, dtype=torch.float64).expand(50, 3, 3))
    assert_close(torch.linalg.det(R), torch.ones(50, dtype=torch.float64))
    direction = torch.cat((ray, torch.ones(50, 1, dtype=torch.float64)), -1)
    turned = (R @ direction[..., None])[..., 0]
    assert_close(turned[:, 2], direction.norm(dim=-1))
    assert_close(turned[:, :2], torch.zeros(50, 2, dtype=torch.float64))
    assert (R[:, 0, 1] == 0).all()  # x_look is perpendicular to the camera's y axis
    assert (R[:, 0, 0] > 0).all()  # right stays right
    assert (R[:, 1, 1] > 0).all()
    assert_close(look_at_rotation(torch.zeros(2)), torch.eye(3))


def test_crop_maps_pixel_areas():
    K = torch.tensor([[1000.0, 2, 400], [0, 1100, 300], [0, 0, 1]]).expand(4, 3, 3)
    p = torch.randn(4, 9, 3) * 0.3 + torch.tensor([0, 0, 4.0])
    xy, scale = torch.rand(4, 2) * 200, torch.tensor([0.25, 0.5, 1, 2])
    want = (project(p, K) - xy[:, None] + 0.5) * scale[:, None, None] - 0.5
    assert_close(project(p, crop_K(K, xy, scale)), want, rtol=1e-5, atol=1e-3)
    assert_close(crop_K(K, xy, 1.0)[:, :2, 2], K[:, :2, 2] - xy)
