"""Native JSON, in two forms. Facts (see `columns.py`; the camera may be one object) stand on top in both.

* tracks, what the JSON writer writes: `tracks` [{`track_id`, `frames` [{`frame`, `kp_img`, `conf`, ...}]}]
* columns, simple to make: `kp_img` [row][joint][x, y], and `conf`, `frame`, `track_id`, ... as in the npz
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.columns import COLUMNS, FACTS, clips_from_columns
from poselift.formats.people import numbers
from poselift.storage.text import load_json, peek_json
from poselift.structures import Clip

__all__ = ["read", "sniff"]


def sniff(path: Path) -> bool:
    """True for an object with `kp_img`, or with `tracks` of frames with `kp_img`."""
    value = peek_json(path)
    if not isinstance(value, dict):
        return False
    if "kp_img" in value or str(value.get("format", "")).startswith("poselift poses"):
        return True
    tracks = value.get("tracks")
    frames = tracks[0].get("frames") if isinstance(tracks, list) and tracks and isinstance(tracks[0], dict) else None
    return isinstance(frames, list) and bool(frames) and isinstance(frames[0], dict) and "kp_img" in frames[0]


def read(path: Path, options: ReadOptions) -> list[Clip]:
    """The people in the file, one clip per track. Raises `InputError`."""
    value = load_json(path)
    if not isinstance(value, dict) or not ("kp_img" in value or isinstance(value.get("tracks"), list)):
        raise InputError(file=path, expected="an object with 'tracks' or 'kp_img'", found="other JSON")
    camera = value.get("camera")
    if camera is not None and not isinstance(camera, dict):
        raise InputError(file=path, field="camera", expected="an object", found=type(camera).__name__)
    facts = {**(camera or {}), **{k: value[k] for k in FACTS if k in value}}
    columns = _columns(value, path) if "kp_img" in value else _from_tracks(value["tracks"], path)
    return clips_from_columns(columns, facts, options, file=path)


def _columns(value: dict[str, Any], path: Path) -> dict[str, np.ndarray]:
    return {n: _column(value[n], n, path) for n in COLUMNS if value.get(n) is not None}


def _column(values: Any, name: str, path: Path) -> np.ndarray:
    if not isinstance(values, list):
        raise InputError(file=path, field=name, expected="a list", found=type(values).__name__)
    array = numbers(values, (None,) * COLUMNS[name], file=path, field=name)
    if name not in ("track_id", "frame"):
        return array
    if not np.isfinite(array).all() or (np.abs(array) > 2**53).any() or (array % 1 != 0).any():
        raise InputError(file=path, field=name, expected="whole numbers", found="others")
    return array.astype(np.int64)


def _from_tracks(tracks: list[Any], path: Path) -> dict[str, np.ndarray]:
    lists: dict[str, list[Any]] = {n: [] for n in COLUMNS}
    for k, track in enumerate(tracks):
        frames = track.get("frames") if isinstance(track, dict) else None
        if not isinstance(frames, list):
            raise InputError(
                file=path, field=f"track {k}", expected="an object with a list 'frames'", found="other JSON"
            )
        for i, row in enumerate(frames):
            if not isinstance(row, dict) or "kp_img" not in row:
                raise InputError(file=path, field=f"track {k}, frame {i}", expected="an object with 'kp_img'")
            lists["track_id"].append(track.get("track_id", k))
            lists["frame"].append(row.get("frame", i))
            for name in ("kp_img", "conf", "p_root", "root_cam"):
                lists[name].append(row.get(name))
    if not lists["kp_img"]:
        raise InputError("nobody in any frame", file=path)
    known = {n: v for n, v in lists.items() if any(x is not None for x in v)}
    if "root_cam" in known:  # unknown for some people: NaN, as in the npz
        known["root_cam"] = [[None] * 3 if v is None else v for v in known["root_cam"]]
    return {n: _column(v, n, path) for n, v in known.items()}
