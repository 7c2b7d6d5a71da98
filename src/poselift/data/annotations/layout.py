"""The COCO layout: {`images`: [{id, …}], `annotations`: [{image_id, bbox, …}]}, read without trust."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from poselift.data.annotations.base import AnnotatedPicture, AnnotationSet, intrinsics
from poselift.errors import InputError
from poselift.formats.rootnet import numbers
from poselift.storage.text import load_json
from poselift.structures import Skeleton

__all__ = ["Layout", "annotation_set", "flags", "load_layout", "member", "usable_box"]


def member(entry: dict[str, Any], key: str, *, file: Path, field: str) -> Any:
    """entry[key]. Raises `InputError` where it is missing."""
    if key not in entry:
        raise InputError(file=file, field=field, expected=f"'{key}'", found=", ".join(map(str, entry)) or "nothing")
    return entry[key]


def usable_box(box_xywh: np.ndarray, size_wh: tuple[int, int]) -> str | None:
    """Why a box cannot be used, or None: those without area and those outside the image are left out, as published."""
    x, y, w, h = box_xywh
    if not w * h > 0 or w < 0:
        return "boxes without area"
    x1, y1 = max(0.0, x), max(0.0, y)
    x2, y2 = min(size_wh[0] - 1, x1 + max(0.0, w - 1)), min(size_wh[1] - 1, y1 + max(0.0, h - 1))
    if x2 < x1 or y2 < y1 or x + w <= 0 or y + h <= 0:
        return "boxes outside the image"
    return None if (x2 > x1 or y2 > y1) else "boxes without area"


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """A file: images by id, annotations by image id. dropped: counts of people who were left out, by reason."""

    file: Path
    images: dict[Any, dict[str, Any]]
    people: dict[Any, list[dict[str, Any]]]
    top: dict[str, Any]
    dropped: Counter[str] = field(default_factory=Counter)

    def name(self, image: dict[str, Any]) -> str:
        return f"image {image['id']}"

    def size_wh(self, image: dict[str, Any]) -> tuple[int, int]:
        """Width and height. Raises `InputError`."""
        where = self.name(image)
        sides = [member(image, key, file=self.file, field=where) for key in ("width", "height")]
        w, h = numbers(sides, (2,), file=self.file, field=f"{where} size")
        if not (0 < w <= 100_000 and 0 < h <= 100_000):
            raise InputError(
                file=self.file, field=f"{where} size", expected="1 to 100000 pixels", found=f"{w:g} x {h:g}"
            )
        return int(w), int(h)

    def path(self, image: dict[str, Any], folder: Path) -> Path:
        """Where the picture is: below `folder`. Raises `InputError` for a name that leads elsewhere."""
        name = member(image, "file_name", file=self.file, field=self.name(image))
        parts = PurePosixPath(name).parts if isinstance(name, str) else ()
        if not parts or ".." in parts or PurePosixPath(name).is_absolute() or "\\" in name or "\0" in name:
            raise InputError(
                file=self.file, field=f"{self.name(image)} file_name", expected="a path below the folder", found=name
            )
        return folder.joinpath(*parts)

    def K(self, image: dict[str, Any], f: str = "f", c: str = "c") -> np.ndarray:
        """Intrinsics of an image that must have them. Raises `InputError`."""
        where = self.name(image)
        values = [member(image, k, file=self.file, field=f"{where} intrinsics") for k in (f, c)]
        return self.K_of(values[0], values[1], where)

    def K_of(self, f: Any, c: Any, where: str) -> np.ndarray:
        focal = numbers(f, (2,), file=self.file, field=f"{where} focal length")
        if not (focal > 0).all():
            raise InputError(file=self.file, field=f"{where} focal length", expected="positive", found=focal.tolist())
        return intrinsics(focal, numbers(c, (2,), file=self.file, field=f"{where} principal point"))

    def of(self, image: dict[str, Any]) -> Iterator[tuple[dict[str, Any], np.ndarray, str]]:
        """Annotations of an image whose box can be used: (annotation, box (4,), how messages call it)."""
        size = self.size_wh(image)
        for a, box, where in self.boxes(image):
            reason = usable_box(box, size)
            if reason is None:
                yield a, box, where
            else:
                self.dropped[reason] += 1

    def boxes(self, image: dict[str, Any]) -> Iterator[tuple[dict[str, Any], np.ndarray, str]]:
        """Annotations of an image, whether their box can be used or not, as `of`."""
        for k, a in enumerate(self.people.get(image["id"], ())):
            where = f"annotation {a['id']}" if "id" in a else f"annotation {k} of {self.name(image)}"
            box = numbers(member(a, "bbox", file=self.file, field=where), (4,), file=self.file, field=f"{where} bbox")
            yield a, box, where


def load_layout(path: Path) -> Layout:
    """A file in the COCO layout. Raises `InputError`: damaged JSON, missing or repeated ids, images not listed."""
    value = load_json(path)
    if not isinstance(value, dict):
        raise InputError(file=path, expected="an object with 'images' and 'annotations'", found=type(value).__name__)
    for key in ("images", "annotations"):
        if not isinstance(value.get(key), list):
            raise InputError(file=path, field=key, expected="a list", found=type(value.get(key)).__name__)
    images: dict[Any, dict[str, Any]] = {}
    for k, image in enumerate(value["images"]):
        key = _id(image, "id", path, f"image entry {k}")
        if key in images:
            raise InputError(file=path, field=f"image entry {k}", expected="an id of its own", found=f"{key} again")
        images[key] = image
    people: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for k, a in enumerate(value["annotations"]):
        key = _id(a, "image_id", path, f"annotation entry {k}")
        if key not in images:
            raise InputError(
                file=path, field=f"annotation entry {k}", expected="a listed image", found=f"image_id {key}"
            )
        people[key].append(a)
    top = {k: v for k, v in value.items() if k not in ("images", "annotations")}
    return Layout(file=path, images=images, people=dict(people), top=top)


def _id(entry: Any, key: str, path: Path, where: str) -> int | str:
    found = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(found, (int, str)) or isinstance(found, bool):
        raise InputError(file=path, field=where, expected=f"an object with '{key}'", found=f"{key} {found}")
    return found


def flags(value: Any, joints: int, *, file: Path, field: str) -> np.ndarray:
    """Visibility of j joints as 0 to 1 (true and false fit)."""
    if isinstance(value, Sequence):
        value = [float(v) if isinstance(v, bool) else v for v in value]
    return numbers(value, (joints,), file=file, field=field).clip(0, 1)


def annotation_set(
    name: str, split: str, skel: Skeleton, pictures: list[AnnotatedPicture], layout: Layout
) -> AnnotationSet:
    """What was read. Raises `InputError` where nobody is left."""
    if not pictures:
        raise InputError(
            file=layout.file, expected="at least one person who can be used", found=f"none; {_why(layout)}"
        )
    depth = any(p.p_cam is not None for picture in pictures for p in picture.people)
    return AnnotationSet(
        name=name, split=split, skeleton=skel, has_depth=depth, pictures=tuple(pictures), dropped=dict(layout.dropped)
    )  # fmt: skip


def _why(layout: Layout) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in layout.dropped.items()) or f"{len(layout.images)} images"
