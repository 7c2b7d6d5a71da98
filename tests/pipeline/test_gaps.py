"""Neighbours of unseen frames, and poses between two."""

from __future__ import annotations

import numpy as np

from poselift.pipeline.gaps import BRIDGE, between, bridge, neighbours
from poselift.structures import skeleton

H36M = skeleton("h36m17")


def test_neighbours():
    seen = np.array([0, 0, 1, 0, 0, 1, 1, 0], dtype=bool)
    before, after = neighbours(seen)
    assert before.tolist() == [2, 2, 2, 2, 2, 5, 6, 6]
    assert after.tolist() == [2, 2, 2, 5, 5, 5, 6, 6]


def test_neighbours_of_a_single_seen_frame():
    before, after = neighbours(np.array([0, 1, 0], dtype=bool))
    assert before.tolist() == after.tolist() == [1, 1, 1]


def poses(seed: int) -> np.ndarray:
    p = np.random.default_rng(seed).normal(0, 0.3, (5, 17, 3))
    return p - p[:, :1]


def lengths(p: np.ndarray) -> np.ndarray:
    child, parent = np.array(H36M.bones).T
    return np.linalg.norm(p[:, child] - p[:, parent], axis=-1)


def test_ends_are_kept():
    a, b = poses(0), poses(1)
    assert np.allclose(between(a, b, np.zeros(5), H36M), a)
    assert np.allclose(between(a, b, np.ones(5), H36M), b)
    assert np.allclose(between(a, a, np.full(5, 0.3), H36M), a)


def test_no_limb_shrinks():
    a, b = poses(0), poses(1)
    half = between(a, b, np.full(5, 0.5), H36M)
    assert np.allclose(lengths(half), (lengths(a) + lengths(b)) / 2)
    assert (lengths((a + b) / 2) < lengths(half) * 0.9).any()  # what plain interpolation would do


def test_opposite_directions_do_not_vanish():
    a = poses(0)
    half = between(a, -a, np.full(5, 0.5), H36M)
    assert np.isfinite(half).all()
    assert np.allclose(lengths(half), lengths(a))


def test_bridges_lead_from_where_a_joint_was_seen_to_where_it_is_seen_next():
    kp = np.zeros((8, 2, 2), np.float32)
    kp[:, 0, 0], kp[:, 1, 1] = np.arange(8) ** 2, 7
    conf = np.ones((8, 2), np.float32)
    conf[2:5, 0], conf[:3, 1], conf[5, 0] = 0, 0, 0.5
    kp[conf == 0] = np.nan
    found, told = bridge(kp, conf)
    assert np.allclose(found[:, 0, 0], [0, 1, 7, 13, 19, 25, 36, 49])
    assert np.allclose(found[:, 1, 1], 7)
    assert np.allclose(told[:, 0], [1, 1, 0.5, 0.5, 0.5, 0.5, 1, 1])
    assert (told[:, 1] == 1).all()


def test_bridges_are_not_longer_than_they_may_be():
    t = 3 * BRIDGE
    kp, conf = np.full((t, 1, 2), 5, np.float32), np.zeros((t, 1), np.float32)
    assert (bridge(kp, conf)[1] == 0).all(), "never seen"
    conf[0] = 1
    assert np.flatnonzero(bridge(kp, conf)[1][:, 0]).tolist() == list(range(BRIDGE + 1))


def test_bridges_of_a_part_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    kp = rng.normal(size=(500, 3, 2)).astype(np.float32)
    conf = ((np.arange(500)[:, None] // 40 + np.arange(3)) % 3 == 0).astype(np.float32)
    whole = bridge(kp, conf)
    part = bridge(kp[100 - BRIDGE : 200 + BRIDGE], conf[100 - BRIDGE : 200 + BRIDGE])
    for a, b in zip(whole, part, strict=True):
        assert np.array_equal(a[100:200], b[BRIDGE:-BRIDGE])
