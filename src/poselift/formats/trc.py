"""TRC marker files whose markers are named as the joints of a skeleton, as motion in metres, z up.

Reads what `write_trc` writes, and OpenSim's own files with such markers: y up, millimetres, centimetres or metres as
stated. Empty cells (NaN) between two frames in which a marker was seen are interpolated, and before the first and
after the last it holds still; meta["filled"] is the share of such positions. Axes: (x, y, z) becomes (x, -z, y).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.storage.text import load_text
from poselift.structures import SKELETONS, Motion, skeleton

__all__ = ["Markers", "parse_trc", "read", "sniff"]

_UNITS = {"mm": 0.001, "cm": 0.01, "m": 1.0}
_MAX_MARKERS = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Markers:
    """A marker file as it is: p (t, m, 3) metres, NaN where a marker was not seen; frames (t,), time (t,) seconds."""

    names: tuple[str, ...]
    fps: float
    frames: np.ndarray
    time: np.ndarray
    p: np.ndarray


def sniff(path: Path) -> bool:
    """True for a text that begins with PathFileType."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(12) == b"PathFileType"
    except OSError:
        return False


def read(path: Path, options: ReadOptions) -> list[Motion]:
    """The one motion of a file. Raises `InputError` for markers that are not the joints of a known skeleton."""
    found = parse_trc(path)
    fit = [s for s in SKELETONS.values() if set(s.joints) <= set(found.names)]
    body = max(fit, key=len, default=None)
    if options.skeleton is not None:
        body = skeleton(options.skeleton)
    if body is None or not set(body.joints) <= set(found.names):
        lacking = "h36m17's and other skeletons' joint names" if body is None else f"the joints of {body.name}"
        raise InputError(file=path, field="markers", expected=lacking, found=", ".join(found.names[:8]))
    if (np.diff(found.frames) != 1).any():
        raise InputError(file=path, field="Frame#", expected="every frame from the first to the last", found="gaps")
    p = found.p[:, [found.names.index(j) for j in body.joints]]
    p, filled = _without_holes(p, body.joints, path)
    motion = Motion(
        skeleton=body, fps=options.fps or found.fps, p_world=np.stack([p[..., 0], -p[..., 2], p[..., 1]], -1),
        name=path.stem, subject=path.stem, meta={"filled": filled, "start": int(found.frames[0])},
    )  # fmt: skip
    return [motion]


def _without_holes(p: np.ndarray, joints: Sequence[str], path: Path) -> tuple[np.ndarray, float]:
    good = np.asarray(np.isfinite(p).all(-1))
    at, out = np.arange(len(p)), p.copy()
    for j, joint in enumerate(joints):
        if not good[:, j].any():
            raise InputError(file=path, field=f"marker {joint}", expected="a position in some frame", found="none")
        for k in range(3):
            out[:, j, k] = np.interp(at, at[good[:, j]], p[good[:, j], j, k])
    return out, float(1 - good.mean())


def parse_trc(path: str | Path) -> Markers:
    """A TRC file's markers. Raises `InputError` that names the line for anything that is not as it should be."""
    path = Path(path)
    lines = load_text(path).splitlines()

    def bad(line: int, expected: str, found: object) -> InputError:
        return InputError(file=path, field=f"line {line}", expected=expected, found=found)

    if not lines or not lines[0].startswith("PathFileType"):
        raise bad(1, "PathFileType", lines[0][:40] if lines else "nothing")
    if len(lines) < 5:
        raise InputError(file=path, expected="five header lines", found=len(lines))
    keys, values = (line.split() for line in lines[1:3])
    if len(keys) != len(values):
        raise bad(3, f"{len(keys)} values", len(values))
    facts = dict(zip(keys, values, strict=True))
    fps, n, m = (_number(facts, key, path) for key in ("DataRate", "NumFrames", "NumMarkers"))
    unit = facts.get("Units", "")
    if unit not in _UNITS:
        raise bad(3, f"Units {', '.join(_UNITS)}", unit or "none")
    names = tuple(c.strip() for c in lines[3].split("\t")[2:] if c.strip())
    if len(names) != m or m > _MAX_MARKERS or len(set(names)) != len(names):
        raise bad(4, f"{m:g} different marker names, as NumMarkers says", len(names))
    rows = [(k, line) for k, line in enumerate(lines[5:], 6) if line.strip()]
    if len(rows) != n:
        raise InputError(file=path, field="NumFrames", expected=f"{n:g} rows", found=len(rows))
    width, numbers = 2 + 3 * len(names), []
    for k, line in rows:
        cells = [c.strip() for c in line.split("\t")]
        if len(cells) - width not in (0, 1) or any(cells[width:]):
            raise bad(k, f"{width} cells", len(cells))
        try:
            numbers.append([float(c) if c else math.nan for c in cells[:width]])
        except ValueError:
            raise bad(k, "numbers", line[:40]) from None
    table = np.array(numbers).reshape(-1, width)
    if len(rows) == 0 or not np.isfinite(table[:, :2]).all() or np.isinf(table).any():
        raise InputError(file=path, expected="rows of finite numbers with frame and time", found="others")
    if (np.abs(table[:, 0]) > 2**53).any() or (table[:, 0] % 1 != 0).any():
        raise InputError(file=path, field="Frame#", expected="whole numbers", found="others")
    p = table[:, 2:].reshape(len(rows), -1, 3) * _UNITS[unit]
    return Markers(names=names, fps=fps, frames=table[:, 0].astype(np.int64), time=table[:, 1], p=p)


def _number(facts: dict[str, str], key: str, path: Path) -> float:
    try:
        value = float(facts[key])
    except (KeyError, ValueError):
        raise InputError(file=path, field=key, expected="a number", found=facts.get(key, "nothing")) from None
    if not (math.isfinite(value) and value > 0):
        raise InputError(file=path, field=key, expected="a positive number", found=facts[key])
    return value
