"""VideoPose3D's data_2d_*.npz: `positions_2d` subject -> action -> per camera (frames, joints, 2 or 3) pixels.

The layout is that of `metadata`: its `layout_name`, or its left and right joints, which differ between the layouts.
Human3.6M files have four cameras per action, at 50 frames a second, in the order of the published list.
Source: Pavllo et al., VideoPose3D (CVPR 2019), DATASETS.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.people import described, new_array, positive_size, rate
from poselift.storage.arrays import load_npz, npz_names
from poselift.structures import Clip, Skeleton, skeleton

__all__ = ["H36M_CAMERAS", "nested", "read", "sniff"]

H36M_CAMERAS = ("54138969", "55011271", "58860488", "60457274")
"""Human3.6M's cameras in the order of the lists in these files."""

_H36M_SIZES = ((1000, 1002), (1000, 1000), (1000, 1000), (1000, 1002))
_H36M_SUBJECTS = {"S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S11"}
_LAYOUTS = {"h36m": "h36m17", "coco": "coco17", "mpii": "mpii16"}


def sniff(path: Path) -> bool:
    """True for an .npz with `positions_2d`."""
    return "positions_2d" in npz_names(path)


def read(path: Path, options: ReadOptions) -> list[Clip]:
    """One clip per subject, action and camera: its meta says them, and its `name` is the three. Raises `InputError`."""
    data = load_npz(path, names=("positions_2d", "metadata"))
    if "positions_2d" not in data:
        raise InputError(file=path, expected="an array 'positions_2d'", found=", ".join(data) or "none of ours")
    meta = nested(data["metadata"], path, "metadata") if "metadata" in data else {}
    clips: list[Clip] = []
    for subject, action, camera, points in _entries(nested(data["positions_2d"], path, "positions_2d"), path):
        chosen = options.skeleton_or(_layout(meta, points.shape[1]), file=path, joints=points.shape[1])
        clips.append(_clip(subject, action, camera, points, chosen, meta, options, path))
    if not clips:
        raise InputError("no sequence in it", file=path, field="positions_2d")
    if not any(c.seen.any() for c in clips):
        raise InputError("nobody in any frame", file=path)
    return clips


def nested(array: np.ndarray, path: Path, field: str) -> dict[Any, Any]:
    """The dictionary in a zero-dimensional object array. Raises `InputError`."""
    value = array.item() if array.shape == () and array.dtype.hasobject else array
    if not isinstance(value, dict):
        raise InputError(file=path, field=field, expected="a dictionary", found=described(value))
    return value


def _entries(positions: dict[Any, Any], path: Path) -> Iterator[tuple[str, str, int, np.ndarray]]:
    once: set[int] = set()
    for subject, actions in positions.items():
        if not isinstance(subject, str) or not isinstance(actions, dict):
            raise InputError(file=path, field="positions_2d", expected="actions by subject", found=described(actions))
        for action, cameras in actions.items():
            where = f"positions_2d of {subject}, {action if isinstance(action, str) else described(action)}"
            if isinstance(cameras, np.ndarray) and (cameras.ndim == 4 or cameras.dtype.hasobject):
                new_array(cameras, once, path, where)
                cameras = list(cameras)
            if not isinstance(cameras, (list, tuple)) or not isinstance(action, str) or len(cameras) > 64:
                raise InputError(file=path, field=where, expected="a list of cameras", found=described(cameras))
            for k, points in enumerate(cameras):
                good = isinstance(points, np.ndarray) and points.ndim == 3 and points.dtype.kind in "fiu"
                if not good or points.shape[2] not in (2, 3):
                    found = described(points)
                    raise InputError(file=path, field=f"{where}, {k}", expected="(frames, joints, 2 or 3)", found=found)
                if points.base is None or not isinstance(points.base, np.ndarray):
                    new_array(points, once, path, where)
                if len(points):
                    yield subject, action, k, points


def _layout(meta: dict[Any, Any], joints: int) -> Skeleton | None:
    """The layout by name, or by which joints are left and right."""
    named = meta.get("layout_name")
    if isinstance(named, str) and named in _LAYOUTS:
        stated = skeleton(_LAYOUTS[named])
        # SemGCN and others drop the nose of the Human3.6M layout and keep its name
        return skeleton("h36m16") if named == "h36m" and joints == 16 else stated
    sides = meta.get("keypoints_symmetry")
    if isinstance(sides, (list, tuple)) and len(sides) == 2 and all(isinstance(s, (list, tuple)) for s in sides):
        for name in ("h36m17", "coco17", "mpii16", "h36m16"):
            known = skeleton(name)
            if list(sides[0]) == sorted(known.left) and list(sides[1]) == sorted(known.right):
                return known
    return None


def _clip(
    subject: str,
    action: str,
    k: int,
    points: np.ndarray,
    chosen: Skeleton,
    meta: dict[Any, Any],
    options: ReadOptions,
    path: Path,
) -> Clip:
    said: dict[str, Any] = {"name": f"{subject}/{action}.{k}", "subject": subject, "action": action, "camera": k}
    size, fps = None, None
    if subject in _H36M_SUBJECTS:
        fps = 50.0
        if k < len(H36M_CAMERAS):
            said["camera_id"], size = H36M_CAMERAS[k], _H36M_SIZES[k]
    videos = meta.get("video_metadata")
    video = videos.get(subject) if isinstance(videos, dict) else None
    if isinstance(video, dict):
        size = positive_size((video.get("w"), video.get("h")), path, f"video_metadata of {subject}")
    size = options.image_size or size
    if size is not None and options.camera is None:
        said["size_wh"] = size
    stated = rate(fps, options, path)
    return Clip(
        skeleton=chosen,
        fps=stated.pop("fps"),
        kp_img=points[..., :2],
        conf=points[..., 2] if points.shape[2] == 3 else None,
        camera=options.camera,
        meta={**said, **stated},
    )
