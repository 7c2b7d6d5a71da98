"""What every source of frames gives, and which of its frames are wanted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import UInt8
from numpy import ndarray

from poselift.errors import InputError

__all__ = ["MAX_PIXELS", "Frame", "FrameSource", "Selection", "check_size"]

MAX_PIXELS = 1 << 27
"""Larger images (134 megapixels) are refused by their header, before memory is taken."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One upright image: RGB (h, w, 3) of 8 bits, its number, and its time in seconds since the recording's start.

    file: the name of the picture that it is, where it has a file of its own.
    """

    number: int
    seconds: float
    image: UInt8[ndarray, "h w 3"]
    file: str | None = None


@runtime_checkable
class FrameSource(Protocol):
    """A recording: `frames()` reads it from its start each time it is called, in constant memory.

    size_wh: width and height of every frame, upright; fps: frames per second of the numbers (number / fps is the time);
    count: how many frames are expected, if known; still: a photograph; focal: focal length in pixels, where the
    file tells it; notes: what a user should know, complete once the frames have been read.
    """

    @property
    def path(self) -> Path: ...

    @property
    def name(self) -> str: ...

    @property
    def size_wh(self) -> tuple[int, int]: ...

    @property
    def fps(self) -> float: ...

    @property
    def assumed_fps(self) -> bool: ...

    @property
    def count(self) -> int | None: ...

    @property
    def still(self) -> bool: ...

    @property
    def focal(self) -> float | None: ...

    @property
    def notes(self) -> list[str]: ...

    def frames(self) -> Iterator[Frame]: ...


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which frames: from `start` up to `end` seconds, and of those every `every`-th. Raises `InputError`.

    Numbers are those of the whole recording; with `every` they count in steps of it, at fps / every.
    """

    start: float | None = None
    end: float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(field=name, expected="seconds from 0", found=value)
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise InputError(field="end", expected=f"more than the start, {self.start:g} s", found=f"{self.end:g} s")
        if not 1 <= self.every <= 100_000:
            raise InputError(field="every", expected="a whole number from 1", found=self.every)

    def number(self, number: int, seconds: float) -> int | None:
        """The number of a frame in what is selected, None for one that is not."""
        if number % self.every or (self.start is not None and seconds < self.start - 1e-6):
            return None
        return None if self.is_past(seconds) else number // self.every

    def is_past(self, seconds: float) -> bool:
        """True from the end on."""
        return self.end is not None and seconds >= self.end - 1e-6


def check_size(width: int, height: int, file: str | Path) -> None:
    """Raises `InputError` for an image that is too large or has no pixels."""
    if width < 1 or height < 1:
        raise InputError(file=file, field="size", expected="pixels", found=f"{width} × {height}")
    if width * height > MAX_PIXELS:
        raise InputError(
            file=file, field="size", expected=f"at most {MAX_PIXELS / 1e6:.0f} megapixels",
            found=f"{width} × {height}, {width * height / 1e6:.0f} megapixels",
        )  # fmt: skip
