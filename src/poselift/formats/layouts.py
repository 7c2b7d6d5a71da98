"""Joint layouts that files state: by the names of their joints, or by a format whose own definition fixes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.people import described
from poselift.structures import SKELETONS, Skeleton, skeleton

__all__ = ["by_names", "distinct_ids", "fit", "frame_number", "frames_of_names", "must_be_list"]

_ALIASES = {
    "root": "pelvis", "hip": "pelvis", "mid_hip": "pelvis", "middle_hip": "pelvis", "head": "head_top",
    "upper_neck": "neck", "neck_base": "nose", "l_foot": "l_ankle", "r_foot": "r_ankle",
}  # fmt: skip
_BODY_PART = {133: "wholebody23", 136: "halpe26"}
"""Whole-body layouts (COCO-WholeBody, Halpe-136) begin with the joints of a layout of ours."""


def by_names(names: Sequence[Any]) -> tuple[Skeleton, Int[np.ndarray, " j"]] | None:
    """The largest skeleton whose joints are all among `names`, and where they stand there; None where none is."""
    place: dict[str, int] = {}
    for i, name in enumerate(names):
        word = re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_")
        word = re.sub(r"^left_", "l_", re.sub(r"^right_", "r_", word))
        place.setdefault(word, i)
        place.setdefault(_ALIASES.get(word, word), i)
    for known in sorted(SKELETONS.values(), key=len, reverse=True):
        if all(j in place for j in known.joints):
            return known, np.array([place[j] for j in known.joints])
    return None


def fit(
    points: Float[np.ndarray, "n j c"], stated: str | Skeleton | None, options: ReadOptions, *, file: str | Path
) -> tuple[Skeleton, Float[np.ndarray, "n k c"]]:
    """The skeleton (the user's choice before the one `stated`) and its joints; of whole-body layouts the body.

    Raises `InputError` where nobody states a skeleton, or it has another number of joints.
    """
    count = points.shape[1]
    body = _BODY_PART.get(count)
    if body is not None and options.skeleton in (None, body):
        return skeleton(body), points[:, : len(skeleton(body))]
    named = skeleton(stated) if isinstance(stated, str) else stated
    return options.skeleton_or(named, file=file, joints=count), points


def frames_of_names(names: Sequence[str]) -> Int[np.ndarray, " n"]:
    """Frame numbers of distinct image or file names: the last number in each, where that makes a sequence.

    Names without numbers, with equal ones, or with identifiers far apart are numbered from 0 in the given order.
    """
    found = [re.findall(r"\d+", Path(name).stem) for name in names]
    if all(f and len(f[-1]) <= 15 for f in found):
        numbers = np.array([int(f[-1]) for f in found], np.int64)
        spread = int(numbers.max() - numbers.min()) if len(numbers) else 0
        if len(np.unique(numbers)) == len(numbers) and spread <= 10_000 + 50 * len(numbers):
            return numbers
    return np.arange(len(names))


def must_be_list(value: Any, *, file: str | Path, field: str) -> list[Any]:
    """`value` if it is a list. Raises `InputError`."""
    if not isinstance(value, list):
        raise InputError(file=file, field=field, expected="a list", found=described(value))
    return value


def frame_number(value: Any, *, file: str | Path, field: str) -> int:
    """A frame number or identity from a file. Raises `InputError` unless it is a whole number below 2^53."""
    whole = (
        isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**53 and value == int(value)
    )
    if not whole:
        raise InputError(file=file, field=field, expected="a whole number", found=described(value))
    return int(value)


def distinct_ids(frame: Int[np.ndarray, " n"], ids: Sequence[Any]) -> Int[np.ndarray, " n"] | None:
    """Track ids (n,) if every row has one and no frame has one twice; None where people must be told apart."""
    if not all(isinstance(i, (int, float)) and not isinstance(i, bool) and 0 <= i < 2**53 and i == int(i) for i in ids):
        return None
    track = np.array([int(i) for i in ids], np.int64)
    pairs = np.stack([np.asarray(frame, np.int64), track], 1)
    return track if len(np.unique(pairs, axis=0)) == len(pairs) else None
