"""Rotations of motion files, for all frames at once: what BVH and ASF/AMC share. NumPy, float64."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["axis_rotation", "frame_of", "rotation", "shortest"]


def rotation(angles: Float[np.ndarray, "*b 3"], order: str) -> Float[np.ndarray, "*b 3 3"]:
    """Matrices (..., 3, 3) that turn about the fixed axes x, y, z by `angles` (..., 3) radians.

    `order` such as "XYZ" names the axis that is applied first: XYZ is Rz Ry Rx.
    """
    total = np.broadcast_to(np.eye(3), (*angles.shape, 3))
    for letter in order.upper():
        k = "XYZ".index(letter)
        total = axis_rotation(angles[..., k], k) @ total
    return total


def axis_rotation(angle: Float[np.ndarray, "*b"], axis: int) -> Float[np.ndarray, "*b 3 3"]:
    """Matrices (..., 3, 3) that turn by `angle` (...) radians about coordinate axis 0, 1 or 2."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    m = np.zeros((*angle.shape, 3, 3))
    c, s = np.cos(angle), np.sin(angle)
    m[..., axis, axis] = 1
    m[..., i, i], m[..., j, j] = c, c
    m[..., j, i], m[..., i, j] = s, -s
    return m


def frame_of(
    y: Float[np.ndarray, "t 3"], x_hint: Float[np.ndarray, "t 3"], otherwise: Float[np.ndarray, "t 3 3"]
) -> Float[np.ndarray, "t 3 3"]:
    """Rotations (t, 3, 3) whose y axis is `y` (t, 3) and whose x axis is as near to `x_hint` (t, 3) as it can be.

    Where the two are parallel or one is zero, the rotation `otherwise` (t, 3, 3) is turned the shortest way onto y.
    """
    y = _unit(y)
    x = x_hint - np.sum(x_hint * y, axis=-1, keepdims=True) * y
    good = np.linalg.norm(x, axis=-1) > 1e-2 * np.linalg.norm(x_hint, axis=-1)
    good &= np.linalg.norm(y, axis=-1) > 0.5
    x = _unit(x)
    exact = np.stack([x, y, np.cross(x, y)], axis=-1)
    return np.where(good[:, None, None], exact, shortest(otherwise, np.array([0.0, 1.0, 0.0]), y))


def shortest(
    start: Float[np.ndarray, "t 3 3"], axis: Float[np.ndarray, " 3"], direction: Float[np.ndarray, "t 3"]
) -> Float[np.ndarray, "t 3 3"]:
    """`start` (t, 3, 3) turned the shortest way, so that it takes the local `axis` (3,) to `direction` (t, 3).

    A zero direction leaves `start` as it is; an opposite one is reached by half a turn.
    """
    a, b = start @ axis, _unit(direction)
    b = np.where(np.linalg.norm(b, axis=-1, keepdims=True) > 0.5, b, a)
    v, c = np.cross(a, b), np.sum(a * b, axis=-1)[:, None, None]
    skew = np.zeros((len(a), 3, 3))
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        skew[:, j, i], skew[:, i, j] = v[:, k], -v[:, k]
    opposite = c < -1 + 1e-7
    turn = np.eye(3) + skew + skew @ skew / np.where(opposite, 1.0, 1 + c)
    n = start @ np.roll(axis, 1)
    half = 2 * n[:, :, None] * n[:, None, :] - np.eye(3)
    return np.where(opposite, half, turn) @ start


def _unit(v: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return v / np.where(length > 1e-9, length, np.inf)
