"""Where the person stands: the absolute root of lifted poses, robust against single wrong keypoints."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from poselift.geometry.projection import rays
from poselift.geometry.roots import root_least_squares
from poselift.structures.smoothing import gaussian, gaussian_half

__all__ = ["place_root", "steady_reach", "steady_root"]

DEPTH_HZ, DIRECTION_HZ = 1.5, 4.0
"""Cut-offs of a root over time: how far away it is trembles with the keypoints, in which direction hardly does."""

NEAREST_M = 0.1
"""No joint of a person is nearer to the camera than this."""

_ROUNDS = 3


def place_root(
    kp_img: Float[Tensor, "t j 2"],
    conf: Float[Tensor, "t j"],
    p_root: Float[Tensor, "t j 3"],
    K: Float[Tensor, "t 3 3"],
) -> Float[Tensor, "t 3"]:
    """root_cam (t, 3) metres in camera axes that explains the keypoints (pixels) best.

    Weighted linear least squares (`root_least_squares`), repeated with Cauchy weights from the distances between
    keypoints and reprojection in units of three times their median, so that single wrong keypoints do not pull: one
    joint in 17 that is off by half the person moves the root by 0.1 m and not by 1 m. Where that puts a joint behind
    the camera (a pose that does not fit its keypoints), the person's size decides: weak perspective, depth = size
    in metres / size on the plane z = 1. Every frame needs two joints with conf > 0 in different places.
    """
    seen = conf > 0
    m = torch.where(seen[..., None], rays(kp_img, K), 0.0)
    conf = torch.where(seen, conf, 0.0)
    eye = torch.eye(3, dtype=m.dtype, device=m.device)  # rays are the pixels of a camera with K = 1
    by_size = _by_size(m, conf, p_root)
    least = (NEAREST_M - p_root[..., 2].amin(-1))[..., None]

    def solve(weight: Tensor) -> Tensor:
        root = root_least_squares(m, p_root, eye, weight)
        return torch.where(root[..., 2:] > least, root, by_size)

    root = solve(conf)
    for _ in range(_ROUNDS):
        p = p_root + root[..., None, :]
        distance2 = (p[..., :2] / p[..., 2:] - m).square().sum(-1)
        typical2 = torch.where(seen, distance2, torch.nan).nanmedian(-1, keepdim=True).values
        weight = conf * torch.rsqrt(1 + distance2 / (9 * typical2 + 1e-12))
        root = solve(weight)
    return root


def steady_root(
    root_cam: Float[np.ndarray, "t 3"], seen: Bool[np.ndarray, " t"], fps: float
) -> Float[np.ndarray, "t 3"]:
    """Roots (metres, camera axes) of consecutive frames without what trembles in them; unseen frames stay as they are.

    The logarithm of the depth and the direction x/z, y/z are smoothed each by itself (`gaussian`).
    """
    z = root_cam[:, 2:].astype(np.float64)
    weight = (seen & (z[:, 0] > 0)).astype(np.float64)[:, None]
    z = np.where(weight > 0, z, 1.0)
    depth = np.exp(gaussian(np.log(z)[:, None], weight, fps, DEPTH_HZ)[:, 0])
    direction = gaussian((root_cam[:, :2] / z)[:, None], weight, fps, DIRECTION_HZ)[:, 0]
    steady = np.concatenate([direction, np.ones_like(z)], 1) * depth
    return np.where(weight > 0, steady, root_cam).astype(root_cam.dtype)


def steady_reach(fps: float) -> int:
    """Frames on either side that `steady_root` looks at."""
    return gaussian_half(fps, DEPTH_HZ)


def _by_size(m: Tensor, conf: Tensor, p_root: Tensor) -> Tensor:
    """Weak perspective from rays m (t, j, 2), and never with a joint behind the camera."""
    w = (conf / conf.sum(-1, keepdim=True).clamp_min(1e-12))[..., None]
    m_mean, p_mean = (w * m).sum(-2), (w * p_root).sum(-2)
    size = (w * (p_root - p_mean[..., None, :])[..., :2].square()).sum((-2, -1)).sqrt()
    seen_size = (w * (m - m_mean[..., None, :]).square()).sum((-2, -1)).sqrt()
    z_mean = p_mean[..., 2]
    z = torch.maximum(size / seen_size.clamp_min(1e-6) - z_mean, NEAREST_M - p_root[..., 2].amin(-1) + 1e-3)
    return torch.cat((m_mean * (z + z_mean)[..., None] - p_mean[..., :2], z[..., None]), -1)
