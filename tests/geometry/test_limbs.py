"""Inverse kinematics of a limb of two bones."""

from __future__ import annotations

import itertools

import pytest
import torch

from poselift.geometry.limbs import two_bone_ik

torch.manual_seed(0)
TOP, MIDDLE, END = torch.randn(3, 500, 3, dtype=torch.float64)


def lengths(*points: torch.Tensor) -> torch.Tensor:
    return torch.stack([(b - a).norm(dim=-1) for a, b in itertools.pairwise(points)])


def test_bones_keep_their_lengths_and_the_end_reaches_what_can_be_reached() -> None:
    a, b = lengths(TOP, MIDDLE, END)
    way = torch.nn.functional.normalize(torch.randn_like(TOP), dim=-1)
    reach = (a - b).abs() + (0.999 * (a + b) - (a - b).abs()) * torch.rand(500, dtype=torch.float64)
    target = TOP + way * reach[:, None]
    middle, end = two_bone_ik(TOP, MIDDLE, END, target)
    torch.testing.assert_close(end, target, atol=1e-9, rtol=0)
    torch.testing.assert_close(lengths(TOP, middle, end), torch.stack((a, b)), atol=1e-7, rtol=0)


def test_out_of_reach_it_is_stretched_towards_the_target() -> None:
    a, b = lengths(TOP, MIDDLE, END)
    target = TOP + 10 * torch.nn.functional.normalize(torch.randn_like(TOP), dim=-1)
    middle, end = two_bone_ik(TOP, MIDDLE, END, target)
    torch.testing.assert_close(lengths(TOP, middle, end), torch.stack((a, b)), atol=1e-7, rtol=0)
    torch.testing.assert_close(end - TOP, (target - TOP) / 10 * (end - TOP).norm(dim=-1, keepdim=True))
    assert ((end - TOP).norm(dim=-1) / (a + b)).min() > 0.999


def test_nothing_moves_without_need_and_the_bend_stays_on_its_side() -> None:
    middle, end = two_bone_ik(TOP, MIDDLE, END, END)
    torch.testing.assert_close(middle, MIDDLE, atol=1e-7, rtol=0)
    torch.testing.assert_close(end, END, atol=1e-9, rtol=0)
    hip, knee, ankle = torch.tensor([[0.0, 0, 1], [0.1, 0, 0.5], [0, 0, 0]])
    moved, _ = two_bone_ik(hip, knee, ankle, torch.tensor([0.0, 0.05, 0.1]))
    assert moved[0] > 0.2, "it bends more, forward as before"
    assert moved[1] == pytest.approx(0.02, abs=0.02)
