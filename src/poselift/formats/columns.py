"""The native layout: columns with one row per person and frame, and the facts beside them, as Clips.

Columns: `kp_img` (n, j, 2) pixels; optional `conf` (n, j), `track_id` (n,), `frame` (n,), `p_root` (n, j, 3) and
`root_cam` (n, 3) in metres. Facts, all optional: `skeleton` (a name) or `joints` (names), `fps`, `size_wh` (2,),
`K` (3, 3), `dist` (5,), `T_cam_world` (4, 4), `meta` (an object). Without `frame` the rows are the frames of one
person; without `track_id` people are told apart by where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.people import clips_from_rows, positive_size
from poselift.structures import SKELETONS, Camera, Clip, Skeleton, skeleton

__all__ = ["COLUMNS", "FACTS", "clips_from_columns"]

COLUMNS = {"kp_img": 3, "conf": 2, "track_id": 1, "frame": 1, "p_root": 3, "root_cam": 2}
"""Column names and their numbers of dimensions."""

FACTS = ("skeleton", "joints", "fps", "size_wh", "K", "dist", "T_cam_world", "meta")


def clips_from_columns(
    columns: Mapping[str, np.ndarray], facts: Mapping[str, Any], options: ReadOptions, *, file: Path
) -> list[Clip]:
    """The people in the columns, one clip per `track_id`. Raises `InputError` naming file and field."""
    if "kp_img" not in columns:
        raise InputError(file=file, expected="a column 'kp_img' of keypoints", found=", ".join(columns) or "none")
    n = len(columns["kp_img"]) if columns["kp_img"].ndim else 0
    for name, array in columns.items():
        _check(array, name, n, file)
    with np.errstate(over="ignore"):  # what is infinite then is refused as such
        columns = {n: x.astype(np.int64 if COLUMNS[n] == 1 else np.float32, copy=False) for n, x in columns.items()}
    kp = columns["kp_img"]
    stated = _skeleton(facts.get("skeleton"), facts.get("joints"), file=file)
    chosen = options.skeleton_or(stated, file=file, joints=kp.shape[1])
    j = len(chosen)
    for name, shape in {"kp_img": (j, 2), "p_root": (j, 3), "root_cam": (3,), "conf": (j,)}.items():
        if name in columns and columns[name].shape[1:] != shape:
            want = " x ".join(map(str, ("n", *shape)))
            found = " x ".join(map(str, columns[name].shape))
            raise InputError(file=file, field=name, expected=want, found=found)
    meta = facts.get("meta")
    if meta is not None and not isinstance(meta, dict):
        raise InputError(file=file, field="meta", expected="an object", found=type(meta).__name__)
    size = positive_size(facts.get("size_wh"), file, "size_wh")
    camera, assumed = _camera(facts, options.size_wh or size, file=file)
    return clips_from_rows(
        file=file,
        skeleton=chosen,
        options=options,
        frame=columns.get("frame", np.arange(n)),
        kp_img=kp,
        conf=columns["conf"] if "conf" in columns else np.ones(kp.shape[:2], np.float32),
        track=columns.get("track_id", None if "frame" in columns else np.zeros(n, np.int64)),
        fps=facts.get("fps"),
        camera=camera,
        size_wh=size,
        meta={**(meta or {}), **assumed},
        p_root=columns.get("p_root"),
        root_cam=columns.get("root_cam"),
    )


def _check(array: np.ndarray, name: str, n: int, file: Path) -> None:
    whole = name in ("track_id", "frame")
    ndim = COLUMNS[name]
    if array.ndim != ndim or len(array) != n or array.dtype.kind not in ("iu" if whole else "fiu"):
        want = f"{n} rows of {'whole ' if whole else ''}numbers in {ndim} dimension{'s' if ndim > 1 else ''}"
        raise InputError(file=file, field=name, expected=want, found=f"{array.dtype} {array.shape}")
    if array.dtype == np.uint64 and array.size and array.max() > 2**62:
        raise InputError(file=file, field=name, expected="whole numbers below 2^62", found=array.max())


def _skeleton(name: Any, joints: Any, *, file: Path) -> Skeleton | None:
    """The skeleton stated by `name`, or by the names of all its `joints` in order; None for neither."""
    if name is not None:
        if not isinstance(name, str):
            raise InputError(file=file, field="skeleton", expected="a name", found=type(name).__name__)
        return skeleton(name)
    if joints is None:
        return None
    names = tuple(map(str, joints)) if isinstance(joints, list) else ()
    for known in SKELETONS.values():
        if known.joints == names:
            return known
    raise InputError(
        file=file, field="joints", expected=f"those of one of {', '.join(SKELETONS)}", found=" ".join(names) or "none"
    )


def _camera(
    facts: Mapping[str, Any], size: tuple[int, int] | None, *, file: Path
) -> tuple[Camera | None, dict[str, Any]]:
    """The camera of `K`; where no image size is known, the principal point is taken for the middle."""
    if facts.get("K") is None:
        return None, {}
    known = {k: facts.get(k) for k in ("K", "dist", "T_cam_world")}
    if size is not None:
        return Camera.from_dict({**known, "size_wh": list(size)}, file=str(file)), {}
    whole = Camera.from_dict({**known, "size_wh": [1, 1]}, file=str(file))
    guess = [max(round(2 * float(c) + 1), 1) for c in whole.K[:2, 2]]
    return Camera.from_dict({**known, "size_wh": guess}, file=str(file)), {"assumed_size": True}
