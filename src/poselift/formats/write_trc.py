"""TRC, OpenSim's marker trajectories: one file per person, `poses_track0.trc`, `poses_track1.trc`, …

A marker per joint under the joint's name. Millimetres, y up (`upright`). `Frame#` is the clip's own frame number and
`Time` = frame number / fps, so that people and video stay in step; a row for every frame from the first to the last.
A joint that was not seen (confidence 0), or a frame without the person, has empty cells: OpenSim reads them as NaN and
leaves the marker out. Nothing is interpolated. Header and tabs are as OpenSim's TRCFileAdapter reads and writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from poselift.formats.rig import frame_grid
from poselift.formats.scene import one_file_each, shared_skeleton
from poselift.formats.upright import upright
from poselift.storage.atomic import write_aside
from poselift.structures import Clip

__all__ = ["write"]

_CHUNK = 4096


def write(clips: Sequence[Clip], path: str | Path) -> list[Path]:
    """Write one file per clip. Raises `InputError` for clips that are not lifted, `OutputError`."""
    shared_skeleton(clips)
    jobs = one_file_each(clips, Path(path))
    for target, clip in jobs.items():
        grid = frame_grid(clip)
        with write_aside(target) as part, part.open("w", encoding="ascii", newline="\n") as out:
            out.write(_header(clip, grid, target.name))
            for lines in _rows(clip, grid):
                out.write("".join(lines))
    return list(jobs)


def _header(clip: Clip, grid: np.ndarray, name: str) -> str:
    joints, n, fps = clip.skeleton.joints, len(grid), f"{clip.fps:.10g}"
    facts = {
        "DataRate": fps, "CameraRate": fps, "NumFrames": n, "NumMarkers": len(joints), "Units": "mm",
        "OrigDataRate": fps, "OrigDataStartFrame": grid[0], "OrigNumFrames": n,
    }  # fmt: skip
    name = name.encode("ascii", "replace").decode()
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "\t".join(facts),
        "\t".join(map(str, facts.values())),
        "Frame#\tTime\t" + "".join(f"{joint}\t\t\t" for joint in joints),
        "\t\t" + "".join(f"X{k}\tY{k}\tZ{k}\t" for k in range(1, len(joints) + 1)),
        "",
    ]
    return "\n".join(lines) + "\n"


def _rows(clip: Clip, grid: np.ndarray) -> Iterator[list[str]]:
    """Lines of the table. Every cell, the last too, ends with a tab: OpenSim drops an empty cell without one."""
    axes = upright(clip.camera, "y", absolute=clip.root_cam is not None)
    for a in range(0, len(grid), _CHUNK):
        numbers = grid[a : a + _CHUNK]
        lo, hi = np.searchsorted(clip.frame_numbers, [numbers[0], numbers[-1] + 1])
        part = clip[lo:hi]
        p = np.full((len(numbers), len(clip.skeleton), 3), np.nan)
        p[part.frame_numbers - numbers[0]] = np.where(part.confidence[..., None] > 0, axes.p(part) * 1000 + 0.0, np.nan)
        lines = []
        for number, row in zip(numbers.tolist(), p.reshape(len(p), -1).tolist(), strict=True):
            cells = "".join("\t" if x != x else f"{x:.4f}\t" for x in row)
            lines.append(f"{number}\t{number / clip.fps:.9g}\t{cells}\n")
        yield lines
