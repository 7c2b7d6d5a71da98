"""`poselift data prepare`: foreign files into the native form, once. Native motion is one npz of plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from poselift.errors import InputError
from poselift.formats import detect, read_motion
from poselift.storage.atomic import write_aside
from poselift.structures import Motion
from poselift.structures.recordings import clean, resample

__all__ = ["prepare", "write_motions"]

BENCHMARK_FPS = 50.0


def write_motions(motions: Sequence[Motion], out: str | Path) -> Path:
    """Write motions as one npz: positions (frames, j, 3) metres z up, starts, names, subjects, fps. Atomic."""
    if not motions:
        raise InputError(field="motions", expected="at least one", found="none")
    out = Path(out)
    with write_aside(out) as aside, aside.open("wb") as f:
        np.savez_compressed(
            f,
            positions=np.concatenate([m.p_world for m in motions]),
            starts=np.concatenate([[0], np.cumsum([len(m) for m in motions])]).astype(np.int64),
            names=np.array([m.name for m in motions]),
            subjects=np.array([m.subject for m in motions]),
            fps=np.array([m.fps for m in motions], dtype=np.float32),
        )
    return out


def prepare(
    path: str | Path, out: str | Path, *, fps: float | None = BENCHMARK_FPS, cut: bool = True
) -> tuple[Path, list[Motion]]:
    """Motion files of any known format, or a folder of them, into one native npz.

    fps: rate of the result, None to keep the recordings' own; cut: cut at tracking glitches and put on the floor
    (what CMU's recordings need). A CMU download (`subjects/NN`) gives the clips of the benchmark. VideoPose3D's
    data_3d_h36m.npz gives the human36m data set's native form. Returns the file and what is in it.
    Raises `InputError` when there is no motion, `OutputError` when it cannot be written.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder", file=path)
    motions = _read_all(path)
    if cut:
        motions = [piece for m in motions for piece in clean(m)]
    if fps is not None:
        motions = [resample(m, fps) for m in motions]
    return write_motions(motions, out), motions


def _read_all(path: Path) -> list[Motion]:
    try:
        return read_motion(path)
    except InputError:
        if path.is_file():
            raise
    found: list[Motion] = []
    for file in (f for s in ("*.npz", "*.bvh") for f in sorted(path.rglob(s))):
        if detect(file).gives == "motion":
            found += read_motion(file)
    if not found:
        raise InputError(file=path, expected="motion files (npz, bvh, asf/amc)", found="none")
    return found
