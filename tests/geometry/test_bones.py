"""Bones of every skeleton: lengths, directions, poses from them."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from poselift.errors import InputError
from poselift.geometry.bones import bone_directions, bone_lengths, bone_vectors, from_bones
from poselift.structures import SKELETONS, skeleton


@pytest.mark.parametrize("name", SKELETONS)
def test_bones_are_child_minus_parent_in_joint_order(name: str):
    s = SKELETONS[name]
    x = torch.randn(2, 5, len(s), 3)
    v = bone_vectors(x, s.parents)
    assert v.shape == (2, 5, len(s.bones), 3)
    for b, (child, parent) in enumerate(s.bones):
        assert_close(v[..., b, :], x[..., child, :] - x[..., parent, :])
    assert_close(bone_lengths(x, s.parents), v.norm(dim=-1))
    assert_close(bone_directions(x, s.parents).norm(dim=-1), torch.ones(2, 5, len(s.bones)))
    assert_close((x.mT @ torch.from_numpy(s.chain_matrix)).mT, -v)


@pytest.mark.parametrize("name", [n for n, s in SKELETONS.items() if s.parents.count(-1) == 1])
def test_pose_from_bones_is_the_inverse(name: str):
    s = SKELETONS[name]
    x = torch.randn(4, len(s), 3, dtype=torch.float64)
    parts = x[:, s.root], bone_directions(x, s.parents), bone_lengths(x, s.parents)
    assert_close(from_bones(*parts, s.parents, s.order), x)
    assert_close(from_bones(*parts, s.parents), x)
    assert_close(from_bones(parts[0], parts[1], parts[2][0], s.parents)[0], x[0])  # one set of lengths for all


def test_lengths_change_one_limb_and_carry_the_rest_along():
    s = skeleton("h36m17")
    x = torch.randn(17, 3)
    lengths = bone_lengths(x, s.parents).clone()
    bone = next(b for b, (child, _) in enumerate(s.bones) if child == s.index("l_knee"))
    lengths[bone] *= 2
    y = from_bones(x[0], bone_directions(x, s.parents), lengths, s.parents)
    moved = (x - y).norm(dim=-1) > 1e-4
    assert [s.joints[i] for i in moved.nonzero()[:, 0]] == ["l_knee", "l_ankle"]


def test_forests_and_cycles_are_refused():
    with pytest.raises(InputError, match="one root"):
        from_bones(torch.zeros(3), torch.zeros(1, 3), torch.zeros(1), (-1, -1, 0))
    with pytest.raises(InputError, match="a tree"):
        from_bones(torch.zeros(3), torch.zeros(2, 3), torch.zeros(2), (-1, 2, 1))


def test_a_bone_of_no_length_has_no_direction_and_a_finite_gradient():
    x = torch.zeros(2, 3, requires_grad=True)
    direction = bone_directions(x, (-1, 0))
    assert (direction == 0).all()
    (direction.sum() + bone_lengths(x, (-1, 0)).sum()).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
