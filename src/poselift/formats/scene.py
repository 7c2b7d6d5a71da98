"""What every written file of poses states about itself: units, axes, root, rate, joints, camera."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.structures import Camera, Clip, Skeleton

__all__ = ["AXES", "UNITS", "check_lifted", "facts", "one_file_each", "plain", "shared_camera", "shared_skeleton"]

UNITS = "metres; kp_img in pixels, (0, 0) is the centre of the top-left pixel"
AXES = "of the camera: x right, y down, z forward (OpenCV)"


def shared_skeleton(clips: Sequence[Clip]) -> Skeleton:
    """The one skeleton of a scene's clips.

    Raises `InputError` for no clip and for clips that do not make one scene: several skeletons or rates, some lifted
    and some not, a track that has a frame twice.
    """
    if not clips:
        raise InputError(field="scene", expected="at least one person", found="none")
    first = clips[0].skeleton
    for clip in clips:
        if clip.skeleton != first:
            raise InputError(field="skeleton", expected=f"{first.name} for all", found=clip.skeleton.name)
        if clip.fps != clips[0].fps:
            raise InputError(field="fps", expected=f"{clips[0].fps:g} for all", found=clip.fps)
        for name in ("p_root", "root_cam"):
            if (getattr(clip, name) is None) != (getattr(clips[0], name) is None):
                raise InputError(field=name, expected="known for all people or for none", found="some")
    ends: dict[int, int] = {}
    for clip in clips:
        if len(clip) and clip.frame_numbers[0] <= ends.get(clip.track_id, -(2**62)):
            raise InputError(field=f"track {clip.track_id}", expected="each frame once", found="overlapping clips")
        if len(clip):
            ends[clip.track_id] = int(clip.frame_numbers[-1])
    return first


def one_file_each(clips: Sequence[Clip], path: Path) -> dict[Path, Clip]:
    """Where each person goes in formats that hold one: poses.bvh gives poses_track0.bvh, poses_track1.bvh, …

    Raises `InputError` for a clip without lifted frames.
    """
    jobs: dict[Path, Clip] = {}
    for clip in clips:
        check_lifted(clip)
        name, again = f"{path.stem}_track{clip.track_id}", 1
        while (target := path.with_name(name + path.suffix)) in jobs:
            again += 1
            name = f"{path.stem}_track{clip.track_id}_{again}"
        jobs[target] = clip
    return jobs


def check_lifted(clip: Clip) -> None:
    """Raises `InputError` for a clip without lifted frames."""
    if clip.p_root is None or not len(clip):
        raise InputError(field=f"track {clip.track_id}", expected="lifted poses", found="none")


def shared_camera(clips: Sequence[Clip]) -> Camera | None:
    """The one camera of a scene, or None where no clip has one. Raises `InputError` where they differ."""
    cameras = [c.camera for c in clips if c.camera is not None]
    if not cameras:
        return None
    first = cameras[0].to_dict()
    if any(c.to_dict() != first for c in cameras[1:]):
        raise InputError(field="camera", expected="one camera for the scene (write a file per camera)", found="several")
    return cameras[0]


def facts(clips: Sequence[Clip]) -> dict[str, Any]:
    """The header of a written file as plain values, in the order in which a reader wants them."""
    skeleton, camera = shared_skeleton(clips), shared_camera(clips)
    root = skeleton.joints[skeleton.root]
    return {
        "format": "poselift poses 1",
        "units": UNITS,
        "axes": AXES,
        "root": f"p_root is relative to {root}; root_cam is the {root} in camera axes; p_root + root_cam is absolute",
        "fps": clips[0].fps,
        "skeleton": skeleton.name,
        "joints": list(skeleton.joints),
        "parents": list(skeleton.parents),
        "camera": None if camera is None else camera.to_dict(),
        "meta": {k: plain(v) for k, v in clips[0].meta.items() if all(plain(c.meta.get(k)) == plain(v) for c in clips)},
    }


def plain(value: Any) -> Any:
    """A value of a clip's meta as JSON can hold it."""
    if isinstance(value, (str, bool, int, type(None))):
        return value
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    return str(value)
