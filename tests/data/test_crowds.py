"""People who cross in the picture: what the scenes promise, and that the tracker tells people apart in them."""

from __future__ import annotations

import numpy as np
import pytest

from poselift.data.cmu17 import load_motions
from poselift.data.crowds import Crowd, CrowdOptions, crowd
from poselift.errors import InputError
from poselift.metrics import Identities, identities
from poselift.structures import Motion
from poselift.structures.recordings import resample
from poselift.structures.tracks import Tracker

FPS = 25.0


@pytest.fixture(scope="module")
def motions() -> list[Motion]:
    return [resample(m, FPS) for m in load_motions(None)]


def options(**changes: float | tuple[float, float]) -> CrowdOptions:
    return CrowdOptions(**{"seconds": 6.0, "p_cut": 0.0, **changes})  # type: ignore[arg-type]


def tracked(scene: Crowd) -> np.ndarray:
    tracker = Tracker(fps=scene.fps)
    ids = np.full(len(scene.frame), -1)
    for number in np.unique(scene.frame).tolist():
        rows = np.flatnonzero(scene.frame == number)
        ids[rows] = tracker.see(number, scene.kp_img[rows], scene.conf[rows])
    return ids


def test_the_same_seed_is_the_same_scene(motions: list[Motion]) -> None:
    a, b, c = (crowd(motions, FPS, seed, options()) for seed in (1, 1, 2))
    assert np.array_equal(a.kp_img, b.kp_img)
    assert np.array_equal(a.person, b.person)
    assert a.kp_img.shape != c.kp_img.shape or not np.array_equal(a.kp_img, c.kp_img)


def test_rows_are_in_order_and_nobody_is_there_twice(motions: list[Motion]) -> None:
    scene = crowd(motions, FPS, 3, options())
    assert (np.diff(scene.frame) >= 0).all()
    assert scene.frame.max() < 6 * FPS
    pairs = np.stack([scene.frame, scene.person], 1)
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert ((scene.conf > 0).sum(1) >= 5).all()
    assert 2 <= len(np.unique(scene.person)) <= 4


def test_people_are_missed_as_often_as_said(motions: list[Motion]) -> None:
    """Two people far apart, so that nobody is covered: what lacks was missed."""
    opt = options(missed=(0.2, 0.2), people=(1, 1), p_pan=0.0, away=(0.2, 0.3))
    counts = np.zeros(2)
    for seed in range(6):
        found = len(crowd(motions, FPS, seed, opt).frame)
        there = len(crowd(motions, FPS, seed, options(missed=(0, 0), people=(1, 1), p_pan=0.0, away=(0.2, 0.3))).frame)
        counts += found, there
    assert 0.72 < counts[0] / counts[1] < 0.88


def test_who_is_covered_vanishes(motions: list[Motion]) -> None:
    opt = options(missed=(0.0, 0.0), noise=0.0)
    lost = 0
    for seed in range(6):
        scene = crowd(motions, FPS, seed, opt)
        most = len(np.unique(scene.person))
        lost += most * len(np.unique(scene.frame)) - len(scene.frame)
    assert lost > 0


def test_a_follower_sees_nobody_new_between_searches(motions: list[Motion]) -> None:
    scene = crowd(motions, FPS, 5, options(), detect_every=5)
    seen = {k: set(scene.person[scene.frame == k].tolist()) for k in range(int(scene.frame.max()) + 1)}
    for k in range(1, int(scene.frame.max()) + 1):
        if k % 5 and seen[k - 1]:
            assert seen[k] <= seen[k - 1]


@pytest.mark.parametrize("every", [1, 3])
def test_the_tracker_tells_them_apart(motions: list[Motion], every: int) -> None:
    total = Identities()
    for seed in range(5):
        scene = crowd(motions, FPS, seed, options(away=(0.2, 0.8)), detect_every=every)
        total += identities(scene.frame, scene.person, tracked(scene))
    assert total.people >= 12
    assert total.idf1 > 0.93
    assert total.switches <= 5


def test_a_cut_in_which_everybody_moves_ends_all_tracks(motions: list[Motion]) -> None:
    mixed = old = 0
    for seed in range(4):
        scene = crowd(motions, FPS, seed, options(p_cut=1.0, people=(3, 4)))
        assert scene.cut is not None
        ids = tracked(scene)
        before = set(ids[scene.frame < scene.cut].tolist())
        mixed, old = mixed + len(before & set(ids[scene.frame >= scene.cut].tolist())), old + len(before)
    assert mixed <= old / 2


def test_motions_that_do_not_fit(motions: list[Motion]) -> None:
    with pytest.raises(InputError, match="motions"):
        crowd(motions[:1], FPS, 0)
