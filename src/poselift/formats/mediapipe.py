"""MediaPipe pose landmarks as JSON: frames of 33 landmarks with x, y in parts of the image (0 to 1) and visibility.

MediaPipe defines the landmarks, not a file; read are the forms in use: a list of frames (or an object that holds it in
`frames`, with `fps`, `width`, `height`), where a frame is a list of landmarks, a list of people, or an object with them
in `landmarks` / `pose_landmarks` and its number in `frame`; or an object from frame numbers to frames. null or [] is a
frame without anybody. A landmark is {`x`, `y`, `visibility`} or [x, y, z, visibility].
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.layouts import distinct_ids, frame_number
from poselift.formats.people import clips_from_rows, numbers, positive_size
from poselift.storage.text import load_json, peek_json
from poselift.structures import Clip, skeleton

__all__ = ["read", "sniff"]

_HOLDERS = ("frames", "results", "data", "poses")
_LANDMARKS = ("pose_landmarks", "landmarks", "poseLandmarks", "landmark")
_NUMBER = ("frame", "frame_id", "frame_index", "frame_idx", "frame_number")
_COUNT = 33


def sniff(path: Path) -> bool:
    """True where the first frame with somebody has a named list of landmarks, or 33 of them."""
    value = peek_json(path)
    for entry in _entries(value)[:10_000] if isinstance(value, (dict, list)) else []:
        people = _people(entry[1])
        if people:
            first = people[0][0]
            named = isinstance(entry[1], dict) and any(k in entry[1] for k in _LANDMARKS)
            return _is_landmark(first) and (named or len(people[0]) == _COUNT)
        if people is None:
            return False
    return False


def _is_landmark(value: Any) -> bool:
    if isinstance(value, dict):
        return "x" in value and "y" in value
    return isinstance(value, list) and 2 <= len(value) <= 5 and isinstance(value[0], (int, float))


def _entries(value: Any) -> list[tuple[Any, Any]]:
    """(frame number or None, frame) of every entry."""
    if isinstance(value, dict):
        held = next((value[k] for k in _HOLDERS if isinstance(value.get(k), (list, dict))), None)
        if held is not None:
            return _entries_of_list(held) if isinstance(held, list) else _entries_of_numbers(held)
        if value and all(k.isdecimal() for k in value):
            return _entries_of_numbers(value)
        return [(None, value)]
    return _entries_of_list(value)


def _entries_of_numbers(value: dict[str, Any]) -> list[tuple[Any, Any]]:
    return [(int(k) if k.isdecimal() and len(k) < 16 else k, v) for k, v in value.items()]


def _entries_of_list(value: list[Any]) -> list[tuple[Any, Any]]:
    if len(value) == _COUNT and all(isinstance(v, dict) and _is_landmark(v) for v in value):
        return [(None, value)]
    number = [
        next((v[k] for k in _NUMBER if v.get(k) is not None), None) if isinstance(v, dict) else None for v in value
    ]
    return list(zip(number, value, strict=True))


def _people(frame: Any, depth: int = 0) -> list[list[Any]] | None:
    """The landmark lists of a frame; None if it is something else."""
    if frame is None or frame == []:
        return []
    if depth > 3:
        return None
    if isinstance(frame, dict):
        key = next((k for k in _LANDMARKS if k in frame), None)
        return None if key is None else _people(frame[key], depth + 1)
    if not isinstance(frame, list):
        return None
    if all(_is_landmark(v) for v in frame):
        return [frame]
    people = [_people(v, depth + 1) for v in frame]
    return [p[0] for p in people if p] if all(p is not None and len(p) <= 1 for p in people) else None


def _point(landmark: Any) -> list[Any]:
    if isinstance(landmark, dict):
        return [landmark.get("x"), landmark.get("y"), landmark.get("visibility", landmark.get("presence", 1.0))]
    return [landmark[0], landmark[1], landmark[3] if len(landmark) > 3 else 1.0]


def read(path: Path, options: ReadOptions) -> list[Clip]:
    """The people in the file, in pixels. Needs the image size, from the file or the user. Raises `InputError`."""
    value = load_json(path)
    if not isinstance(value, (dict, list)):
        raise InputError(file=path, expected="frames of landmarks", found="other JSON")
    facts = value if isinstance(value, dict) else {}
    frame: list[int] = []
    rows: list[list[list[Any]]] = []
    ids: list[Any] = []
    for i, (number, entry) in enumerate(_entries(value)):
        people = _people(entry)
        if people is None:
            raise InputError(file=path, field=f"frame {i}", expected="33 landmarks", found="other JSON")
        for person in people:
            if len(person) != _COUNT:
                raise InputError(file=path, field=f"frame {i}", expected="33 landmarks", found=len(person))
            frame.append(i if number is None else frame_number(number, file=path, field=f"number of frame {i}"))
            rows.append([_point(p) for p in person])
            ids.append(entry.get("track_id") if isinstance(entry, dict) and len(people) == 1 else None)
    if not rows:
        raise InputError("nobody in any frame", file=path)
    points = numbers(rows, (None, _COUNT, 3), file=path, field="landmarks")
    if np.nanmax(np.abs(points[..., :2]), initial=0) > 50:
        raise InputError(file=path, field="landmarks", expected="parts of the image (0 to 1)", found="larger numbers")
    size = options.image_size or _size(facts, path)
    if size is None:
        raise InputError("landmarks are parts of the image: give its size (--image-size WIDTH HEIGHT)", file=path)
    chosen = options.skeleton_or(skeleton("mediapipe33"), file=path, joints=_COUNT)
    return clips_from_rows(
        file=path,
        skeleton=chosen,
        options=options,
        frame=np.array(frame),
        kp_img=points[..., :2] * size - 0.5,  # 0 is the left edge of the first pixel, whose centre is our 0
        conf=points[..., 2],
        track=distinct_ids(np.array(frame), ids),
        fps=next((facts[k] for k in ("fps", "frame_rate", "frameRate") if facts.get(k) is not None), None),
        size_wh=size,
    )


def _size(facts: dict[str, Any], path: Path) -> tuple[int, int] | None:
    for w, h in (("width", "height"), ("image_width", "image_height"), ("frame_width", "frame_height")):
        if w in facts and h in facts:
            return positive_size((facts[w], facts[h]), path)
    return positive_size(facts.get("size_wh", facts.get("image_size")), path)
