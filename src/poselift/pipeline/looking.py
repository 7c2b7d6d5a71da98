"""How pixels are looked at, and what was seen in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from poselift.detect import Detector
from poselift.errors import InputError
from poselift.pipeline.stage import Track
from poselift.video import FrameSource

__all__ = ["Progress", "VideoOptions", "Watched"]

Progress = Callable[[int, int | None, str], None]
"""(done, total or None, stage): frames done, of how many, of what is being done."""


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """How videos and pictures are looked at.

    detector: a name in `DETECTORS`, or a Detector; detector_files: its files, where it needs any; detector_model: the
    model that it uses, where there is a choice, and detector_flip: on mirrored crops, too; max_people: at most so many
    at once; start, end: seconds; every: use one frame in so many; detect_every: look for people in one frame of so
    many and follow them in between (detectors in two stages).
    """

    detector: str | Detector = "mediapipe"
    detector_files: Path | None = None
    detector_model: str | None = None
    detector_flip: bool = False
    max_people: int | None = None
    start: float | None = None
    end: float | None = None
    every: int = 1
    detect_every: int = 1

    def refuse(self) -> None:
        """Raises `InputError` if anything is asked that only pixels could answer."""
        plain = VideoOptions()
        for name in (
            "start", "end", "every", "detect_every", "max_people", "detector_files", "detector_model", "detector_flip",
            "detector",
        ):  # fmt: skip
            if getattr(self, name) != getattr(plain, name):
                want = "a video or pictures as input"
                raise InputError(field=name, expected=want, found="keypoints, which are lifted as they are")


@dataclass(eq=False, kw_only=True)
class Watched:
    """People in the detector's skeleton; the recordings they are of, by the name in their meta; notes; seconds.

    drawn: overlays that were made while a camera ran, by the same names; they last as long as this object.
    """

    tracks: list[Track] = field(default_factory=list)
    sources: dict[str, FrameSource] = field(default_factory=dict)
    drawn: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    frames: int = 0

    def times(self, others: dict[str, float]) -> str:
        """A sentence about where the time went: these stages and the others."""
        each = f", {1000 * self.seconds.get('detect', 0) / max(self.frames, 1):.0f} ms a frame"
        spent = {n: s for n, s in {**self.seconds, **others}.items() if s >= 0.05 or n == "detect"}
        return f"Time: {'; '.join(f'{n} {s:.1f} s' + (each if n == 'detect' else '') for n, s in spent.items())}."
