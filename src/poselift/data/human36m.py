"""`human36m`: Human3.6M from the user's own VideoPose3D files (`data_3d_h36m.npz`, `data_2d_h36m_NAME.npz`).

Nothing of the data set comes with this package; the calibration of its four cameras (numbers) does, because the
files do not hold it. Conventions: Pavllo et al., VideoPose3D, CVPR 2019. Train S1 S5 S6 S7 S8, test S9 S11.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from poselift.errors import InputError
from poselift.formats import ReadOptions, read, read_motion
from poselift.geometry.rotations import quat_to_matrix
from poselift.structures import Camera, Clip, Motion
from poselift.structures.conversions import convert

__all__ = ["SPLITS", "cameras", "clips", "plain_action"]

SPLITS: dict[str, tuple[str, ...]] = {
    "train": ("S1", "S5", "S6", "S7"),
    "validation": ("S8",),
    "test": ("S9", "S11"),
}
"""Validation is taken from the training subjects: models are never chosen on the test set."""

_RENAMED = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}


def plain_action(action: str) -> str:
    """The action of a take: its first word, in the published spelling (`WalkingDog 1` gives `WalkDog`)."""
    word = action.split(" ")[0]
    return _RENAMED.get(word, word)


@cache
def cameras(subject: str, *, distorted: bool = True) -> tuple[Camera, ...]:
    """The four calibrated cameras of a subject, in the order 54138969, 55011271, 58860488, 60457274.

    Raises `InputError` for a subject without calibration.
    """
    data = json.loads((Path(__file__).parent / "h36m_cameras.json").read_text())
    if subject not in data["extrinsics"]:
        raise InputError(field="subject", expected=f"one of {', '.join(data['extrinsics'])}", found=subject)
    out = []
    for intrinsic, extrinsic in zip(data["intrinsics"], data["extrinsics"][subject], strict=True):
        q_world_cam = torch.tensor(extrinsic["orientation"], dtype=torch.float64)
        R_world_cam = quat_to_matrix(q_world_cam / q_world_cam.norm()).numpy()
        T = np.eye(4)
        T[:3, :3] = R_world_cam.T
        T[:3, 3] = -R_world_cam.T @ (np.asarray(extrinsic["translation"], dtype=np.float64) / 1000)
        fx, fy = intrinsic["focal_length"]
        cx, cy = intrinsic["center"]
        dist = [*intrinsic["radial_distortion"], *intrinsic["tangential_distortion"]] if distorted else None
        size = (intrinsic["res_w"], intrinsic["res_h"])
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        out.append(Camera(K=K, size_wh=size, dist=None if dist is None else np.array(dist), T_cam_world=T))
    return tuple(out)


def clips(
    folder: str | Path,
    split: str,
    *,
    keypoints: str = "gt",
    projection: Literal["distorted", "linear"] = "distorted",
    every: int = 1,
) -> list[Clip]:
    """Every take through its four cameras with 2D (pixels) and the truth.

    keypoints: `gt` projects the truth (with the distortion model, or linearly), any other NAME takes
    `data_2d_h36m_NAME.npz`, converted to H36M-17 where it has another layout. Longer 2D takes are cut to the length of
    the 3D ones. Raises `InputError` for missing files, subjects or takes.
    """
    folder = Path(folder)
    if split not in SPLITS:
        raise InputError(field="split", expected=f"one of {', '.join(SPLITS)}", found=split)
    file = folder / "data_3d_h36m.npz" if folder.is_dir() else folder
    motions = [m for m in read_motion(file, "videopose3d-3d") if m.subject in SPLITS[split]]
    if not motions:
        raise InputError(file=file, field="subjects", expected=" or ".join(SPLITS[split]), found="none of them")
    detected = None if keypoints == "gt" else _detections(file.parent / f"data_2d_h36m_{keypoints}.npz")
    out = []
    for motion in motions:
        for i, camera in enumerate(cameras(motion.subject, distorted=projection == "distorted")):
            clip = motion.seen_by(camera)
            if detected is not None:
                clip = _with_detections(clip, detected, motion, i, file)
            action = str(motion.meta["action"])
            meta = {
                "name": f"{motion.subject}/{action}.{i}",
                "subject": motion.subject,
                "action": plain_action(action),
                "camera": i,
            }
            out.append(clip[::every].replace(meta=meta))
    return out


def _detections(file: Path) -> dict[tuple[str, str, int], Clip]:
    found = {}
    for clip in read(file, "videopose3d-2d", ReadOptions(fps=50.0)):
        key = (str(clip.meta["subject"]), str(clip.meta["action"]), int(clip.meta["camera"]))
        found[key] = convert(clip, "h36m17")
    return found


def _with_detections(
    truth: Clip, detected: dict[tuple[str, str, int], Clip], motion: Motion, i: int, file: Path
) -> Clip:
    action = str(motion.meta["action"])
    seen = detected.get((motion.subject, action, i))
    if seen is None or len(seen) < len(truth):
        found = "none" if seen is None else f"{len(seen)} frames"
        raise InputError(
            file=file,
            field=f"2D of {motion.subject} {action} camera {i}",
            expected=f"{len(truth)} frames or more",
            found=found,
        )
    t = len(truth)
    return truth.replace(kp_img=seen.kp_img[:t], conf=seen.confidence[:t])
