"""When the frames of a camera were taken and shown: numbers by true times, rates, latency; and Ctrl-C as an end."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from poselift.pipeline.sightings import Rows

__all__ = ["Captured", "ended_by_signals", "renumbered"]

_RECENT = 40
"""Frames over which the present rate is taken."""

_MOST_MS, _FIRST = 10_000, 3


class Captured:
    """The frames that were looked at, in constant memory.

    folder: for a temporary file with 16 bytes for each of them; None for the system's own place.
    """

    def __init__(self, *, folder: Path | None = None) -> None:
        self._rows = Rows(np.dtype([("number", "i8"), ("seconds", "f8")]), folder=folder)
        self._first = self._last = 0.0
        self._behind = np.zeros(_MOST_MS, np.int64)  # frames that were shown so many milliseconds after they had come
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, number: int, seconds: float) -> None:
        """A frame has been looked at; both grow. Raises `OutputError` where the disk is full."""
        self._rows.add(number, seconds)
        self._first, self._last = (self._first if len(self) > 1 else seconds), seconds
        self._recent.append(seconds)

    def shown(self, behind_s: float) -> None:
        """Its pose was ready so long after it had come (the first few wait for the detector to load)."""
        if len(self) > _FIRST:
            self._behind[min(int(1000 * behind_s), _MOST_MS - 1)] += 1

    @property
    def rate_now(self) -> float:
        """Frames per second, lately."""
        span = self._recent[-1] - self._recent[0] if self._recent else 0.0
        return (len(self._recent) - 1) / span if span > 0 else 0.0

    @property
    def span(self) -> float:
        """Seconds from the first frame to the last."""
        return self._last - self._first

    @property
    def rate(self) -> float:
        """Frames per second over all."""
        return (len(self) - 1) / self.span if self.span > 0 else 0.0

    def behind_ms(self, part: float) -> int | None:
        """Milliseconds within which this part of the poses was ready; None while too few frames tell it."""
        at = np.cumsum(self._behind)
        if not at[-1]:
            return None
        return int(np.searchsorted(at, part * at[-1])) + 1

    def numbers(self, rate: float) -> tuple[float, Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """`renumbered` for a camera of that rate: frames per second, the old numbers, the new ones."""
        rows = self._rows.all()
        fps, new = renumbered(rows["seconds"], rate)
        return fps, rows["number"].copy(), new


def renumbered(seconds: Float[np.ndarray, " n"], rate: float) -> tuple[float, Int[np.ndarray, " n"]]:
    """(frames per second, number of each frame) for frames taken at these growing times by a camera of that rate.

    number / fps is the time to within a frame. Where at most every m-th frame was looked at, fps is rate / m.
    """
    steps = np.diff(seconds)
    if len(steps):
        rate /= max(1, int(float(np.quantile(steps, 0.1)) * rate + 0.25))
        rate = max(rate, len(steps) / float(seconds[-1] - seconds[0]))  # else numbers would run ahead of the times
    numbers, last = np.empty(len(seconds), np.int64), -1
    for i, time in enumerate((seconds - seconds[:1]).tolist()):
        last = max(last + 1, round(time * rate))
        numbers[i] = last
    return rate, numbers


@contextmanager
def ended_by_signals(stop: Callable[[], None], say: Callable[[str], None]) -> Iterator[None]:
    """Ctrl-C (and a request to terminate) calls `stop`; the second time it is what it always is.

    Only in the main thread, which alone can hear signals; one that is ignored stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {int(n): signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    before = {n: handler for n, handler in before.items() if handler not in (signal.SIG_IGN, None)}

    def end(number: int, _: object) -> None:
        signal.signal(number, before[number])
        stop()
        say("Ending: the files are being written (Ctrl-C again drops them).")

    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
