"""Ellipsoids seen by pinhole cameras: exact silhouettes, depths and normals, batched over pictures without a loop.

The ellipsoid {centre + axes u, |u| <= 1} covers the pixels (x, y) where a quadratic form D of (x, y, 1) is not
negative: an ellipse whose rows are intervals. So every pixel that is looked at is one that is hit: bodies of many
ellipsoids cost little more than the pixels they cover. A shadow on the floor is a flat ellipsoid, drawn the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["Conics", "Hits", "boxes", "conics", "hits", "shadow_conics", "shadow_mask"]

NEAR = 0.15
"""Metres; ellipsoids that come nearer to the camera are not drawn."""

BLEND = 0.02
"""Metres over which the normals of neighbouring ellipsoids of one body melt into each other."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Conics:
    """Images of n ellipsoids, coordinates relative to a pixel `origin` of each, so that single precision is enough.

    D (n, 3, 3) float64: not negative inside; origin (n, 2) pixels; drawn (n,): wholly in front of the camera.
    rays (n, 3, 3): (x, y, 1) to the viewing ray in the ellipsoid's unit space; centre (n, 3): the camera there.
    """

    D: Tensor
    origin: Tensor
    drawn: Tensor
    rays: Tensor
    centre: Tensor


def _inverse_K(K: Tensor) -> Tensor:
    """K⁻¹ (n, 3, 3) of intrinsics without skew."""
    out = torch.zeros_like(K)
    out[:, 0, 0], out[:, 1, 1], out[:, 2, 2] = 1 / K[:, 0, 0], 1 / K[:, 1, 1], 1.0
    out[:, 0, 2], out[:, 1, 2] = -K[:, 0, 2] / K[:, 0, 0], -K[:, 1, 2] / K[:, 1, 1]
    return out


def _origins(centre: Tensor, K: Tensor) -> Tensor:
    """Pixels (n, 2), whole numbers, that the centres (n, 3) project to."""
    z = centre[:, 2].clamp_min(NEAR)
    u = K[:, 0, 0] * centre[:, 0] / z + K[:, 0, 2]
    v = K[:, 1, 1] * centre[:, 1] / z + K[:, 1, 2]
    return torch.stack((u, v), -1).clamp(-1e6, 1e6).round()


def conics(
    centre: Float[Tensor, "n 3"], axes: Float[Tensor, "n 3 3"], K: Float[Tensor, "n 3 3"], there: Bool[Tensor, " n"]
) -> Conics:
    """Silhouettes of ellipsoids in camera space: centre metres, axes with orthogonal columns; each has its own K."""
    centre, axes, K = centre.double(), axes.double(), K.double()
    origin = _origins(centre, K)
    square = (axes * axes).sum(1).clamp_min(1e-8)
    inverse = (axes / square[:, None]).mT
    local = _inverse_K(K)
    local[:, :2, 2] += local[:, [0, 1], [0, 1]] * origin
    rays = inverse @ local
    eye = -(inverse @ centre[..., None]).squeeze(-1)
    g = (rays * eye[..., None]).sum(1)
    D = g[:, :, None] * g[:, None] - ((eye * eye).sum(-1) - 1)[:, None, None] * (rays.mT @ rays)
    near = centre[:, 2] - (axes[:, 2] ** 2).sum(-1).sqrt()
    return Conics(D=D, origin=origin, drawn=there & (near > NEAR), rays=rays, centre=eye)


def shadow_conics(
    centre: Float[Tensor, "n 3"], axes: Float[Tensor, "n 3 3"], K: Float[Tensor, "n 3 3"], there: Bool[Tensor, " n"],
    *, up: Float[Tensor, "n 3"], eye_height: Float[Tensor, " n"], light: Float[Tensor, "n 3"],
) -> Conics:  # fmt: skip
    """Silhouettes of the shadows that ellipsoids in camera space cast on the floor.

    up (n, 3): the floor's normal in camera axes; eye_height (n,): the camera's height above it, metres; light (n, 3):
    towards the light, camera axes, above the floor.
    """
    centre, axes, K, up, light = (x.double() for x in (centre, axes, K, up, light))
    fall = (light * up).sum(-1, keepdim=True)
    height = (centre * up).sum(-1, keepdim=True) + eye_height.double()[:, None]
    centre = centre - light * (height / fall)
    drop = (axes * up[..., None]).sum(1)
    axes = axes - light[..., None] * (drop / fall)[:, None]
    origin = _origins(centre, K)
    moved = K.clone()
    moved[:, :2, 2] -= origin
    c, a = (moved @ centre[..., None]).squeeze(-1), moved @ axes
    dual = a @ a.mT - c[:, :, None] * c[:, None]
    r0, r1, r2 = dual.unbind(1)
    D = torch.stack((r1.cross(r2, -1), r2.cross(r0, -1), r0.cross(r1, -1)), 1)  # the adjugate of a symmetric matrix
    D = D * torch.where(D[:, :1, :1] > 0, -1.0, 1.0)  # an ellipse is bounded: negative far away
    near = centre[:, 2] - (axes[:, 2] ** 2).sum(-1).sqrt()
    return Conics(D=D, origin=origin, drawn=there & (near > NEAR), rays=a, centre=c)


