"""Joint angles on poses whose angles are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from poselift.geometry.angles import ANGLES, angle_triplets, joint_angles
from poselift.geometry.rotations import random_matrix
from poselift.structures import SKELETONS, skeleton


@pytest.mark.parametrize("name", SKELETONS)
def test_every_body_skeleton_has_all_eight(name: str):
    assert set(angle_triplets(SKELETONS[name].joints)) == set(ANGLES)
    assert set(angle_triplets(SKELETONS[name].joints[:2])) == set()


def bent(angle: float) -> torch.Tensor:
    p = torch.zeros(17, 3, dtype=torch.float64)
    s = skeleton("h36m17")
    hip, knee, ankle = s.indices("r_hip", "r_knee", "r_ankle")
    p[hip] = torch.tensor([0.2, 0.3, 0.1])
    p[knee] = p[hip] + torch.tensor([0, 0.45, 0])
    p[ankle] = p[knee] + 0.4 * torch.tensor([math.sin(angle), -math.cos(angle), 0], dtype=p.dtype)
    return p


@pytest.mark.parametrize("angle", [1e-7, 0.5, math.pi / 2, 3.0, math.pi - 1e-7, math.pi])
def test_a_knee_bent_by_a_known_angle(angle: float):
    p = bent(angle) @ random_matrix(dtype=torch.float64).T * 3 + 1  # angles know no frame, place or unit
    found = joint_angles(p, angle_triplets(skeleton("h36m17").joints))["r_knee"]
    assert float(found) == pytest.approx(angle, abs=1e-9)


def test_straight_collapsed_and_missing_limbs_have_finite_gradients():
    triplets = angle_triplets(skeleton("h36m17").joints)
    for p in (bent(math.pi), bent(0.0), torch.zeros(17, 3)):
        p = p.float()[None].requires_grad_()
        angles = joint_angles(p, triplets)
        assert all(torch.isfinite(a).all() for a in angles.values())
        torch.stack(list(angles.values())).sum().backward()
        assert p.grad is not None
        assert torch.isfinite(p.grad).all()
    assert float(joint_angles(torch.zeros(17, 3), triplets)["l_elbow"]) == 0


def test_batches():
    p = torch.randn(2, 5, 17, 3)
    found = joint_angles(p, angle_triplets(skeleton("h36m17").joints))
    assert found["l_hip"].shape == (2, 5)
    assert_close(found["l_hip"][1, 3], joint_angles(p[1, 3], angle_triplets(skeleton("h36m17").joints))["l_hip"])
