"""The time of frames that come as they please: by the stamps of the stream where these can be trusted."""

from __future__ import annotations

__all__ = ["JUMP_S", "StreamClock"]

JUMP_S = 2.0
"""Stamps that leave the clock on the wall by more than this from one frame to the next have begun anew."""


class StreamClock:
    """Seconds since the first frame, always growing.

    trusted: the stream's stamps say when frames were taken; without it, and where they are missing, jump or stand
    still, the time at which they come counts.
    """

    def __init__(self, *, trusted: bool) -> None:
        self.trusted = trusted
        self._began: float | None = None
        self._last = self._came = self._offset = 0.0

    def seconds(self, stamp: float | None, now: float) -> float:
        """The time of the next frame: its stamp in seconds, if it has one, and a monotonic clock when it comes."""
        if self._began is None:
            self._began = self._came = now
            self._offset = -stamp if self.trusted and stamp is not None else 0.0
            return 0.0
        passed = self._last + now - self._came
        time = passed
        if self.trusted and stamp is not None:
            time = stamp + self._offset
            if not self._last < time or abs(time - passed) > JUMP_S:
                self._offset, time = passed - stamp, passed
        self._last, self._came = max(time, self._last + 1e-4), now
        return self._last

    def early(self, now: float) -> float:
        """Seconds until the last frame is due, if the first one was on time; negative where it is late."""
        return 0.0 if self._began is None else self._began + self._last - now

    def pause(self, now: float) -> None:
        """The stream stands still, and nobody misses it: it goes on from now."""
        if self._began is not None:
            self._began, self._came = now - self._last, now
