"""Planted feet: a foot that stands stays where it stands. The root gives way slowly, the legs' joints do the rest.

Feet stand where ankles are low and slow (`structures.contacts`) in upright axes: the world's where the camera states
its place, else the camera's, levelled on the floor that the feet are seen to walk on (`view.stage`). For each contact
the ankle's median place is kept. What brings the ankles there moves the root as far as it is slow (below `ROOT_HZ`),
and two-bone inverse kinematics of hip, knee and ankle does what remains, which keeps the length of every bone and fades
out within `BLEND_S` before and after a contact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from poselift.geometry.limbs import two_bone_ik
from poselift.structures import Clip
from poselift.structures.contacts import contacts
from poselift.structures.smoothing import smooth
from poselift.view.ground import ANKLE_HEIGHT
from poselift.view.stage import Stage

__all__ = ["PLANTED", "PlantFeet"]

PLANTED = "planted_feet"
"""What the meta of clips with planted feet says: the number of contacts."""

ROOT_HZ = 3.0
"""What the feet say of the root's place counts up to this frequency."""
SEEN_HZ = 3.0
"""Ankles are smoothed to this cut-off to find contacts."""
BLEND_S = 0.12
"""Before and after a contact, inverse kinematics fades out within this time."""
HOLD_S = 0.5
"""Away from contacts the root comes back to where it was within this time."""
_LEGS = (("l_hip", "l_knee", "l_ankle"), ("r_hip", "r_knee", "r_ankle"))


@dataclass(frozen=True)
class PlantFeet:
    """Plants the feet of a scene's lifted clips; several people share the floor."""

    @property
    def note(self) -> str:
        """What was done, for people."""
        return "Feet that stand are planted: root and legs are moved so that they do not slide; bones stay as long."

    def __call__(self, clips: Sequence[Clip]) -> list[Clip]:
        """The clips with p_root and root_cam changed; those without a root, legs or a frame seen stay as they are."""
        able = [c for c in clips if c.root_cam is not None and c.p_root is not None and c.seen.any() and _has_legs(c)]
        if not able:
            return list(clips)
        stage = Stage.of(able)
        placed = {id(c): (p, t) for c, p, t in zip(able, stage.figures, stage.T_view_cams, strict=True)}
        return [_planted(c, *placed[id(c)], stage.ground) if id(c) in placed else c for c in clips]


def _has_legs(clip: Clip) -> bool:
    return {joint for leg in _LEGS for joint in leg} <= set(clip.skeleton.joints)


def _planted(clip: Clip, p: np.ndarray, T_view_cam: np.ndarray, ground: float) -> Clip:
    """The clip, whose joints p (t, j, 3) stand in upright axes above the floor at height `ground`."""
    body, fps, t = clip.skeleton, clip.fps, len(clip)
    ankles = p[:, [body.index(leg[2]) for leg in _LEGS]]
    spans = [_contacts(clip, ankles[:, k], ground) for k in range(2)]
    if not any(spans):
        return clip.replace(meta={**clip.meta, PLANTED: 0})
    off, stands = np.zeros((t, 2, 3)), np.zeros((t, 2), bool)
    for k in range(2):
        for a, b in spans[k]:
            off[a:b, k] = np.median(ankles[a:b, k], axis=0) - ankles[a:b, k]
            stands[a:b, k] = True
    weight = stands.sum(1)
    said = np.flatnonzero(weight)
    pull = off[said].sum(1) / weight[said, None]
    moved = np.stack([np.interp(np.arange(t), said, pull[:, k]) for k in range(3)], -1)
    away = np.abs(np.arange(t) - said[_nearest(said, t)]) / (HOLD_S * fps)
    moved *= np.clip(1 - away, 0, 1)[:, None]
    moved = smooth("gaussian", moved[:, None], fps=fps, hz=ROOT_HZ)[:, 0]
    p = p + moved[:, None]
    for k, leg in enumerate(_LEGS):
        rest = _faded(np.where(stands[:, k, None], off[:, k] - moved, 0.0), spans[k], round(BLEND_S * fps))
        hip, knee, ankle = (torch.from_numpy(p[:, body.index(joint)]) for joint in leg)
        new_knee, new_ankle = two_bone_ik(hip, knee, ankle, ankle + torch.from_numpy(rest))
        changed = np.abs(rest).max(-1) > 0
        p[changed, body.index(leg[1])], p[changed, body.index(leg[2])] = new_knee[changed], new_ankle[changed]
    p_cam = (p - T_view_cam[:3, 3]) @ T_view_cam[:3, :3]
    root = p_cam[:, body.root]
    meta = {**clip.meta, PLANTED: sum(map(len, spans))}
    return clip.replace(p_root=p_cam - root[:, None], root_cam=root, meta=meta)


def _contacts(clip: Clip, ankle: np.ndarray, ground: float) -> list[tuple[int, int]]:
    """Spans of frames in which a foot stands whose ankle (t, 3) is this."""
    seen = clip.seen
    calm = smooth("gaussian", ankle[:, None], fps=clip.fps, weight=seen[:, None].astype(float), hz=SEEN_HZ)[:, 0]
    if len(calm) < 3:
        return []
    velocity = np.gradient(calm, axis=0) * clip.fps
    speed = np.linalg.norm(velocity, axis=-1)
    return contacts(calm[:, 2] - ground - ANKLE_HEIGHT, speed, clip.fps, sure=seen)


def _nearest(said: np.ndarray, t: int) -> np.ndarray:
    """(t,) position in the sorted frame numbers `said` of the one that is nearest to each frame."""
    after = np.searchsorted(said, np.arange(t)).clip(0, len(said) - 1)
    before = (after - 1).clip(0)
    return np.where(np.abs(said[before] - np.arange(t)) <= np.abs(said[after] - np.arange(t)), before, after)


def _faded(rest: np.ndarray, spans: Sequence[tuple[int, int]], frames: int) -> np.ndarray:
    """rest (t, 3), known within the spans, led smoothly to 0 within some frames outside of them."""
    out = rest.copy()
    stands = np.zeros(len(rest), bool)
    for a, b in spans:
        stands[a:b] = True
    for a, b in spans:
        for edge, step in ((a, -1), (b - 1, 1)):
            for k in range(1, frames + 1):
                at = edge + step * k
                if not 0 <= at < len(rest) or stands[at]:
                    break
                x = 1 - k / (frames + 1)
                out[at] += rest[edge] * x * x * (3 - 2 * x)
    return out
