"""mmpose predictions: {`meta_info`, `instance_info`: [{`frame_id`, `instances`}]}, or only the list.

An instance holds `keypoints` [[x, y] per joint], `keypoint_scores` and, where tracked, `track_id`. The layout is that
of `meta_info`'s joint names or data set; a list alone states none, so the user names it. A list of instances (one
image) or of lists of instances (one per frame) is read too, also as the inferencer's `predictions`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.layouts import by_names, distinct_ids, fit, frame_number, must_be_list
from poselift.formats.people import clips_from_rows, numbers
from poselift.storage.text import load_json, peek_json
from poselift.structures import Clip

__all__ = ["read", "sniff"]

_DATASETS = {"coco": "coco17", "mpii": "mpii16", "halpe26": "halpe26", "h36m": "h36m17"}


def sniff(path: Path) -> bool:
    """True for `instance_info`, or a list of frames with `instances`, or of instances with `keypoint_scores`."""
    value = peek_json(path)
    if isinstance(value, dict):
        if isinstance(value.get("instance_info"), list):
            return True
        value = value.get("predictions")
    if not isinstance(value, list):
        return False
    first = next((v for v in value if v), None)
    if isinstance(first, list):
        first = first[0]
    return isinstance(first, dict) and (isinstance(first.get("instances"), list) or "keypoint_scores" in first)


def read(path: Path, options: ReadOptions) -> list[Clip]:
    """The people in the file. Raises `InputError`."""
    value = load_json(path)
    info = value.get("instance_info", value.get("predictions")) if isinstance(value, dict) else value
    rows = _rows(must_be_list(info, file=path, field="instance_info"), path)
    if not rows:
        raise InputError("nobody in any frame", file=path)
    frame = np.array([f for f, _ in rows])
    people = [p for _, p in rows]
    count = next((len(p["keypoints"]) for p in people if isinstance(p["keypoints"], list)), 0)
    scored = "keypoint_scores" in people[0]
    width = 2 if scored or not _width(people[0]) else _width(people[0])
    if scored and _width(people[0]) == 3:
        raise InputError(file=path, field="keypoints", expected="x, y in pixels", found="3D predictions")
    points = numbers([p["keypoints"] for p in people], (None, count, width), file=path, field="keypoints")
    if scored:
        scores = [p.get("keypoint_scores") for p in people]
        conf = numbers(scores, (None, count), file=path, field="keypoint_scores")
        points = np.concatenate([points, conf[..., None]], -1)
    elif points.shape[-1] == 2:
        points = np.concatenate([points, np.ones_like(points[..., :1])], -1)
    meta = value.get("meta_info") if isinstance(value, dict) else None
    chosen, points = _layout(meta if isinstance(meta, dict) else {}, points, options, path)
    return clips_from_rows(
        file=path,
        skeleton=chosen,
        options=options,
        frame=frame,
        kp_img=points[..., :2],
        conf=points[..., 2],
        track=distinct_ids(frame, [p.get("track_id") for p in people]),
    )


def _width(person: dict[str, Any]) -> int:
    first = person["keypoints"][0] if isinstance(person["keypoints"], list) and person["keypoints"] else None
    return len(first) if isinstance(first, list) else 0


def _rows(info: list[Any], path: Path) -> list[tuple[int, dict[str, Any]]]:
    """(frame number, instance) of every instance, for the three shapes of the list."""
    if info and all(isinstance(v, dict) and "keypoints" in v for v in info):
        return [(0, v) for v in info]
    rows: list[tuple[int, dict[str, Any]]] = []
    for i, entry in enumerate(info):
        number, instances = i, entry
        if isinstance(entry, dict):
            number = frame_number(entry.get("frame_id", i), file=path, field=f"frame_id of entry {i}")
            instances = entry.get("instances")
        for person in must_be_list([] if instances is None else instances, file=path, field=f"instances of entry {i}"):
            if not isinstance(person, dict) or "keypoints" not in person:
                raise InputError(
                    file=path, field=f"entry {i}", expected="instances with 'keypoints'", found="other JSON"
                )
            rows.append((number, person))
    return rows


def _layout(meta: dict[str, Any], points: np.ndarray, options: ReadOptions, path: Path) -> tuple[Any, np.ndarray]:
    names = meta.get("keypoint_id2name")
    if options.skeleton is None and isinstance(names, dict) and len(names) == points.shape[1]:
        try:
            ordered = [names[k] for k in sorted(names, key=int)]
        except ValueError:
            ordered = []
        found = by_names(ordered)
        if found is not None:
            return found[0], points[:, found[1]]
    return fit(points, _DATASETS.get(str(meta.get("dataset_name", "")).lower()), options, file=path)
