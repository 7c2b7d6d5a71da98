"""The floor under moving feet: where it is and, if gravity is not known, how it is tilted to the camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poselift.structures import Skeleton

__all__ = ["fit_floor", "foot_points", "level"]

ANKLE_HEIGHT = 0.08
"""Height of an ankle joint above the sole, metres; heels and toes are taken as 0.02."""
_FEET = ("ankle", "heel", "big_toe", "small_toe", "foot_index")
_NOISE = 0.04
"""Expected height error of a standing foot, metres."""
_TILT = 0.2
"""Expected slope of the floor in camera axes (11 degrees): cameras are held level more often than not."""
MOST_TILT = np.radians(30)


def foot_points(p: np.ndarray, skeleton: Skeleton, seen: np.ndarray | None = None) -> np.ndarray:
    """(n, 3) sole of the lower foot in each frame of p (t, j, 3), z up; the lowest joint of a layout without feet.

    seen (t, j): only feet that were seen count, and frames without any are left out; None for all of them.
    """
    feet = [i for i, n in enumerate(skeleton.joints) if n.endswith(_FEET)] or list(range(len(skeleton)))
    high = [ANKLE_HEIGHT if skeleton.joints[i].endswith("ankle") else 0.02 for i in feet]
    soles = p[:, feet] - np.array([[0, 0, h] for h in high])
    there = np.ones(soles.shape[:2], bool) if seen is None else seen[:, feet]
    lower = np.where(there, soles[..., 2], np.inf)
    return soles[np.arange(len(p)), lower.argmin(1)][there.any(1)] if len(p) else np.zeros((0, 3))


def fit_floor(soles: Sequence[np.ndarray], fps: float, *, tilted: bool) -> tuple[float, float, float]:
    """Floor z = a x + b y + c under foot points, one (t, 3) per person: a, b (0 unless `tilted`), c in metres.

    The height c is a low percentile. Slopes come from a ridge regression that trusts points on or under the
    plane and forgives those above it (jumps, steps), with the prior that the floor is nearly level; frames
    half a second apart count as independent.
    """
    points = np.concatenate([*soles, np.zeros((0, 3))])
    if not len(points):
        return 0.0, 0.0, 0.0
    a = b = 0.0
    if tilted and len(points) > fps:
        points = points[:: max(1, len(points) // 4000)]
        centre = points.mean(0)
        x = np.column_stack([points[:, :2] - centre[:2], np.ones(len(points))])
        z = points[:, 2] - centre[2]
        independent = min(1.0, sum(map(len, soles)) / (0.5 * fps) / len(points))
        ridge = np.diag([1 / _TILT**2, 1 / _TILT**2, 0.0])
        weight, solved = np.ones(len(z)), np.zeros(3)
        for _ in range(15):
            xw = x * (weight * independent / _NOISE**2)[:, None]
            solved = np.linalg.solve(xw.T @ x + ridge + 1e-9 * np.eye(3), xw.T @ z)
            above = (z - x @ solved) / _NOISE
            weight = np.where(above > 0, 1 / (1 + above**2) ** 1.5, 1 / (1 + (above / 4) ** 2))
        a, b = float(solved[0]), float(solved[1])
        if np.arctan(np.hypot(a, b)) > MOST_TILT:
            a = b = 0.0
    rest = points[:, 2] - a * points[:, 0] - b * points[:, 1]
    return a, b, float(np.percentile(rest, 15))


def level(a: float, b: float) -> np.ndarray:
    """The smallest rotation (3, 3) that makes the plane z = a x + b y level."""
    n = np.array([-a, -b, 1.0]) / np.sqrt(1 + a * a + b * b)
    v = np.cross(n, (0, 0, 1.0))
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + k + k @ k / (1 + n[2])
