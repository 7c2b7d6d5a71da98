"""The body that is drawn in 3D: rods for bones, balls for joints, as arrays for instanced meshes."""

from __future__ import annotations

import numpy as np

from poselift.structures import Skeleton
from poselift.view.palette import Colours, side_of

__all__ = ["ball", "ball_sizes", "bone_transforms", "colours_of", "rod", "rod_radii", "snap", "thickness"]

_THICK = {"pelvis": 1.35, "spine": 1.45, "thorax": 1.45, "neck": 1.1, "head_top": 2.1}
_THIN = {"wrist": 0.8, "ankle": 0.9, "eye": 0.5, "ear": 0.5, "toe": 0.6, "heel": 0.6, "pinky": 0.4, "index": 0.5,
         "thumb": 0.4, "mouth": 0.4}  # fmt: skip
RADIUS = 0.026
"""Radius of a limb, metres."""


def rod(sides: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (v, 3) and faces (f, 3) of an open tube of radius 1 from z = 0 to z = 1."""
    a = np.arange(sides) * 2 * np.pi / sides
    ring = np.stack([np.cos(a), np.sin(a), np.zeros(sides)], 1)
    i, k = np.arange(sides), (np.arange(sides) + 1) % sides
    faces = np.concatenate([np.stack([i, k, k + sides], 1), np.stack([i, k + sides, i + sides], 1)])
    return np.concatenate([ring, ring + np.array([0, 0, 1])]).astype(np.float32), faces.astype(np.uint32)


def ball(rings: int = 9, sides: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a sphere of radius 1."""
    lat = np.linspace(0, np.pi, rings + 2)[1:-1]
    a = np.arange(sides) * 2 * np.pi / sides
    body = np.stack([np.outer(np.sin(lat), np.cos(a)), np.outer(np.sin(lat), np.sin(a)),
                     np.repeat(np.cos(lat)[:, None], sides, 1)], -1).reshape(-1, 3)  # fmt: skip
    vertices = np.concatenate([body, [[0, 0, 1], [0, 0, -1]]])
    i, k = np.arange(sides), (np.arange(sides) + 1) % sides
    top, bottom, last = rings * sides, rings * sides + 1, (rings - 1) * sides
    faces = [np.stack([np.full(sides, top), i, k], 1), np.stack([np.full(sides, bottom), last + k, last + i], 1)]
    for r in range(rings - 1):
        u, d = r * sides, (r + 1) * sides
        faces += [np.stack([u + i, d + i, d + k], 1), np.stack([u + i, d + k, u + k], 1)]
    return vertices.astype(np.float32), np.concatenate(faces).astype(np.uint32)


def _girth(joint: str) -> float:
    return next((f for n, f in (*_THICK.items(), *_THIN.items()) if n in joint), 1.0)


def rod_radii(skeleton: Skeleton) -> np.ndarray:
    """(b,) radius of each bone's rod in metres: a stout trunk, slender hands and feet."""
    return np.array([RADIUS * _girth(skeleton.joints[c]) for c, _ in skeleton.bones], dtype=np.float32)


def ball_sizes(skeleton: Skeleton) -> np.ndarray:
    """(j,) radius of each joint's ball: as thick as the thickest rod that ends there, so that no crack shows."""
    size = np.full(len(skeleton), 0.01, dtype=np.float32)
    for (child, parent), r in zip(skeleton.bones, rod_radii(skeleton), strict=True):
        size[child], size[parent] = max(size[child], r), max(size[parent], r)
    return size * np.float32(1.05)


def thickness(seen: np.ndarray) -> np.ndarray:
    """How thick joints and the bones that end in them are drawn: 1, and 0.3 where they were not seen but guessed."""
    return np.where(seen, np.float32(1), np.float32(0.3))


def colours_of(skeleton: Skeleton, colours: Colours) -> tuple[np.ndarray, np.ndarray]:
    """Colours of the bones (b, 3) and the joints (j, 3), uint8, deepened because the viewer's tone curve pales them."""
    joints = np.array([colours.rgb(side_of(skeleton, j)) for j in range(len(skeleton))])
    joints = (255 * (joints / 255) ** 1.8).astype(np.uint8)
    return joints[[c for c, _ in skeleton.bones]], joints


def bone_transforms(p: np.ndarray, skeleton: Skeleton, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poses of the rods for joints p (t, j, 3): positions (t, b, 3), quaternions wxyz (t, b, 4), scales (t, b, 3).

    The quaternion is the smallest rotation that takes +z to the bone's direction.
    """
    child, parent = (list(x) for x in zip(*skeleton.bones, strict=True))
    start, v = p[:, parent], p[:, child] - p[:, parent]
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    d = np.where(length > 1e-9, v / np.maximum(length, 1e-9), (0.0, 0.0, 1.0))
    q = np.stack([1 + d[..., 2], -d[..., 1], d[..., 0], np.zeros(d.shape[:-1])], -1)
    down = q[..., 0] < 1e-6
    q[down] = (0, 1, 0, 0)
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    r = np.broadcast_to(radii[:, None], length.shape)
    return start, q, np.concatenate([r, r, length], -1)


def snap(x: np.ndarray, steps: int = 2048) -> np.ndarray:
    """Float32 on a grid of 1/steps: half a millimetre is finer than anyone sees, and compresses twice as well."""
    return (np.round(np.asarray(x, dtype=np.float64) * steps) / steps).astype(np.float32)
