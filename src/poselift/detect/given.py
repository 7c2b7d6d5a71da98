"""No detection: the user's own keypoints of the video, in any format that `formats.read` knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from poselift.detect.base import DetectorOptions, Person, box_around
from poselift.errors import InputError
from poselift.formats import ReadOptions, picture_names, read
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
        pictures=options.pictures,
        named=picture_names(options.files) if options.pictures else {},
    )


class Given:
    """`Detector` that knows beforehand: clips whose frame numbers are those of the whole recording.

    pictures: file names of all pictures that it will be shown, if any; named: the picture that each frame number of the
    clips is, where the file names them. Where any of these is shown, people belong to the picture of that name,
    whatever its ending; otherwise to the picture at that place.
    """

    name = "given"

    def __init__(
        self,
        clips: list[Clip],
        *,
        file: str | Path = "keypoints",
        every: int = 1,
        pictures: Sequence[str] = (),
        named: Mapping[int, str] | None = None,
    ) -> None:
        names = {c.skeleton.name for c in clips}
        if len(names) != 1:
            raise InputError(file=file, field="skeleton", expected="one for all people", found=", ".join(sorted(names)))
        self.skeleton, self.file = clips[0].skeleton, file
        self.notes = (f"2D joints: given, {self.skeleton.name}.",)
        self._every, self._many = every, len(pictures) > 1
        stems = {Path(name).stem: number for number, name in (named or {}).items()}
        self._by_name = stems if {Path(p).stem for p in pictures} & set(stems) else {}
        self._place = {name: i for i, name in enumerate(pictures)}
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

    def _number(self, frame: Frame) -> int | None:
        """The clips' number of a frame; None where they do not know it."""
        if frame.file is None:
            return frame.number * self._every
        if self._by_name:
            return self._by_name.get(Path(frame.file).stem)
        return self._place.get(frame.file, frame.number * self._every)

    def detect(self, frames: Iterable[Frame], *, still: bool = False) -> Iterator[list[Person]]:
        """See `Detector.detect`. Raises `InputError` at the end if the keypoints are of no frame of it."""
        met = 0
        for frame in frames:
            number = self._number(frame)
            people = [] if number is None else self._people.get(number, [])
            met += len(people)
            yield people
        if not met and not (still and self._many):
            found = f"frames {min(self._people)} to {max(self._people)}"
            raise InputError(file=self.file, expected="keypoints of frames of this recording", found=found)
