"""Small videos and pictures for tests, good and bad."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

__all__ = ["no_frames", "png_header", "red_corner", "turn_header", "write_sound", "write_video"]


def red_corner(i: int, w: int, h: int) -> np.ndarray:
    """Grey that tells the number of the frame, red in the upper left quarter."""
    image = np.full((h, w, 3), 40 + (i * 8) % 200, np.uint8)
    image[: h // 2, : w // 2] = (255, 0, 0)
    return image


def write_video(
    path: Path,
    frames: int = 20,
    *,
    size_wh: tuple[int, int] = (64, 48),
    fps: int = 25,
    pts_ms: Sequence[int] | None = None,
    aspect: Fraction | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
) -> Path:
    """A video of `red_corner` frames; pts_ms: their times in milliseconds, else a constant rate."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size_wh, pix_fmt  # type: ignore[attr-defined]
        if pts_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect  # type: ignore[attr-defined]
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(red_corner(i, *size_wh), format="rgb24")
            if pts_ms is not None:
                frame.pts, frame.time_base = pts_ms[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
    return path


def write_sound(path: Path) -> Path:
    """A video file without pictures."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        for _ in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
    return path


def no_frames(path: Path) -> Path:
    """A Matroska video that ends where its first frame would be."""
    data = write_video(path, 5).read_bytes()
    path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])
    return path


def turn_header(path: Path, height: int) -> Path:
    """Writes into an MP4's header what telephones held upright write: show me a quarter turn clockwise."""
    data = bytearray(path.read_bytes())
    straight = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    at = data.find(straight, data.find(b"tkhd"))
    assert at > 0
    data[at : at + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, height << 16, 0, 1 << 30)
    path.write_bytes(data)
    return path


def png_header(path: Path, width: int, height: int) -> Path:
    """A PNG that declares a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path
