"""MotionBERT's Human3.6M pickle of detected 2D: per split `joint_2d` (n, 17, 2) pixels, `confidence`, `source`, ...

Rows of one `source` and `camera_name` that follow each other are a clip; 50 frames a second. Read by the inert
unpickler. Source: Zhu et al., MotionBERT (ICCV 2023), docs/pose3d.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.people import described, rate
from poselift.storage.unpickle import load_pickle
from poselift.structures import Clip, skeleton

__all__ = ["read", "sniff"]


def sniff(path: Path) -> bool:
    """True for a pickle that begins with a split of `joint_2d`."""
    if path.suffix not in (".pkl", ".pickle") or not path.is_file():
        return False
    try:
        with path.open("rb") as handle:
            head = handle.read(4096)
    except OSError:
        return False
    return head[:1] in (b"\x80", b"(", b"}") and b"joint_2d" in head


def read(path: Path, options: ReadOptions) -> list[Clip]:
    """One clip per split, source and camera. Raises `InputError`."""
    value = load_pickle(path)
    splits = list(value.items())[:16] if isinstance(value, dict) else ()
    clips: list[Clip] = []
    for split, data in splits:
        if isinstance(data, dict) and "joint_2d" in data:
            clips += _split(split if isinstance(split, str) else "", data, options, path)
    if not clips:
        raise InputError(file=path, expected="splits with 'joint_2d'", found=described(value))
    return clips


def _split(split: str, data: dict[Any, Any], options: ReadOptions, path: Path) -> list[Clip]:
    kp = data["joint_2d"]
    if not isinstance(kp, np.ndarray) or kp.ndim != 3 or kp.shape[2] != 2 or kp.dtype.kind not in "fiu" or not len(kp):
        want = "(frames, 17, 2) numbers"
        raise InputError(file=path, field=f"{split} joint_2d", expected=want, found=described(kp))
    chosen = options.skeleton_or(skeleton("h36m17"), file=path, joints=kp.shape[1])
    conf = data.get("confidence")
    if conf is not None:
        fits = isinstance(conf, np.ndarray) and conf.dtype.kind in "fiu" and conf.size == kp.shape[0] * kp.shape[1]
        if not fits:
            raise InputError(file=path, field=f"{split} confidence", expected="one number per joint", found="others")
        conf = conf.reshape(kp.shape[:2])
    source, camera = (_labels(data.get(k), len(kp), f"{split} {k}", path) for k in ("source", "camera_name"))
    change = np.flatnonzero((source[1:] != source[:-1]) | (camera[1:] != camera[:-1])) + 1
    ends = [*change.tolist(), len(kp)]
    stated = rate(50.0, options, path)
    return [
        Clip(
            skeleton=chosen,
            fps=stated["fps"],
            kp_img=kp[a:b],
            conf=None if conf is None else conf[a:b],
            camera=options.camera,
            meta={"split": split, "name": str(source[a]), "camera_id": str(camera[a])},
        )
        for a, b in zip([0, *ends[:-1]], ends, strict=True)
    ]


def _labels(value: Any, count: int, field: str, path: Path) -> np.ndarray:
    if value is None:
        return np.zeros(count, dtype="U1")
    if not isinstance(value, (list, tuple, np.ndarray)) or len(value) != count:
        raise InputError(file=path, field=field, expected=f"{count} labels", found=described(value))
    return np.array([v[:200] if isinstance(v, str) else described(v) for v in value])
