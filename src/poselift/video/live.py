"""Cameras and streams: the newest frame whenever one is asked for. What comes faster than it is used is dropped, so
that latency and memory stay bounded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError, PoseliftError
from poselift.video.capture import Capture
from poselift.video.clock import StreamClock
from poselift.video.decode import ffmpeg_error, quarter_turns, square_pixels
from poselift.video.frames import Frame, check_size

__all__ = ["SILENCE_S", "LiveSource"]

SILENCE_S = 10.0
"""A camera or stream that gives no frame for so long is lost."""

_TICK_S = 0.1
"""Ctrl-C is heard within this time, whatever the camera does."""


class LiveSource:
    """A running camera or stream. A thread of its own opens, reads and decodes it.

    address: see `recognise.is_live`; size_wh, fps: what the camera is asked for; of a stream, which cannot be asked, at
    most fps frames a second are taken; seconds: it ends after so many.
    fps: the rate that it states (30 where it states none that makes sense); rate: the one at which frames really come;
    arrived, taken: frames so far; seconds: time of the last one that was taken;
    ended: why it ended, where it did so by itself. Raises `InputError` where there is no such camera or stream.
    """

    still, assumed_fps, focal, count = False, False, None, None

    def __init__(
        self,
        address: str,
        *,
        size_wh: tuple[int, int] | None = None,
        fps: float | None = None,
        seconds: float | None = None,
    ) -> None:
        self.capture = Capture.of(address, size_wh=size_wh, fps=fps)
        self.path, self.name, self.limit = Path(self.capture.said), "live", seconds
        self.most = None if self.capture.camera else fps
        self.arrived = self.taken = self.damaged = 0
        self.ended: str | None = None
        self.fps = self.rate = 30.0
        self.size_wh, self.seconds = (0, 0), 0.0
        self.age_s = 0.0
        """How long ago the frame taken last had come, when it was taken."""
        self._news = threading.Condition()
        self._newest: tuple[Any, float, float] | None = None  # decoded frame, its seconds, when it came
        self._failure: PoseliftError | None = None
        self._over, self._stop, self._wanted = False, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True, name="poselift camera")
        self._thread.start()
        self._wait_for_the_first()

    def _wait_for_the_first(self) -> None:
        try:
            with self._news:
                while not self.arrived and not self._over:
                    self._news.wait(_TICK_S)
        except BaseException:
            self.close()
            raise
        if self._failure is not None:
            raise self._failure
        if not self.arrived:
            raise InputError(f"no frame came ({self.ended})", file=self.capture.said)

    @property
    def dropped(self) -> int:
        """Frames that came while others were worked on."""
        return self.arrived - self.taken

    @property
    def notes(self) -> list[str]:
        return [f"{self.damaged} damaged packets were passed over."] if self.damaged else []

    def frames(self) -> Generator[Frame]:
        """The newest frame each time; numbers go by the stated rate, seconds by when the frames were taken, from 0.

        Once for a source: what came before is gone.
        """
        last, begin, before, due = -1, None, 0, 0.0
        self._wanted.set()
        while (item := self._take()) is not None:
            raw, seconds, came = item
            if begin is None:
                begin, before = seconds, self.arrived - 1
            seconds -= begin
            if seconds > 1:
                self.rate = self._measured((self.arrived - before - 1) / seconds)
            if self.limit is not None and seconds >= self.limit:
                self._stop.set()
                return
            if self.most is not None:
                if seconds < due - 0.5 / self.fps:
                    continue
                due = max(due + 1 / self.most, seconds)
            last = max(last + 1, round(seconds * self.fps))
            self.taken, self.seconds = self.taken + 1, seconds
            self.age_s = time.monotonic() - came
            yield Frame(number=last, seconds=seconds, image=self._image(raw))

    def _measured(self, rate: float) -> float:
        """The rate at which frames really come; the stated one where that is about the same."""
        return rate if abs(rate / self.fps - 1) > 0.1 else self.fps

    def _take(self) -> tuple[Any, float, float] | None:
        """The newest frame that nobody has had; None at the end."""
        silent = time.monotonic()
        with self._news:
            while not self._stop.is_set():
                item, self._newest = self._newest, None
                if item is not None or self._over:
                    return item
                if time.monotonic() - silent > SILENCE_S:
                    self.ended = f"no frame for {SILENCE_S:g} s"
                    return None
                self._news.wait(_TICK_S)
        return None

    def stop(self) -> None:
        """No further frames; safe in a signal handler."""
        self._stop.set()

    def close(self) -> None:
        """Ends the thread; one that hangs in a driver is left behind."""
        self._stop.set()
        self._thread.join(2.0)

    def _image(self, raw: Any) -> np.ndarray:
        turns = quarter_turns(raw)
        w, h = self.size_wh[::-1] if turns % 2 else self.size_wh
        image = raw.to_ndarray(format="rgb24", width=w, height=h)
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

    def _read(self) -> None:
        """The thread: every frame becomes the newest one."""
        try:
            with self.capture.opened() as (container, stream):
                rate = float(stream.average_rate or stream.guessed_rate or 0)
                self.fps = self.rate = rate if 1 <= rate <= 240 else 30.0
                clock = StreamClock(trusted=self.capture.has_clock(container))
                for raw in self._decoded(container, stream):
                    seconds = clock.seconds(raw.time, time.monotonic())
                    early = clock.early(time.monotonic()) if self.capture.paced else 0.0
                    if early > 0 and self._stop.wait(early):
                        return
                    self._put(raw, seconds, stream)
                    while self.capture.paced and not self._stop.is_set() and not self._wanted.wait(_TICK_S):
                        clock.pause(time.monotonic())
            self._ends(self.capture.end)
        except PoseliftError as error:
            if self.arrived:
                self._ends(str(error))
            else:
                self._failure = error
        except ffmpeg_error() as error:
            self._ends(self.capture.lost(error))
        finally:
            with self._news:
                self._over = True
                self._news.notify_all()

    def _ends(self, why: str) -> None:
        """It ended by itself, unless it was told to before."""
        if not self._stop.is_set() and self.ended is None:
            self.ended = why

    def _decoded(self, container: Any, stream: Any) -> Iterator[Any]:
        failure = ffmpeg_error()
        try:
            for packet in container.demux(stream):
                if self._stop.is_set():
                    return
                try:
                    yield from stream.decode(packet)
                except EOFError:
                    return
                except failure:
                    self.damaged += 1
        except failure:  # lost: what the decoder still holds comes first
            with suppress(failure):
                yield from stream.decode(None)
            raise

    def _put(self, raw: Any, seconds: float, stream: Any) -> None:
        if not self.arrived:
            w, h = square_pixels(raw, stream)
            check_size(w, h, self.capture.said)
            self.size_wh = (h, w) if quarter_turns(raw) % 2 else (w, h)
        with self._news:
            self._newest = (raw, seconds, time.monotonic())
            self.arrived += 1
            self._news.notify_all()
