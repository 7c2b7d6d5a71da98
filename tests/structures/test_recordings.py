"""Cutting, flooring and resampling of recordings."""

from __future__ import annotations

import numpy as np
import pytest

from poselift.errors import InputError
from poselift.structures import Motion, skeleton
from poselift.structures.recordings import FLOOR_M, clean, on_floor, resample

H36M = skeleton("h36m17")


def moving(t: int = 240, fps: float = 120.0, speed: float = 1.0) -> Motion:
    """A rigid figure that goes along a circle at `speed` m/s."""
    rng = np.random.default_rng(1)
    shape = rng.normal((0, 0, 2), 0.4, (17, 3))
    angle = np.arange(t) / fps * speed
    path = np.stack([np.cos(angle), np.sin(angle), np.zeros(t)], -1)
    return Motion(skeleton=H36M, fps=fps, p_world=shape + path[:, None], name="circle")


def test_resampling_follows_the_curve() -> None:
    dense, coarse = moving(t=481, fps=200.0), resample(moving(t=289, fps=120.0), 50.0)
    assert coarse.fps == 50
    assert len(coarse) == int(288 / 2.4) + 1
    np.testing.assert_allclose(coarse.p_world, dense.p_world[::4], atol=1e-6)


def test_resampling_keeps_the_same_rate_and_short_clips() -> None:
    m = moving(t=10)
    assert resample(m, 120.0).p_world is m.p_world
    assert len(resample(moving(t=1), 50.0)) == 1
    assert len(resample(moving(t=2), 50.0)) == 1
    with pytest.raises(InputError, match="fps"):
        resample(m, 0.0)


def test_floor() -> None:
    m = moving()
    m.p_world[7, 3, 2] = -5  # a single bad frame does not lift the person
    assert on_floor(m).p_world[8:, :, 2].min() == pytest.approx(FLOOR_M, abs=1e-5)


def test_clean_leaves_clean_motion_whole() -> None:
    (piece,) = clean(moving(t=20))  # shorter than half a second, yet nothing is wrong with it
    assert piece.name == "circle"
    assert len(piece) == 20
    assert piece.meta["start"] == 0


def test_clean_cuts_at_jumps_with_a_margin() -> None:
    m = moving(t=400)
    m.p_world[150:] += 0.5  # 60 m/s between frames 149 and 150
    m.p_world[250, 4] += 1.0  # one joint, one frame
    a, b, c = clean(m)
    assert [p.name for p in (a, b, c)] == ["circle#0", "circle#1", "circle#2"]
    assert (len(a), b.meta["start"], len(b), c.meta["start"]) == (144, 156, 88, 257)
    for piece in (a, b, c):
        assert np.percentile(piece.p_world[..., 2].min(1), 1) == pytest.approx(FLOOR_M, abs=1e-5)


def test_clean_drops_what_is_too_short_and_numbers_only_several() -> None:
    m = moving(t=200)
    m.p_world[:50] += 1.0
    (piece,) = clean(m)
    assert (piece.name, piece.meta["start"]) == ("circle", 56)
    m = moving(t=60)
    m.p_world[30:] += 1.0
    assert clean(m) == []
