"""Losses on poses: scalars, in the unit of their input. `weight` (*b, j) masks joints out (0) or weighs them.

A weighted loss is the weighted mean, so that masking half of a batch does not halve the step; what stands in a joint of
weight 0 (NaN too) takes no part, and its gradient is 0. With nothing left the loss is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from poselift.geometry.bones import bone_lengths

__all__ = ["LOSSES", "MOTION_ENCODINGS", "bone_length_match", "l1", "motion", "mpjpe", "mse", "weighted_mpjpe"]

Weight = Float[Tensor, "*#b j"] | Bool[Tensor, "*#b j"] | None


def _weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return values.mean()
    w = weight.to(values.dtype).expand_as(values)
    total = w.sum()
    return (w * values).sum() / torch.where(total > 0, total, 1)


def _difference(pred: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """pred - target with an exact 0 (and no NaN, also not in the gradient) where the weight is 0."""
    if weight is None:
        return pred - target
    keep = (weight > 0)[..., None]
    return torch.where(keep, pred, 0) - torch.where(keep, target, 0)


def mse(pred: Float[Tensor, "*b j d"], target: Float[Tensor, "*b j d"], weight: Weight = None) -> Float[Tensor, ""]:
    """Mean squared error over every coordinate (ERD's `l2`, the loss of Martinez et al., ICCV 2017)."""
    return _weighted_mean(_difference(pred, target, weight).square().mean(-1), weight)


def l1(pred: Float[Tensor, "*b j d"], target: Float[Tensor, "*b j d"], weight: Weight = None) -> Float[Tensor, ""]:
    """Mean absolute error over every coordinate."""
    return _weighted_mean(_difference(pred, target, weight).abs().mean(-1), weight)


def mpjpe(pred: Float[Tensor, "*b j d"], target: Float[Tensor, "*b j d"], weight: Weight = None) -> Float[Tensor, ""]:
    """Mean Euclidean distance of joints, 3D or 2D (ERD's `sqrtl2`, VideoPose3D's `mpjpe`); gradient 0 at distance 0."""
    return _weighted_mean(torch.linalg.vector_norm(_difference(pred, target, weight), dim=-1), weight)


def weighted_mpjpe(
    pred: Float[Tensor, "*b j d"], target: Float[Tensor, "*b j d"], weight: Float[Tensor, "*#b #j"]
) -> Float[Tensor, ""]:
    """Mean of weight times distance, not divided by the weights' sum: VideoPose3D's trajectory loss with weight 1/z."""
    return (weight * torch.linalg.vector_norm(_difference(pred, target, weight), dim=-1)).mean()


def bone_length_match(
    unlabelled: Float[Tensor, "n t j 3"], labelled: Float[Tensor, "m t j 3"], parents: Sequence[int]
) -> Float[Tensor, ""]:
    """Mean over bones of the difference between the mean bone lengths of two sets of poses.

    Source: Pavllo et al., VideoPose3D, CVPR 2019, section 4.
    """
    a, b = (bone_lengths(p, parents).flatten(0, -2).mean(0) for p in (unlabelled, labelled))
    return (a - b).abs().mean()


MOTION_ENCODINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "subtraction": lambda a, b: b - a,
    "inner": lambda a, b: (a * b).sum(-1, keepdim=True),
    "cross": lambda a, b: torch.linalg.cross(a, b, dim=-1),
}
"""What a joint's places (…, 3) at two times say of its motion: metres for `subtraction`, else square metres."""


def motion(
    pred: Float[Tensor, "*b t j 3"],
    target: Float[Tensor, "*b t j 3"],
    *,
    encoding: str = "cross",
    intervals: Sequence[int] = (8, 12, 16, 24),
) -> Float[Tensor, ""]:
    """Mean over intervals i of the mean absolute difference of code(p_t, p_t+i), over all joints and pairs of frames.

    An interval as long as the sequence, or longer, has no pairs and does not count; with none left the loss is 0.
    Source: Wang, Yan, Xiong, Lin, "Motion Guided 3D Pose Estimation from Videos", ECCV 2020 (the cross product).
    """

    def code(p: Tensor, i: int) -> Tensor:
        return MOTION_ENCODINGS[encoding](p[..., :-i, :, :], p[..., i:, :, :])

    terms = [(code(pred, i) - code(target, i)).abs().mean() for i in intervals if 0 < i < pred.shape[-3]]
    return torch.stack(terms).mean() if terms else pred.new_zeros(())


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {"mse": mse, "l1": l1, "mpjpe": mpjpe}
"""Losses that a recipe may name; `sqrtl2` of ERD is `mpjpe`."""
