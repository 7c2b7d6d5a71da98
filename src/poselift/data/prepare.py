"""`poselift data prepare`: foreign files into the native form, once. Native motion is one npz of plain arrays."""

from __future__ import annotations

from pathlib import Path

from poselift.data.cmu17 import FPS
from poselift.errors import InputError
from poselift.formats import detect, read_motion
from poselift.formats.asfamc import read_raw
from poselift.formats.base import UNSTATED
from poselift.formats.motion_npz import write_motion
from poselift.structures import Motion
from poselift.structures.recordings import clean, resample

__all__ = ["prepare"]


def prepare(
    path: str | Path, out: str | Path, *, fps: float | None = FPS, cut: bool = True
) -> tuple[Path, list[Motion]]:
    """Motion files of any known format, or a folder of them, into one native npz.

    fps: rate of the result, None to keep the recordings' own; cut: cut at tracking glitches and put on the floor
    (what CMU's recordings need). A CMU download (`subjects/NN`) gives the clips of the benchmark. Human3.6M needs no
    preparing: the `human36m` data set reads VideoPose3D's files as they are. Returns the file and what is in it.
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
    if not motions:
        raise InputError(file=path, expected="half a second without a glitch of the markers", found="none")
    (file,) = write_motion(motions, out)
    return file, motions


def _read_all(path: Path) -> list[Motion]:
    try:
        reader = detect(path)
    except InputError:
        if path.is_file():
            raise
        reader = None
    if reader is not None and reader.name == "asfamc":
        return read_raw(path, UNSTATED)  # read_motion would cut already
    if reader is not None and (reader.gives == "motion" or path.is_file()):
        return read_motion(path)
    found: list[Motion] = []
    for file in (f for s in ("*.npz", "*.bvh") for f in sorted(path.rglob(s))):
        if detect(file).gives == "motion":
            found += read_motion(file)
    if not found:
        raise InputError(file=path, expected="motion files (npz, bvh, asf/amc)", found="none")
    return found
