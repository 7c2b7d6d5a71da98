"""Where the person stands: the root in camera metres from 2D keypoints and a root-relative 3D pose.

All solvers are closed form, per frame and batched. A frame that cannot be solved (fewer than two joints seen, or all
of them on one ray) gives NaN with a gradient of 0. Every joint j gives two linear equations in the root t, with the
ray m = K⁻¹ kp and the root-relative joint (x, y, z):

    fx (t_x - m_x t_z) = fx (m_x z - x)        fy (t_y - m_y t_z) = fy (m_y z - y)

both multiplied by the confidence of the joint, so that a least-squares weight is its square.
Source: the equations of ERD's pelvis optimisation (`--optim_pelvis`), written with rays in place of pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from poselift.geometry.projection import on_leading_axes, rays, unproject

__all__ = ["root_depth_only", "root_from_z", "root_homogeneous", "root_least_squares", "root_solver"]

_SPREAD = 1e-10
"""Squared spread of the rays (tangents of angles) below which no depth can be told."""


def _equations(kp: Tensor, p: Tensor, K: Tensor, conf: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Rays m (..., j, 2), right sides r = m z - (x, y), row factors w (..., j, 2); unseen joints are all 0."""
    c = torch.ones_like(p[..., :1]) if conf is None else conf.to(p.dtype)[..., None]
    ok = (c > 0) & torch.isfinite(kp).all(-1, keepdim=True) & torch.isfinite(p).all(-1, keepdim=True)
    kp, p = torch.where(ok, kp, 0), torch.where(ok, p, 0)  # first, since the gradient of 0 * NaN is NaN
    m = torch.where(ok, rays(kp, K).to(p.dtype), 0)
    k = on_leading_axes(K, 2, kp)
    focal = torch.stack((k[..., 0, 0], k[..., 1, 1]), -1).to(p.dtype)
    return m, m * p[..., 2:] - p[..., :2], torch.where(ok, focal * c, 0)


def _quotient(a: Tensor, b: Tensor, good: Tensor) -> Tensor:
    """a / b where good, else 0 with no gradient."""
    return torch.where(good, a, 0) / torch.where(good, b, 1)


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
    conf = torch.ones_like(p_root[..., 0]) if conf is None else conf.to(p_root.dtype)
    finite = torch.isfinite(p_root).all(-1)
    return root_solver(kp_img, K, torch.where(finite, conf, 0))(p_root)


def root_solver(
    kp_img: Float[Tensor, "*b j 2"], K: Float[Tensor, "*k 3 3"], conf: Float[Tensor, "*b j"]
) -> Callable[[Float[Tensor, "*b j 3"]], Float[Tensor, "*b 3"]]:
    """`root_least_squares` for several poses p_root with the same keypoints: what no pose changes is computed once.

    The poses must be finite where a joint is used, and have the dtype of conf.
    """
    used = (conf > 0) & torch.isfinite(kp_img).all(-1)
    m = rays(torch.where(used[..., None], kp_img, 0), K).to(conf.dtype)
    k = on_leading_axes(K, 2, kp_img).to(conf.dtype)
    rows, spread, most = [], torch.zeros_like(conf[..., :1]), torch.zeros_like(conf[..., :1])
    for axis in range(2):
        ray = torch.where(used, m[..., axis], 0)
        w2 = torch.where(used, k[..., axis, axis] * conf, 0).square()
        total = w2.sum(-1, keepdim=True)
        share = _quotient(w2, total, total > 0)
        mean = (share * ray).sum(-1, keepdim=True)
        pull = w2 * (ray - mean)
        spread, most = spread + (pull * (ray - mean)).sum(-1, keepdim=True), torch.maximum(most, total)
        rows.append((ray, share, mean, pull))
    good = spread > _SPREAD * most
    pulls = [_quotient(-pull, spread, good) for *_, pull in rows]

    def solve(p_root: Tensor) -> Tensor:
        *xy, z = (torch.where(used, v, 0) for v in p_root.unbind(-1))
        depth, means = torch.zeros_like(z[..., :1]), []
        for v, (ray, share, _, _), pull in zip(xy, rows, pulls, strict=True):
            r = ray * z - v
            means.append((share * r).sum(-1, keepdim=True))
            depth = depth + (pull * (r - means[-1])).sum(-1, keepdim=True)
        t = torch.cat([r + mean * depth for r, (_, _, mean, _) in zip(means, rows, strict=True)] + [depth], -1)
        return torch.where(good, t, torch.nan)

    return solve


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
    good = ((wx > 0).sum(-1, keepdim=True) >= 2) & (last.abs() > 1e-12)
    return torch.where(good, _quotient(v[..., :3], last, good), torch.nan).to(p_root.dtype)


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
    seen = w[..., :1] > 0
    p = torch.where(seen, p_root, 0)
    if root_xy_from == "kp":
        ray, anchor, known = m[..., root, :], p[..., root, :], seen[..., root, 0]
    else:
        count = seen.sum(-2)
        ray, anchor, known = m.sum(-2) / count.clamp(min=1), p.sum(-2) / count.clamp(min=1), count[..., 0] > 0
    # t_xy = ray (t_z + anchor_z) - anchor_xy, put into the two equations of every joint
    offset = ray * anchor[..., 2:] - anchor[..., :2]
    w2 = w * w
    slope, rest = ray[..., None, :] - m, r - offset[..., None, :]
    spread = (w2 * slope * slope).sum((-2, -1))
    good = known & (spread > _SPREAD * w2.sum((-2, -1)))
    z = _quotient((w2 * slope * rest).sum((-2, -1)), spread, good)[..., None]
    return torch.where(good[..., None], torch.cat((ray * z + offset, z), -1), torch.nan)


def root_from_z(
    kp_root: Float[Tensor, "*b 2"], z: Float[Tensor, "*b"], K: Float[Tensor, "*k 3 3"]
) -> Float[Tensor, "*b 3"]:
    """Root position from its pixel and a given depth: K⁻¹ (u z, v z, z)."""
    return unproject(kp_root, z, K)
