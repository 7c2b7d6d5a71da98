"""From a running camera to tracks: the newest frame is looked at, lifted and shown; at the end it is a recording."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from pathlib import Path

from poselift.errors import InputError
from poselift.formats import ReadOptions
from poselift.pipeline.captured import ended_by_signals
from poselift.pipeline.causal import check_causal
from poselift.pipeline.looking import Progress, VideoOptions, Watched
from poselift.pipeline.recording import Recording
from poselift.pipeline.session import LiveCamera, LiveOptions, Session
from poselift.pipeline.watch import built_detector
from poselift.video.live import LiveSource

__all__ = ["LiveCamera", "LiveOptions", "watch_live"]


def watch_live(
    address: str,
    options: VideoOptions,
    live: LiveOptions,
    known: ReadOptions,
    camera: LiveCamera,
    *,
    device: str | None,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Watched:
    """The people whom a camera or stream sees until it ends, as tracks numbered by when frames were taken.

    known: what the camera is asked for (size, rate); folder: for temporary files. `Watched.drawn` is the overlay, where
    one was asked for. Raises `InputError` where there is no such camera, and where nobody was seen at all.
    """
    _refuse(options)
    latency = check_causal(camera.lifter)
    out = Watched(seconds={"start": 0.0, "wait": 0.0, "detect": 0.0, "track": 0.0, "lift live": 0.0, "show": 0.0})
    began = time.perf_counter()
    with ExitStack() as stack:
        detector = built_detector(options, known, device, progress)
        stack.callback(detector.close)
        asked = known.image_size
        source = LiveSource(address, size_wh=asked, fps=known.fps, seconds=live.seconds)
        stack.callback(source.close)
        _check_size(source, known)
        looked = ReadOptions(camera=known.camera, skeleton=known.skeleton)
        recording = Recording(source, detector, options, looked, out, progress, folder)
        session = Session(source, recording, camera, live, out, latency)
        if asked is not None and tuple(asked) != source.size_wh:
            session.asked = [f"The camera was asked for {asked[0]} × {asked[1]} and gives another size."]
        if source.capture.camera and known.fps is not None and abs(source.fps / known.fps - 1) > 0.1:
            session.asked.append(f"The camera was asked for {known.fps:g} frames a second and gives {source.fps:.3g}.")
        out.seconds["start"] = time.perf_counter() - began
        stack.enter_context(ended_by_signals(source.stop, session.say))
        stack.enter_context(session.open())
        frames = stack.enter_context(closing(session.frames()))
        session.run(stack.enter_context(closing(detector.detect(frames))), progress)  # type: ignore[type-var]
    return session.finish()


def _check_size(source: LiveSource, known: ReadOptions) -> None:
    """Raises `InputError` where the frames are of another size than the camera file, or the user of a stream, says."""
    stated = None if known.camera is None else known.camera.size_wh
    said = stated or (None if source.capture.camera else known.image_size)
    if said is not None and tuple(said) != tuple(source.size_wh):
        (w, h), found = source.size_wh, "{} × {}".format(*said)
        raise InputError(
            file=source.capture.said, field="image size", expected=f"{w} × {h}, that of the frames", found=found
        )


def _refuse(options: VideoOptions) -> None:
    """Raises `InputError` for what has no meaning while a camera runs."""
    for name, none in (("start", None), ("end", None), ("every", 1)):
        if getattr(options, name) != none:
            want = "a video as input; a camera ends with --seconds, and frames that come too fast are dropped"
            raise InputError(field=name, expected=want, found=getattr(options, name))
    if options.detector == "given":
        raise InputError(field="detector", expected="one that looks at pixels", found="given, with a camera")
    if options.detector_files is not None and options.detector_files.suffix.lower() == ".json":
        want = "what finds people in pixels (boxes of a file belong to a recording)"
        raise InputError(field="detector_files", expected=want, found=options.detector_files)
