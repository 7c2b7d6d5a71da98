"""Which files hold pixels: by their first bytes, or by a name that promises a video or a picture."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["is_live", "kind_of", "pictures_in"]

VIDEO_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts", ".m2ts", ".3gp",
    ".ogv", ".mxf", ".mp3", ".wav", ".m4a", ".aac", ".flac", ".ogg",
}  # fmt: skip
"""Sound is listed so that it is refused as a video without pictures, not as an unknown keypoint file."""

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".jp2", ".avif"}

_PICTURE_STARTS = (
    b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+",
)  # fmt: skip
_VIDEO_STARTS = (b"\x1aE\xdf\xa3", b"FLV\x01", b"OggS", b"0&\xb2u", b"\0\0\x01\xba")


SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt")
"""Network addresses that are streams."""


def is_live(text: str) -> bool:
    """True for a camera's number, "webcam", /dev/video…, or a network address. A file of that name goes first."""
    scheme, colon, _ = text.partition("://")
    if colon:
        return scheme.lower() in SCHEMES
    if re.fullmatch(r"/dev/video\w*", text):
        return True
    return (text == "webcam" or bool(re.fullmatch(r"[0-9]{1,3}", text))) and not Path(text).exists()


def kind_of(path: str | Path) -> str | None:
    """ "video", "picture", "pictures" for a folder of them, None for anything else. Never raises."""
    path = Path(path)
    try:
        if path.is_dir():
            return "pictures" if pictures_in(path) else None
        if not path.is_file():
            return None
        with path.open("rb") as handle:
            head = handle.read(16)
    except OSError:
        return None
    suffix = path.suffix.lower()
    inside = head[8:12] if head[:4] == b"RIFF" else b""
    if suffix in PICTURE_SUFFIXES or head.startswith(_PICTURE_STARTS) or inside == b"WEBP":
        return "picture"
    starts = head.startswith(_VIDEO_STARTS) or head[4:8] == b"ftyp"
    if suffix in VIDEO_SUFFIXES or starts or inside in (b"AVI ", b"WAVE"):
        return "video"
    return None


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder, in the order of the numbers in their names; none if it holds keypoint files."""
    files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    if any(p.suffix.lower() in (".json", ".npz", ".amc") for p in files):
        return []
    return sorted((p for p in files if p.suffix.lower() in PICTURE_SUFFIXES), key=_in_order)


def _in_order(path: Path) -> list[tuple[int, int, str]]:
    """frame_2 before frame_10."""
    return [(0, int(t), "") if t.isdecimal() else (1, 0, t) for t in re.split(r"([0-9]+)", path.name.lower()) if t]
