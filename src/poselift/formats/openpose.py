"""OpenPose: a folder with one JSON per frame, {`people`: [{`pose_keypoints_2d`: [x, y, c, ...]}]}.

75 numbers are BODY_25, 54 the older COCO model with a neck (left out here): the two layouts that OpenPose's own models
give. Its experimental BODY_25B has 75 numbers too, in another order; a file does not say so, `--skeleton body25b` does.
The number in a file's name is its frame, a missing file is a gap, `person_id` the identity where it is tracked.
Coordinates are pixels of the source (`--keypoint_scale 0`, the default). A single file is one frame.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.layouts import distinct_ids, fit
from poselift.formats.people import clips_from_rows, triplets
from poselift.storage.text import parse_json, peek_json, read_bytes
from poselift.structures import Clip, skeleton

__all__ = ["picture_names", "read", "sniff"]

_KEYS = ("pose_keypoints_2d", "pose_keypoints")
_COCO18 = (
    "nose", "neck", "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist", "r_hip", "r_knee",
    "r_ankle", "l_hip", "l_knee", "l_ankle", "r_eye", "l_eye", "r_ear", "l_ear",
)  # fmt: skip
_MAX_FILE = 64 << 20


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = sorted(p for p in path.glob("*.json") if p.is_file())
    return [p for p in files if p.name.endswith("_keypoints.json")] or files


def sniff(path: Path) -> bool:
    """True for a file with `people`, or a folder whose first JSON file is one."""
    try:
        first = next(iter(_files(path)), None) if path.exists() else None
    except OSError:
        return False
    value = None if first is None else peek_json(first)
    return isinstance(value, dict) and isinstance(value.get("people"), list)


def read(path: Path, options: ReadOptions) -> list[Clip]:
    """The people in the folder. Raises `InputError`, naming the file at fault."""
    files = _files(path)
    if not files:
        raise InputError("no .json file in the folder", file=path)
    numbers = _numbers(files, path)
    frame: list[int] = []
    lists: list[Any] = []
    ids: list[Any] = []
    for number, file in zip(numbers, files, strict=True):
        for person in _people(file):
            flat = next((person[k] for k in _KEYS if person.get(k)), None)
            if flat is not None:
                frame.append(number)
                lists.append(flat)
                ids.append(_identity(person.get("person_id")))
    if not lists:
        raise InputError("nobody in any frame", file=path)
    points = triplets(lists, file=path, field="pose_keypoints_2d")
    stated = "body25" if points.shape[1] == 25 else None
    if points.shape[1] == len(_COCO18) and options.skeleton in (None, "coco17"):
        stated, points = "coco17", points[:, [_COCO18.index(j) for j in skeleton("coco17").joints]]
    chosen, points = fit(points, stated, options, file=path)
    if options.image_size is None and np.abs(points[..., :2]).max(initial=0, where=points[..., 2:] > 0) <= 1:
        raise InputError(
            file=path,
            field="keypoints",
            expected="pixels (run OpenPose with --keypoint_scale 0)",
            found="numbers up to 1",
        )
    return clips_from_rows(
        file=path,
        skeleton=chosen,
        options=options,
        frame=np.array(frame),
        kp_img=points[..., :2],
        conf=points[..., 2],
        track=distinct_ids(np.array(frame), ids),
    )


def picture_names(path: Path) -> dict[int, str]:
    """The picture that each frame number is: with `--image_dir`, OpenPose names its files after it."""
    files = _files(path)
    names = [f.stem.removesuffix("_keypoints") + f.suffix for f in files]
    return dict(zip(_numbers(files, path), names, strict=True))


def _numbers(files: list[Path], path: Path) -> list[int]:
    """The last number in each file's name. Raises `InputError` for names that are not one numbered recording."""
    if len(files) == 1:
        return [0]
    found = [re.fullmatch(r"(.*?)(\d{1,15})(\D*)", f.stem) for f in files]
    odd = next((f for f, m in zip(files, found, strict=True) if m is None), None)
    if odd is not None:
        raise InputError(file=path, field="file names", expected="a frame number in each", found=odd.name)
    recordings = sorted({f"{m[1]}#{m[3]}" for m in found if m})
    if len(recordings) > 1:
        raise InputError(file=path, field="file names", expected="one recording", found=", ".join(recordings[:4]))
    return [int(m[2]) for m in found if m]


def _identity(value: Any) -> Any:
    """OpenPose writes [-1] for nobody in particular."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _people(file: Path) -> list[dict[str, Any]]:
    value = parse_json(read_bytes(file, max_bytes=_MAX_FILE), file=file)
    people = value.get("people") if isinstance(value, dict) else None
    if not isinstance(people, list) or not all(isinstance(p, dict) for p in people):
        raise InputError(file=file, expected="an object with a list 'people'", found="other JSON")
    return people
