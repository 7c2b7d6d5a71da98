"""`poses.csv`: one row per person and frame, after comment lines (#) that state units, axes, root, rate and joints.

Columns: track_id, frame, time_s, root_x, root_y, root_z, then JOINT_x, JOINT_y, JOINT_z (metres, minus the root), then
JOINT_u, JOINT_v (pixels) and JOINT_conf; metres are left out where nobody has been lifted. Read it with
`pandas.read_csv(path, comment="#")`, or with NumPy: `numpy.loadtxt(path, delimiter=",", skiprows=HEADER_LINES + 1)`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from poselift.formats.scene import facts
from poselift.storage.atomic import write_aside
from poselift.structures import Clip

__all__ = ["HEADER_LINES", "write"]

HEADER_LINES = 10
"""Comment lines above the line of column names."""

_CHUNK = 256


def write(clips: Sequence[Clip], path: str | Path) -> list[Path]:
    """Write a scene; metres to 0.01 mm, pixels to 0.001. Raises `InputError`, `OutputError`."""
    known = facts(clips)
    header = [f"# {k}: {v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)}" for k, v in known.items()]
    assert len(header) == HEADER_LINES
    metres = ["root"] * (clips[0].root_cam is not None) + known["joints"] * (clips[0].p_root is not None)
    names, form = _columns(known["joints"], metres)
    with write_aside(path) as part, part.open("w", encoding="utf-8", newline="\n") as out:
        out.write("\n".join(header) + "\n" + ",".join(names) + "\n")
        for clip in clips:
            for block in _rows(clip):
                out.write((form * len(block)) % tuple(block.ravel().tolist()))
    return [Path(path)]


def _columns(joints: list[str], metres: list[str]) -> tuple[list[str], str]:
    names, form = ["track_id", "frame", "time_s"], ["%d", "%d", "%.6f"]
    names += [f"{j}_{a}" for j in metres for a in "xyz"]
    form += ["%.5f"] * (3 * len(metres))
    names += [f"{j}_{a}" for j in joints for a in "uv"] + [f"{j}_conf" for j in joints]
    form += ["%.3f"] * (2 * len(joints)) + ["%.4f"] * len(joints)
    return names, ",".join(form) + "\n"


def _rows(clip: Clip) -> Iterator[np.ndarray]:
    """Blocks (rows, columns) of float64, in the order of `_columns`."""
    for start in range(0, len(clip), _CHUNK):
        part = clip[start : start + _CHUNK]
        t = len(part)
        columns = [np.full((t, 1), clip.track_id), part.frame_numbers[:, None], part.frame_numbers[:, None] / clip.fps]
        columns += [a.reshape(t, -1) for a in (part.root_cam, part.p_root) if a is not None]
        columns += [part.kp_img.reshape(t, -1), part.confidence]
        # 0.0 turns -0.0, which would print as -0.00000, into 0.
        yield np.concatenate(columns, axis=1, dtype=np.float64) + 0.0
