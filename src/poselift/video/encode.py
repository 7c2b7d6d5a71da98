"""H.264 videos that every player opens: frames go in, a thread of its own encodes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from poselift.errors import MissingExtraError, OutputError
from poselift.video.ahead import Behind

__all__ = ["VideoWriter", "open_video"]


class VideoWriter:
    """Takes RGB frames (h, w, 3) with their times; every frame has the size of the first."""

    def __init__(self, container: Any, fps: float) -> None:
        self._container = container
        self._rate = Fraction(fps).limit_denominator(1001)
        self._stream: Any = None
        self._first: int | None = None
        self._behind = Behind(self._encode)

    def add(self, number: int, image: UInt8[np.ndarray, "h w 3"]) -> None:
        """Show an image from time number / fps on; numbers grow. It must not be changed afterwards."""
        self._behind.put((number, image))

    def _encode(self, item: tuple[int, np.ndarray]) -> None:
        import av

        number, image = item
        h, w = image.shape[:2]
        if self._stream is None:
            options = {"preset": "veryfast", "crf": "21"}
            self._stream = self._container.add_stream("libx264", rate=self._rate, options=options)
            self._stream.width, self._stream.height = w + w % 2, h + h % 2
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = 1 / self._rate
            self._first = number
        if w % 2 or h % 2:  # the format knows even sizes only: the last row or column is shown twice
            image = np.pad(image, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = number - (self._first or 0), 1 / self._rate
        self._container.mux(self._stream.encode(frame))

    def _finish(self) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))


@contextmanager
def open_video(path: str | Path, fps: float) -> Iterator[VideoWriter]:
    """A video file to be written, complete when the body ends. Raises `OutputError`, `MissingExtraError`."""
    try:
        import av
        import av.error
    except ImportError:
        raise MissingExtraError("av", "video", "writing videos") from None
    try:
        with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
            writer = VideoWriter(container, fps)
            with writer._behind:
                yield writer
            writer._finish()
    except av.error.FFmpegError as error:
        raise OutputError(f"cannot be written: {error.strerror or error}", file=path) from error
