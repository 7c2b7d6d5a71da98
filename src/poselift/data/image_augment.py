"""Crops as networks of pictures are trained on them: turned, mirrored and with other colours. Source: Moon et al.,
RootNet, ICCV 2019, as published (no scale, no shift, no occlusion), and Xiao et al., ECCV 2018 (scale).

    sample = person_sample(image, skeleton=…, kp_img=…, visible=…, root_img=…, box_xywh=…, K=…, out_hw=…, draw=…)

Turning and mirroring leave k and the depth as they are: the person is no further away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from poselift.data.images import ImageBatch
from poselift.errors import InputError
from poselift.geometry.crops import crop_affine, crop_patches, distance_measure, transform_points
from poselift.structures.skeleton import Skeleton

__all__ = ["PLAIN", "Draw", "ImageAugment", "color_images", "person_sample"]


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What is done to one crop."""

    rotation: float = 0.0
    """Radians by which the box is turned."""
    flip: bool = False
    scale: float = 1.0
    """Size of the box, times."""
    color: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factors of red, green and blue."""


PLAIN = Draw()
"""The crop as it is, for tests."""


@dataclass(frozen=True, kw_only=True)
class ImageAugment:
    """How crops are varied in training; the defaults are RootNet's. Raises `InputError`."""

    rotate: float = 0.6
    """Share of the crops that are turned."""
    rotation_deg: float = 30.0
    """Standard deviation of the angle, degrees; it is cut off at twice that."""
    flip: float = 0.5
    """Share of the crops that are mirrored."""
    scale: float = 0.0
    """Standard deviation of the box's size about 1, cut off at once that; 0.25 in Pose ResNet, none in RootNet."""
    color: float = 0.2
    """Red, green and blue are each multiplied by 1 - this to 1 + this."""

    def __post_init__(self) -> None:
        for name, high in (("rotate", 1.0), ("rotation_deg", 90.0), ("flip", 1.0), ("scale", 0.9), ("color", 1.0)):
            if not 0 <= getattr(self, name) <= high:
                raise InputError(field=f"augment {name}", expected=f"0 to {high:g}", found=getattr(self, name))

    def draw(self, gen: Generator) -> Draw:
        """One crop's variation; always as many random numbers, whatever is switched off."""
        turned, mirrored, *color = torch.rand(5, generator=gen).tolist()
        angle, size = torch.randn(2, generator=gen).tolist()
        degrees = self.rotation_deg * min(max(angle, -2.0), 2.0) if turned < self.rotate else 0.0
        r, g, b = (1 + self.color * (2 * c - 1) for c in color)
        size = min(max(1 + self.scale * size, 1 - self.scale), 1 + self.scale)
        return Draw(rotation=math.radians(degrees), flip=mirrored < self.flip, scale=size, color=(r, g, b))


def color_images(image: UInt8[Tensor, "n 3 h w"], factors: Float[Tensor, "n 3"]) -> UInt8[Tensor, "n 3 h w"]:
    """Crops with their channels multiplied, cut off at 255."""
    return (image * factors[..., None, None]).clamp_(0, 255).round_().to(torch.uint8)


def person_sample(
    image: UInt8[Tensor, "3 h w"],
    *,
    skeleton: Skeleton,
    kp_img: Float[Tensor, "j 2"],
    visible: Float[Tensor, " j"],
    root_img: Float[Tensor, " 2"],
    root_visible: float | int = 1.0,
    root_z: float | int | None = None,
    box_xywh: Float[Tensor, " 4"],
    K: Float[Tensor, "3 3"],
    out_hw: tuple[int, int] = (256, 256),
    draw: Draw = PLAIN,
) -> ImageBatch:
    """A batch of one person out of an image.

    image: RGB; kp_img, root_img, box_xywh: pixels of the image; the box as extended (`geometry.crops.extend_box`).
    root_z: depth, metres; None where it is not known. A joint outside the crop is not visible.
    """
    oh, ow = out_hw
    flip, kp, root = draw.flip, kp_img.float(), root_img.float()
    centre = box_xywh[:2] + box_xywh[2:] / 2
    box = torch.cat((centre - draw.scale * box_xywh[2:] / 2, draw.scale * box_xywh[2:]))[None]
    affine = crop_affine(
        box.double(), (ow, oh), rotation=torch.tensor([draw.rotation], dtype=torch.float64), flip=torch.tensor([flip]),
        image_width=image.shape[-1],
    )  # fmt: skip
    if flip:
        order = list(skeleton.flip)
        kp, visible = kp[order], visible[order]
    points = transform_points(affine, torch.cat((kp, root[None]))[None].double())[0].float()
    limit = points.new_tensor((ow, oh))
    inside = ((points >= 0) & (points < limit)).all(-1).float()
    seen = torch.cat((visible.float(), visible.new_tensor([root_visible]).float())) * inside
    patch = crop_patches(image, affine, out_hw)
    if draw.color != (1.0, 1.0, 1.0):
        patch = color_images(patch, torch.tensor([draw.color]))
    return ImageBatch(
        skeleton=skeleton, image=patch, kp_patch=points[None, :-1], visible=seen[None, :-1], root_patch=points[-1:],
        root_visible=seen[-1:], root_z=torch.tensor([0.0 if root_z is None else float(root_z)]),
        has_depth=torch.tensor([root_z is not None]), k=distance_measure(box, K[None]).float(),
        box_xywh=box.float(), K=K[None].float(),
    )  # fmt: skip
