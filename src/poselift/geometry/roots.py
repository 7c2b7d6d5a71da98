"""Where the person stands: the root in camera metres from 2D keypoints and a root-relative 3D pose.

All solvers are closed form, per frame and batched. A frame that cannot be solved (fewer than two joints seen, or all
of them on one ray) gives NaN with a gradient of 0. Every joint j gives two linear equations in the root t, with the
ray m = K⁻¹ kp and the root-relative joint (x, y, z):

    fx (t_x - m_x t_z) = fx (m_x z - x)        fy (t_y - m_y t_z) = fy (m_y z - y)

both multiplied by the confidence of the joint, so that a least-squares weight is its square.
Source: the equations of ERD's pelvis optimisation (`--optim_pelvis`), written with rays in place of pixels.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from poselift.geometry.projection import on_leading_axes, rays, unproject

__all__ = ["root_depth_only", "root_from_z", "root_homogeneous", "root_least_squares"]


def _equations(kp: Tensor, p: Tensor, K: Tensor, conf: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Rays m (..., j, 2), right sides r = m z - (x, y), row factors w (..., j, 2); unseen joints are all 0."""
    m = rays(kp, K).to(p.dtype)
    r = m * p[..., 2:] - p[..., :2]
    k = on_leading_axes(K, 2, kp)
    focal = torch.stack((k[..., 0, 0], k[..., 1, 1]), -1).to(p.dtype)
    c = torch.ones_like(m[..., :1]) if conf is None else conf.to(p.dtype)[..., None]
    ok = (c > 0) & torch.isfinite(m).all(-1, keepdim=True) & torch.isfinite(p).all(-1, keepdim=True)
    zero = torch.zeros_like(m)
    return torch.where(ok, m, zero), torch.where(ok, r, zero), torch.where(ok, focal * c, zero)


def _divide(a: Tensor, b: Tensor, least: Tensor) -> Tensor:
    """a / b, NaN where b is no more than `least`, with a safe gradient there."""
    good = b > least
    return torch.where(good, a / torch.where(good, b, torch.ones_like(b)), torch.full_like(a, torch.nan))


def root_least_squares(
    kp_img: Float[Tensor, "*b j 2"],
    p_root: Float[Tensor, "*b j 3"],
    K: Float[Tensor, "*k 3 3"],
    conf: Float[Tensor, "*b j"] | None = None,
) -> Float[Tensor, "*b 3"]:
    """Root position (*b, 3) in camera axes that explains the 2D keypoints best, by (weighted) linear least squares.

    kp_img pixels, p_root in the unit of the answer (metres), conf (*b, j) as at the top; conf 0 or NaN: not used.
    t_x and t_y are eliminated first, which leaves one division by the spread of the rays: exact also in float32.
    """
    m, r, w = _equations(kp_img, p_root, K, conf)
    w2 = w * w
    total = w2.sum(-2, keepdim=True)
    safe = torch.where(total > 0, total, torch.ones_like(total))
    m_mean = (w2 * m).sum(-2, keepdim=True) / safe
    r_mean = (w2 * r).sum(-2, keepdim=True) / safe
    dm, dr = m - m_mean, r - r_mean
    spread = (w2 * dm * dm).sum((-2, -1))
    z = _divide(-(w2 * dm * dr).sum((-2, -1)), spread, 1e-10 * total.amax((-2, -1)))
    xy = r_mean[..., 0, :] + m_mean[..., 0, :] * z[..., None]
    return torch.cat((xy, z[..., None]), -1)


def root_homogeneous(
    kp_img: Float[Tensor, "*b j 2"],
    p_root: Float[Tensor, "*b j 3"],
    K: Float[Tensor, "*k 3 3"],
    conf: Float[Tensor, "*b j"] | None = None,
) -> Float[Tensor, "*b 3"]:
    """Root position as the homogeneous solution: the smallest right singular vector of [A, -b], divided by its last.

    Unlike `root_least_squares` it depends on the unit of length, and it drifts far away when the pose is poor.
    """
    m, r, w = (v.double() for v in _equations(kp_img, p_root, K, conf))
    wx, wy = w.unbind(-1)
    zero = torch.zeros_like(wx)
    rows_x = torch.stack((wx, zero, -wx * m[..., 0], -wx * r[..., 0]), -1)
    rows_y = torch.stack((zero, wy, -wy * m[..., 1], -wy * r[..., 1]), -1)
    a = torch.cat((rows_x, rows_y), -2)
    v = torch.linalg.eigh(a.mT @ a).eigenvectors[..., 0]
    last = v[..., 3:]
    enough = ((wx > 0).sum(-1, keepdim=True) >= 2) & (last.abs() > 1e-12)
    t = v[..., :3] / torch.where(enough, last, torch.ones_like(last))
    return torch.where(enough, t, torch.full_like(t, torch.nan)).to(p_root.dtype)


def root_depth_only(
    kp_img: Float[Tensor, "*b j 2"],
    p_root: Float[Tensor, "*b j 3"],
    K: Float[Tensor, "*k 3 3"],
    conf: Float[Tensor, "*b j"] | None = None,
    *,
    root_xy_from: Literal["kp", "mean"] = "kp",
    root: int = 0,
) -> Float[Tensor, "*b 3"]:
    """Root position with only its depth solved for: the direction in which the person stands is taken from the 2D.

    `root_xy_from="kp"`: the root lies on the ray of the 2D keypoint `root` (which must be seen);
    `"mean"`: the mean of the seen joints lies on the ray of their mean keypoint, for a root that is not seen.
    """
    m, r, w = _equations(kp_img, p_root, K, conf)
    if root_xy_from == "kp":
        ray, anchor = m[..., root, :], p_root[..., root, :]
        known = w[..., root, 0] > 0
    else:
        seen = (w > 0).to(m.dtype)
        count = seen.sum(-2).clamp(min=1)
        ray = m.sum(-2) / count
        anchor = torch.where(w[..., :1] > 0, p_root, torch.zeros_like(p_root)).sum(-2) / count[..., :1]
        known = (w[..., 0] > 0).any(-1)
    # t_xy = ray (t_z + anchor_z) - anchor_xy, put into the two equations of every joint
    offset = ray * anchor[..., 2:] - anchor[..., :2]
    w2 = w * w
    slope = ray[..., None, :] - m
    rest = r - offset[..., None, :]
    least = 1e-10 * w2.sum((-2, -1))
    least = torch.where(known, least, torch.full_like(least, torch.inf))
    z = _divide((w2 * slope * rest).sum((-2, -1)), (w2 * slope * slope).sum((-2, -1)), least)
    return torch.cat((ray * z[..., None] + offset, z[..., None]), -1)


def root_from_z(
    kp_root: Float[Tensor, "*b 2"], z: Float[Tensor, "*b"], K: Float[Tensor, "*k 3 3"]
) -> Float[Tensor, "*b 3"]:
    """Root position from its pixel and a given depth: K⁻¹ (u z, v z, z)."""
    return unproject(kp_root, z, K)
