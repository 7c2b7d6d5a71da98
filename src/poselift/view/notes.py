"""What the numbers mean, in plain sentences: units, axes, root, focal length, and what a page left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poselift.structures import Clip
from poselift.structures.uncertainty import RootError
from poselift.view.stage import Stage
from poselift.view.timeline import Timeline

__all__ = ["page_notes", "standard_notes"]


_BONES = {
    "shoulder": ("thorax", "shoulder", 0.16), "upper arm": ("shoulder", "elbow", 0.29),
    "forearm": ("elbow", "wrist", 0.25), "thigh": ("hip", "knee", 0.43), "shin": ("knee", "ankle", 0.42),
}  # fmt: skip
"""From joint to joint, and how long this is in an adult, metres."""
_SHORT = 0.4
"""Part of that below which, on both sides, no lifter should come with good keypoints."""


def standard_notes(clips: Sequence[Clip]) -> list[str]:
    """Units, axes, root and camera of lifted clips, one sentence each."""
    first = clips[0]
    root = first.skeleton.joints[first.skeleton.root]
    notes = [
        "Units: metres, seconds, pixels.",
        "Axes of the camera: x right, y down, z forward (away from the camera).",
        f"p_root is each joint minus the {root}; root_cam is the {root} seen from the camera; their sum is absolute.",
        f"Skeleton: {first.skeleton.name}, {len(first.skeleton)} joints.",
    ]
    if first.root_cam is None:
        notes.append("No absolute root: the people stand where the page puts them.")
    if first.camera is None:
        notes.append("Camera: unknown.")
    else:
        fx, fy = first.camera.focal
        w, h = first.camera.size_wh
        focal = f"{fx:.0f}" if abs(fx - fy) < 0.5 else f"{fx:.0f} × {fy:.0f}"
        assumed = first.meta.get("assumed_focal")
        known = "assumed, not measured: distances scale with it" if assumed else "given"
        fov = np.degrees(2 * np.arctan(w / 2 / fx))
        notes.append(f"Focal length: {focal} px for {w} × {h} px ({fov:.0f}° wide), {known}.")
    error = RootError.of(first.meta)
    if error is not None and first.root_cam is not None:
        size = f"{100 * error.size:.0f} % from the guess of the body's size"
        parts = f"{100 * error.focal:.0f} % from the assumed focal length, {size}" if error.focal else size
        notes.append(
            f"Distance from the camera: ± {100 * error.depth:.0f} %, one standard deviation ({parts}); sideways and "
            f"up ± {100 * error.size:.0f} %."
        )
    notes += _guessed(clips)
    notes += [note for clip in clips for note in _impossible(clip)]
    if first.meta.get("assumed_fps"):
        notes.append(f"Frame rate: {first.fps:g} per second is assumed, the file states none.")
    return notes


def _guessed(clips: Sequence[Clip]) -> list[str]:
    """Joints that were never seen, of all people together where they are the same ones, else person by person."""
    by_joints: dict[tuple[str, ...], list[int]] = {}
    for clip in clips:
        unseen = tuple(n for j, n in enumerate(clip.skeleton.joints) if (clip.confidence[:, j] == 0).all())
        by_joints.setdefault(unseen, []).append(clip.track_id)
    notes = []
    for joints, people in by_joints.items():
        if joints:
            names = ", ".join(joints[:6]) + (f" and {len(joints) - 6} more" if len(joints) > 6 else "")
            whose = "" if len(by_joints) == 1 else f" of {_people(people)}"
            notes.append(f"Never seen{whose}, so only guessed, with confidence 0 and drawn thin: {names}.")
    return notes


def _people(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:6])) + (f" and {len(ids) - 6} more" if len(ids) > 6 else "")
    return f"{'person' if len(ids) == 1 else 'people'} {shown}"


def _impossible(clip: Clip) -> list[str]:
    """A sentence where bones that were seen are far too short for a person: the 2D joints were probably others'."""
    if clip.p_root is None:
        return []
    short = []
    for part, (upper, lower, metres) in _BONES.items():
        lengths = []
        for side in "lr":
            names = [n if n in clip.skeleton.joints else f"{side}_{n}" for n in (upper, lower)]
            if not all(n in clip.skeleton.joints for n in names):
                continue
            a, b = clip.skeleton.indices(*names)
            seen = (clip.confidence[:, [a, b]] > 0).all(-1)
            if seen.any():
                lengths.append(float(np.median(np.linalg.norm(clip.p_root[seen, a] - clip.p_root[seen, b], axis=-1))))
        if len(lengths) == 2 and max(lengths) < _SHORT * metres:
            short.append(f"{part} {max(lengths):.2f} m")
    if not short:
        return []
    found = ", ".join(short)
    return [f"Person {clip.track_id} has bones that nobody has ({found}): its 2D joints are probably wrong."]


def page_notes(stage: Stage, line: Timeline, has_truth: bool) -> list[str]:
    """What the page itself decided: which way is up, where the floor is, which frames are missing from it."""
    if stage.gravity_known:
        up = "up is the world's z axis"
    elif stage.tilt > np.radians(0.5):
        up = f"up is judged by the ground the feet walk on ({np.degrees(stage.tilt):.0f}° from the camera's up)"
    else:
        up = "up is the camera's, since gravity is not known"
    grid = "the grid lies under the feet, one line per half metre" if stage.feet_seen else "no floor: no foot was seen"
    notes = [f"3D view: {up}; {grid}."]
    if stage.placed:
        notes.append("The clips have no absolute root, so people stand still, side by side, 4 m away.")
    if has_truth:
        notes.append("Thin grey figures: the true motion.")
    if line.stride > 1 or line.cut:
        rate = f"every {_ordinal(line.stride)} frame" if line.stride > 1 else "every frame"
        part = f" of the first {line.seconds[-1]:.0f} s" if line.cut else ""
        notes.append(f"To stay small, this page shows {rate}{part}; the data files hold all {line.total} frames.")
    return notes


def _ordinal(n: int) -> str:
    tail = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{tail}"
