"""Projection of camera points to pixels and back, with and without the Human3.6M distortion model.

OpenCV axes (x right, y down, z forward); pixels with (0, 0) at the centre of the top-left one.
Intrinsics `K` (*b, 3, 3) and distortion `dist` (*b, 5) belong to the leading axes of the points (*b, ..., 3):
one camera for a whole clip, one per clip of a batch, or one per frame, without reshaping by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "MIN_DEPTH", "distort", "image_coordinates", "normalize_screen", "on_leading_axes", "project", "rays",
    "screen_intrinsics", "undistort", "unproject", "weak_perspective",
]  # fmt: skip

MIN_DEPTH = 1e-6
"""Metres; a point at this depth or nearer has no image."""


def on_leading_axes(camera: Tensor, own: int, points: Tensor) -> Tensor:
    """Camera parameters (*b, <own axes>) with axes of 1 put in, so that *b meets the leading axes of the points."""
    batch = camera.ndim - own
    extra = points.ndim - 1 - batch
    if batch > 0 and extra > 0:
        camera = camera.reshape(*camera.shape[:batch], *(1,) * extra, *camera.shape[batch:])
    return camera.to(points.dtype)


def project(
    p_cam: Float[Tensor, "*points 3"],
    K: Float[Tensor, "*b 3 3"],
    dist: Float[Tensor, "*b 5"] | None = None,
    *,
    clamp: bool = False,
) -> Float[Tensor, "*points 2"]:
    """Perspective projection of camera points (*b, ..., 3) to pixels (*b, ..., 2).

    Any unit of length; K and dist (k1, k2, k3, p1, p2) as at the top of this module. Points with z <= `MIN_DEPTH`
    give NaN, with a gradient of 0. `clamp` limits x/z and y/z to [-1, 1] first, as VideoPose3D does.
    Source: Pavllo et al., VideoPose3D, CVPR 2019 (released code, `project_to_2d` and `project_to_2d_linear`).
    """
    x, y, z = p_cam.unbind(-1)  # one coordinate at a time: rows of two or three numbers are slow
    seen = z > MIN_DEPTH
    z = torch.where(seen, z, 1)
    x, y = x / z, y / z
    if clamp:
        x, y = x.clamp(-1, 1), y.clamp(-1, 1)
    if dist is not None:
        x, y = distort(torch.stack((x, y), -1), dist).unbind(-1)
    k = on_leading_axes(K, 2, p_cam)
    u = x * k[..., 0, 0] + k[..., 0, 2] + k[..., 0, 1] * y
    v = y * k[..., 1, 1] + k[..., 1, 2]
    return torch.stack((torch.where(seen, u, torch.nan), torch.where(seen, v, torch.nan)), -1)


def distort(m: Float[Tensor, "*points 2"], dist: Float[Tensor, "*b 5"]) -> Float[Tensor, "*points 2"]:
    """Human3.6M lens distortion of K⁻¹-normalised points m = (x/z, y/z), with dist = k1, k2, k3, p1, p2.

    m (1 + k1 r² + k2 r⁴ + k3 r⁶ + p·m) + p r². Not OpenCV's model: the tangential cross terms lack its factor 2.
    The pair (p1, p2) of the dataset's own metadata must be swapped before it is handed in.
    Source: VideoPose3D's order of the Human3.6M camera model.
    """
    d = on_leading_axes(dist, 1, m)
    k, p = d[..., :3], d[..., 3:]
    r2 = (m * m).sum(-1, keepdim=True)
    radial = 1 + r2 * (k[..., 0:1] + r2 * (k[..., 1:2] + r2 * k[..., 2:3]))
    return m * (radial + (p * m).sum(-1, keepdim=True)) + p * r2


def rays(kp_img: Float[Tensor, "*points 2"], K: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*points 2"]:
    """K⁻¹-normalised rays of pixels: the (x, y) of every pixel's viewing ray at z = 1."""
    k = on_leading_axes(K, 2, kp_img)
    y = (kp_img[..., 1] - k[..., 1, 2]) / k[..., 1, 1]
    x = (kp_img[..., 0] - k[..., 0, 2] - k[..., 0, 1] * y) / k[..., 0, 0]
    return torch.stack((x, y), -1)


def unproject(
    kp_img: Float[Tensor, "*points 2"], z: Float[Tensor, "*points"], K: Float[Tensor, "*b 3 3"]
) -> Float[Tensor, "*points 3"]:
    """Back-projection: the camera points at depth z (along the optical axis, not along the ray) that pixels show."""
    m = rays(kp_img, K)
    z = z.to(m.dtype)[..., None]
    return torch.cat((m * z, z), -1)


