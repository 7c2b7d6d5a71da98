"""Result files of RootNet's layout: boxes of a detector, and roots. JSON lists of objects, one per person.

    boxes: {"image_id", "bbox": [x, y, w, h] pixels, not extended, "score"}
    roots: {"image_id", "root_cam": [x, y, z], "bbox": as extended, "score", "ann_id"}

Millimetres, but metres in 3DPW's. Boxes of root files are extended and must not be extended again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from poselift.errors import InputError
from poselift.storage.atomic import write_aside
from poselift.storage.text import load_json

__all__ = ["FoundBox", "FoundRoot", "numbers", "read_boxes", "read_roots", "write_boxes", "write_roots"]

PERSON = 1
"""COCO's category of people; others are left out."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundBox:
    """A box that a detector found, not extended: box_xywh (4,) pixels, score."""

    box_xywh: np.ndarray
    score: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundRoot:
    """A person's root: root_cam (3,) metres; box_xywh (4,) as extended, pixels; ann_id where the file says it."""

    image_id: int | str
    root_cam: np.ndarray
    box_xywh: np.ndarray
    score: float = 1.0
    ann_id: int | str | None = None


def numbers(value: Any, shape: tuple[int, ...], *, file: Path, field: str) -> np.ndarray:
    """Finite numbers of that shape (a flat list fits, too). Raises `InputError`."""
    try:
        a = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        a = np.full(0, np.nan)
    if a.size != int(np.prod(shape)):
        found = type(value).__name__ if not isinstance(value, list) else f"{a.size or 'other things'}"
        raise InputError(file=file, field=field, expected=f"{' x '.join(map(str, shape))} numbers", found=found)
    if not np.isfinite(a).all():
        raise InputError(file=file, field=field, expected="finite numbers", found="NaN or infinite")
    return a.reshape(shape)


def _entries(path: Path) -> list[tuple[str, dict[str, Any]]]:
    value = load_json(path)
    if not isinstance(value, list):
        raise InputError(file=path, expected="a list of objects with 'image_id' and 'bbox'", found=type(value).__name__)
    for k, e in enumerate(value):
        found = e.get("image_id") if isinstance(e, dict) else None
        if not isinstance(found, (int, str)) or isinstance(found, bool):
            raise InputError(file=path, field=f"entry {k}", expected="an object with 'image_id'", found=f"{found}")
    return [(f"entry {k}", e) for k, e in enumerate(value)]


def _score(e: dict[str, Any], path: Path, where: str) -> float:
    return float(numbers([e.get("score", 1.0)], (1,), file=path, field=f"{where} score")[0])


def read_boxes(path: str | Path) -> dict[int | str, list[FoundBox]]:
    """Boxes by image, in the order of the file, which is that of published figures. Raises `InputError`.

    COCO's detection files fit too: only their people (category 1) are kept. A file with roots is refused, because its
    boxes are extended already.
    """
    path = Path(path)
    out: dict[int | str, list[FoundBox]] = {}
    for where, e in _entries(path):
        if "root_cam" in e:
            raise InputError(
                file=path, field=where, expected="boxes of a detector, not extended", found="a file with roots"
            )
        if e.get("category_id", PERSON) != PERSON:
            continue
        box = numbers(e.get("bbox"), (4,), file=path, field=f"{where} bbox")
        out.setdefault(e["image_id"], []).append(FoundBox(box_xywh=box, score=_score(e, path, where)))
    return out


def write_boxes(boxes: Mapping[int | str, Sequence[FoundBox]], path: str | Path) -> None:
    """Inverse of `read_boxes`. Raises `OutputError`."""
    rows = [
        {"image_id": image, "bbox": [float(v) for v in b.box_xywh], "score": float(b.score)}
        for image, found in boxes.items()
        for b in found
    ]
    _write(rows, path)


def read_roots(path: str | Path, *, unit: Literal["mm", "m"] = "mm") -> list[FoundRoot]:
    """Roots in the order of the file; `unit` is the file's, which does not say it. Raises `InputError`."""
    path = Path(path)
    return [
        FoundRoot(
            image_id=e["image_id"],
            root_cam=numbers(e.get("root_cam"), (3,), file=path, field=f"{where} root_cam") * _METRES[unit],
            box_xywh=numbers(e.get("bbox"), (4,), file=path, field=f"{where} bbox"),
            score=_score(e, path, where),
            ann_id=e.get("ann_id"),
        )
        for where, e in _entries(path)
    ]


def write_roots(
    roots: Iterable[FoundRoot], path: str | Path, *, unit: Literal["mm", "m"] = "mm", scores: bool = True
) -> int:
    """Inverse of `read_roots`: published as bbox_root_*_output.json. Without `scores` as for Human3.6M and COCO.

    Roots are written as they come, so they may be an iterator of any length; the file is there when the last one is.
    Returns their number. Raises `OutputError`.
    """
    count = 0
    with write_aside(path) as part, part.open("w") as file:
        for count, r in enumerate(roots, 1):
            row: dict[str, Any] = {"image_id": r.image_id}
            if r.ann_id is not None:
                row["ann_id"] = r.ann_id
            row["bbox"] = [float(v) for v in r.box_xywh]
            row["root_cam"] = [float(v) / _METRES[unit] for v in r.root_cam]
            row |= {"score": float(r.score)} if scores else {}
            file.write(("[" if count == 1 else ",\n ") + json.dumps(row))
        file.write("]" if count else "[]")
    return count


def _write(rows: list[dict[str, Any]], path: str | Path) -> None:
    with write_aside(path) as part:
        part.write_text(json.dumps(rows))


_METRES = {"mm": 1e-3, "m": 1.0}
