"""Keypoints as a bare array: .npy, or an .npz of `keypoints` (and `scores`), in a skeleton that the user names.

Shapes: (frames, joints, 2 or 3) for one person; (frames, people, joints, 2 or 3) for several, as ultralytics and
rtmlib give them stacked; an object array with one (people, joints, 2 or 3) array, or None, per frame. The third
number is the confidence; NaN coordinates, or a person of zeros only, are nobody.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.people import clips_from_rows, described, new_array
from poselift.storage.arrays import load_npy, load_npz, npy_header, npz_headers, npz_names
from poselift.structures import Clip

__all__ = ["read", "sniff"]

_POINTS = ("keypoints", "kpts", "keypoints_2d", "poses_2d", "xy", "data", "arr_0")
_SCORES = ("scores", "keypoint_scores", "confidence", "conf")


def sniff(path: Path) -> bool:
    """True for an .npy of a fitting shape, or an .npz with one under a known name."""
    try:
        if path.suffix == ".npy" and path.is_file():
            header = npy_header(path)
        else:
            name = next((n for n in _POINTS if n in npz_names(path)), None)
            if name is None:
                return False
            header = npz_headers(path)[name]
    except (InputError, OSError, KeyError):
        return False
    if header.dtype.hasobject:
        return len(header.shape) == 1
    return header.dtype.kind in "fiu" and len(header.shape) in (3, 4) and header.shape[-1] in (2, 3)


def read(path: Path, options: ReadOptions) -> list[Clip]:
    """The people in the array. Raises `InputError`; without `options.skeleton` always."""
    scores = None
    if path.suffix == ".npy":
        points = load_npy(path)
    else:
        data = load_npz(path, names=(*_POINTS, *_SCORES))
        name = next((n for n in _POINTS if n in data), None)
        if name is None:
            raise InputError(file=path, expected=f"an array '{_POINTS[0]}'", found=", ".join(npz_names(path)) or "none")
        points = data[name]
        scores = next((data[n] for n in _SCORES if n in data), None)
    if points.dtype.hasobject:
        points, frame = _ragged(points, path)
    else:
        if points.dtype.kind not in "fiu" or points.ndim not in (3, 4) or points.shape[-1] not in (2, 3):
            want = "numbers of shape (frames, joints, 2 or 3) or (frames, people, joints, 2 or 3)"
            raise InputError(file=path, expected=want, found=described(points))
        if points.ndim == 3:
            points = points[:, None]
        frame = np.repeat(np.arange(len(points)), points.shape[1])
        points = points.reshape(-1, *points.shape[2:])
    if not points.size:
        raise InputError("nobody in any frame: an empty array", file=path)
    chosen = options.skeleton_or(None, file=path, joints=points.shape[1])
    points = points.astype(np.float32, copy=False)
    kp = points[..., :2]
    conf = points[..., 2] if points.shape[2] == 3 else np.isfinite(kp).all(-1).astype(np.float32)
    if scores is not None and points.shape[2] == 2:
        if scores.dtype.kind not in "fiu" or scores.size != conf.size:
            raise InputError(file=path, field="scores", expected="one number per joint", found=scores.shape)
        conf = scores.reshape(conf.shape).astype(np.float32, copy=False)
    nobody = (kp == 0).all((1, 2))
    return clips_from_rows(
        file=path,
        skeleton=chosen,
        options=options,
        frame=frame,
        kp_img=kp,
        conf=np.where(nobody[:, None], 0, conf),
    )


def _ragged(frames: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(rows, joints, c) and the frame of each row, of one array of people per frame."""
    pieces, numbers, shape, once = [], [], (), set()
    for i, people in enumerate(frames.reshape(-1)):
        if people is None or (isinstance(people, np.ndarray) and people.size == 0):
            continue
        good = isinstance(people, np.ndarray) and people.dtype.kind in "fiu" and people.ndim in (2, 3)
        people = people[None] if good and people.ndim == 2 else people
        shape = people.shape[1:] if good and not shape else shape
        if not good or people.shape[1:] != shape or shape[1:] not in ((2,), (3,)):
            want = "(people, joints, 2 or 3) numbers"
            raise InputError(file=path, field=f"frame {i}", expected=want, found=described(people))
        new_array(people if people.base is None else people.base, once, path, f"frame {i}")
        pieces.append(people)
        numbers.append(np.full(len(people), i))
    if not pieces:
        raise InputError("nobody in any frame", file=path)
    return np.concatenate(pieces), np.concatenate(numbers)
