"""The camera: intrinsics, distortion, pose and image size in one value that owns projection.

OpenCV axes (x right, y down, z forward), metres; pixels with (0, 0) at the centre of the top-left one.
`T_cam_world` maps world points to camera points. Crop, resize, flip and look-at give a new Camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from poselift.errors import InputError

__all__ = ["DEFAULT_FOV_DEG", "Camera"]

DEFAULT_FOV_DEG = 55.0
"""Field of view across the larger image side that is assumed where nobody knows the focal length."""

_MAX_SIDE = 100_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Camera:
    """A pinhole camera, with the Human3.6M distortion model if `dist` is given.

    K (3, 3) pixels; dist (5,) = k1, k2, k3, p1, p2 (`geometry.projection.distort`) or None;
    T_cam_world (4, 4) rigid, or None where it is not known: the world's axes are then the camera's;
    size_wh = image width and height in pixels.
    Raises `InputError` for a K that is no intrinsic matrix, a T that is not rigid or a size that is not positive.
    """

    K: np.ndarray
    size_wh: tuple[int, int]
    dist: np.ndarray | None = None
    T_cam_world: np.ndarray | None = None

    def __post_init__(self) -> None:
        k = _matrix(self.K, (3, 3), "camera K")
        if not (k[0, 0] > 0 and k[1, 1] > 0):
            raise InputError(field="camera K", expected="positive focal lengths", found=f"{k[0, 0]:g}, {k[1, 1]:g}")
        if abs(k[1, 0]) > 1e-6 or not np.allclose(k[2], (0, 0, 1), atol=1e-6):
            raise InputError(field="camera K", expected="[fx s cx; 0 fy cy; 0 0 1]", found=k.round(3).tolist())
        t = np.eye(4) if self.T_cam_world is None else _matrix(self.T_cam_world, (4, 4), "camera T_cam_world")
        r = t[:3, :3]
        rigid = np.allclose(r @ r.T, np.eye(3), atol=1e-3) and np.linalg.det(r) > 0
        if not (rigid and np.allclose(t[3], (0, 0, 0, 1))):
            raise InputError(field="camera T_cam_world", expected="a rigid transform", found=t.round(3).tolist())
        try:
            size = tuple(int(v) for v in self.size_wh)
        except (TypeError, ValueError, OverflowError):
            size = ()
        if len(size) != 2 or not all(0 < v <= _MAX_SIDE for v in size):
            raise InputError(field="image size", expected=f"two positive numbers up to {_MAX_SIDE}", found=self.size_wh)
        object.__setattr__(self, "K", k)
        object.__setattr__(self, "T_cam_world", t)
        object.__setattr__(self, "size_wh", size)
        if self.dist is not None:
            object.__setattr__(self, "dist", _matrix(self.dist, (5,), "camera distortion"))

    @classmethod
    def from_focal(cls, *, focal: float | tuple[float, float], size_wh: tuple[int, int], **kwargs: Any) -> Camera:
        """Camera with the principal point in the middle of the image; `focal` in pixels."""
        fx, fy = focal if isinstance(focal, tuple) else (focal, focal)
        w, h = size_wh
        k = np.array([[fx, 0, (w - 1) / 2], [0, fy, (h - 1) / 2], [0, 0, 1]], dtype=np.float64)
        return cls(K=k, size_wh=size_wh, **kwargs)

    @classmethod
    def from_fov(cls, *, size_wh: tuple[int, int], fov_deg: float = DEFAULT_FOV_DEG, **kwargs: Any) -> Camera:
        """Camera whose field of view across the larger side is `fov_deg` degrees."""
        if not 0 < fov_deg < 180:
            raise InputError(field="field of view", expected="degrees between 0 and 180", found=fov_deg)
        focal = max(size_wh) / 2 / math.tan(math.radians(fov_deg) / 2)
        return cls.from_focal(focal=focal, size_wh=size_wh, **kwargs)

    @property
    def focal(self) -> tuple[float, float]:
        return float(self.K[0, 0]), float(self.K[1, 1])

    @property
    def centre_world(self) -> Float[np.ndarray, " 3"]:
        """Optical centre (3,) in world metres."""
        t = self._T()
        return -t[:3, :3].T @ t[:3, 3]

    def _T(self) -> np.ndarray:
        assert self.T_cam_world is not None
        return self.T_cam_world

    def world_to_cam(self, p_world: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3"]:
        """World metres to camera metres."""
        t = self._T()
        return p_world @ t[:3, :3].T.astype(p_world.dtype) + t[:3, 3].astype(p_world.dtype)

    def cam_to_world(self, p_cam: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3"]:
        """Camera metres to world metres."""
        t = self._T()
        return (p_cam - t[:3, 3].astype(p_cam.dtype)) @ t[:3, :3].astype(p_cam.dtype)

    def project(self, p_cam: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 2"]:
        """Camera metres to pixels; points at or behind the camera give NaN."""
        import torch

        from poselift.geometry.projection import project

        p = torch.from_numpy(np.ascontiguousarray(p_cam, dtype=np.float64))
        dist = None if self.dist is None else torch.from_numpy(self.dist)
        return project(p, torch.from_numpy(self.K), dist).numpy().astype(p_cam.dtype)

    def crop(self, x: float, y: float, size_wh: tuple[int, int]) -> Camera:
        """The camera of the sub-image whose top-left pixel centre is at (x, y)."""
        k = self.K.copy()
        k[:2, 2] -= (x, y)
        return replace(self, K=k, size_wh=size_wh)

    def resize(self, size_wh: tuple[int, int]) -> Camera:
        """The camera of the image resampled to `size_wh`; pixel areas, not centres, are scaled."""
        sx, sy = size_wh[0] / self.size_wh[0], size_wh[1] / self.size_wh[1]
        a = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
        return replace(self, K=a @ self.K, size_wh=size_wh)

    def flip(self) -> Camera:
        """The camera that sees the mirrored image: x_img becomes (width - 1) - x_img, x_cam becomes -x_cam.

        `T_cam_world` is dropped, since no rigid transform leads from the world to mirrored axes.
        """
        k = self.K.copy()
        k[0, 2] = self.size_wh[0] - 1 - k[0, 2]
        k[0, 1] = -k[0, 1]
        dist = None if self.dist is None else self.dist * np.array([1, 1, 1, -1, 1])
        return Camera(K=k, size_wh=self.size_wh, dist=dist)

    def looking_at(self, target_world: np.ndarray, up_world: np.ndarray | None = None) -> Camera:
        """The same camera in the same place, turned so that `target_world` (3,) is on its axis."""
        from poselift.geometry.cameras import look_at_matrix

        t = look_at_matrix(self.centre_world, np.asarray(target_world, dtype=np.float64), up_world)
        return replace(self, T_cam_world=t)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {
            "K": self.K.tolist(),
            "size_wh": list(self.size_wh),
            "dist": None if self.dist is None else self.dist.tolist(),
            "T_cam_world": self._T().tolist(),
        }

    @classmethod
    def from_dict(cls, data: Any, *, file: str | None = None) -> Camera:
        """Inverse of `to_dict`; `K` may be replaced by `focal` or `fov_deg`. Raises `InputError`."""
        if not isinstance(data, dict):
            found = type(data).__name__
            raise InputError(file=file, field="camera", expected="an object with K and size_wh", found=found)
        if "size_wh" not in data:
            raise InputError(file=file, field="camera size_wh", expected="[width, height]", found="nothing")
        try:
            shapes = {"dist": (5,), "T_cam_world": (4, 4)}
            extra: dict[str, Any] = {
                k: _matrix(data[k], shape, f"camera {k}") for k, shape in shapes.items() if data.get(k) is not None
            }
            size_wh = data["size_wh"]
            if not isinstance(size_wh, (list, tuple)) or len(size_wh) != 2:
                raise InputError(field="camera size_wh", expected="[width, height]", found=size_wh)
            size_wh = (size_wh[0], size_wh[1])
            if "K" in data:
                return cls(K=_matrix(data["K"], (3, 3), "camera K"), size_wh=size_wh, **extra)
            if "focal" in data:
                focal = data["focal"]
                focal = tuple(float(v) for v in focal) if isinstance(focal, list) else float(focal)
                return cls.from_focal(focal=focal, size_wh=size_wh, **extra)  # type: ignore[arg-type]
            if "fov_deg" in data:
                return cls.from_fov(fov_deg=float(data["fov_deg"]), size_wh=size_wh, **extra)
        except InputError as error:
            raise InputError(str(error), file=file) from None
        except (TypeError, ValueError) as error:
            raise InputError(file=file, field="camera", expected="numbers", found=error) from None
        raise InputError(file=file, field="camera", expected="one of K, focal, fov_deg", found=", ".join(data))


def _matrix(value: Any, shape: tuple[int, ...], field: str) -> np.ndarray:
    try:
        a = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(field=field, expected=f"numbers of shape {shape}", found=type(value).__name__) from None
    if a.shape != shape:
        raise InputError(field=field, expected=f"shape {shape}", found=f"shape {a.shape}")
    if not np.isfinite(a).all():
        raise InputError(field=field, expected="finite numbers", found="NaN or infinite")
    return a
