"""Filters over time on a given single-frame network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from poselift.errors import InputError
from poselift.models.lifters.residual_mlp import ResidualMLP, ResidualMLPConfig
from poselift.models.lifters.simple_baseline import SimpleBaseline, SimpleBaselineConfig
from poselift.models.lifters.spatial_temporal import SpatialTemporal, SpatialTemporalConfig
from poselift.models.predict import lift_frames

SMALL = SpatialTemporalConfig(
    spatial=ResidualMLPConfig(width=32, hidden=32, blocks=1, dropout=0.0), filter_widths=(3, 3), taps=5, channels=16
)
K, SIZE = torch.tensor([[[1000.0, 0, 500], [0, 1000, 400], [0, 0, 1]]]), torch.tensor([[1000.0, 800]])


def lifter(**changes: Any) -> SpatialTemporal:
    torch.manual_seed(0)
    return SpatialTemporal(replace(SMALL, **changes)).eval()


def walk(frames: int = 30) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    kp = 500 + 80 * torch.randn(1, 17, 2, generator=g) + 3 * torch.randn(frames, 17, 2, generator=g)
    return kp, torch.ones(frames, 17)


@pytest.mark.parametrize("causal", [False, True])
def test_untrained_it_is_a_gaussian_over_the_spatial_networks_poses(causal: bool):
    model, (kp, conf) = lifter(causal=causal), walk()
    alone = lift_frames(model.spatial, kp, conf, K, SIZE)
    here = 4 if causal else 2
    a = torch.softmax(-0.5 * ((torch.arange(5) - here) / 1.5) ** 2, 0)
    t = torch.arange(30)[:, None] + torch.arange(5) - here
    want = (a[:, None, None] * alone[t.clamp(0, 29)]).sum(1)
    assert torch.allclose(lift_frames(model, kp, conf, K, SIZE), want, atol=1e-5)
    assert (want - alone).abs().max() > 1e-3


def test_causal_sees_no_later_frame():
    model, (kp, conf) = lifter(causal=True), walk()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    changed = kp.clone()
    changed[20:] += 100
    before, after = (lift_frames(model, x, conf, K, SIZE) for x in (kp, changed))
    assert torch.allclose(before[:20], after[:20], atol=1e-5)
    assert (before[20] - after[20]).abs().max() > 1e-3


def test_poses_do_not_jump_where_the_aim_does():
    """Spatial poses are averaged in the camera's axes: losing the legs moves the aim, not what is known of the arms."""
    model, (kp, conf) = lifter(), walk(9)
    kp = kp[:1].expand(9, -1, -1).clone()
    part = conf.clone()
    part[4, model.skeleton.indices("l_knee", "r_knee", "l_ankle", "r_ankle")] = 0
    x, R = model.encode(kp[None], part[None], K, SIZE)
    assert R is None
    aim = x[0, :, 0, -3:]
    assert torch.allclose(aim.norm(dim=-1), torch.ones(9))
    assert (aim[4] - aim[3]).norm() > 1e-3
    alone = lift_frames(model.spatial, kp, part, K, SIZE)
    assert torch.allclose(x[0, ..., -6:-3], alone, atol=1e-5)


def test_the_spatial_network_is_taken_and_never_trained():
    model, other = lifter(), ResidualMLP(SMALL.spatial)
    model.take_spatial(other)
    assert all(torch.equal(a, b) for a, b in zip(model.spatial.parameters(), other.parameters(), strict=True))
    model.train()
    assert model.training
    assert not model.spatial.training
    assert not any(p.requires_grad for p in model.spatial.parameters())
    for wrong in (ResidualMLP(replace(SMALL.spatial, width=16)), SimpleBaseline(SimpleBaselineConfig(width=16))):
        with pytest.raises(InputError, match=r"objective\.spatial"):
            model.take_spatial(wrong)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"taps": 4}, "taps: expected an odd number"),
        ({"taps": 11}, "taps: expected 1 to 9"),
        ({"filter_widths": (2, 3)}, "filter_widths"),
        ({"confidence": False}, r"spatial\.confidence"),
        ({"channels": 0}, "channels"),
    ],
)
def test_impossible_configs(changes: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        lifter(**changes)
