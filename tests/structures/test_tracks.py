"""Telling people apart from frame to frame."""

from __future__ import annotations

import numpy as np
import pytest

from poselift.structures.tracks import Tracker, link

BODY = np.random.default_rng(0).uniform((-40, -100), (40, 100), (3, 17, 2))


def walk(paths: list[np.ndarray], present: list[np.ndarray] | None = None, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Rows (frame, keypoints, confidence, true person) in random order in each frame, with a pixel of noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for t in range(len(paths[0])):
        who = [i for i in range(len(paths)) if present is None or present[i][t]]
        for i in rng.permutation(who):
            rows.append((t, BODY[i] + paths[i][t] + rng.normal(0, 1, (17, 2)), i))
    frame, kp, true = zip(*rows, strict=True)
    return np.array(frame), np.array(kp), np.ones((len(rows), 17)), np.array(true)


def same(ids: np.ndarray, true: np.ndarray) -> bool:
    """One id per person and one person per id."""
    pairs = {(int(a), int(b)) for a, b in zip(ids, true, strict=True)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def line(a: tuple[float, float], b: tuple[float, float], t: int = 40) -> np.ndarray:
    return np.linspace(a, b, t)


@pytest.mark.parametrize("seed", range(5))
def test_order_in_the_list_does_not_matter(seed: int) -> None:
    frame, kp, conf, true = walk([line((100, 300), (200, 300)), line((600, 300), (500, 300))], seed=seed)
    assert same(link(frame, kp, conf), true)


@pytest.mark.parametrize("height", [0, 30, 150])
def test_people_who_pass_each_other(height: float) -> None:
    frame, kp, conf, true = walk([line((100, 300), (700, 300)), line((700, 300 + height), (100, 300 + height))])
    assert same(link(frame, kp, conf), true)


def test_crossing_while_one_is_hidden() -> None:
    hidden = np.ones(40, bool)
    hidden[17:23] = False
    paths = [line((100, 300), (700, 300)), line((700, 300), (100, 300))]
    frame, kp, conf, true = walk(paths, [np.ones(40, bool), hidden])
    assert same(link(frame, kp, conf), true)


def test_coming_and_going() -> None:
    late, early = np.arange(40) >= 15, np.arange(40) < 25
    paths = [line((100, 300), (150, 300)), line((500, 300), (520, 300)), line((900, 300), (880, 300))]
    frame, kp, conf, true = walk(paths, [np.ones(40, bool), late, early])
    ids = link(frame, kp, conf)
    assert same(ids, true)
    assert set(ids) == {0, 1, 2}
    assert set(ids[true == 1]) == {2}, "ids grow in the order of first sight"


def test_half_hidden_bodies() -> None:
    rng = np.random.default_rng(3)
    frame, kp, _, true = walk([line((100, 300), (300, 300)), line((500, 300), (300, 500))])
    conf = (rng.uniform(size=kp.shape[:2]) > 0.5).astype(float)
    kp = np.where(conf[..., None] > 0, kp, np.nan)
    seen = conf.any(1)
    assert same(link(frame, kp, conf)[seen], true[seen])


def test_disjoint_joints_are_matched_by_place() -> None:
    """Upper body in one frame, legs in the next: no joint in common."""
    frame, kp, conf, true = walk([line((100, 300), (100, 300), 6), line((700, 300), (700, 300), 6)])
    conf[frame % 2 == 0, :8] = 0
    conf[frame % 2 == 1, 8:] = 0
    assert same(link(frame, kp, conf), true)


def test_one_person_is_one_track_whatever_the_gap() -> None:
    frame = np.array([0, 1, 500, 501])
    ids = link(frame, np.repeat(BODY[:1], 4, 0) + np.array([0, 0, 800, 800])[:, None, None], np.ones((4, 17)))
    assert ids.tolist() == [0, 0, 0, 0]


def test_a_long_absence_ends_a_track() -> None:
    far = np.array([0, 0, 1, 1, 200, 200])
    kp = np.stack([BODY[0], BODY[1] + 900, BODY[0], BODY[1] + 900, BODY[0], BODY[1] + 900])
    assert link(far, kp, np.ones((6, 17)), max_gap_s=2).tolist() == [0, 1, 0, 1, 2, 3]
    assert link(far, kp, np.ones((6, 17)), max_gap_s=10).tolist() == [0, 1, 0, 1, 0, 1]


def test_nobody() -> None:
    assert link(np.arange(3), np.zeros((3, 17, 2)), np.zeros((3, 17))).tolist() == [-1, -1, -1]
    assert link(np.zeros(0, int), np.zeros((0, 17, 2)), np.zeros((0, 17))).tolist() == []
    kp = np.full((2, 17, 2), np.nan)
    assert link(np.zeros(2, int), kp, np.ones((2, 17))).tolist() == [-1, -1]


def test_rows_may_come_in_any_order() -> None:
    frame, kp, conf, true = walk([line((100, 300), (700, 300)), line((700, 320), (100, 320))])
    order = np.random.default_rng(5).permutation(len(frame))
    ids = link(frame[order], kp[order], conf[order])
    assert same(ids, true[order])


def test_a_cut_ends_all_tracks() -> None:
    """Everybody is elsewhere at once, one of them by chance where somebody was."""
    before = [line((200, 300), (230, 300), 10), line((700, 300), (670, 300), 10), line((1200, 300), (1210, 300), 10)]
    after = [line((231, 700), (260, 700), 10), line((690, 800), (690, 800), 10), line((1500, 500), (1490, 500), 10)]
    rows = [walk(paths, seed=k) for k, paths in enumerate((before, after))]
    frame = np.concatenate([rows[0][0], rows[1][0] + 10])
    kp, conf = (np.concatenate([r[i] for r in rows]) for i in (1, 2))
    ids = link(frame, kp, conf)
    assert not set(ids[frame < 10]) & set(ids[frame >= 10])


def test_who_jumps_is_somebody_else() -> None:
    tracker = Tracker(fps=25)
    one = np.ones((1, 17))
    ids = [int(tracker.see(k, BODY[:1] + np.array([200 + 2 * k, 300]), one)[0]) for k in range(5)]
    ids += [int(tracker.see(k, BODY[:1] + np.array([300 + 2 * k, 330]), one)[0]) for k in range(5, 9)]
    assert ids == [0] * 5 + [1] * 4


def test_a_runner_is_one_person_from_the_first_frame() -> None:
    """Four sizes a second (7 m/s), in one frame of four of a video."""
    tracker = Tracker(fps=6)
    ids = [int(tracker.see(k, BODY[:1] + np.array([200 + 130 * k, 300]), np.ones((1, 17)))[0]) for k in range(8)]
    assert ids == [0] * 8


def test_told_of_a_cut() -> None:
    tracker = Tracker(fps=25)
    poses, conf = BODY[:2] + np.array([[[200, 300]], [[700, 300]]]), np.ones((2, 17))
    assert tracker.see(0, poses, conf).tolist() == [0, 1]
    tracker.end()
    assert tracker.see(1, poses, conf).tolist() == [2, 3]


def test_back_within_a_second_whatever_the_rate() -> None:
    for fps in (10, 25, 60):
        gone = round(0.8 * fps)
        for away, same_person in ((gone, True), (2 * gone, False)):
            tracker = Tracker(fps=fps)
            other = BODY[1:2] + np.array([900, 300])
            first = tracker.see(0, np.concatenate([BODY[:1] + np.array([300, 300]), other]), np.ones((2, 17)))
            for k in range(1, away):
                tracker.see(k, other, np.ones((1, 17)))
            again = tracker.see(away, np.concatenate([BODY[:1] + np.array([310, 300]), other]), np.ones((2, 17)))
            assert (again[0] == first[0]) == same_person
            assert again[1] == first[1]


def test_frames_with_nobody_shift_nothing() -> None:
    frame, kp, conf, _ = walk([line((100, 300), (300, 300)), line((700, 300), (500, 300))])
    nobody = np.isin(frame, (7, 8, 20))
    tracker = Tracker(fps=30)
    for number in range(40):
        rows = np.flatnonzero((frame == number) & ~nobody)
        ids = tracker.see(number, kp[rows], conf[rows])
        assert len(ids) == (0 if number in (7, 8, 20) else 2)
        assert set(ids) <= {0, 1}
