"""Figures of pictures: parity with the published evaluations of MuPoTS's roots and MPII's joints; matching."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from parity_vectors import vectors
from poselift import metrics
from poselift.errors import InputError
from poselift.structures import skeleton

H36M = skeleton("h36m17")


@pytest.mark.parametrize("i", range(4))
def test_root_ap_parity(i: int):
    """Equal scores (case 1) and pictures without valid people (case 3) are among them."""
    v = {k.removesuffix(f"_{i}"): x for k, x in vectors("root_ap").items() if k.endswith(f"_{i}")}
    found = metrics.root_ap(
        v["pred_root"] / 1000, v["pred_score"], v["pred_image"], v["gt_root"] / 1000, v["gt_image"], v["gt_valid"] > 0
    )
    assert found.ap == pytest.approx(float(v["ap25"]), abs=1e-9)
    assert torch.equal(found.true_positive, v["tp_in_score_order"])
    assert 0 < found.ap < 1


def test_root_ap_of_nobody():
    none, zero = torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)
    one, at = torch.zeros(1, 3), torch.zeros(1, dtype=torch.long)
    assert metrics.root_ap(none, torch.zeros(0), zero, one, at, torch.tensor([True])).ap == 0
    assert math.isnan(metrics.root_ap(one, torch.ones(1), at, none, zero, torch.zeros(0, dtype=torch.bool)).ap)


def test_pckh_parity():
    v = vectors("mpii_decode")
    pred, target = (v[k].permute(2, 0, 1) for k in ("pck_pred", "pck_gt"))
    head = metrics.head_size(v["pck_headboxes"].permute(2, 0, 1))
    visible = v["pck_missing"].T == 0
    left_out = skeleton("mpii16").indices("pelvis", "thorax")
    found = metrics.pckh(pred, target, head, visible, left_out=left_out)
    assert torch.allclose(100 * found.per_joint, v["pckh_per_joint"])
    assert float(100 * found.mean) == pytest.approx(float(v["pckh_mean"]))
    tenth = metrics.pckh(pred, target, head, visible, threshold=0.11, left_out=left_out)
    assert float(100 * tenth.mean) == pytest.approx(float(v["pckh_mean_at_0.1_published"]))


def people(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """n people side by side: pixels and camera metres."""
    g = torch.Generator().manual_seed(seed)
    p = 0.3 * torch.randn(n, 17, 3, generator=g)
    p = p - p[:, :1] + torch.stack((torch.arange(n) * 1.5 - 1, torch.zeros(n), torch.full((n,), 5.0)), -1)[:, None]
    return 1000 * p[..., :2] / p[..., 2:] + 500, p


def test_people_are_matched_whatever_their_order():
    kp, _ = people(4)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.equal(order[metrics.match_people(kp[order] + 3, kp)], torch.arange(4))
    assert metrics.match_people(kp[:2] + 3, kp).tolist() == [0, 1, -1, -1]
    assert metrics.match_people(kp + 500, kp).tolist() == [-1] * 4
    assert metrics.match_people(kp[:0], kp).tolist() == [-1] * 4
    assert len(metrics.match_people(kp, kp[:0])) == 0


def test_nobody_is_matched_twice():
    """Two predictions of one person: the nearer one is taken, and the other shows nobody."""
    kp, _ = people(1)
    assert metrics.match_people(torch.cat((kp + 10, kp + 2)), kp).tolist() == [1]


def test_bones_get_the_lengths_of_the_truth():
    _, truth = people(2)
    again = metrics.rescale_bones(1.3 * truth, truth, H36M)
    assert torch.allclose(again - again[:, :1], truth - truth[:, :1], atol=1e-5)
    assert torch.equal(again[:, 0], 1.3 * truth[:, 0])


def test_pck_of_people():
    kp, truth = people(3)
    count = metrics.PeoplePCK(H36M)
    moved = truth + torch.tensor([0, 0, 0.2])  # the right pose, 20 cm too far away
    count.add(kp[:2] + 1, torch.stack((moved[0], truth[1])), kp, truth, group="a")
    found = count.summary()
    assert found["pck3d_rel_percent/matched"] == 100
    assert found["pck3d_abs_percent/matched"] == 50
    assert found["pck3d_rel_percent/all"] == pytest.approx(200 / 3)
    assert found["pck3d_abs_percent/all"] == pytest.approx(100 / 3)
    count.add(kp[:1], truth[:1], kp[:1], truth[:1], group="b")
    assert count.summary()["pck3d_abs_percent/all"] == pytest.approx((100 / 3 + 100) / 2)
    with pytest.raises(InputError, match=r"two \(people, 17, 2\)"):
        count.add(kp[:, :5], truth[:, :5], kp[:, :5], truth[:, :5])


def test_pck_without_rescaling():
    kp, truth = people(1)
    large = truth[:, :1] + 2 * (truth - truth[:, :1])
    plain, rescaled = metrics.PeoplePCK(H36M, rescale=False), metrics.PeoplePCK(H36M)
    for count in (plain, rescaled):
        count.add(kp, large, kp, truth)
    assert rescaled.summary()["pck3d_rel_percent/all"] == 100
    assert plain.summary()["pck3d_rel_percent/all"] < 50
    assert math.isnan(metrics.PeoplePCK(H36M).summary()["pck3d_rel_percent/all"])
