"""Who is who from frame to frame, for detections without identities.

Two poses belong together when their keypoints lie close, measured by the size of the person; the best pairs are
found for a frame at once (Hungarian method), so that people who swap places in a list, or pass each other, keep
their tracks. Where a person moves at a steady pace, the pose is expected where that pace leads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from poselift.errors import InputError

__all__ = ["Tracker", "link"]

_FAR = 1e6


def link(
    frames: Int[np.ndarray, " n"],
    kp_img: Float[np.ndarray, "n j 2"],
    conf: Float[np.ndarray, "n j"],
    *,
    max_gap: int = 60,
    max_distance: float = 0.6,
) -> Int[np.ndarray, " n"]:
    """Track id (n,) for each detection: numbers from 0 in order of first sight, -1 where nothing was seen.

    `frames` (n,) says in which frame a detection is, in any order. A track that is not seen for more than `max_gap`
    frames ends. `max_distance` is the mean distance of the joints, in sizes of the person, up to which two poses may
    be the same person one frame apart; it grows with the gap. If no frame holds two people, all is one track.
    """
    there = (conf > 0) & np.isfinite(kp_img).all(-1)
    seen = there.any(1)
    ids = np.full(len(frames), -1, np.int64)
    rows = np.flatnonzero(seen)
    rows = rows[np.argsort(frames[rows], kind="stable")]
    if len(rows) == 0:
        return ids
    numbers, starts = np.unique(frames[rows], return_index=True)
    if len(numbers) == len(rows):
        ids[rows] = 0
        return ids
    tracker = Tracker(max_gap=max_gap, max_distance=max_distance)
    for number, group in zip(numbers.tolist(), np.split(rows, starts[1:]), strict=True):
        ids[group] = tracker.see(number, kp_img[group], conf[group])
    return ids


class Tracker:
    """The same frame by frame, for people who are found while a video is being read.

    max_gap and max_distance are those of `link`. What was decided for a frame stays.
    """

    def __init__(self, *, max_gap: int, max_distance: float = 0.6) -> None:
        self.max_gap, self.max_distance = max_gap, max_distance
        self._tracks: list[_Track] = []
        self._count = 0
        self._last: int | None = None

    def see(
        self, number: int, kp_img: Float[np.ndarray, "n j 2"], conf: Float[np.ndarray, "n j"]
    ) -> Int[np.ndarray, " n"]:
        """Track id (n,) of each detection in frame `number`, which must be later than all before; -1 for nobody.

        Raises `InputError` for a frame out of order.
        """
        if self._last is not None and number <= self._last:
            raise InputError(field="frame numbers", expected=f"more than {self._last}", found=number)
        self._last = number
        there = (conf > 0) & np.isfinite(kp_img).all(-1)
        poses = np.where(there[..., None], kp_img, np.nan).astype(np.float64)
        ids = np.full(len(poses), -1, np.int64)
        self._tracks = [t for t in self._tracks if number - t.frame <= self.max_gap]
        for row, track in _pairs(self._tracks, poses, np.flatnonzero(there.any(1)), number, self.max_distance):
            if track is None:
                track = _Track(id=self._count)
                self._tracks.append(track)
                self._count += 1
            track.see(poses[row], number)
            ids[row] = track.id
        return ids


@dataclass(kw_only=True)
class _Track:
    id: int
    frame: int = 0
    pose: np.ndarray | None = None  # (j, 2), NaN where missing
    speed: np.ndarray | None = None  # (2,) pixels per frame

    def see(self, pose: np.ndarray, frame: int) -> None:
        if self.pose is not None and frame > self.frame:
            moves = pose - self.pose
            moves = moves[np.isfinite(moves).all(1)]
            move = np.zeros(2)
            if len(moves):
                move = moves.mean(0)
                step = move / (frame - self.frame)
                self.speed = step if self.speed is None else 0.5 * self.speed + 0.5 * step
            hidden = self.pose + move  # joints not seen now are thought to move along
            pose = np.where(np.isfinite(pose), pose, hidden)
        self.pose, self.frame = pose, frame

    def expected(self, frame: int) -> np.ndarray:
        assert self.pose is not None
        if self.speed is None:
            return self.pose
        return self.pose + self.speed * min(frame - self.frame, 10)


def _size(poses: np.ndarray) -> np.ndarray:
    """(n,) larger side of the box around each pose (n, j, 2), at least one pixel."""
    high = np.where(np.isfinite(poses), poses, -np.inf).max(1)
    low = np.where(np.isfinite(poses), poses, np.inf).min(1)
    return np.maximum((high - low).max(1), 1.0)


def _pairs(
    tracks: list[_Track], poses: np.ndarray, group: np.ndarray, number: int, max_distance: float
) -> list[tuple[int, _Track | None]]:
    """(row, its track or None for a new one) for the detections `group` of one frame."""
    if not tracks:
        return [(int(r), None) for r in group]
    here = poses[group]
    there = np.stack([t.expected(number) for t in tracks])
    distance = np.linalg.norm(here[:, None] - there[None], axis=-1)  # (rows, tracks, j)
    common = np.isfinite(distance)
    mean = np.where(common, distance, 0).sum(-1) / np.maximum(common.sum(-1), 1)
    no_common = ~common.any(-1)
    if no_common.any():
        between = np.linalg.norm(_middle(here)[:, None] - _middle(there)[None], axis=-1)
        mean = np.where(no_common, between, mean)
    cost = mean / np.maximum(_size(here)[:, None], _size(there)[None])
    gaps = np.array([number - t.frame for t in tracks])
    cost = np.where(cost <= max_distance * np.minimum(np.sqrt(gaps), 3), cost, _FAR)
    from scipy.optimize import linear_sum_assignment

    chosen: dict[int, _Track] = {}
    for i, k in zip(*linear_sum_assignment(cost), strict=True):
        if cost[i, k] < _FAR:
            chosen[int(i)] = tracks[int(k)]
    return [(int(row), chosen.get(i)) for i, row in enumerate(group)]


def _middle(poses: np.ndarray) -> np.ndarray:
    """(n, 2) middle of the box around each pose."""
    high = np.where(np.isfinite(poses), poses, -np.inf).max(1)
    low = np.where(np.isfinite(poses), poses, np.inf).min(1)
    return (high + low) / 2
