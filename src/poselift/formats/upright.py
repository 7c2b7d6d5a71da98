"""Axes that stand upright, for formats of programs in which gravity has a direction.

Where the camera's place in the world is known (`T_cam_world`, z up), the world's own axes; otherwise the camera's,
turned so that up is the camera's up: whoever films with a tilted camera gets a tilted floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from poselift.structures import Camera, Clip

__all__ = ["Upright", "upright"]

_Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Upright:
    """p_up = p_cam Rᵀ + offset: `R` (3, 3), `offset` (3,) metres; `axes` says in words what the axes are."""

    R: np.ndarray
    offset: np.ndarray
    axes: str

    def turned(self, vectors: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3"]:
        """Directions, or positions relative to the root, from camera axes to upright ones, float64."""
        return vectors.astype(np.float64) @ self.R.T

    def placed(self, p_cam: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3"]:
        """Absolute positions from camera axes to upright ones, float64."""
        return self.turned(p_cam) + self.offset

    def p(self, clip: Clip) -> Float[np.ndarray, "t j 3"]:
        """All joints of a lifted clip, upright metres; about the origin where no absolute root is known."""
        assert clip.p_root is not None
        p = clip.p_cam
        return self.turned(clip.p_root) if p is None else self.placed(p)


def upright(camera: Camera | None, up: Literal["y", "z"], *, absolute: bool = True) -> Upright:
    """The upright axes of a scene with this camera; `absolute`: its people have a place (`root_cam`)."""
    known = camera is not None and camera.T_cam_world is not None and not np.allclose(camera.T_cam_world, np.eye(4))
    to_up = _Y_UP if up == "y" else np.eye(3)
    if not known:
        words = "x right, y up, z to the camera" if up == "y" else "x right, y away from the camera, z up"
        return Upright(R=to_up @ _Z_UP, offset=np.zeros(3), axes=f"the camera's, turned upright: {words}")
    assert camera is not None
    assert camera.T_cam_world is not None
    t = np.linalg.inv(camera.T_cam_world)
    offset = to_up @ t[:3, 3] if absolute else np.zeros(3)
    words = "the world's x, z and -y: y up" if up == "y" else "the world's: z up"
    return Upright(R=to_up @ t[:3, :3], offset=offset, axes=words)
