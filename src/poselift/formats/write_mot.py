"""MOT, OpenSim's motion: joint angles and the pelvis's place, one file per person, `poses_track0.mot`, …

Angles in degrees (`inDegrees=yes`), metres, y up (`upright`); `coordinates` says what each angle is. They are measured
between joints, without a model's marker set or scaling: for plots and as a start; the way to a scaled model's own
angles is OpenSim's inverse kinematics on the TRC. pelvis_tx, ty, tz are the middle of the hips.

A row per frame in which the person was seen, `time` = frame number / fps; other frames are left out, and OpenSim, which
goes by time, interpolates them. Joints that were not seen in such a frame are the lifter's guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from poselift.errors import InputError
from poselift.formats.coordinates import coordinates
from poselift.formats.scene import one_file_each, shared_skeleton
from poselift.formats.upright import upright
from poselift.storage.atomic import write_aside
from poselift.structures import Clip, skeleton

__all__ = ["table", "write"]


def write(clips: Sequence[Clip], path: str | Path) -> list[Path]:
    """Write one file per clip in h36m17. Raises `InputError` for other clips, `OutputError`."""
    if shared_skeleton(clips) != skeleton("h36m17"):
        raise InputError(field="skeleton", expected="h36m17, whose angles MOT holds", found=clips[0].skeleton.name)
    jobs = one_file_each(clips, Path(path))
    for target, clip in jobs.items():
        columns = table(clip)
        values = np.stack(list(columns.values()), -1) + 0.0
        with write_aside(target) as part, part.open("w", encoding="ascii", newline="\n") as out:
            out.write(f"Coordinates\nversion=1\nnRows={len(values)}\nnColumns={len(columns)}\ninDegrees=yes\n\n")
            out.write("Units are S.I. units (second, meters, Newtons, ...)\n")
            out.write("Angles are in degrees.\n\nendheader\n" + "\t".join(columns) + "\n")
            form = "\t".join(["%.9g"] + ["%.6f"] * (len(columns) - 1)) + "\n"
            for row in values.tolist():
                out.write(form % tuple(row))
    return list(jobs)


def table(clip: Clip) -> dict[str, np.ndarray]:
    """Column name to values (t,): time in seconds, then angles in degrees and the pelvis's place in metres."""
    seen = np.flatnonzero(clip.seen) if clip.seen.any() else np.arange(len(clip))
    assert clip.p_root is not None
    p = upright(clip.camera, "y", absolute=clip.root_cam is not None).p(clip)[seen]
    angles = {name: np.degrees(values) for name, values in coordinates(p, clip.skeleton).items()}
    names = list(angles)
    place = {f"pelvis_t{axis}": p[:, clip.skeleton.root, k] for k, axis in enumerate("xyz")}
    head = {"time": clip.frame_numbers[seen] / clip.fps} | {n: angles[n] for n in names[:3]}
    return head | place | {n: angles[n] for n in names[3:]}
