"""Native .npz: the columns and facts of `columns.py` as plain arrays, `meta` as JSON text. No pickles.

What the npz writer writes, and the simple form in which anybody can hand in keypoints: `kp_img` and `skeleton` are
enough.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.columns import COLUMNS, FACTS, clips_from_columns
from poselift.storage.arrays import load_npz, npz_names
from poselift.structures import Clip

__all__ = ["read", "sniff"]


def sniff(path: Path) -> bool:
    """True for an .npz with `kp_img`."""
    return "kp_img" in npz_names(path)


def read(path: Path, options: ReadOptions) -> list[Clip]:
    """The people in the file, one clip per `track_id`. Raises `InputError`."""
    data = load_npz(path, names=[*COLUMNS, *FACTS])
    facts: dict[str, Any] = {n: _fact(data[n], n, path) for n in FACTS if n in data}
    return clips_from_columns({n: data[n] for n in COLUMNS if n in data}, facts, options, file=path)


def _fact(array: np.ndarray, name: str, path: Path) -> Any:
    if array.dtype.kind not in "fiuU" or array.size > 1000:
        raise InputError(file=path, field=name, expected="numbers or text", found=f"{array.dtype} {array.shape}")
    value = array.tolist()
    if name != "meta":
        return value
    try:
        return json.loads(value)
    except (TypeError, ValueError, RecursionError):
        raise InputError(file=path, field=name, expected="JSON text", found=str(value)[:40]) from None
