"""MediaPipe's pose landmarker (BlazePose: Bazarevsky et al., 2020), 33 joints, through MediaPipe Tasks.

Good for one person, who may fill the picture or stand 5 m away; in a crowd it mixes bodies. In a video it follows a
person from frame to frame and looks anew when it has lost them. Joints outside the picture, which it guesses, count as
missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from poselift.detect.base import DetectorOptions, Person, box_around, without_doubles
from poselift.detect.mediapipe_models import landmarker_task
from poselift.errors import InputError, MissingExtraError
from poselift.structures import skeleton
from poselift.video import Frame

__all__ = ["MediaPipe", "build"]

UNSEEN = 0.2
"""A joint less likely than this to be in the picture, or to be visible in it, counts as missing."""


def build(options: DetectorOptions) -> MediaPipe:
    """The detector with its models, fetched on first use. Raises `InputError`, `MissingExtraError`."""
    options.one_stage("mediapipe")
    options.no_model("mediapipe")
    options.no_files("mediapipe")
    options.checked_layout(skeleton("mediapipe33"))
    return MediaPipe(landmarker_task(say=options.say), max_people=options.max_people or 1)


class MediaPipe:
    """`Detector` with the bytes of a pose landmarker's .task file."""

    name = "mediapipe"

    def __init__(self, task: bytes, *, max_people: int = 1) -> None:
        self.skeleton = skeleton("mediapipe33")
        self._task, self._most = task, max_people
        self._landmarker: Any = None
        one = "it looks for one person; --max-people says if there are more" if max_people == 1 else "several at once"
        self.notes = (f"2D joints: MediaPipe pose landmarks (33), {one}.",)

    def close(self) -> None:
        if self._landmarker is not None:
            with _quiet():
                self._landmarker.close()
            self._landmarker = None

    def detect(self, frames: Iterable[Frame], *, still: bool = False) -> Iterator[list[Person]]:
        """See `Detector.detect`."""
        self.close()
        mp = self._open(still)
        last = -1
        try:
            for i, frame in enumerate(frames):
                image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(frame.image))
                last = max(last + 1, round(frame.seconds * 1000))
                with _quiet(i == 0):
                    found = self._landmarker.detect(image) if still else self._landmarker.detect_for_video(image, last)
                h, w = frame.image.shape[:2]
                people = [_person(marks, w, h) for marks in found.pose_landmarks]
                yield without_doubles([p for p in people if (p.conf > 0).any()])
        finally:
            self.close()

    def _open(self, still: bool) -> Any:
        with _quiet():
            try:
                import mediapipe as mp
                from mediapipe.tasks import python as tasks
                from mediapipe.tasks.python import vision
            except ImportError as error:
                if error.name not in (None, "mediapipe"):
                    raise
                raise MissingExtraError("mediapipe", "video", "finding people in pictures") from None
            except OSError as error:
                raise InputError(f"mediapipe cannot be loaded: {error}", field="detector") from None
            mode = vision.RunningMode.IMAGE if still else vision.RunningMode.VIDEO
            options = vision.PoseLandmarkerOptions(
                base_options=tasks.BaseOptions(model_asset_buffer=self._task), running_mode=mode, num_poses=self._most
            )
            try:
                self._landmarker = vision.PoseLandmarker.create_from_options(options)
            except (OSError, RuntimeError, ValueError) as error:
                hint = "; on Linux it needs the system's libEGL and libGLESv2 (Debian: apt install libegl1 libgles2)"
                raise InputError(f"mediapipe does not start: {error}{hint}", field="detector") from None
        return mp


def _person(marks: list[Any], width: int, height: int) -> Person:
    """Landmarks (parts of the image; 0 is the left edge of the first pixel, whose centre is our 0) in pixels."""
    rows = np.array([[m.x, m.y, m.visibility, m.presence] for m in marks], np.float64)
    inside = ((rows[:, :2] >= 0) & (rows[:, :2] <= 1)).all(-1)
    conf = np.clip(rows[:, 2:].min(-1), 0, 1)
    conf = np.where(inside & (conf >= UNSEEN), conf, 0).astype(np.float32)
    kp = (rows[:, :2] * (width, height) - 0.5).astype(np.float32)
    return Person(kp_img=kp, conf=conf, box=box_around(kp, conf), score=float(conf.mean()))


@contextmanager
def _quiet(really: bool = True) -> Iterator[None]:
    """Keeps MediaPipe's start-up log, which goes to the process's stderr past Python, out of the user's sight."""
    if not really:
        yield
        return
    saved = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)