def _range(D: Tensor, drawn: Tensor, i: int, j: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where the ellipses begin and end along axis j, and whether they are there at all; i is the other axis."""
    e2 = D[:, i, j] ** 2 - D[:, i, i] * D[:, j, j]
    e1 = D[:, i, j] * D[:, i, 2] - D[:, i, i] * D[:, j, 2]
    e0 = D[:, i, 2] ** 2 - D[:, i, i] * D[:, 2, 2]
    root = e1 * e1 - e2 * e0
    ok = drawn & (D[:, i, i] < 0) & (e2 < 0) & (root > 0)
    e2 = torch.where(ok, e2, -1.0)
    root = root.clamp_min(0).sqrt()
    return (-e1 + root) / e2, (-e1 - root) / e2, ok


def boxes(c: Conics) -> tuple[Float[Tensor, "n 4"], Bool[Tensor, " n"]]:
    """Tight boxes (n, 4) x0 y0 x1 y1 of the silhouettes in pixels, and which of them are there."""
    x0, x1, ok = _range(c.D, c.drawn, 1, 0)
    y0, y1, _ = _range(c.D, c.drawn, 0, 1)
    return torch.stack((x0, y0, x1, y1), -1) + c.origin.repeat(1, 2), ok


def _counted(counts: Tensor) -> tuple[Tensor, Tensor]:
    """For counts (n,): the owner of each of sum(counts) entries, and its number within the owner."""
    owner = torch.repeat_interleave(counts)
    before = counts.cumsum(0) - counts
    return owner, torch.arange(len(owner), device=counts.device) - before.index_select(0, owner)


def _rows(c: Conics, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Rows of the silhouettes inside pictures of (h, w): ellipsoid, y, first x, number of pixels; forms (r, 3)."""
    h, w = size
    first, last, ok = _range(c.D, c.drawn, 0, 1)
    first = torch.maximum(first.ceil(), -c.origin[:, 1])
    last = torch.minimum(last.floor(), h - 1 - c.origin[:, 1])
    count = torch.where(ok, last - first + 1, 0).clamp_min(0).long()
    n, k = _counted(count)
    y = first.index_select(0, n) + k
    D = c.D.flatten(1).index_select(0, n)
    half, rest = D[:, 1] * y + D[:, 2], D[:, 4] * y * y + 2 * D[:, 5] * y + D[:, 8]
    root = (half * half - D[:, 0] * rest).clamp_min(0).sqrt()
    x0 = c.origin[:, 0].index_select(0, n)
    left = torch.maximum(((-half + root) / D[:, 0]).ceil(), -x0)
    right = torch.minimum(((-half - root) / D[:, 0]).floor(), w - 1 - x0)
    return n, y, left, (right - left + 1).clamp_min(0).long(), torch.stack((D[:, 0], 2 * half, rest), -1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """What p covered pixels of b pictures show.

    pixel (p,): b·h·w index; z (p,): depth in metres; part (p,): index of the ellipsoid in front; u (p, 3): the point
    on it in its unit space; normal (p, 3): outward, camera axes, unit length, blended over the parts of one owner.
    """

    pixel: Int[Tensor, " p"]
    z: Float[Tensor, " p"]
    part: Int[Tensor, " p"]
    u: Float[Tensor, "p 3"]
    normal: Float[Tensor, "p 3"]


def hits(
    c: Conics, axes: Float[Tensor, "n 3 3"], picture: Int[Tensor, " n"], owner: Int[Tensor, " n"],
    *, pictures: int, size: tuple[int, int],
) -> Hits:  # fmt: skip
    """The nearest surface in every pixel of `pictures` pictures of size (h, w).

    picture, owner (n,): in which picture an ellipsoid is drawn, and whose it is.
    """
    h, w = size
    n, y, left, count, form = _rows(c, size)
    A = (c.rays.mT @ c.rays).flatten(1).index_select(0, n)
    g = (c.rays * c.centre[..., None]).sum(1).index_select(0, n)
    a = torch.stack((A[:, 0], 2 * (A[:, 1] * y + A[:, 2]), A[:, 4] * y * y + 2 * A[:, 5] * y + A[:, 8]), -1)
    rows = torch.cat((form, a, g[:, :1], (g[:, 1] * y + g[:, 2])[:, None]), -1).float()
    start = (picture.index_select(0, n) * h + (y + c.origin[:, 1].index_select(0, n)).long()) * w
    start = start + c.origin[:, 0].index_select(0, n).long()
    row, k = _counted(count)
    x = left.index_select(0, row).long() + k
    pixel, xf = start.index_select(0, row) + x, x.float()
    r = rows.T.contiguous().index_select(1, row)
    under = ((r[0] * xf + r[1]) * xf + r[2]).clamp_min(0)
    t = -(r[6] * xf + r[7] + under.sqrt()) / ((r[3] * xf + r[4]) * xf + r[5])
    part = n.index_select(0, row)
    depth = torch.full((pictures * h * w,), torch.inf, device=t.device).scatter_reduce_(0, pixel, t, "amin")
    behind = t - depth.index_select(0, pixel)
    near = (behind < 3 * BLEND).nonzero().squeeze(-1)  # what takes part in the surface or in its normal
    pixel, t, part, behind = (v.index_select(0, near) for v in (pixel, t, part, behind))
    front = torch.full((pictures * h * w,), -1, device=t.device)
    first = (behind <= 0).nonzero().squeeze(-1)
    front.scatter_reduce_(0, pixel.index_select(0, first), part.index_select(0, first), "amax")
    x, y = xf.index_select(0, near), y.float().index_select(0, row.index_select(0, near))
    wide = torch.cat((c.rays.flatten(1), c.centre), -1).float().T.contiguous().index_select(1, part)
    u = [(wide[3 * i] * x + wide[3 * i + 1] * y + wide[3 * i + 2]) * t + wide[9 + i] for i in range(3)]
    back = (axes / (axes * axes).sum(1, keepdim=True).clamp_min(1e-8)).flatten(1).T.contiguous().index_select(1, part)
    v = [back[3 * i] * u[0] + back[3 * i + 1] * u[1] + back[3 * i + 2] * u[2] for i in range(3)]
    same = owner.index_select(0, part) == owner.index_select(0, front.index_select(0, pixel))
    weight = torch.exp(behind / -BLEND) * same * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).clamp_min(1e-12).rsqrt()
    seen = front.index_select(0, pixel) == part
    seen = seen & (behind <= 0)
    keep = seen.nonzero().squeeze(-1)
    at = pixel.index_select(0, keep)
    normal = [torch.zeros_like(depth).index_add_(0, pixel, weight * v[i]).index_select(0, at) for i in range(3)]
    normal = torch.stack(normal, -1)
    return Hits(
        pixel=at,
        z=t.index_select(0, keep),
        part=part.index_select(0, keep),
        u=torch.stack(u, -1).index_select(0, keep),
        normal=normal / normal.norm(dim=-1, keepdim=True).clamp_min(1e-6),
    )


def shadow_mask(
    c: Conics, picture: Int[Tensor, " n"], *, pictures: int, size: tuple[int, int]
) -> Float[Tensor, "pictures h w"]:
    """1 where any of the silhouettes covers a pixel, else 0."""
    h, w = size
    n, y, left, count, _ = _rows(c, size)
    start = (picture.index_select(0, n) * h + (y + c.origin[:, 1].index_select(0, n)).long()) * w
    start = start + (left + c.origin[:, 0].index_select(0, n)).long()
    row, k = _counted(count)
    out = torch.zeros(pictures * h * w, device=start.device)
    out[start.index_select(0, row) + k] = 1.0
    return out.view(pictures, h, w)
