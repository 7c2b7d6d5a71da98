"""How a camera or a stream is opened, by PyAV: which device of FFmpeg, with which options, and what can go wrong."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poselift.errors import InputError, MissingExtraError

__all__ = ["OPEN_S", "Capture"]

OPEN_S, READ_S = 10.0, 8.0
"""A stream must begin within the first, and go on within the second, in seconds."""

_PROTOCOLS = "http,https,tcp,udp,rtp,rtsp,rtsps,rtmp,rtmps,srt,tls,httpproxy,crypto,data"
"""What a stream may lead to: the network, never a file of this machine."""

_UNTIMED = ("mjpeg", "mpjpeg", "image2pipe", "jpeg_pipe", "png_pipe", "rawvideo", "h264", "hevc")
"""Formats without time stamps; FFmpeg makes them up."""

_NAMES = {
    errno.ENOENT: "it is not there",
    errno.ENODEV: "it is not there",
    errno.EBUSY: "another program uses it",
    errno.EACCES: "no permission",
    errno.EINVAL: "it does not know the size or rate that was asked for",
    errno.ECONNREFUSED: "the connection was refused",
    errno.ETIMEDOUT: "no answer in time",
    errno.EIO: "it gives no data",
}


@dataclass(frozen=True, kw_only=True)
class Capture:
    """file, format and options for PyAV. said: what the user calls it; camera: it is a device.

    paced: it may come faster than it should be seen (a video on a web server), and is slowed down to its own time.
    """

    said: str
    file: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    camera: bool = False
    paced: bool = False

    @classmethod
    def of(cls, address: str, *, size_wh: tuple[int, int] | None = None, fps: float | None = None) -> Capture:
        """The capture of a camera's number or path, or of a network address. Raises `InputError`."""
        if "://" in address:
            scheme = address.partition(":")[0].lower()
            options = {"protocol_whitelist": _PROTOCOLS}
            if scheme in ("rtsp", "rtsps"):
                options |= {"rtsp_flags": "prefer_tcp", "fflags": "nobuffer", "flags": "low_delay"}
            return cls(said=_bare(address), file=address, options=options, paced=scheme in ("http", "https"))
        options = {} if size_wh is None else {"video_size": "{}x{}".format(*size_wh)}
        options |= {} if fps is None else {"framerate": f"{fps:g}"}
        if sys.platform == "linux":
            path = Path(address if address.startswith("/dev/") else f"/dev/video{_number(address)}")
            if not path.exists():
                there = sorted(str(p) for p in Path("/dev").glob("video*"))
                found = f"no {path}" + (f"; there is {', '.join(there)}" if there else ", nor any other")
                raise InputError(file=address, expected="a camera", found=found)
            return cls(said=str(path), file=str(path), format="v4l2", options=options, camera=True)
        if sys.platform == "darwin":
            options = {"framerate": "30", **options}  # FFmpeg's own guess is one that few cameras have
            return cls(
                said=f"camera {address}", file=_number(address), format="avfoundation", options=options, camera=True
            )
        name = _name_on_windows(int(_number(address)))
        return cls(said=name, file=f"video={name}", format="dshow", options=options, camera=True)

    @property
    def end(self) -> str:
        """What it means that no more frames come."""
        return "the camera gave no more frames" if self.camera else "the stream ended"

    def lost(self, error: Exception) -> str:
        """Why it ended, from the error with which it did."""
        why = _why(error)
        if self.camera:
            return "the camera is gone" if why in (_NAMES[errno.ENODEV], _NAMES[errno.EIO]) else why
        return "the connection was lost" if why == _NAMES[errno.EIO] else why

    def has_clock(self, container: Any) -> bool:
        """Whether its time stamps say when frames were taken."""
        return not any(name in _UNTIMED for name in container.format.name.split(","))

    @contextmanager
    def opened(self) -> Iterator[tuple[Any, Any]]:
        """(container, its video stream). Raises `InputError` with the reason, `MissingExtraError`."""
        try:
            import av
            import av.error
            import av.logging
        except ImportError:
            raise MissingExtraError("av", "video", "reading cameras and streams") from None
        av.logging.set_level(None)
        try:
            container = av.open(self.file, format=self.format, options=self.options, timeout=(OPEN_S, READ_S))
        except (av.error.FFmpegError, ValueError) as error:
            raise InputError(f"cannot be opened: {_why(error)}", file=self.said) from None
        with container:
            streams = list(container.streams.video)
            if not streams:
                raise InputError(file=self.said, expected="a stream with pictures", found="none")
            streams[0].thread_type = "SLICE"  # threads over frames would keep some back
            yield container, streams[0]


def _why(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if type(error).__name__ == "ExitError":  # by our own limit of time
        return _NAMES[errno.ETIMEDOUT]
    return _NAMES.get(number or 0, (getattr(error, "strerror", None) or str(error)).lower())


def _number(address: str) -> str:
    return "0" if address == "webcam" else address


def _bare(address: str) -> str:
    """The address without a user's name and password."""
    return re.sub(r"(?<=://)[^/?#]*@", "", address)  # a password may have an @ in it


def _name_on_windows(index: int) -> str:
    """DirectShow knows cameras by their names."""
    import av

    devices = av.enumerate_input_devices("dshow") if hasattr(av, "enumerate_input_devices") else []
    names = [d.name for d in devices if "video" in getattr(d, "media_types", ("video",))]
    if index >= len(names):
        found = f"{len(names)}: {', '.join(names)}" if names else "none"
        raise InputError(file=str(index), expected="a camera", found=found)
    return str(names[index])
