"""Joint angles under the names and signs of OpenSim's full-body models (Rajagopal 2015; gait2392 but for the knee).

Body frames have x forward, y up, z to the right. Pelvis: z along the hips, y towards the spine; torso: z along the
shoulders, y from spine to thorax. Pelvis, lumbar joint, hips and shoulders are body-fixed rotations about Z, X, Y; on
the left the second and third have the opposite sign. Positive are hip, knee and elbow flexion, adduction, inward
rotation, lumbar extension; knee and elbow are the angle between two bones and never negative.

Rotation about a limb's own axis shows in the plane of a bent knee or elbow only: it is exact where these are well bent
and drawn to 0 as they are stretched. Source of names and axes: Rajagopal et al., IEEE TBME 63, 2016; Seth et al., 2018.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from poselift.formats.kinematics import axis_rotation, frame_of
from poselift.structures import Skeleton

__all__ = ["ANGLES", "coordinates"]

_STRAIGHT = 0.2
"""Sine of the bend at which the plane of a limb counts as much as the guess that it is not rotated."""

_LIMBS = {
    "hip": ("hip_flexion", "hip_adduction", "hip_rotation", "knee_angle", "hip", "knee", "ankle", -1.0),
    "arm": ("arm_flex", "arm_add", "arm_rot", "elbow_flex", "shoulder", "elbow", "wrist", 1.0),
}
"""Names of three rotations and of the hinge, joints, and the side to which the hinge bends (forward: 1)."""

ANGLES = (
    "pelvis_tilt", "pelvis_list", "pelvis_rotation",
    *(f"{n}_{s}" for s in "rl" for n in _LIMBS["hip"][:4]),
    "lumbar_extension", "lumbar_bending", "lumbar_rotation",
    *(f"{n}_{s}" for s in "rl" for n in _LIMBS["arm"][:4]),
)  # fmt: skip
"""The angles, in the order in which `coordinates` gives them."""


def coordinates(p: Float[np.ndarray, "t j 3"], body: Skeleton) -> dict[str, Float[np.ndarray, " t"]]:
    """The `ANGLES` (t,) of poses p (t, j, 3) in y-up axes, any unit: radians, continuous over the frames."""

    def line(a: str, b: str) -> np.ndarray:
        return p[:, body.index(b)] - p[:, body.index(a)]

    pelvis = _frame(line("l_hip", "r_hip"), line("pelvis", "spine"))
    torso = _frame(line("l_shoulder", "r_shoulder"), line("spine", "thorax"))
    out = dict(zip(ANGLES[:3], _zxy(pelvis).T, strict=True))
    out |= dict(zip(ANGLES[11:14], _zxy(pelvis.transpose(0, 2, 1) @ torso).T, strict=True))
    for base, (flex, add, rot, hinge, top, middle, end, forward) in zip((pelvis, torso), _LIMBS.values(), strict=True):
        for side, sign in (("r", 1.0), ("l", -1.0)):
            upper, lower = (
                np.einsum("tji,tj->ti", base, _unit(line(f"{side}_{a}", f"{side}_{b}")))
                for a, b in ((top, middle), (middle, end))
            )
            turns, out[f"{hinge}_{side}"] = _limb(upper, lower, forward)
            for name, values, s in zip((flex, add, rot), turns.T, (1.0, sign, sign), strict=True):
                out[f"{name}_{side}"] = s * values
    return {name: out[name] for name in ANGLES}


def _limb(upper: np.ndarray, lower: np.ndarray, forward: float) -> tuple[np.ndarray, np.ndarray]:
    """Z, X, Y rotations (t, 3) of the upper bone that hangs down at rest, and the bend (t,), from directions (t, 3)."""
    flex, add = np.arctan2(upper[:, 0], -upper[:, 1]), np.arcsin(np.clip(-upper[:, 2], -1, 1))
    across = forward * np.cross(upper, lower)
    swung = axis_rotation(flex, 2) @ axis_rotation(add, 0)
    hinge = np.einsum("tji,tj->ti", swung, across)
    turn = np.arctan2(hinge[:, 0], hinge[:, 2] + _STRAIGHT)
    bend = np.arctan2(np.linalg.norm(across, axis=-1), np.sum(upper * lower, axis=-1))
    return _continuous(np.stack([flex, add, turn], -1)), bend


def _frame(z: np.ndarray, y_hint: np.ndarray) -> np.ndarray:
    """Rotations (t, 3, 3) with columns x, y, z: z exact, y as near to the hint as it can be."""
    upright = np.broadcast_to(np.eye(3)[:, [1, 2, 0]], (len(z), 3, 3))
    return frame_of(z, y_hint, upright)[..., [2, 0, 1]]


def _zxy(R: np.ndarray) -> np.ndarray:
    """Body-fixed angles (t, 3) about Z, X, Y of rotations (t, 3, 3)."""
    x = np.arcsin(np.clip(R[:, 2, 1], -1, 1))
    z, y = np.arctan2(-R[:, 0, 1], R[:, 1, 1]), np.arctan2(-R[:, 2, 0], R[:, 2, 2])
    return _continuous(np.stack([z, x, y], -1))


def _continuous(angles: np.ndarray) -> np.ndarray:
    """Of all equal triples, in each frame that which is nearest to the frame before."""
    full = 2 * np.pi
    other = angles * (1, -1, 1) + np.pi
    out, last = np.empty_like(angles), np.zeros(3)
    for k in range(len(angles)):
        near = [a - full * np.round((a - last) / full) for a in (angles[k], other[k])]
        last = near[0] if k == 0 or np.abs(near[0] - last).sum() <= np.abs(near[1] - last).sum() else near[1]
        out[k] = last
    return out


def _unit(v: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.where(length > 1e-9, v / np.maximum(length, 1e-9), (0.0, -1.0, 0.0))
