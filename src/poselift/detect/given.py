"""No detection: the user's own keypoints of the video, in any format that `formats.read` knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from poselift.detect.base import DetectorOptions, Person, box_around
from poselift.errors import InputError
from poselift.formats import ReadOptions, read
from poselift.structures import Clip
from poselift.video import Frame

__all__ = ["Given", "build"]


def build(options: DetectorOptions) -> Given:
    """The people in the keypoint file `options.files`. Raises `InputError`."""
    options.one_stage("given")
    options.no_model("given")
    if options.files is None:
        raise InputError(field="detector given", expected="--detector-files FILE with keypoints of the video")
    return Given(
        read(options.files, None, ReadOptions(skeleton=options.skeleton)),
        file=options.files,
        every=options.every,
    )


class Given:
    """`Detector` that knows beforehand: clips whose frame numbers are those of the whole recording."""

    name = "given"

    def __init__(self, clips: list[Clip], *, file: str | Path = "keypoints", every: int = 1) -> None:
        names = {c.skeleton.name for c in clips}
        if len(names) != 1:
            raise InputError(file=file, field="skeleton", expected="one for all people", found=", ".join(sorted(names)))
        self.skeleton, self.file = clips[0].skeleton, file
        self.notes = (f"2D joints: given, {self.skeleton.name}.",)
        self._every = every
        self._people: dict[int, list[Person]] = {}
        ids = [c.track_id for c in clips]
        for i, clip in enumerate(clips):
            identity = clip.track_id if len(set(ids)) == len(ids) else i
            for row in np.flatnonzero(clip.seen).tolist():
                kp, conf = clip.kp_img[row], clip.confidence[row]
                person = Person(kp_img=kp, conf=conf, box=box_around(kp, conf), identity=identity)
                self._people.setdefault(int(clip.frame_numbers[row]), []).append(person)

    def close(self) -> None:
        pass

    def detect(self, frames: Iterable[Frame], *, still: bool = False) -> Iterator[list[Person]]:
        """See `Detector.detect`. Raises `InputError` at the end if the keypoints are of no frame of it."""
        met = 0
        for frame in frames:
            people = self._people.get(frame.number * self._every, [])
            met += len(people)
            yield people
        if not met:
            found = f"frames {min(self._people)} to {max(self._people)}"
            raise InputError(file=self.file, expected="keypoints of frames of this recording", found=found)
