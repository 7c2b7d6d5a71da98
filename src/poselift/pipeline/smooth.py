"""Smoothing of lifted clips: poses and roots over time, each joint by its confidence, gaps led across anew."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from poselift.errors import InputError
from poselift.pipeline.gaps import between, neighbours
from poselift.structures import Clip
from poselift.structures.smoothing import smooth, smoother

__all__ = ["SMOOTHED", "Smoothing"]

SMOOTHED = "smoothed"
"""What the meta of smoothed clips says: the smoother and its cut-off."""

FLOOR = 0.1
"""Least weight of a joint in a frame in which somebody was seen: the lifter has a guess where the joint is missing."""


@dataclass(frozen=True)
class Smoothing:
    """A smoother of lifted clips; hz None is its own cut-off. Raises `InputError` for what cannot be."""

    name: str
    hz: float | None = None

    def __post_init__(self) -> None:
        smoother(self.name)
        if not (math.isfinite(self.cutoff) and self.cutoff > 0):
            raise InputError(field="smooth_hz", expected="a positive number", found=self.hz)

    @property
    def cutoff(self) -> float:
        """Hz."""
        return smoother(self.name).hz if self.hz is None else self.hz

    @property
    def live_hz(self) -> float:
        """Cut-off of the one euro filter with which poses are shown while a camera runs."""
        return self.cutoff if self.name == "one_euro" else smoother("one_euro").hz

    @property
    def note(self) -> str:
        """What was done, for people."""
        lag = "from earlier frames only, so they lag a little" if smoother(self.name).causal else "without lag"
        return f"Poses and roots are smoothed over time ({self.name}, cut-off {self.cutoff:g} Hz), {lag}."

    def __call__(self, clip: Clip) -> Clip:
        """The lifted clip with p_root and root_cam smoothed; keypoints and confidences stay.

        The clip has all frame numbers from its first to its last. Frames in which nobody was seen have no influence;
        they get poses between those of their neighbours, as in lifting.
        """
        if clip.p_root is None or clip.root_cam is None or not clip.seen.any():
            return clip
        seen, conf = clip.seen, clip.confidence
        weight = np.where(seen[:, None], np.clip(conf, FLOOR, 1), 0.0)
        about = np.where(seen, np.clip(conf.mean(1), FLOOR, 1), 0.0)[:, None]
        p = smooth(self.name, clip.p_root, fps=clip.fps, weight=weight, hz=self.hz)
        root = smooth(self.name, clip.root_cam[:, None], fps=clip.fps, weight=about, hz=self.hz)[:, 0]
        missing = np.flatnonzero(~seen)
        if len(missing):
            before, after = (n[missing] for n in neighbours(seen))
            at = (missing - before) / np.maximum(after - before, 1)
            p[missing] = between(p[before], p[after], at, clip.skeleton)
            root[missing] = root[before] + (root[after] - root[before]) * at[:, None].astype(root.dtype)
        return clip.replace(p_root=p, root_cam=root, meta={**clip.meta, SMOOTHED: f"{self.name} {self.cutoff:g} Hz"})
