"""Losses: parity with VideoPose3D's semi-supervised terms, weights, masks, gradients."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from parity_vectors import description, vectors
from poselift.geometry.projection import project
from poselift.losses import (
    LOSSES,
    MOTION_ENCODINGS,
    bone_length_match,
    heatmap_mse,
    l1,
    motion,
    mpjpe,
    mse,
    root_l1,
    weighted_mpjpe,
)  # fmt: skip

V = vectors("video_semi_losses")


def test_parity_of_supervised_terms():
    pose, root = V["pos"][:3], V["traj"][:3]
    assert float(mpjpe(pose, V["gt"])) == pytest.approx(float(V["l_pos"]), rel=1e-6)
    weight = 1 / V["gt_traj"][..., 2]
    assert float(weighted_mpjpe(root, V["gt_traj"], weight)) == pytest.approx(float(V["l_traj"]), rel=1e-6)


def test_parity_of_projection_terms():
    fx, fy, cx, cy = V["intrinsic_norm"][:, :4].unbind(-1)
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    K = torch.stack((fx, zero, cx, zero, fy, cy, zero, zero, one), -1).reshape(3, 3, 3)
    p_cam = V["pos"][3:] + V["traj"][3:]
    with_lens = project(p_cam, K, V["intrinsic_norm"][:, 4:], clamp=True)
    assert_close(with_lens, V["proj"], rtol=0, atol=1e-6)
    assert float(mpjpe(with_lens, V["target2d"])) == pytest.approx(float(V["l_proj"]), rel=1e-6)
    linear = project(p_cam, K, clamp=True)
    assert_close(linear, V["proj_linear"], rtol=0, atol=1e-6)
    assert float(mpjpe(linear, V["target2d"])) == pytest.approx(float(V["l_proj_linear"]), rel=1e-6)


def test_parity_of_the_bone_term():
    parents = tuple(description("video_semi_losses")["parents"])
    found = bone_length_match(V["pos"][3:], V["pos"][:3], parents)
    assert float(found) == pytest.approx(float(V["l_bone"]), rel=1e-6)


def test_what_each_loss_is():
    pred, target = torch.zeros(1, 2, 3), torch.tensor([[[3.0, 4, 0], [0, 0, 0]]])
    assert float(mse(pred, target)) == pytest.approx(25 / 6)
    assert float(l1(pred, target)) == pytest.approx(7 / 6)
    assert float(mpjpe(pred, target)) == pytest.approx(5 / 2)


@pytest.mark.parametrize("name", LOSSES)
def test_masked_joints_take_no_part(name: str):
    loss = LOSSES[name]
    pred, target = torch.randn(4, 17, 3), torch.randn(4, 17, 3)
    mask = torch.rand(4, 17) < 0.6
    want = loss(pred[mask][None], target[mask][None], None)
    pred[~mask], target[~mask] = torch.nan, torch.inf
    for weight in (mask, mask.float() * 2.5):
        p = pred.clone().requires_grad_()
        found = loss(p, target, weight)
        assert_close(found, want)
        found.backward()
        assert p.grad is not None
        assert torch.isfinite(p.grad).all()
        assert (p.grad[~mask] == 0).all()
        assert (p.grad[mask] != 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_weights_are_relative_and_broadcast(name: str):
    loss = LOSSES[name]
    pred, target = torch.randn(4, 17, 3), torch.randn(4, 17, 3)
    assert_close(loss(pred, target, torch.full((4, 17), 7.0)), loss(pred, target, None))
    joint = torch.rand(1, 17)
    assert_close(loss(pred, target, joint), loss(pred, target, joint.expand(4, 17)))
    twice = torch.ones(4, 17)
    twice[0] = 2
    again = [0, 0, 1, 2, 3]
    assert_close(loss(pred, target, twice), loss(pred[again], target[again], None))


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_left_and_nothing_wrong_are_zero_with_finite_gradients(name: str):
    for weight in (torch.zeros(2, 5), None):
        pred = torch.ones(2, 5, 3, requires_grad=True)
        loss = LOSSES[name](pred, torch.ones(2, 5, 3), weight)
        assert loss.item() == 0
        loss.backward()
        assert pred.grad is not None
        assert (pred.grad == 0).all()


class TestMotion:
    def test_parity(self):
        found = vectors("motion_loss")
        pred, target = found["x_pred"], found["x_target"]
        for name, options in {
            "": {}, "_float64": {}, "_subtraction": {"encoding": "subtraction"}, "_inner": {"encoding": "inner"},
            **{f"_{i}": {"intervals": (i,)} for i in (8, 12, 16, 24)},
        }.items():  # fmt: skip
            want = float(found[f"y_motion{name}"])
            assert float(motion(pred.double(), target.double(), **options)) == pytest.approx(want, rel=1e-6), name
        assert float(mpjpe(pred, target)) == pytest.approx(float(found["y_mpjpe"]), rel=1e-6)

    @pytest.mark.parametrize("encoding", MOTION_ENCODINGS)
    def test_intervals_that_do_not_fit_do_not_count(self, encoding: str):
        pred, target = torch.randn(2, 9, 17, 3, requires_grad=True), torch.randn(2, 9, 17, 3)
        both = motion(pred, target, encoding=encoding, intervals=(8, 9, 50))
        assert_close(both, motion(pred, target, encoding=encoding, intervals=(8,)))
        assert both > 0
        both.backward()
        assert pred.grad is not None
        assert torch.isfinite(pred.grad).all()
        assert float(motion(pred[:, :8], target[:, :8], encoding=encoding, intervals=(8, 9))) == 0

    def test_what_the_encodings_are(self):
        pred = torch.tensor([[[1.0, 0, 0]], [[0, 2, 0]]])
        still = torch.zeros(2, 1, 3)
        found = {e: float(motion(pred, still, encoding=e, intervals=(1,))) for e in MOTION_ENCODINGS}
        assert found == pytest.approx({"subtraction": 1, "inner": 0, "cross": 2 / 3})


def test_root_l1_parity():
    """With and without depth, visible and not."""
    v = vectors("rootnet50")
    for i in range(3):
        value = root_l1(v[f"y{i}"], v[f"t{i}"], v[f"v{i}"][:, 0], v[f"d{i}"][:, 0])
        assert_close(value, v[f"l{i}"])


def test_root_l1_does_not_look_at_what_is_not_known():
    """Two samples: without depth (NaN), and not seen at all."""
    pred = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], requires_grad=True)
    target = torch.tensor([[2.0, 4.0, float("nan")], [float("nan"), 4.0, 9.0]])
    value = root_l1(pred, target, torch.tensor([1.0, 0.0]), torch.tensor([False, True]), depth_weight=1000)
    assert value.tolist() == [1.0, 0.0]
    value.sum().backward()
    assert pred.grad is not None
    assert pred.grad[:, 2].tolist() == [0, 0]
    assert pred.grad[1].tolist() == [0, 0, 0]
    seen = root_l1(pred, torch.zeros(2, 3), torch.ones(2), torch.ones(2, dtype=torch.bool), depth_weight=1000)
    assert seen.tolist() == [1001.0, 1001.0]


def test_heatmap_mse_parity():
    """The second sample has the joints of the first in reverse order."""
    v = vectors("mpii_decode")
    target = torch.stack((v["target"], v["target"].flip(0)))
    weight = torch.stack((v["target_weight"][:, 0], v["target_weight"][:, 0].flip(0)))
    value = heatmap_mse(v["out"].float(), target, weight)
    assert float(value) == pytest.approx(float(v["loss_full"]), rel=1e-5)
    spoilt = target.clone()
    spoilt[weight == 0] = float("nan")
    assert torch.equal(heatmap_mse(v["out"].float(), spoilt, weight), value)
