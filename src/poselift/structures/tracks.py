"""Who is who from frame to frame, for detections without identities.

A person is expected where the pace of the last moments leads; a detection belongs to somebody the more likely, the
nearer it is to there, the more alike the poses are, and the more alike their sizes, each against how much it usually
changes in the time since the person was seen. The best pairs are found for a frame at once (Hungarian method).
`benchmarks/tracking.py` measures it on people who cross.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from poselift.errors import InputError

__all__ = ["REENTRY_S", "Tracker", "link"]

REENTRY_S = 1.0
"""Who is back within this time is the same person."""

# How much a person's place (sizes of the person), pose (likewise) and size (log) differ from what is expected: right
# away, and more for each second since. From the validation performers of `data.crowds`, each about twice the median.
_PLACE, _POSE, _SIZE = (0.02, 0.4), (0.03, 0.06), (0.03, 0.12)

_NEAR = (0.2, 0.8)
"""A detection further than this from where a person is expected is somebody else: sizes, and sizes per second."""

_NEAR_AT_FIRST = 4.0
"""Sizes per second while nothing is known of a person's pace: a fast run."""

_FARTHEST = 1.2
"""But in sizes, however long ago."""

_NEW = 9.0
"""Cost up to which a detection is rather somebody known than somebody new."""

_PACE_S, _STEADY_S = 0.1, 0.5
"""Seconds over which the pace is averaged, and for how long it is thought to go on."""

_RECENT_S = 0.1
"""Who was seen within this time should be seen near there: where hardly anybody is, there was a cut."""


