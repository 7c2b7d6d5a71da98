"""Motion as plain arrays in one .npz: the form in which motion for training is kept.

`positions` (frames, 17, 3) float32 metres, world, z up, Human3.6M-17 order, clips one after another; `starts`
(clips + 1) offsets into it; `names`, `fps`, `subjects` (clips,). Motions of a file share its memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.storage.arrays import load_npz, npz_names
from poselift.storage.npz_writer import npz_writer
from poselift.structures import Motion, skeleton

__all__ = ["read", "sniff", "write_motion"]

_KEYS = ("positions", "starts", "names", "fps", "subjects")


def sniff(path: Path) -> bool:
    """True for an .npz with `positions` and `starts`."""
    return path.is_file() and {"positions", "starts"} <= npz_names(path)


def read(path: Path, options: ReadOptions) -> list[Motion]:
    """All motions of a file; `options.fps` overrides its rates. Raises `InputError`."""
    data = load_npz(path, names=_KEYS)
    for key in ("positions", "starts"):
        if key not in data:
            raise InputError(file=path, expected=f"an array '{key}'", found=", ".join(data) or "none")
    p, body = data["positions"], skeleton("h36m17")
    if p.ndim != 3 or p.shape[1:] != (len(body), 3) or p.dtype.kind != "f":
        want = f"numbers of shape (frames, {len(body)}, 3)"
        raise InputError(file=path, field="positions", expected=want, found=f"{p.dtype} {p.shape}")
    starts = data["starts"]
    if starts.ndim != 1 or starts.dtype.kind not in "iu" or len(starts) < 2:
        raise InputError(
            file=path, field="starts", expected="two offsets or more", found=f"{starts.dtype} {starts.shape}"
        )
    starts = starts.astype(np.int64)
    if starts[0] != 0 or starts[-1] != len(p) or (np.diff(starts) < 1).any():
        want = f"growing offsets from 0 to {len(p)}"
        raise InputError(file=path, field="starts", expected=want, found=f"{starts[0]} to {starts[-1]}, or not growing")
    n = len(starts) - 1
    names = _per_clip(data, "names", np.array([f"{path.stem}#{k}" for k in range(n)]), path)
    subjects = _per_clip(data, "subjects", names, path)
    rates = _per_clip(data, "fps", np.full(n, 30.0), path)
    if rates.dtype.kind not in "fiu":
        raise InputError(file=path, field="fps", expected="numbers", found=rates.dtype)
    meta = {"assumed_fps": True} if options.fps is None and "fps" not in data else {}
    motions = []
    for k in range(n):
        piece = p[starts[k] : starts[k + 1]]
        try:
            motion = Motion(
                skeleton=body, fps=options.fps or float(rates[k]), p_world=piece, name=str(names[k]),
                subject=str(subjects[k]), meta=meta,
            )  # fmt: skip
        except InputError as error:
            raise InputError(str(error), file=path, field=f"clip {k} ({names[k]})") from None
        motions.append(motion)
    return motions


def _per_clip(data: dict[str, np.ndarray], key: str, otherwise: np.ndarray, path: Path) -> np.ndarray:
    value = data.get(key, otherwise)
    if value.shape != otherwise.shape:
        raise InputError(file=path, field=key, expected=f"one per clip, {otherwise.shape}", found=f"{value.shape}")
    return value


def write_motion(motions: Sequence[Motion], path: str | Path) -> list[Path]:
    """Write motions in this form, one after another. Raises `InputError` for other skeletons, `OutputError`."""
    if not motions:
        raise InputError(field="motion", expected="at least one", found="none")
    for motion in motions:
        if motion.skeleton != skeleton("h36m17"):
            raise InputError(field=f"motion {motion.name}", expected="h36m17", found=motion.skeleton.name)
    with npz_writer(path) as out:
        for motion in motions:
            out.append(positions=np.asarray(motion.p_world, dtype=np.float32))
        out.put("starts", np.cumsum([0, *map(len, motions)], dtype=np.int64))
        out.put("names", np.array([m.name for m in motions]))
        out.put("subjects", np.array([m.subject for m in motions]))
        out.put("fps", np.array([m.fps for m in motions], dtype=np.float32))
    return [Path(path)]
