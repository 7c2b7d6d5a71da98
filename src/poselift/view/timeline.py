"""One time line for several clips: which frames are shown, when, and which row of each clip they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poselift.errors import InputError
from poselift.structures import Clip

__all__ = ["Timeline", "check_clips"]


def check_clips(clips: Sequence[Clip], *, need_3d: bool = True) -> None:
    """Raises `InputError` where there is nothing to show: no clip, no frame, no 3D, or unequal frame rates."""
    if not clips:
        raise InputError(field="clips", expected="at least one person", found="none")
    for c in clips:
        where = f"track {c.track_id}"
        if need_3d and c.p_root is None:
            raise InputError(field=where, expected="3D joints (p_root)", found="2D only: lift the clip first")
        if len({*c.skeleton.parents}) < 2:
            raise InputError(field=where, expected="a skeleton with bones", found=c.skeleton.name)
        if abs(c.fps - clips[0].fps) > 1e-6 * clips[0].fps:
            raise InputError(field=where, expected=f"{clips[0].fps:g} frames per second", found=f"{c.fps:g}")
    if not any(len(c) for c in clips):
        raise InputError(field="clips", expected="at least one frame", found="none")


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """frames (n,) source frame numbers that are shown, strictly growing; `stride` of them apart where
    the source has no gap. `total` is the number of frames that the source has."""

    frames: np.ndarray
    fps: float
    stride: int
    total: int
    cut: bool = False

    @classmethod
    def of(cls, clips: Sequence[Clip], *, stride: int = 1, last: int | None = None) -> Timeline:
        """The union of the clips' frames, every `stride`-th of them, at most `last` of the source's frames.

        Where the source jumps, one frame in which nobody is seen is put after the jump's start, so that
        nobody is frozen for the length of a gap.
        """
        union = np.unique(np.concatenate([c.frame_numbers for c in clips]))
        used = union if last is None else union[:last]
        shown = used[::stride]
        ends = shown[:-1][np.diff(shown) > np.maximum(2 * stride - 1, 1)] + stride
        shown = np.union1d(shown, ends)
        return cls(frames=shown, fps=clips[0].fps, stride=stride, total=len(union), cut=len(used) < len(union))

    def __len__(self) -> int:
        return len(self.frames)

    def counted(self) -> str:
        """ "300 frames", as the source has them."""
        return "1 frame" if self.total == 1 else f"{self.total} frames"

    @property
    def seconds(self) -> np.ndarray:
        """(n,) time of each shown frame since the first one."""
        return (self.frames - self.frames[0]) / self.fps

    @property
    def duration(self) -> float:
        """Seconds until the last shown frame has been shown too; 0 for a single frame."""
        return float(self.seconds[-1] + self.stride / self.fps) if len(self) > 1 else 0.0

    def rows(self, clip: Clip) -> np.ndarray:
        """(n,) row of the clip at each shown frame, -1 where the person was not seen."""
        if not len(clip):
            return np.full(len(self), -1)
        at = np.clip(np.searchsorted(clip.frame_numbers, self.frames), 0, len(clip) - 1)
        there = (clip.frame_numbers[at] == self.frames) & clip.seen[at]
        return np.where(there, at, -1)
