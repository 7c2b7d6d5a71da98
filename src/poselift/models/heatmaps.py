"""Heatmaps: the heads that make them, their targets, and how a place is read from them.

A map has a cell for every four pixels of the crop; cell (column, row) stands for the pixel (4 column, 4 row), as in
the published codes. Sources: Xiao, Wu, Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018
(head, targets, quarter cell); Sun et al., "Integral Human Pose Regression", ECCV 2018 (soft-argmax); Zhang et al.,
"Distribution-Aware Coordinate Representation for Human Pose Estimation", CVPR 2020 (Newton step).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poselift.errors import InputError

__all__ = [
    "argmax", "deconvolutions", "flip_heatmaps", "gaussian_targets", "marginal_soft_argmax", "newton_argmax",
    "quarter_cell", "soft_argmax",
]  # fmt: skip

_PADDING = {4: (1, 0), 3: (1, 1), 2: (0, 0)}
"""Kernel of a transposed convolution that doubles the size → padding, output padding."""


def deconvolutions(
    inputs: int, filters: Sequence[int] = (256, 256, 256), kernels: Sequence[int] = (4, 4, 4), *, bias: bool = False
) -> nn.Sequential:
    """Transposed convolution, norm and ReLU, as often as there are filters; each doubles the size.

    Raises `InputError` for another kernel than 2, 3, 4, or not one kernel for every filter.
    """
    if len(filters) != len(kernels) or not set(kernels) <= set(_PADDING) or min(filters, default=0) < 1:
        found = f"filters {tuple(filters)} with kernels {tuple(kernels)}"
        raise InputError(field="model deconvolutions", expected="a kernel of 2, 3 or 4 for each filter", found=found)
    layers: list[nn.Module] = []
    for outputs, kernel in zip(filters, kernels, strict=True):
        padding, extra = _PADDING[kernel]
        up = nn.ConvTranspose2d(inputs, outputs, kernel, stride=2, padding=padding, output_padding=extra, bias=bias)
        nn.init.normal_(up.weight, std=0.001)
        if up.bias is not None:
            nn.init.zeros_(up.bias)
        layers += [up, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        inputs = outputs
    return nn.Sequential(*layers)


def gaussian_targets(
    kp_cell: Float[Tensor, "*b j 2"],
    visible: Float[Tensor, "*b j"],
    size_hw: tuple[int, int],
    *,
    sigma: float = 2.0,
    rounded: bool = True,
) -> tuple[Float[Tensor, "*b j h w"], Float[Tensor, "*b j"]]:
    """Maps with a Gaussian of height 1 at each joint, and the joints' weights.

    rounded: as published for MPII, the centre is the nearest cell, the Gaussian ends 3 σ from it, and the weight is 0
    where none of it is on the map. Not rounded: centred on the very place, without an end (Human3.6M's variant).
    A joint that is not visible has weight 0, and an empty map if rounded.
    """
    h, w = size_hw
    known = visible > 0
    at = torch.where(known[..., None], kp_cell, 0)
    weight = visible
    if rounded:
        at, reach = (at + 0.5).trunc(), int(3 * sigma)
        limit = at.new_tensor((w, h))
        on_map = ((at - reach < limit) & (at + reach + 1 >= 0)).all(-1)
        weight = torch.where(on_map, visible, 0)
    x, y = (torch.arange(n, dtype=at.dtype, device=at.device) for n in (w, h))
    dx, dy = x - at[..., :1], y - at[..., 1:]  # (*b, j, w), (*b, j, h)
    row, column = torch.exp(-dx.square() / (2 * sigma**2)), torch.exp(-dy.square() / (2 * sigma**2))
    if rounded:
        row, column = (g * (d.abs() <= reach) for g, d in ((row, dx), (column, dy)))
        row = row * (weight > 0)[..., None]
    return column[..., :, None] * row[..., None, :], weight


def argmax(heat: Float[Tensor, "*b h w"]) -> tuple[Float[Tensor, "*b 2"], Float[Tensor, "*b"]]:
    """(column, row) of the highest cell and its height; (0, 0) where nothing is above 0."""
    height, at = heat.flatten(-2).max(-1)
    xy = torch.stack((at % heat.shape[-1], at // heat.shape[-1]), -1).to(heat.dtype)
    return torch.where((height > 0)[..., None], xy, 0), height


def quarter_cell(heat: Float[Tensor, "*b h w"]) -> tuple[Float[Tensor, "*b 2"], Float[Tensor, "*b"]]:
    """`argmax`, moved by a quarter of a cell towards the higher neighbour in x and in y; and the height.

    Cells in the two first and the last column or row are left where they are, as published.
    """
    h, w = heat.shape[-2:]
    xy, height = argmax(heat)
    column, row = xy.long().unbind(-1)
    inside = (column > 1) & (column < w - 1) & (row > 1) & (row < h - 1)
    flat, at = heat.flatten(-2), torch.where(inside, row * w + column, w + 1)

    def cell(offset: int) -> Tensor:
        return flat.gather(-1, (at + offset)[..., None])[..., 0]

    shift = torch.stack((cell(1) - cell(-1), cell(w) - cell(-w)), -1).sign() / 4
    return xy + torch.where(inside[..., None], shift, 0), height


def newton_argmax(
    heat: Float[Tensor, "*b h w"], *, sigma: float = 0.8, radius: int = 5
) -> tuple[Float[Tensor, "*b 2"], Float[Tensor, "*b"]]:
    """`argmax`, moved to the top of the parabola through the logarithm of the smoothed map; and the map's height.

    For a map that is a Gaussian this is its very centre. sigma, radius: of the smoothing, in cells. Where that is no
    top (a plain map), or more than a cell and a half away, the highest cell is left as it is, unlike in published code.
    """
    h, w = heat.shape[-2:]
    xy, height = argmax(heat)
    taps = torch.arange(-radius, radius + 1, dtype=heat.dtype, device=heat.device)
    taps = torch.exp(-taps.square() / (2 * sigma**2))
    taps = taps / taps.sum()
    soft = heat
    for size in (h, w):  # along one axis, then the other; beyond the edge is its mirror image
        at = torch.arange(-radius, size + radius, device=heat.device)
        at = torch.where(at < 0, -1 - at, torch.where(at >= size, 2 * size - 1 - at, at)).clamp(0, size - 1)
        soft = soft.transpose(-1, -2).index_select(-1, at).unfold(-1, 2 * radius + 1, 1) @ taps
    flat, (column, row) = soft.clamp(1e-3, 50).log().flatten(-2), xy.long().unbind(-1)

    def cell(dx: int, dy: int) -> Tensor:
        at = (row + dy).clamp(0, h - 1) * w + (column + dx).clamp(0, w - 1)
        return flat.gather(-1, at[..., None])[..., 0]

    middle, left, right, above, below = (cell(*d) for d in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)))
    dx, dy = (right - left) / 2, (below - above) / 2
    dxx, dyy = right - 2 * middle + left, below - 2 * middle + above
    dxy = (cell(1, 1) - right - below + 2 * middle - left - above + cell(-1, -1)) / 2
    det = dxx * dyy - dxy.square()
    step = -torch.stack((dyy * dx - dxy * dy, dxx * dy - dxy * dx), -1) / torch.where(det > 0, det, 1)[..., None]
    fine = (det > 0) & (dxx < 0) & (step.abs().amax(-1) <= 1.5)
    return xy + torch.where(fine[..., None], step, 0), height


def soft_argmax(logits: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b 2"]:
    """Expected (column, row) under one softmax over all cells."""
    h, w = logits.shape[-2:]
    p = logits.flatten(-2).softmax(-1).unflatten(-1, (h, w))
    return _expectation(p.sum(-2), p.sum(-1))


def marginal_soft_argmax(heat: Float[Tensor, "*b h w"], beta: float = 1000.0) -> Float[Tensor, "*b 2"]:
    """Expected (column, row), each under a softmax of `beta` times the map's sums over the other axis.

    Source: the Human3.6M variant of Pose ResNet. With its beta it is almost the argmax of the sums.
    """
    return _expectation((beta * heat.sum(-2)).softmax(-1), (beta * heat.sum(-1)).softmax(-1))


def _expectation(columns: Tensor, rows: Tensor) -> Tensor:
    return torch.stack([p @ torch.arange(p.shape[-1], dtype=p.dtype, device=p.device) for p in (columns, rows)], -1)


def flip_heatmaps(
    heat: Float[Tensor, "*b j h w"], flip: Sequence[int], *, shift: bool = False
) -> Float[Tensor, "*b j h w"]:
    """Maps of the mirrored picture → maps of the picture: mirrored back, left and right joints exchanged.

    shift: moved one column to the right, the first stays: a cell's middle is not its mirrored cell's (reference code).
    """
    index = torch.tensor(flip, device=heat.device)
    back = heat.index_select(-3, index).flip(-1)
    return torch.cat((back[..., :1], back[..., :-1]), -1) if shift else back
