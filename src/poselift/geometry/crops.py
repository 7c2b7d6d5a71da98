"""Boxes of people and the crops that networks of pictures see. Source: Moon et al., RootNet, ICCV 2019, as published.

    box, fine = clip_box(box_xywh, size_wh)                      # what is inside the image
    box = extend_box(box, aspect=1.0)                            # the network's shape, 1.25 times as large
    A = crop_affine(box, (256, 256))                             # pixels of the image → pixels of the crop
    crop = crop_patches(image, A[None], (256, 256))
    k = distance_measure(box, K)

Boxes are (x, y, width, height) in pixels. A box that was extended once must not be extended again: boxes in published
result files that hold roots are extended.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "MARGIN", "clip_box", "crop_affine", "crop_patches", "distance_measure", "extend_box", "invert_affine",
    "transform_points",
]  # fmt: skip

MARGIN = 1.25
"""How much larger the crop is than the person's box."""


def clip_box(
    box_xywh: Float[Tensor, "*b 4"], size_wh: Float[Tensor, "*#b 2"]
) -> tuple[Float[Tensor, "*b 4"], Bool[Tensor, "*b"]]:
    """Boxes cut off at the image's edges, and which of them show anything; the others are to be left out.

    As published: a box that begins left of or above the image is moved in before it is cut, so that it keeps its
    size; and it ends at the centre of its last pixel, one pixel earlier than its width says.
    """
    xy, wh = box_xywh.split(2, -1)
    first = xy.clamp_min(0)
    last = torch.minimum(first + (wh - 1).clamp_min(0), size_wh - 1)
    size = last - first
    fine = (wh.prod(-1) > 0) & (size >= 0).all(-1) & (size.sum(-1) > 0) & box_xywh.isfinite().all(-1)
    return torch.cat((first, size), -1), fine


def extend_box(
    box_xywh: Float[Tensor, "*b 4"], aspect: float | int, margin: float | int = MARGIN
) -> Float[Tensor, "*b 4"]:
    """The smallest box of this aspect (width / height) that holds each box, then `margin` times as large.

    Its centre stays where it is, and it may reach beyond the image.
    """
    xy, wh = box_xywh.split(2, -1)
    w, h = wh.unbind(-1)
    size = torch.stack((torch.maximum(w, h * aspect), torch.maximum(h, w / aspect)), -1) * margin
    return torch.cat((xy + wh / 2 - size / 2, size), -1)


def distance_measure(
    box_xywh: Float[Tensor, "*b 4"], K: Float[Tensor, "*#b 3 3"], real_wh: tuple[float, float] = (2.0, 2.0)
) -> Float[Tensor, "*b"]:
    """k = sqrt(fx fy · A_real / A_box): how far away something of real_wh is that fills the (extended) box.

    In the unit of real_wh, a constant guess: 2 m × 2 m. Source: Moon et al., ICCV 2019, eq. 2.
    """
    area = box_xywh[..., 2] * box_xywh[..., 3]
    return torch.sqrt(K[..., 0, 0] * K[..., 1, 1] * (real_wh[0] * real_wh[1]) / area)


def crop_affine(
    box_xywh: Float[Tensor, "*b 4"],
    out_wh: tuple[int, int],
    *,
    rotation: Float[Tensor, "*b"] | None = None,
    flip: Bool[Tensor, "*b"] | None = None,
    image_width: int | Float[Tensor, "*b"] = 0,
) -> Float[Tensor, "*b 2 3"]:
    """Pixels of the image → pixels of the crop of out_wh: the box's corner goes to (0, 0), its size to out_wh.

    rotation: radians by which the box is turned about its centre, from x towards y; the crop's content turns the
    other way. flip: the whole image, `image_width` wide, is mirrored first, and the box with it.
    """
    xy, wh = box_xywh.split(2, -1)
    centre = xy + wh / 2
    width = torch.as_tensor(image_width, dtype=wh.dtype, device=wh.device)
    mirrored = torch.zeros_like(wh[..., 0], dtype=torch.bool) if flip is None else flip
    sign = torch.where(mirrored, -1.0, 1.0).to(wh)
    cx = torch.where(mirrored, width - 1 - centre[..., 0], centre[..., 0])
    angle = torch.zeros_like(cx) if rotation is None else rotation
    out = wh.new_tensor(out_wh)
    sx, sy = (out / wh).unbind(-1)
    c, s = angle.cos(), angle.sin()
    a = torch.stack((torch.stack((c * sx, s * sx), -1), torch.stack((-s * sy, c * sy), -1)), -2)
    shift = out / 2 - (a @ torch.stack((cx, centre[..., 1]), -1)[..., None])[..., 0]
    shift = shift + torch.where(mirrored, width - 1, 0.0)[..., None] * a[..., 0]  # of the mirrored x = width - 1 - x
    return torch.cat((torch.stack((a[..., 0] * sign[..., None], a[..., 1]), -1), shift[..., None]), -1)


def invert_affine(affine: Float[Tensor, "*b 2 3"]) -> Float[Tensor, "*b 2 3"]:
    """Pixels of the crop → pixels of the image."""
    inverse = torch.linalg.inv(affine[..., :2])
    return torch.cat((inverse, -inverse @ affine[..., 2:]), -1)


def transform_points(affine: Float[Tensor, "*b 2 3"], kp: Float[Tensor, "*b n 2"]) -> Float[Tensor, "*b n 2"]:
    """Points under an affine map."""
    return kp @ affine[..., :2].mT + affine[..., None, :, 2]


def crop_patches(
    image: UInt8[Tensor, "3 h w"], affine: Float[Tensor, "n 2 3"], out_hw: tuple[int, int]
) -> UInt8[Tensor, "n 3 h2 w2"]:
    """Crops of n people out of one image: bilinear, without smoothing, black beyond the image's edges."""
    (h, w), (oh, ow) = image.shape[-2:], out_hw
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64, device=image.device) for n in (oh, ow)), indexing="ij")
    grid = torch.stack((x, y), -1).view(-1, 2)
    out = torch.zeros(len(affine), 3, oh, ow, dtype=torch.uint8, device=image.device)
    for i, inverse in enumerate(invert_affine(affine.double())):
        at = transform_points(inverse, grid)
        # only the part of the image that the crop shows is made floating point
        low = at.amin(0).floor().clamp(min=0).long()
        high = at.amax(0).ceil().long() + 1
        x0, y0, x1, y1 = (*low.tolist(), *high.tolist())
        part = image[:, y0 : max(min(y1, h), 0), x0 : max(min(x1, w), 0)]
        if part.numel() == 0:
            continue
        size = at.new_tensor((part.shape[-1], part.shape[-2]))
        where = (2 * (at - low) + 1) / size - 1  # grid_sample's coordinates: pixel areas fill -1 to 1
        where = where.view(1, oh, ow, 2).float()
        seen = F.grid_sample(part[None].float(), where, padding_mode="zeros", align_corners=False)
        out[i] = seen[0].round_().to(torch.uint8)
    return out
