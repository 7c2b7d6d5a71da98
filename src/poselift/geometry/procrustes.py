"""Procrustes alignment: the similarity (or rigid) transform without reflection that lays one pose on another.

The only alignment of this package: batched, masked, closed form, differentiable. The rotation comes from Markley's
fast optimal attitude matrix: for B = Σ w y xᵀ scaled to ‖B‖ = 1, the largest root λ = σ1 + σ2 ± σ3 of a quartic gives

    R = ((κ + 1) B + λ adj(B)ᵀ - B Bᵀ B) / ζ,    κ = (λ² - 1) / 2,    ζ = κ λ - det B = (σ1+σ2)(σ2+σ3)(σ3+σ1)

which is arithmetic in float64 on nine numbers per pose. ζ says how well the rotation is determined; the few poses
where it is next to nothing (collinear joints, mirror images of flat poses) go to an SVD.

Poses are worked on with the batch as the last axis, (j, 3, n), in pieces that stay in the processor's cache.
Source: F. L. Markley, Attitude determination using vector observations: a fast optimal matrix algorithm, Journal of
the Astronautical Sciences 41(2), 1993. The problem: S. Umeyama, PAMI 13(4), 1991.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["align", "aligned_distances", "procrustes"]

_NEWTON_STEPS = 7
_CPU_PIECE, _DEVICE_PIECE = 8192, 1 << 20
_TINY = 1e-30


def procrustes(
    source: Float[Tensor, "*b j 3"],
    target: Float[Tensor, "*b j 3"],
    mask: Bool[Tensor, "*b j"] | Float[Tensor, "*b j"] | None = None,
    *,
    scale: bool = True,
) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b 3 3"], Float[Tensor, "*b 3"]]:
    """Scale s, rotation R and translation t that lay `source` on `target`: aligned = s * source @ R.mT + t.

    The least-squares similarity transform per pose, never a reflection; `scale=False` keeps s = 1 (rigid). Any unit.
    `mask` (*b, j) leaves joints out, or weighs them; what stands in a joint of weight 0 (NaN too) does not matter.
    Joints that all lie in one point (or a single one): s = 1, R = 1; no joint at all: t = 0 as well; joints on a
    line: one of the equally good rotations. Differentiable, with finite gradients in those cases as well.
    """
    b = source.shape[:-2]
    parts = [_solve(x, y, w, scale)[:3] for x, y, w in _pieces(source, target, mask)]
    s, r, t = (torch.cat(p, -1) for p in zip(*parts, strict=True))
    return s.reshape(b), r.movedim(-1, 0).reshape(*b, 3, 3), t.T.reshape(*b, 3)


def align(
    source: Float[Tensor, "*b j 3"],
    target: Float[Tensor, "*b j 3"],
    mask: Bool[Tensor, "*b j"] | Float[Tensor, "*b j"] | None = None,
    *,
    scale: bool = True,
) -> Float[Tensor, "*b j 3"]:
    """`source` laid on `target` by `procrustes`; joints outside of the mask are moved along with the rest."""
    s, r, t = procrustes(source, target, mask, scale=scale)
    known = source if mask is None else torch.where((mask > 0)[..., None] | source.isfinite(), source, 0)
    moved = known @ (s[..., None, None] * r).mT + t[..., None, :]
    return moved if mask is None else torch.where(known == source, moved, source)


def aligned_distances(
    source: Float[Tensor, "*b j 3"],
    target: Float[Tensor, "*b j 3"],
    mask: Bool[Tensor, "*b j"] | Float[Tensor, "*b j"] | None = None,
    *,
    scale: bool = True,
) -> Float[Tensor, "*b j"]:
    """Distance of every joint from its target after `align`; 0 outside of the mask. Stores no aligned poses: faster."""
    out = []
    for x, y, w in _pieces(source, target, mask):
        s, r, _, x0, y0 = _solve(x, y, w, scale)
        a = -s * r
        d2 = torch.zeros_like(x0[:, 0])
        for i in range(3):  # target minus aligned, both centred
            off = torch.addcmul(y0[:, i], x0[:, 0], a[i, 0]).addcmul_(x0[:, 1], a[i, 1]).addcmul_(x0[:, 2], a[i, 2])
            d2.addcmul_(off, off)
        d = d2.clamp(min=_TINY).sqrt()  # clamped: the gradient of a distance of 0 is 0
        out.append((d if w is None else torch.where(w > 0, d, 0)).T)
    return torch.cat(out).reshape(source.shape[:-1])


def _pieces(source: Tensor, target: Tensor, mask: Tensor | None) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """(j, 3, n), (j, 3, n) and weights (j, n) with unseen joints set to 0; whole when a gradient is wanted."""
    j = source.shape[-2]
    x, y = source.reshape(-1, j * 3), target.reshape(-1, j * 3)
    w = None if mask is None else mask.reshape(-1, j).to(x.dtype)
    piece = _CPU_PIECE * torch.get_num_threads() if x.device.type == "cpu" else _DEVICE_PIECE
    if torch.is_grad_enabled() and (x.requires_grad or y.requires_grad or (w is not None and w.requires_grad)):
        piece = len(x)
    for i in range(0, max(len(x), 1), max(piece, 1)):
        cut = slice(i, i + piece)
        px, py = (a[cut].T.contiguous().view(j, 3, -1) for a in (x, y))
        if w is None:
            yield px, py, None
        else:
            pw = w[cut].T.contiguous()
            seen = (pw > 0)[:, None]
            yield torch.where(seen, px, 0), torch.where(seen, py, 0), pw


def _solve(x: Tensor, y: Tensor, w: Tensor | None, scale: bool) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """s (n,), R (3, 3, n), t (3, n) and the centred poses, for poses (j, 3, n) and weights (j, n)."""
    if w is None:
        total = x.new_tensor(float(len(x)))
        x_mean, y_mean = x.mean(0), y.mean(0)
        x0, y0 = x - x_mean, y - y_mean
        wx = x0
    else:
        total = w.sum(0)
        share = (w / torch.where(total > 0, total, 1))[:, None]
        x_mean, y_mean = (share * x).sum(0), (share * y).sum(0)
        x0, y0 = x - x_mean, y - y_mean
        wx = w[:, None] * x0
    size = (wx * x0).sum((0, 1))
    # a source no larger than rounding makes it has neither a scale nor an orientation
    ok = size > (16 * torch.finfo(x.dtype).eps) ** 2 * total * x_mean.square().sum(0) + _TINY
    h = torch.where(ok, torch.cat([(y0[:, i : i + 1] * wx).sum(0) for i in range(3)]), 0)
    # float64 for the small problem, where the device has it
    r = _rotation(h if x.device.type == "mps" else h.double()).to(x.dtype)
    s = torch.where(ok, (r * h).sum(0) / torch.where(ok, size, 1), 1) if scale else torch.ones_like(size)
    r = r.view(3, 3, -1)
    return s, r, y_mean - s * (r * x_mean).sum(1), x0, y0


def _rotation(h: Tensor) -> Tensor:
    """Rotations (9, n) that maximise tr(Rᵀ H), H (9, n) in row order, differentiable.

    The gradient is that of the optimum itself, not of the iteration: with S = Rᵀ H, the rotation R exp([ω]) answers a
    change of H by (tr(S) 1 - S) ω = vee(Rᵀ H - Hᵀ R), whose right side is 0 in value and not in its derivative.
    Directions in which the rotation is not determined get no gradient.
    """
    r = _fast_optimal_matrix(h.detach())
    if not (torch.is_grad_enabled() and h.requires_grad):
        return r
    r0 = r.T.reshape(-1, 3, 3)
    s = r0.mT @ h.T.reshape(-1, 3, 3)
    with torch.no_grad():
        stiffness = torch.diag_embed(s.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True).expand(-1, 3)) - (s + s.mT) / 2
        give = torch.linalg.pinv(torch.nan_to_num(stiffness), rtol=1e-9, hermitian=True)
    a = s - s.mT
    w = (give @ torch.stack((a[:, 2, 1], a[:, 0, 2], a[:, 1, 0]), -1)[..., None])[..., 0]
    zero = torch.zeros_like(w[:, 0])
    x, y, z = w.unbind(-1)
    turn = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).reshape(-1, 3, 3)
    return (r0 + r0 @ turn).reshape(-1, 9).T


@torch.no_grad()
def _fast_optimal_matrix(h: Tensor) -> Tensor:
    """Rotations (9, n) that maximise tr(Rᵀ H), H (9, n) in row order; the identity where H is 0."""
    norm = h.square().sum(0).sqrt()
    b = h / norm.clamp(min=_TINY)
    b0, b1, b2 = rows = (b[:3], b[3:6], b[6:])
    c = (_cross(b1, b2), _cross(b2, b0), _cross(b0, b1))  # cofactor matrix, adj(B)ᵀ
    det8 = 8 * _dot(b0, c[0])
    adj4 = -4 * (_dot(c[0], c[0]) + _dot(c[1], c[1]) + _dot(c[2], c[2]))
    # λ² = 1 + 2 (σ1σ2 + σ2σ3 + σ3σ1) is less than this, so that Newton falls on the largest root from above
    root = (1.0002 + (-3 * adj4).sqrt()).sqrt()
    one, value, slope = torch.ones_like(root), root, root
    for _ in range(_NEWTON_STEPS):
        k = torch.addcmul(-one, root, root)
        value = torch.addcmul(adj4, k, k).addcmul_(det8, root, value=-1)
        slope = torch.addcmul(-det8, k, root, value=4)
        root = torch.addcdiv(root, value, slope, value=-1)
    kappa = torch.addcmul(-one, root, root) / 2
    zeta = torch.addcmul(-det8 / 8, kappa, root)
    g = [[_dot(x, y) for y in rows] for x in rows]
    r = torch.empty_like(b)
    for i in range(3):
        out = r[3 * i : 3 * i + 3]
        torch.mul(rows[i], kappa + 1 - g[i][i], out=out)
        out.addcmul_(c[i], root)
        for k in range(3):
            if k != i:
                out.addcmul_(rows[k], g[i][k], value=-1)
        out /= zeta
    # The slope of the quartic is 8 ζ: a small ζ, or a last step (of quadratic convergence) that is not small beside it,
    # leaves the root uncertain.
    bad = ~((zeta > torch.finfo(h.dtype).eps ** 0.25) & ((value / slope).abs() < 1e-5 * zeta)) & norm.isfinite()
    if bool(bad.any()):
        r[:, bad] = _svd_rotation(b[:, bad].T.reshape(-1, 3, 3)).reshape(-1, 9).T
    return r


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """Cross products of columns, (3, n)."""
    return torch.stack([torch.addcmul(a[i] * b[k], a[k], b[i], value=-1) for i, k in ((1, 2), (2, 0), (0, 1))])


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of columns, (n,)."""
    return torch.addcmul(torch.addcmul(a[0] * b[0], a[1], b[1]), a[2], b[2])


def _svd_rotation(h: Tensor) -> Tensor:
    """Rotations (n, 3, 3) that maximise tr(Rᵀ H) by the SVD; the identity where H is 0."""
    u, sigma, vt = torch.linalg.svd(h)
    d = torch.ones_like(sigma)
    d[:, 2] = torch.sign(torch.linalg.det(u @ vt))
    r = (u * d[:, None]) @ vt
    return torch.where((sigma[:, :1] > 0)[..., None], r, torch.eye(3, dtype=h.dtype, device=h.device))