def undistort(
    kp_img: Float[Tensor, "*points 2"], K: Float[Tensor, "*b 3 3"], dist: Float[Tensor, "*b 5"], *, iterations: int = 10
) -> Float[Tensor, "*points 2"]:
    """Pixels as a camera without distortion would have seen them: the inverse of `distort`, by Newton's method.

    NaN where the lens model has no inverse within reach (pixels far outside of the image).
    """
    seen = rays(kp_img, K)
    d = on_leading_axes(dist, 1, seen)
    k1, k2, k3, p = d[..., 0], d[..., 1], d[..., 2], d[..., 3:]
    m = seen
    for _ in range(iterations):
        r2 = (m * m).sum(-1)
        g = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)) + (p * m).sum(-1)
        dg = 2 * m * (k1 + r2 * (2 * k2 + r2 * 3 * k3))[..., None] + p
        # Jacobian of distort: g I + m dgᵀ + 2 p mᵀ
        a = g + m[..., 0] * dg[..., 0] + 2 * p[..., 0] * m[..., 0]
        b = m[..., 0] * dg[..., 1] + 2 * p[..., 0] * m[..., 1]
        c = m[..., 1] * dg[..., 0] + 2 * p[..., 1] * m[..., 0]
        e = g + m[..., 1] * dg[..., 1] + 2 * p[..., 1] * m[..., 1]
        f = m * g[..., None] + p * r2[..., None] - seen
        step = torch.stack((e * f[..., 0] - b * f[..., 1], a * f[..., 1] - c * f[..., 0]), -1)
        m = m - step / (a * e - b * c)[..., None]
    tolerance = 1e-4 if seen.dtype == torch.float32 else 1e-8
    good = (distort(m, d) - seen).abs().amax(-1, keepdim=True) < tolerance
    m = torch.where(good, m, torch.full_like(m, torch.nan))
    return project(torch.cat((m, torch.ones_like(m[..., :1])), -1), K)


def _width_and_aspect(kp: Tensor, size_wh: Tensor | Sequence[float | int]) -> tuple[Tensor, Tensor]:
    size = torch.as_tensor(size_wh, dtype=kp.dtype, device=kp.device)
    size = on_leading_axes(size, 1, kp)
    w, h = size[..., :1], size[..., 1:]
    return w, torch.cat((torch.ones_like(w), h / w), -1)


def normalize_screen(
    kp_img: Float[Tensor, "*points 2"], size_wh: Tensor | Sequence[float | int]
) -> Float[Tensor, "*points 2"]:
    """Screen coordinates: x from -1 to 1 over the image width, y by the same scale (x/w·2 - 1, y/w·2 - h/w).

    size_wh is (width, height) in pixels, one pair or (*b, 2). Source: VideoPose3D, `normalize_screen_coordinates`.
    """
    w, aspect = _width_and_aspect(kp_img, size_wh)
    return kp_img / w * 2 - aspect


def screen_intrinsics(K: Float[Tensor, "*b 3 3"], size_wh: Tensor | Sequence[float | int]) -> Float[Tensor, "*b 3 3"]:
    """Intrinsics that project to screen coordinates (`normalize_screen`), not pixels; the focal length is f/w·2."""
    w, aspect = _width_and_aspect(K[..., :2, 2], size_wh)
    top = torch.cat((K[..., :2, :2] * (2 / w)[..., None], (K[..., :2, 2] * 2 / w - aspect)[..., None]), -1)
    return torch.cat((top, K[..., 2:, :]), -2)


def image_coordinates(
    kp_norm: Float[Tensor, "*points 2"], size_wh: Tensor | Sequence[float | int]
) -> Float[Tensor, "*points 2"]:
    """Pixels of screen coordinates: the inverse of `normalize_screen`. Source: VideoPose3D, `image_coordinates`."""
    w, aspect = _width_and_aspect(kp_norm, size_wh)
    return (kp_norm + aspect) * w / 2


def weak_perspective(p_root: Float[Tensor, "*b j 3"], M: Float[Tensor, "*b 3 2"]) -> Float[Tensor, "*b j 2"]:
    """Weak-perspective projection p M of a root-relative pose, without translation: in the unit of M times that of p.

    Source: Wandt & Rosenhahn, RepNet, CVPR 2019, eq. 1 (the reprojection layer).
    """
    return p_root @ M
