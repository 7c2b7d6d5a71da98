"""A lifter over a whole sequence: every frame of the input gives one pose."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from poselift.models.base import Lifter

__all__ = ["lift_frames"]


@torch.no_grad()
def lift_frames(
    lifter: Lifter,
    kp_img: Float[Tensor, "t j 2"],
    conf: Float[Tensor, "t j"],
    K: Float[Tensor, "#t 3 3"],
    size_wh: Float[Tensor, "#t 2"],
    *,
    flip_average: bool = False,
) -> Float[Tensor, "t j 3"]:
    """p_root (t, j, 3) metres in camera axes for each of t frames, in one go.

    K and size_wh are one for all frames; a lifter of single frames also takes one per frame, so that frames of
    different cameras make one batch. A temporal lifter sees the first and last frame repeated beyond the ends.
    """
    t = len(kp_img)
    if lifter.receptive_field == 1:  # the batch axis is time
        p = lifter.lift(
            kp_img[:, None], conf[:, None], K.expand(t, 3, 3), size_wh.expand(t, 2), flip_average=flip_average
        )
        return p[:, 0]
    field = lifter.receptive_field
    before = field - 1 if lifter.causal else (field - 1) // 2
    index = torch.arange(-before, t + field - 1 - before, device=kp_img.device).clamp(0, t - 1)
    return lifter.lift(kp_img[index][None], conf[index][None], K[:1], size_wh[:1], flip_average=flip_average)[0]
