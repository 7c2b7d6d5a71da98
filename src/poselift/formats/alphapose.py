"""AlphaPose results: a list of people, each {`image_id` (a file name), `keypoints` [x, y, c, ...], `score`, `idx`}.

The number of keypoints is the format's own statement of the layout: 17 COCO, 26 Halpe-26, 136 Halpe-136 and 133
COCO-WholeBody (their bodies), 16 MPII (AlphaPose, docs/output.md; Halpe-FullBody). `idx` is the identity where
AlphaPose tracked; without tracking it writes lists or equal numbers there, and people are told apart by place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.layouts import distinct_ids, fit, frames_of_names
from poselift.formats.people import clips_from_rows, triplets
from poselift.storage.text import load_json, peek_json
from poselift.structures import Clip

__all__ = ["picture_names", "read", "sniff"]

_LAYOUTS = {17: "coco17", 26: "halpe26", 16: "mpii16"}


def sniff(path: Path) -> bool:
    """True for a list of people whose `image_id` is a text."""
    value = peek_json(path)
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and isinstance(first.get("image_id"), str) and "keypoints" in first


def read(path: Path, options: ReadOptions) -> list[Clip]:
    """The people in the file. Raises `InputError`."""
    people = load_json(path)
    if not isinstance(people, list):
        raise InputError(file=path, expected="a list of people", found="other JSON")
    if not people:
        raise InputError("nobody in any frame: an empty list", file=path)
    names = [_name(person, i, path) for i, person in enumerate(people)]
    points = triplets([p.get("keypoints") for p in people], file=path, field="keypoints")
    chosen, points = fit(points, _LAYOUTS.get(points.shape[1]), options, file=path)
    order = {name: k for k, name in enumerate(dict.fromkeys(names))}
    numbers = frames_of_names(list(order))
    frame = numbers[[order[n] for n in names]]
    return clips_from_rows(
        file=path,
        skeleton=chosen,
        options=options,
        frame=frame,
        kp_img=points[..., :2],
        conf=points[..., 2],
        track=distinct_ids(frame, [p.get("idx") for p in people]) if "idx" in people[0] else None,
    )


def picture_names(path: Path) -> dict[int, str]:
    """The picture that each frame number is. Raises `InputError`."""
    names = list(dict.fromkeys(_name(person, i, path) for i, person in enumerate(load_json(path))))
    return dict(zip(frames_of_names(names).tolist(), names, strict=True))


def _name(person: Any, i: int, path: Path) -> str:
    name = person.get("image_id") if isinstance(person, dict) else None
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        raise InputError(file=path, field=f"person {i}", expected="an object with 'image_id'", found="other JSON")
    return str(name)
