"""Neighbours of unseen frames, and poses between two."""

from __future__ import annotations

import numpy as np

from poselift.pipeline.gaps import between, neighbours
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
