"""The second stage of detectors that see crops: people's boxes → crops → joints, back in the picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from poselift.detect.base import Person
from poselift.detect.top_down import people_in_boxes
from poselift.geometry.crops import crop_affine, crop_patches, extend_box, invert_affine, transform_points

__all__ = ["CROPS_AT_ONCE", "people_in_crops"]

CROPS_AT_ONCE = 32
"""People of a frame who go through the network together."""


def people_in_crops(
    image: UInt8[np.ndarray, "h w 3"],
    boxes: Float[np.ndarray, "n 4"],
    scores: Float[np.ndarray, " n"],
    estimate: Callable[[Tensor], tuple[Tensor, Tensor]],
    size_hw: tuple[int, int],
    *,
    to_last_pixel: bool = False,
) -> list[Person]:
    """The joints of the people in some boxes (x0, y0, x1, y1 in pixels), which are brought to the crop's shape and made
    1.25 times as large.

    estimate: crops (b, 3, h, w) of 8 bits → joints (b, j, 2) in pixels of the crop, confidence (b, j).
    to_last_pixel: the box reaches from the centre of the crop's first pixel to that of its last (Huang et al., "The
    Devil is in the Details", CVPR 2020), not to where the next one would be.
    """
    h, w = size_hw
    wh = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    box_xywh = extend_box(torch.from_numpy(np.concatenate([boxes[:, :2], wh], axis=1)), w / h)
    affine = crop_affine(box_xywh, (w - 1, h - 1) if to_last_pixel else (w, h))
    pixels = torch.tensor(image).permute(2, 0, 1)
    kp_img, confidence = [], []
    with torch.inference_mode():
        for part in affine.split(CROPS_AT_ONCE):
            kp_patch, conf = estimate(crop_patches(pixels, part, size_hw))
            kp_img.append(transform_points(invert_affine(part), kp_patch.cpu().double()).float())
            confidence.append(conf.cpu().float())
    return people_in_boxes(torch.cat(kp_img).numpy(), torch.cat(confidence).numpy(), scores, image)
