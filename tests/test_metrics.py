"""Figures: parity with the published evaluation codes, units, masks, degenerate frames."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from parity_vectors import vectors
from poselift import metrics
from poselift.structures import skeleton

V = vectors("metrics")
PRED, TARGET = V["x_pred"], V["x_target"]
H36M = skeleton("h36m17")


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 2e-8)])
def test_parity_with_videopose3d(dtype: torch.dtype, tolerance: float):
    p, t = PRED.to(dtype), TARGET.to(dtype)
    for name, figure in (("mpjpe", metrics.mpjpe_mm), ("p_mpjpe", metrics.p_mpjpe_mm), ("n_mpjpe", metrics.n_mpjpe_mm)):
        assert float(figure(p, t).mean()) == pytest.approx(float(V[f"y_{name}64"]) * 1000, abs=tolerance * 10)
        assert float(figure(p, t).mean()) == pytest.approx(float(V[f"y_{name}"]) * 1000, abs=1e-4)
    assert_close(metrics.mpjpe_mm(p, t).double(), V["y_mpjpe_per_frame"] * 1000, rtol=0, atol=1e-4)
    assert float(metrics.mpjve_mm(p, t).mean()) == pytest.approx(float(V["y_velocity64"]) * 1000, abs=tolerance * 10)


def test_a_mirrored_pose_is_not_reflected():
    found = metrics.p_mpjpe_mm(V["x_pred_mirrored"], TARGET).mean()
    assert float(found) == pytest.approx(float(V["y_p_mpjpe_mirrored"]) * 1000, abs=1e-3)
    assert float(found) > 3 * float(metrics.p_mpjpe_mm(PRED, TARGET).mean())


def test_parity_with_the_semi_supervised_code():
    v = vectors("video_semi_losses")
    pos, gt = v["pos"][:3, 0], v["gt"][:, 0]
    assert float(metrics.n_mpjpe_mm(pos, gt).mean()) == pytest.approx(float(v["n_mpjpe"]) * 1000, rel=1e-6)
    assert float(metrics.p_mpjpe_mm(pos, gt).mean()) == pytest.approx(float(v["p_mpjpe"]) * 1000, rel=1e-6)
    assert float(metrics.mpjve_mm(pos, gt).mean()) == pytest.approx(float(v["mpjve"]) * 1000, rel=1e-6)


def test_mrpe_parity():
    v = vectors("mrpe")
    found = metrics.mrpe_mm(v["pred_cam"] / 1000, v["gt_cam"] / 1000)
    assert_close(torch.stack([f.mean() for f in found]), v["mrpe"])
    assert_close(found.x, (v["pred_cam"] - v["gt_cam"])[:, 0].abs())


FRAME_FIGURES = {
    "mpjpe": metrics.mpjpe_mm,
    "p_mpjpe": metrics.p_mpjpe_mm,
    "p_mpjpe rigid": lambda p, t, m=None: metrics.p_mpjpe_mm(p, t, m, scale=False),
    "n_mpjpe": metrics.n_mpjpe_mm,
    "pck": metrics.pck,
    "auc": metrics.auc,
}


@pytest.mark.parametrize("name", FRAME_FIGURES)
def test_masked_joints_take_no_part(name: str):
    figure = FRAME_FIGURES[name]
    mask = torch.ones(40, 17, dtype=torch.bool)
    mask[:, [2, 9, 11]] = False
    keep = mask[0].nonzero()[:, 0]
    p, t = PRED.clone(), TARGET.clone()
    p[~mask], t[~mask] = torch.nan, 9.0
    want = figure(PRED[:, keep], TARGET[:, keep])
    for m in (mask, mask.float()):
        assert_close(figure(p, t, m), want)
    assert torch.isnan(figure(p, t, torch.zeros(40, 17))).all()  # no joint, no figure: neither 0 nor a crash


def test_velocity_and_acceleration_of_known_motion():
    time = torch.arange(6.0)[:, None, None]
    target = torch.zeros(6, 17, 3)
    x = torch.tensor([1.0, 0, 0])
    assert_close(metrics.mpjve_mm(target + 0.01 * time * x, target), torch.full((5,), 10.0))
    assert_close(metrics.accel_mm(target + 0.01 * time * x, target), torch.zeros(4), atol=1e-4, rtol=0)
    assert_close(metrics.accel_mm(target + 0.01 * time**2 * x, target), torch.full((4,), 20.0))
    assert metrics.mpjve_mm(target[:1], target[:1]).shape == (0,)
    assert metrics.accel_mm(target[:2], target[:2]).shape == (0,)
    mask = torch.ones(6, 17, dtype=torch.bool)
    mask[2] = False  # a frame that is not scored takes both of its differences along
    assert torch.isnan(metrics.mpjve_mm(target + time, target, mask)).tolist() == [False, True, True, False, False]
    assert torch.isnan(metrics.accel_mm(target + time, target, mask)).tolist() == [True, True, True, False]


def test_pck_and_auc_by_hand():
    target = torch.zeros(1, 4, 3)
    pred = torch.tensor([[[0.0, 0, 0], [0.0749, 0, 0], [0, 0.1501, 0], [0, 0, 1.0]]])
    assert float(metrics.pck(pred, target)) == 0.5
    assert float(metrics.pck(pred, target, threshold_mm=50)) == 0.25
    limits = torch.arange(0, 151, 5.0)
    want = torch.stack([metrics.pck(pred, target, threshold_mm=float(x)) for x in limits]).mean()
    assert_close(metrics.auc(pred, target)[0], want)
    assert float(metrics.auc(target, target)) == pytest.approx(30 / 31)  # no distance is below 0


def test_bone_lengths():
    p = TARGET.clone()
    child = H36M.index("l_wrist")
    direction = p[:, child] - p[:, H36M.parents[child]]
    p[:, child] += 0.02 * direction / direction.norm(dim=-1, keepdim=True)
    assert_close(metrics.bone_length_deviation_mm(p, TARGET, H36M.parents), torch.full((40,), 20 / 16))
    mask = torch.ones(40, 17)
    mask[:, child] = 0
    assert metrics.bone_length_deviation_mm(p, TARGET, H36M.parents, mask).abs().max() < 1e-3
    stiff = TARGET[:1].expand(5, 17, 3) * torch.tensor([1, 1, 1, 1, 1.5])[:, None, None]
    lengths = (TARGET[0] - TARGET[0][list(H36M.parents)])[1:].norm(dim=-1).mean() * 1000
    found = metrics.bone_length_variation_mm(stiff, H36M.parents)
    assert_close(found, lengths * torch.tensor([0.1, 0.1, 0.1, 0.1, 0.4]))


def test_angle_errors_by_name():
    p = torch.zeros(2, 17, 3)
    hip, knee, ankle = H36M.indices("l_hip", "l_knee", "l_ankle")
    p[:, knee, 1], p[:, ankle, 1] = 0.4, 0.8
    bent = p.clone()
    bent[1, ankle] = torch.tensor([0.4, 0.4, 0])
    error = metrics.joint_angle_error_deg(bent, p, H36M.joints)
    assert_close(error["l_knee"], torch.tensor([0.0, 90.0]))
    assert_close(error["r_knee"], torch.zeros(2))
    mask = torch.ones(2, 17, dtype=torch.bool)
    mask[1, hip] = False
    masked = metrics.joint_angle_error_deg(bent, p, H36M.joints, mask)["l_knee"]
    assert float(masked[0]) == 0
    assert math.isnan(float(masked[1]))


@pytest.mark.parametrize("case", ["equal", "zero", "one point", "one joint"])
def test_degenerate_frames_stay_finite(case: str):
    p = torch.zeros(3, 17, 3) if case == "zero" else PRED[:3].clone()
    t = p.clone() if case == "equal" else TARGET[:3]
    mask = None
    if case == "one point":
        p[:] = 0.3
    if case == "one joint":
        mask = torch.zeros(3, 17)
        mask[:, 5] = 1
    p = p.requires_grad_()
    for figure in (metrics.mpjpe_mm, metrics.p_mpjpe_mm, metrics.n_mpjpe_mm):
        error = figure(p, t, mask)
        assert torch.isfinite(error).all()
        p.grad = None
        error.sum().backward()
        assert p.grad is not None
        assert torch.isfinite(p.grad).all()
        if case == "equal":
            assert error.max() < 1e-3
