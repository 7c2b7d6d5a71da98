"""Joint angles from joint positions: the angle at a joint between the bones to two neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["ANGLES", "angle_triplets", "joint_angles"]

ANGLES: dict[str, tuple[str, str, str]] = {
    side + name: (side + a, side + at, side + b)
    for name, (a, at, b) in {
        "knee": ("hip", "knee", "ankle"),
        "hip": ("shoulder", "hip", "knee"),
        "elbow": ("shoulder", "elbow", "wrist"),
        "shoulder": ("hip", "shoulder", "elbow"),
    }.items()
    for side in ("l_", "r_")
}
"""Angle name: (joint, joint at which it is measured, joint). A stretched knee or elbow and a standing person's hip
measure pi; a hanging arm's shoulder measures about 0. These joints are in every body skeleton."""


def angle_triplets(joints: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """The entries of `ANGLES` that a skeleton with these joint names has, as joint indices."""
    joints = list(joints)
    return {
        name: (joints.index(a), joints.index(at), joints.index(b))
        for name, (a, at, b) in ANGLES.items()
        if {a, at, b} <= set(joints)
    }


def joint_angles(
    p: Float[Tensor, "*b j 3"], triplets: Mapping[str, tuple[int, int, int]]
) -> dict[str, Float[Tensor, "*b"]]:
    """Angles in radians, 0 to pi, at the middle joints of `triplets` (`angle_triplets`); p in any unit and frame.

    By the arc tangent of |u x v| and u.v, exact also for straight limbs. A bone of length 0 gives 0 without a gradient.
    """
    out = {}
    for name, (a, at, b) in triplets.items():
        u, v = p[..., a, :] - p[..., at, :], p[..., b, :] - p[..., at, :]
        sine = torch.linalg.vector_norm(torch.linalg.cross(u, v), dim=-1)
        cosine = (u * v).sum(-1)
        defined = (sine > 0) | (cosine != 0)
        angle = torch.atan2(torch.where(defined, sine, 0), torch.where(defined, cosine, 1))
        out[name] = angle
    return out
