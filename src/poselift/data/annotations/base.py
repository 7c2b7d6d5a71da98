"""Annotated pictures: what every data set of pictures of people says, in one form.

Pixels as in the files; metres (files in millimetres are converted); boxes x y width height, not extended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from poselift.errors import InputError
from poselift.formats.rootnet import FoundBox
from poselift.structures import Skeleton

__all__ = [
    "DEFAULT_FOCAL", "AnnotatedPerson", "AnnotatedPicture", "AnnotationOptions", "AnnotationSet", "AnnotationSource",
    "default_K", "intrinsics",
]  # fmt: skip

DEFAULT_FOCAL = 1500.0
"""Pixels: the focal length of pictures whose camera nobody knows. A depth for it is that of f_true / 1500 times."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotatedPerson:
    """One annotated person.

    box_xywh (4,) pixels; kp_img (j, 2) pixels; visible (j,) 0 to 1, as the set means it; p_cam (j, 3) metres or None.
    """

    box_xywh: np.ndarray
    kp_img: np.ndarray
    visible: np.ndarray
    p_cam: np.ndarray | None = None
    id: int | str | None = None
    valid: bool = True
    """False for people whom the set annotates but leaves out of its figures."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotatedPicture:
    """A picture and its people.

    id: as in the file; file: where the picture is; size_wh pixels; K (3, 3); K_known: False for the default focal
    length; found: detected boxes, where a box file was read; meta: subject, action, camera, sequence and the like.
    """

    id: int | str
    file: Path
    size_wh: tuple[int, int]
    K: np.ndarray
    K_known: bool
    people: tuple[AnnotatedPerson, ...]
    found: tuple[FoundBox, ...] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotationSet:
    """What was read. dropped: how many people were left out, by reason."""

    name: str
    split: str
    skeleton: Skeleton
    has_depth: bool
    pictures: tuple[AnnotatedPicture, ...]
    dropped: Mapping[str, int]

    @property
    def people(self) -> int:
        """Number of people in all pictures."""
        return sum(len(p.people) for p in self.pictures)


@dataclass(frozen=True, kw_only=True)
class AnnotationOptions:
    """How annotations are read."""

    boxes: str = "gt"
    """Boxes of test pictures: `gt`, `published` (the set's own box file) or the path of a box file."""
    every: int | None = None
    """human36m: each so-many-th frame; none means as published, 5 in training and 64 in tests."""
    protocol: Literal[1, 2] = 2
    """human36m: subjects; 2 tests on S9 and S11, 1 on S11."""
    skeleton: str | None = None
    """coco: joint layout, where the file does not name its joints."""
    unit: Literal["mm", "m"] = "mm"
    """coco: unit of `keypoints_cam`."""

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 1:
            raise InputError(field="every", expected="a positive number", found=self.every)


@dataclass(frozen=True)
class AnnotationSource:
    """An entry of `ANNOTATIONS`: splits, the skeleton, and read(folder, split, options)."""

    summary: str
    splits: tuple[str, ...]
    read: Callable[[Path, str, AnnotationOptions], AnnotationSet]


def default_K(size_wh: tuple[int, int]) -> np.ndarray:
    """Intrinsics (3, 3) of a picture whose camera nobody knows: 1500 pixels, (width / 2, height / 2), as published."""
    return intrinsics((DEFAULT_FOCAL, DEFAULT_FOCAL), (size_wh[0] / 2, size_wh[1] / 2))


def intrinsics(f: Any, c: Any) -> np.ndarray:
    """Intrinsics (3, 3) of focal lengths f (2,) and principal point c (2,)."""
    return np.array([[f[0], 0, c[0]], [0, f[1], c[1]], [0, 0, 1]], dtype=np.float64)
