"""What a detector is: frames in, for each of them the people seen in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from poselift.errors import InputError
from poselift.structures import Skeleton
from poselift.video import Frame

__all__ = ["Detector", "DetectorOptions", "Person", "box_around", "without_doubles"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Person:
    """One person in one frame: joints kp_img (j, 2) pixels, conf (j,) from 0 (not seen) to 1.

    box: x0, y0, x1, y1 in pixels; score: how sure the detector is of the person; identity: where it is known.
    """

    kp_img: Float[np.ndarray, "j 2"]
    conf: Float[np.ndarray, " j"]
    box: Float[np.ndarray, 4]
    score: float = 1.0
    identity: int | None = None


@runtime_checkable
class Detector(Protocol):
    """A detector ready to work. `notes` say what a user should know of it; `close` frees what it holds."""

    @property
    def name(self) -> str: ...

    @property
    def skeleton(self) -> Skeleton: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def detect(self, frames: Iterable[Frame], *, still: bool = False) -> Iterator[list[Person]]:
        """The people of each frame, in the order of the frames, one list for each of them (empty for nobody).

        The frames are those of one recording in their order, or, with `still`, pictures without any connection.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class DetectorOptions:
    """What a user can ask of a detector. Raises `InputError`.

    max_people: so many at once (None: as the detector likes), a hint for those that need it; detect_every: people are
    looked for in every n-th frame and followed in between, by detectors in two stages; files: a folder with its model
    files, the keypoint file of `given`, or what finds people for a detector with a model; model: the model that finds
    their joints, by name or folder (rtmpose: a set of published models), and flip_average whether it sees the mirrored
    crop, too; skeleton: joint layout where the files do not say it; every: of how many frames of the recording one is
    used; pictures: file names of all that it will be shown, in order, where it is pictures; say: called with a sentence
    before something takes long.
    """

    max_people: int | None = None
    detect_every: int = 1
    device: str | None = None
    files: Path | None = None
    model: str | None = None
    flip_average: bool = False
    skeleton: str | None = None
    every: int = 1
    pictures: tuple[str, ...] = ()
    say: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        if self.max_people is not None and not 1 <= self.max_people <= 100:
            raise InputError(field="max_people", expected="1 to 100", found=self.max_people)
        if not 1 <= self.detect_every <= 1000:
            raise InputError(field="detect_every", expected="1 to 1000 frames", found=self.detect_every)

    def one_stage(self, name: str) -> None:
        """Raises `InputError` if `detect_every` is asked of a detector that has no separate search for people."""
        if self.detect_every != 1:
            found = f"{self.detect_every} with {name}, which decides by itself when to look anew"
            raise InputError(
                field="detect_every", expected="1, or a detector in two stages (rtmpose, resnet, vitpose)", found=found
            )

    def no_model(self, name: str) -> None:
        """Raises `InputError` if a model or the mean with mirrored crops is asked of a detector without a choice."""
        if self.model is not None:
            want = "a detector that takes a model (rtmpose, resnet, vitpose)"
            raise InputError(field="detector model", expected=want, found=name)
        self.no_flip(name)

    def no_flip(self, name: str) -> None:
        """Raises `InputError` if the mean with mirrored crops is asked of a detector that has none."""
        if self.flip_average:
            want = "a detector that sees mirrored crops (resnet, vitpose)"
            raise InputError(field="flip average", expected=want, found=name)

    def no_files(self, name: str) -> None:
        """Raises `InputError` if files are named for a detector that has none."""
        if self.files is not None:
            want = "a detector that takes files (rtmpose, resnet, vitpose, given)"
            raise InputError(field="detector files", expected=want, found=name)

    def checked_layout(self, found: Skeleton, *, file: str | Path | None = None) -> Skeleton:
        """`found`, the joints that a model gives. Raises `InputError` where the user says that they are others."""
        if self.skeleton not in (None, found.name):
            whose = "the detector's" if file is None else "the model's"
            raise InputError(file=file, field="skeleton", expected=f"{found.name}, {whose}", found=self.skeleton)
        return found


def box_around(kp_img: Float[np.ndarray, "j 2"], conf: Float[np.ndarray, " j"]) -> Float[np.ndarray, 4]:
    """The box x0, y0, x1, y1 around the joints that were seen; zeros if none was."""
    seen = kp_img[conf > 0]
    return np.concatenate([seen.min(0), seen.max(0)]) if len(seen) else np.zeros(4, kp_img.dtype)


def without_doubles(people: list[Person], *, nearer: float = 0.08) -> list[Person]:
    """The people, surest first, without those who are the same body as a surer one.

    Two are the same where the median distance of their common joints is less than `nearer` of the larger box side.
    """
    kept: list[Person] = []
    for person in sorted(people, key=lambda p: -p.score):
        if not any(_same(person, other, nearer) for other in kept):
            kept.append(person)
    return kept


def _same(a: Person, b: Person, nearer: float) -> bool:
    common = (a.conf > 0) & (b.conf > 0)
    if common.sum() < 3:
        return False
    size = max(float((p.box[2:] - p.box[:2]).max()) for p in (a, b))
    return float(np.median(np.linalg.norm(a.kp_img - b.kp_img, axis=-1)[common])) < nearer * size
