"""Videos through PyAV: true time stamps, variable frame rates, rotation, non-square pixels; one frame at a time."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from poselift.errors import InputError, MissingExtraError
from poselift.video.frames import Frame, Selection, check_size

__all__ = ["Timing", "VideoFile", "ffmpeg_error", "quarter_turns", "square_pixels", "timing_of"]

MAX_FRAMES = 20_000_000
_FALLBACK_FPS = 30.0


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How time stamps become numbers: number = round((seconds - start) · fps).

    At a constant rate that is the index of the frame. At a variable one fps is that of the most usual step; a number
    that no frame has is a moment without a picture, and of two frames for one number the first counts.
    """

    start: float
    fps: float
    variable: bool
    count: int

    def number(self, seconds: float) -> int:
        return math.floor((seconds - self.start) * self.fps + 0.5)


def timing_of(seconds: Float[np.ndarray, " n"], stated_fps: float | None) -> Timing:
    """The timing of sorted presentation times; stated_fps is what the container claims, for those too few to tell."""
    n = len(seconds)
    span = float(seconds[-1] - seconds[0]) if n > 1 else 0.0
    if span <= 0:
        return Timing(start=float(seconds[0]) if n else 0.0, fps=stated_fps or _FALLBACK_FPS, variable=False, count=n)
    mean = (n - 1) / span
    for fps in (stated_fps or mean, mean):
        if np.abs((seconds - seconds[0]) * fps - np.arange(n)).max() < 0.45:
            return Timing(start=float(seconds[0]), fps=fps, variable=False, count=n)
    steps = np.diff(seconds)
    fps = 1.0 / float(np.median(steps[steps > 0]))
    if stated_fps and abs(fps / stated_fps - 1) < 0.02:
        fps = stated_fps
    return Timing(start=float(seconds[0]), fps=min(fps, 1000.0), variable=True, count=n)


class VideoFile:
    """A video as a `FrameSource`. Opening reads its packets once, without decoding, for times and damage.

    Raises `InputError` for what is no video, has no pictures, or declares a size beyond the cap.
    """

    still, assumed_fps, focal = False, False, None

    def __init__(self, path: Path, selection: Selection) -> None:
        self.path, self.name, self.selection = path, path.stem, selection
        self._lost = self._skipped = self._resized = 0
        with self._opened() as (container, stream):
            codec = stream.codec_context
            check_size(codec.width, codec.height, path)
            rate = stream.average_rate or stream.guessed_rate
            times, self._counted, self._cut = _packet_times(container, stream, float(rate or _FALLBACK_FPS))
            self._cut = self._cut or _ends_early(container, times)
            if len(times) > MAX_FRAMES:
                raise InputError(file=path, expected=f"at most {MAX_FRAMES:,} frames", found=f"{len(times):,}")
            self.timing = timing_of(times, float(rate) if rate else None)
        at = ((self.timing.number(t), t - self.timing.start) for t in times.tolist())
        self._chosen = sum(selection.number(number, seconds) is not None for number, seconds in at)
        self._duration = float(times[-1] - times[0]) if len(times) else 0.0
        self.fps = self.timing.fps / selection.every
        self.size_wh = self._first_size()

    def _first_size(self) -> tuple[int, int]:
        with self._opened() as (container, stream):
            for frame in _decoded(container, stream, []):
                turned = quarter_turns(frame)
                w, h = square_pixels(frame, stream)
                check_size(w, h, self.path)
                break
            else:
                raise InputError("a video without a single frame that can be read", file=self.path)
        if self.count == 0:
            want = f"a time inside the video, which lasts {self._duration:.1f} s"
            raise InputError(file=self.path, field="start", expected=want, found=f"{self.selection.start or 0:g} s")
        return (h, w) if turned % 2 else (w, h)

    @property
    def count(self) -> int | None:
        """Frames to come, as the packets promise; None where they have no times."""
        return self._chosen if self.timing.count else None

    @property
    def notes(self) -> list[str]:
        """What was unusual about the file; complete once the frames have been read."""
        said = []
        if self.timing.variable:
            said.append(
                f"The frame rate varies: frames are numbered by their true time at {self.timing.fps:.6g} per second."
            )
        if self.selection.every > 1:
            n = self.selection.every
            said.append(f"One frame in {n} is used, {self.fps:.4g} per second: number k is frame {n} · k of the video.")
        if self._cut or self._lost:
            said.append("The video is damaged or cut off: what could be read of it was used.")
        if self._skipped:
            n = self._skipped
            said.append(f"{n} {'frame that shares' if n == 1 else 'frames that share'} the time of another left out.")
        if self._resized:
            n = self._resized
            said.append(f"{n} {'frame' if n == 1 else 'frames'} of another size brought to that of the first.")
        return said

    def frames(self) -> Iterator[Frame]:
        self._lost = self._skipped = self._resized = 0
        last = -1
        with self._opened() as (container, stream):
            begin = self.selection.start
            if begin and begin > 2 and stream.time_base and not self._counted:
                with suppress(ffmpeg_error()):  # not every file can be sought in: then it is read from its start
                    container.seek(int((self.timing.start + begin - 1) / stream.time_base), stream=stream)
            errors: list[Exception] = []
            previous = None
            for frame in _decoded(container, stream, errors):
                time = None if self._counted else frame.time
                if time is None:
                    time = self.timing.start if previous is None else previous + 1 / self.timing.fps
                previous = time
                seconds = time - self.timing.start
                if self.selection.is_past(seconds):
                    break
                number = self.selection.number(self.timing.number(time), seconds)
                if number is None:
                    continue
                if number <= last:
                    self._skipped += 1
                    continue
                last = number
                yield Frame(number=number, seconds=seconds, image=self._image(frame, stream))
            self._lost = len(errors)

    def _image(self, frame: Any, stream: Any) -> np.ndarray:
        turns = quarter_turns(frame)
        want = self.size_wh[::-1] if turns % 2 else self.size_wh
        if square_pixels(frame, stream) != tuple(want):
            self._resized += 1
        image = frame.to_ndarray(format="rgb24", width=want[0], height=want[1])
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        """(container, its video stream), opened for decoding in threads."""
        try:
            import av
            import av.error
            import av.logging
        except ImportError:
            raise MissingExtraError("av", "video", "reading videos") from None
        av.logging.set_level(None)  # what matters becomes an error or a note
        if self.path.stat().st_size == 0:
            raise InputError("an empty file", file=self.path)
        try:
            with av.open(str(self.path), metadata_errors="replace") as container:
                streams = [s for s in container.streams.video if not _is_cover(s)]
                if not streams:
                    found = "only sound" if container.streams.audio else "none, or the file is cut off"
                    raise InputError(file=self.path, expected="a video with pictures", found=found)
                streams[0].thread_type = "AUTO"
                yield container, streams[0]
        except av.error.FFmpegError as error:
            why = (error.strerror or str(error)).lower()
            raise InputError(f"no video that can be read, or cut off ({why})", file=self.path) from None


