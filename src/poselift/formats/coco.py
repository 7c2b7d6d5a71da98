"""COCO keypoints: annotations {`images`, `annotations`, `categories`} or results [{`image_id`, `keypoints`, `score`}].

Annotated visibility becomes confidence: 0 missing, 1 (hidden, but placed) 0.5, 2 visible 1. The layout is that of the
category's joint names, else COCO's own 17 (or COCO-WholeBody's 133). Images are the frames of one video per
`video_id`, by `frame_id` where stated, else by the number in their names; `track_id` is the identity where stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.layouts import by_names, distinct_ids, fit, frame_number, frames_of_names, must_be_list
from poselift.formats.people import clips_from_rows, positive_size, triplets
from poselift.storage.text import load_json, peek_json
from poselift.structures import Clip

__all__ = ["picture_names", "read", "sniff"]

_VISIBILITY = np.array([0.0, 0.5, 1.0])


def sniff(path: Path) -> bool:
    """True for annotations with keypoints, or a list of results with a number as `image_id`."""
    value = peek_json(path)
    if isinstance(value, dict):
        value = value.get("annotations") if isinstance(value.get("images"), list) else None
        return isinstance(value, list) and any(isinstance(a, dict) and "keypoints" in a for a in value[:1000])
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and isinstance(first.get("image_id"), int) and "keypoints" in first


def read(path: Path, options: ReadOptions) -> list[Clip]:
    """The people in the file, video by video. Raises `InputError`."""
    value = load_json(path)
    if isinstance(value, dict):
        return _annotations(value, path, options)
    people = _people(value, path)
    if not people:
        raise InputError("nobody in any frame: an empty list", file=path)
    images = sorted({p["image_id"] for p in people}, key=lambda i: (isinstance(i, str), i))
    frames = dict(zip(images, frames_of_names([str(i) for i in images]).tolist(), strict=True))
    points = triplets([p["keypoints"] for p in people], file=path, field="keypoints")
    chosen, points = fit(points, "coco17" if points.shape[1] == 17 else None, options, file=path)
    frame = np.array([frames[p["image_id"]] for p in people])
    return clips_from_rows(
        file=path,
        skeleton=chosen,
        options=options,
        frame=frame,
        kp_img=points[..., :2],
        conf=points[..., 2],
        track=_tracks(frame, people),
    )


def picture_names(path: Path) -> dict[int, str]:
    """The picture that each frame number is, where annotations name those of one recording. Raises `InputError`."""
    value = load_json(path)
    listed = value.get("images") if isinstance(value, dict) else None
    images = {m["id"]: m for m in listed or [] if isinstance(m, dict) and isinstance(m.get("id"), (int, str))}
    if not images or not all(isinstance(m.get("file_name"), str) for m in images.values()):
        return {}
    if len({str(m.get("video_id", m.get("vid_id"))) for m in images.values()}) > 1:
        return {}
    ids = list(images)
    return {n: images[i]["file_name"] for n, i in zip(_frames(ids, images, path)[0].tolist(), ids, strict=True)}


def _people(value: Any, path: Path) -> list[dict[str, Any]]:
    """The entries with keypoints. Raises `InputError` for those that are no objects or name no image."""
    for i, p in enumerate(must_be_list(value, file=path, field="people")):
        image = p.get("image_id") if isinstance(p, dict) else None
        if not isinstance(image, (int, str)) or isinstance(image, bool):
            raise InputError(file=path, field=f"entry {i}", expected="an object with 'image_id'", found="other JSON")
    return [p for p in value if p.get("keypoints")]


def _tracks(frame: np.ndarray, people: Sequence[dict[str, Any]]) -> np.ndarray | None:
    key = next((k for k in ("track_id", "person_id") if k in people[0]), None)
    return None if key is None else distinct_ids(frame, [p.get(key) for p in people])


def _annotations(value: dict[str, Any], path: Path, options: ReadOptions) -> list[Clip]:
    people = _people(value.get("annotations"), path)
    images: dict[Any, dict[str, Any]] = {}
    for i, image in enumerate(must_be_list(value.get("images"), file=path, field="images")):
        if not isinstance(image, dict) or not isinstance(image.get("id"), (int, str)):
            raise InputError(file=path, field=f"image {i}", expected="an object with 'id'", found="other JSON")
        images[image["id"]] = image
    if not people:
        raise InputError("nobody in any frame: no annotation has keypoints", file=path)
    lost = next((p["image_id"] for p in people if p["image_id"] not in images), None)
    if lost is not None:
        raise InputError(file=path, field="annotations", expected="images that are listed", found=f"image_id {lost}")
    points = triplets([p["keypoints"] for p in people], file=path, field="keypoints")
    names = _joint_names(value.get("categories"))
    found = by_names(names) if names else None
    if found is not None and options.skeleton is None and len(names) == points.shape[1]:
        chosen, points = found[0], points[:, found[1]]
    else:
        stated = "coco17" if not names and points.shape[1] == 17 else None
        chosen, points = fit(points, stated, options, file=path)
    seen = _VISIBILITY[np.clip(np.nan_to_num(points[..., 2]), 0, 2).astype(int)]
    videos: dict[Any, list[int]] = {}
    for k, p in enumerate(people):
        videos.setdefault(
            str(images[p["image_id"]].get("video_id", images[p["image_id"]].get("vid_id", ""))), []
        ).append(k)
    clips: list[Clip] = []
    for video, rows in videos.items():
        frame, size = _frames([people[k]["image_id"] for k in rows], images, path)
        clips += clips_from_rows(
            file=path,
            skeleton=chosen,
            options=options,
            frame=frame,
            kp_img=points[rows, :, :2],
            conf=seen[rows],
            size_wh=size,
            track=_tracks(frame, [people[k] for k in rows]),
            meta={"name": f"video {video}", "video": video} if video else {},
        )
    return clips


def _joint_names(categories: Any) -> list[Any]:
    if isinstance(categories, list):
        for category in categories:
            if isinstance(category, dict) and isinstance(category.get("keypoints"), list):
                return category["keypoints"]
    return []


def _frames(
    ids: Sequence[Any], images: dict[Any, dict[str, Any]], path: Path
) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Frame number of each row, and the images' size if it is one for all. All of a video's images count."""
    video = images[ids[0]].get("video_id", images[ids[0]].get("vid_id"))
    mine = [i for i, m in images.items() if m.get("video_id", m.get("vid_id")) == video]
    if all("frame_id" in images[i] for i in mine):
        number = {i: frame_number(images[i]["frame_id"], file=path, field="frame_id") for i in mine}
    else:
        mine.sort(key=lambda i: (isinstance(i, str), i))
        names = [str(images[i].get("file_name", i)) for i in mine]
        number = dict(zip(mine, frames_of_names(names).tolist(), strict=True))
    sizes = {(images[i].get("width"), images[i].get("height")) for i in ids}
    size = sizes.pop() if len(sizes) == 1 else (None, None)
    return np.array([number[i] for i in ids]), None if None in size else positive_size(size, path)
