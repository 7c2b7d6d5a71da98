"""From pixels to tracks: the recordings of a video, a picture or a folder of pictures, one after the other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from poselift.detect import Detector, DetectorOptions, build_detector
from poselift.errors import InputError
from poselift.formats import ReadOptions
from poselift.pipeline.looking import Progress, VideoOptions, Watched
from poselift.pipeline.recording import Recording
from poselift.video import FrameSource, Selection, kind_of, open_frames

__all__ = ["Progress", "VideoOptions", "Watched", "built_detector", "has_pixels", "watch"]


def has_pixels(input: Any) -> bool:
    """True for the path of a video, a picture or a folder of pictures."""
    return isinstance(input, (str, Path)) and kind_of(input) is not None


def watch(
    path: str | Path,
    options: VideoOptions,
    known: ReadOptions,
    *,
    device: str | None,
    progress: Progress | None = None,
    folder: Path | None = None,
    over_time: tuple[str, ...] = (),
) -> Watched:
    """The people in a video, a picture or a folder of pictures, as tracks whose frame numbers are the video's.

    known: what the user says of frame rate, skeleton and camera; folder: for temporary files; over_time: what is asked
    that has no meaning for single pictures. Raises `InputError` for that, and where nobody is seen at all.
    """
    selection = Selection(start=options.start, end=options.end, every=options.every)
    began = time.perf_counter()
    sources = open_frames(path, selection, fps=known.fps)
    if all(source.still for source in sources):
        _refuse(path, options, known, over_time)
    for source in sources:
        _check_size(source, known)
    names = tuple(f.name for s in sources for f in getattr(s, "files", [s.path] if s.still else []))
    detector = built_detector(options, known, device, progress, names)
    out = Watched(seconds={"start": time.perf_counter() - began, "decode": 0.0, "detect": 0.0, "track": 0.0})
    empty = []
    try:
        for source in sources:
            found = Recording(source, detector, options, known, out, progress, folder).tracks()
            if not found:
                empty.append(source.path.name)
            out.tracks += found
            out.sources[source.name] = source
            out.notes += [n for n in source.notes if n not in out.notes]
    finally:
        detector.close()
    if not out.tracks:
        found = f"nobody in {out.frames:,} {'frame' if out.frames == 1 else 'frames'}"
        raise InputError(file=path, expected="people that the detector can see", found=found)
    if empty:
        out.notes.append(f"Nobody was seen in {', '.join(empty[:5])}{' and others' if len(empty) > 5 else ''}.")
    out.notes += detector.notes
    return out


def built_detector(
    options: VideoOptions,
    known: ReadOptions,
    device: str | None,
    progress: Progress | None,
    pictures: tuple[str, ...] = (),
) -> Detector:
    """The detector that the options name, or are; pictures: names of all that it will see.

    Raises `InputError`, `MissingExtraError`."""
    if not isinstance(options.detector, str):
        return options.detector
    asked = DetectorOptions(
        max_people=options.max_people, detect_every=options.detect_every, device=device, files=options.detector_files,
        model=options.detector_model, flip_average=options.detector_flip, skeleton=known.skeleton, every=options.every,
        pictures=pictures, say=None if progress is None else lambda text: progress(0, None, text),
    )  # fmt: skip
    return build_detector(options.detector, asked)


def _refuse(path: str | Path, options: VideoOptions, known: ReadOptions, over_time: tuple[str, ...]) -> None:
    """Raises `InputError` for what has no meaning where each picture is by itself."""
    plain = VideoOptions()
    asked = [n for n in ("start", "end", "every", "detect_every") if getattr(options, n) != getattr(plain, n)]
    for field in [*asked, *([] if known.fps is None else ["fps"]), *over_time]:
        want = "a video, or a folder of pictures of one size"
        raise InputError(file=path, field=field, expected=want, found="pictures by themselves")


def _check_size(source: FrameSource, known: ReadOptions) -> None:
    """What the user says of the image size must be so."""
    if known.image_size is not None and tuple(known.image_size) != tuple(source.size_wh):
        w, h = source.size_wh
        said = "{} × {}".format(*known.image_size)
        raise InputError(file=source.path, field="image size", expected=f"{w} × {h}, that of the frames", found=said)