def ffmpeg_error() -> type[Exception]:
    """The base of PyAV's errors, which is imported where it is used."""
    from av.error import FFmpegError

    return FFmpegError


def _is_cover(stream: Any) -> bool:
    """True for the cover picture of a sound file."""
    return "attached_pic" in str(stream.disposition).lower()


def _packet_times(container: Any, stream: Any, rate: float) -> tuple[np.ndarray, bool, bool]:
    """Sorted presentation times in seconds of all frames that will be shown; whether they are counted; whether cut.

    Where packets do not say when they are shown, or no truth (AVI), frames are counted at the stated rate.
    """
    ticks = array("q")
    packets = 0
    cut = False
    try:
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard:
                packets += 1
                if packet.pts is not None:
                    ticks.append(packet.pts)
            cut = cut or packet.is_corrupt
    except ffmpeg_error():
        cut = True
    if len(ticks) < packets or container.format.name == "avi":
        return np.arange(packets) / rate, True, cut
    return np.sort(np.asarray(ticks, dtype=np.float64)) * float(stream.time_base or 1), False, cut


def _ends_early(container: Any, times: np.ndarray) -> bool:
    """True where a file without sound holds clearly less than the length that it states: a copy that broke off."""
    if not container.duration or container.streams.audio or len(times) < 2:
        return False
    stated = container.duration / 1e6
    return stated - float(times[-1] - times[0]) > max(0.5, 0.1 * stated)


def _decoded(container: Any, stream: Any, errors: list[Exception]) -> Iterator[Any]:
    """Frames in order of time; packets that cannot be decoded are passed over and their errors collected."""
    failure = ffmpeg_error()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except failure as error:
            errors.append(error)
            packet = None
        try:
            yield from stream.decode(packet)
        except EOFError:
            return
        except failure as error:
            errors.append(error)
        if packet is None:
            return


def quarter_turns(frame: Any) -> int:
    """Quarter turns counterclockwise that make the frame upright, from the file's display matrix."""
    return round(frame.rotation / 90) % 4


def square_pixels(frame: Any, stream: Any) -> tuple[int, int]:
    """Width and height of a frame with pixels as wide as high (never fewer of them than stored)."""
    aspect = float(stream.sample_aspect_ratio or 1)
    if not 0.1 < aspect < 10:
        aspect = 1.0
    w, h = frame.width, frame.height
    return (max(1, round(w * aspect)), h) if aspect >= 1 else (w, max(1, round(h / aspect)))
