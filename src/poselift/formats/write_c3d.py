"""C3D, the format of motion capture: all people of a scene in one file, a point per joint.

Millimetres, z up (`upright`; POINT:X_SCREEN +X, Y_SCREEN +Z); POINT:RATE is the frame rate. Points are named as the
joints, and as track7:l_knee where there are several people. C3D counts from 1: frame n of the clip is n + 1 there.

A joint that was not seen (confidence 0), and every joint in a frame without the person, has residual -1 and coordinates
0, C3D's sign of a missing point. Otherwise the residual is what C3D means by it, the distance in millimetres by which
the camera's ray misses the point: from the 3D joint to the keypoint's ray, 0 where no camera or root is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from poselift.errors import InputError
from poselift.formats.scene import check_lifted, facts
from poselift.formats.upright import Upright, upright
from poselift.storage.atomic import write_aside
from poselift.structures import Clip

__all__ = ["LAST_FRAME", "points", "write"]

LAST_FRAME = 65_535
"""The file's frame numbers have 16 bits."""


def write(clips: Sequence[Clip], path: str | Path) -> list[Path]:
    """Write a scene. Raises `InputError` for clips that are not lifted or last too long for C3D, `OutputError`."""
    import ezc3d

    known = facts(clips)
    labels, first, p, residual = points(clips)
    file = ezc3d.c3d()
    point = file["parameters"]["POINT"]
    point["RATE"]["value"] = [clips[0].fps]
    point["UNITS"]["value"] = ["mm"]
    point["LABELS"]["value"] = labels
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    file.add_parameter("MANUFACTURER", "SOFTWARE", ["poselift"])
    file.add_parameter("POSELIFT", "AXES", [_axes(clips).axes.encode("ascii", "replace").decode()])
    file.add_parameter("POSELIFT", "SKELETON", [known["skeleton"]])
    file["header"]["points"]["first_frame"] = first
    file["data"]["points"] = p
    file["data"]["meta_points"]["residuals"] = residual
    with write_aside(path) as part:
        part.touch()  # complains, if it must, in the words of the system
        file.write(str(part))
    return [Path(path)]


def points(clips: Sequence[Clip]) -> tuple[list[str], int, np.ndarray, np.ndarray]:
    """Labels (n), first frame number, points (4, n, frames) in millimetres, residuals (1, n, frames)."""
    for clip in clips:
        check_lifted(clip)
    first = min(int(c.frame_numbers[0]) for c in clips)
    last = max(int(c.frame_numbers[-1]) for c in clips)
    if first < 0 or last >= LAST_FRAME:
        want = f"frame numbers from 0 to {LAST_FRAME - 1:,}, which is what C3D can count"
        raise InputError(field="frames", expected=want, found=f"{first:,} to {last:,}")
    tracks, joints, axes = list(dict.fromkeys(c.track_id for c in clips)), clips[0].skeleton.joints, _axes(clips)
    labels = [f"track{k}:{j}" if len(tracks) > 1 else j for k in tracks for j in joints]
    p = np.zeros((4, len(labels), last - first + 1))
    p[3] = 1
    residual = np.full((1, *p.shape[1:]), -1.0)
    for clip in clips:
        rows = len(joints) * tracks.index(clip.track_id) + np.arange(len(joints))
        columns = clip.frame_numbers - first
        seen = clip.confidence.T > 0
        p[:3, rows[:, None], columns] = np.where(seen, axes.p(clip).transpose(2, 1, 0) * 1000, 0.0)
        residual[0, rows[:, None], columns] = np.where(seen, _misses_mm(clip).T, -1.0)
    return labels, first, p, residual


def _axes(clips: Sequence[Clip]) -> Upright:
    return upright(clips[0].camera, "z", absolute=clips[0].root_cam is not None)


def _misses_mm(clip: Clip) -> np.ndarray:
    """(t, j) distance of each joint from its keypoint's ray: pixels off, times depth over focal length."""
    p, camera = clip.p_cam, clip.camera
    if p is None or camera is None:
        return np.zeros(clip.confidence.shape)
    off = (camera.project(p) - clip.kp_img) / np.array(camera.focal)
    return np.nan_to_num(np.linalg.norm(off, axis=-1) * p[..., 2] * 1000, nan=0.0, posinf=0.0)