def link(
    frames: Int[np.ndarray, " n"],
    kp_img: Float[np.ndarray, "n j 2"],
    conf: Float[np.ndarray, "n j"],
    *,
    fps: float = 30.0,
    max_gap_s: float = 2.0,
) -> Int[np.ndarray, " n"]:
    """Track id (n,) for each detection: numbers from 0 in order of first sight, -1 where nothing was seen.

    `frames` (n,) says in which frame a detection is, in any order; fps: frames per second. A track that is not seen
    for more than `max_gap_s` seconds ends. If no frame holds two people, all is one track.
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
    tracker = Tracker(fps=fps, max_gap_s=max_gap_s)
    for number, group in zip(numbers.tolist(), np.split(rows, starts[1:]), strict=True):
        ids[group] = tracker.see(number, kp_img[group], conf[group])
    return ids


class Tracker:
    """The same frame by frame, for people who are found while a video is being read.

    fps: frame numbers per second; max_gap_s: seconds after which who comes back is somebody new. What was decided for
    a frame stays.
    """

    def __init__(self, *, fps: float, max_gap_s: float = REENTRY_S) -> None:
        self.fps, self.max_gap_s = fps, max(max_gap_s, 1 / fps)  # the next frame is never too late
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
        rows, now = np.flatnonzero(there.any(1)), number / self.fps
        self._tracks = [t for t in self._tracks if now - t.seconds <= self.max_gap_s + 1e-6]
        for row, track in zip(rows, self._owners(poses[rows], now), strict=True):
            if track is None:
                track = _Track(id=self._count, pose=poses[row], seconds=now)
                self._tracks.append(track)
                self._count += 1
            else:
                track.see(poses[row], now)
            ids[row] = track.id
        return ids

    def end(self) -> None:
        """A cut: whoever is seen from now on is somebody new."""
        self._tracks = []

    def _owners(self, poses: np.ndarray, now: float) -> list[_Track | None]:
        """For each of the poses (n, j, 2) of one frame its track, or None for somebody new."""
        if not (self._tracks and len(poses)):
            return [None] * len(poses)
        cost, near = _compare(self._tracks, poses, now)
        recent = np.array([now - t.seconds <= _RECENT_S for t in self._tracks])
        stay, most = near[:, recent].any(1).sum(), min(int(recent.sum()), len(poses))
        if most > 1 and 2 * stay < most:
            self.end()
            return [None] * len(poses)
        n = len(poses)
        cost = np.where(near, np.minimum(cost, _NEW), 2 * _NEW)
        padded = np.concatenate([cost, np.full((n, n), _NEW)], 1)  # each may be somebody new
        from scipy.optimize import linear_sum_assignment

        out: list[_Track | None] = [None] * n
        for i, k in zip(*linear_sum_assignment(padded), strict=True):
            if k < len(self._tracks) and near[i, k]:
                out[int(i)] = self._tracks[int(k)]
        return out


@dataclass(kw_only=True)
class _Track:
    id: int
    pose: np.ndarray  # (j, 2), NaN where never seen
    seconds: float
    pace: np.ndarray = field(default_factory=lambda: np.zeros(2))  # pixels per second
    steady: bool = False  # the pace is known

    def see(self, pose: np.ndarray, now: float) -> None:
        gap = now - self.seconds
        moves = pose - self.pose
        moves = moves[np.isfinite(moves).all(1)]
        move = np.median(moves, 0) if len(moves) else self.expected(now) - self.pose
        if len(moves):
            share = 1 - math.exp(-gap / _PACE_S) if self.steady else 1.0
            self.pace = self.pace + share * (move / gap - self.pace)
            self.steady = True
        hidden = self.pose + move  # joints not seen now are thought to move along
        self.pose, self.seconds = np.where(np.isfinite(pose), pose, hidden), now

    def expected(self, now: float) -> np.ndarray:
        return self.pose + self.pace * (_STEADY_S * (1 - math.exp(-(now - self.seconds) / _STEADY_S)))


def _compare(tracks: list[_Track], poses: np.ndarray, now: float) -> tuple[np.ndarray, np.ndarray]:
    """Cost (n, m) of each pose belonging to each track, and where it can (n, m)."""
    there = np.stack([t.expected(now) for t in tracks])
    gap = np.array([now - t.seconds for t in tracks])
    steady = np.array([t.steady for t in tracks])
    off = poses[:, None] - there[None]  # (n, m, j, 2)
    common = np.asarray(np.isfinite(off).all(-1))
    alike = common.sum(-1) >= 3
    size = np.maximum(_side(poses)[:, None], _side(there)[None])
    if not alike.all():  # too few joints in both: only the places can be compared
        between = _middle(poses)[:, None] - _middle(there)[None]
        off = np.where(alike[..., None, None], off, between[:, :, None])
        common = common | ~alike[..., None]
    off = np.where(common[..., None], off, np.nan)
    shift = np.nanmedian(off, 2)
    rest = np.nanmedian(np.linalg.norm(off - shift[:, :, None], axis=-1), 2)
    place = np.linalg.norm(shift, axis=-1) / size
    grown = np.log(_spread(poses[:, None], common) / _spread(there[None], common))
    terms = ((place, _PLACE), (np.where(alike, rest / size, 0.05), _POSE), (np.where(alike, grown, 0.1), _SIZE))
    cost = np.zeros_like(place)
    for value, (soon, later) in terms:
        usual = soon + later * gap
        cost += 1.5 * np.log1p((value / usual) ** 2 / 2) + np.log(usual / soon)
    reach = np.minimum(_NEAR[0] + np.where(steady, _NEAR[1], _NEAR_AT_FIRST) * gap, _FARTHEST)
    mean = np.nanmean(np.linalg.norm(off, axis=-1), 2) / size
    return cost, mean <= reach


def _spread(poses: np.ndarray, common: np.ndarray) -> np.ndarray:
    """(n, m) root mean square distance of the common joints from their middle, pixels; at least one."""
    x = np.where(common[..., None], poses, np.nan)
    return np.maximum(np.sqrt(np.nanvar(x, 2).sum(-1)), 1.0)


def _side(poses: np.ndarray) -> np.ndarray:
    """(n,) larger side of the box around each pose (n, j, 2), at least one pixel."""
    return np.maximum((np.nanmax(poses, 1) - np.nanmin(poses, 1)).max(1), 1.0)


def _middle(poses: np.ndarray) -> np.ndarray:
    """(n, 2) middle of the box around each pose."""
    return (np.nanmax(poses, 1) + np.nanmin(poses, 1)) / 2
