"""Cameras that look at something, and cameras of crops."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from poselift.errors import InputError

__all__ = ["crop_K", "look_at_matrix", "look_at_rotation"]


def look_at_matrix(
    eye: Float[np.ndarray, " 3"], target: Float[np.ndarray, " 3"], up_world: Float[np.ndarray, " 3"] | None = None
) -> Float[np.ndarray, "4 4"]:
    """Look-at pose `T_cam_world` (4, 4) float64 of a camera at `eye` with `target` on its optical axis.

    eye, target (3,) world metres, z up; camera axes x right, y down, z forward; the image's x axis is perpendicular to
    `up_world` (default +z), so the horizon is level. A camera that looks along `up_world` has world +y (or +x, if that
    too is along the axis) towards the top of its image.
    Raises `InputError` when eye and target coincide or are not finite.
    """
    eye, target = np.asarray(eye, dtype=np.float64), np.asarray(target, dtype=np.float64)
    forward = target - eye
    distance = float(np.linalg.norm(forward))
    if not (np.isfinite(distance) and distance > 1e-9):
        found = f"{eye.tolist()} and {target.tolist()}"
        raise InputError(field="look-at camera", expected="two different finite points", found=found)
    z = forward / distance
    first = np.array([0.0, 0.0, 1.0]) if up_world is None else np.asarray(up_world, dtype=np.float64)
    for up in (first, np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])):
        x = np.cross(z, up)
        if np.linalg.norm(x) > 1e-6 * max(float(np.linalg.norm(up)), 1e-12):
            break
    x = x / np.linalg.norm(x)
    t = np.eye(4)
    t[:3, :3] = np.stack((x, np.cross(z, x), z))
    t[:3, 3] = -t[:3, :3] @ eye
    return t


def look_at_rotation(ray_xy: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b 3 3"]:
    """Rotation `R_look_cam` that turns the viewing ray (x, y, 1) into +z without rolling the image.

    ray_xy (*b, 2) K⁻¹-normalised. x_look is perpendicular to the camera's y axis, so image rows stay level;
    p_look = R_look_cam p_cam. Defined and smooth for every ray.
    """
    x, y = ray_xy.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    a = (1 + x * x).rsqrt()
    b = (1 + x * x + y * y).rsqrt()
    right = torch.stack((a, zero, -x * a), -1)
    down = torch.stack((-x * y, 1 + x * x, -y), -1) * (a * b)[..., None]
    forward = torch.stack((x, y, one), -1) * b[..., None]
    return torch.stack((right, down, forward), -2)


def crop_K(
    K: Float[Tensor, "*#b 3 3"], xy: Float[Tensor, "*#b 2"], scale: Float[Tensor, "*#b"] | float | int
) -> Float[Tensor, "*_ 3 3"]:
    """Intrinsics of a crop whose top-left pixel centre was at xy (pixels), resampled by `scale` (2 = twice as large).

    Pixel areas are scaled, not centres: kp_patch = (kp_img - xy + 1/2) scale - 1/2.
    """
    s = torch.as_tensor(scale, dtype=K.dtype, device=K.device)
    shape = torch.broadcast_shapes(K.shape[:-2], xy.shape[:-1], s.shape)
    s = s.expand(shape)[..., None]
    c = (K[..., :2, 2] - xy + 0.5) * s - 0.5
    top = torch.cat((K[..., :2, :2] * s[..., None], c[..., None]), -1)
    return torch.cat((top, K[..., 2:, :].expand(*shape, 1, 3)), -2)
