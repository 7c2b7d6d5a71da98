"""Frames from videos and pictures, and videos from frames. Pixels only: nothing here knows of people.

The room stands beside `formats`: both turn files into something that the rest works on. Detectors take its frames,
the overlay is drawn on them and encoded by it, so it is below `detect` and `view`; itself it needs `errors` alone.
`open_frames` is the way in: every kind of file is a `FrameSource`. PyAV and Pillow are imported when a file is opened.
"""

from __future__ import annotations

from pathlib import Path

from poselift.errors import InputError
from poselift.video.frames import Frame, FrameSource, Selection
from poselift.video.recognise import kind_of

__all__ = ["Frame", "FrameSource", "Selection", "kind_of", "open_frames"]


def open_frames(path: str | Path, selection: Selection | None = None, *, fps: float | None = None) -> list[FrameSource]:
    """The recordings in a video, a picture (moving or not) or a folder of pictures.

    One source for all but a folder whose pictures differ in size: then each picture is a recording of its own. fps:
    rate of a folder's pictures (30 assumed); of a video it is known. Raises `InputError`, `MissingExtraError`.
    """
    path, selection = Path(path), selection or Selection()
    kind = kind_of(path)
    if kind == "video":
        from poselift.video.decode import VideoFile

        return [VideoFile(path, selection)]
    if kind is None:
        known = "a video, a picture or a folder of pictures"
        raise InputError("no such file or folder" if not path.exists() else f"expected {known}", file=path)
    from poselift.video.sequences import open_pictures

    return open_pictures(path, selection, fps=fps)
