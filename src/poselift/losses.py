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

__all__ = [
    "LOSSES", "MOTION_ENCODINGS", "bone_length_match", "heatmap_mse", "l1", "motion", "mpjpe", "mse", "root_l1",
    "weighted_mpjpe",
]  # fmt: skip

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


def heatmap_mse(
    pred: Float[Tensor, "b j h w"], target: Float[Tensor, "b j h w"], weight: Float[Tensor, "b j"]
) -> Float[Tensor, ""]:
    """Half the mean over all joints and cells of (weight · (pred - target))²; joints of weight 0 count in the mean.

    Source: Xiao et al., ECCV 2018, as published.
    """
    difference = _difference(pred.flatten(2), target.flatten(2), weight)
    return (weight[..., None] * difference).square().mean() / 2


def root_l1(
    pred: Float[Tensor, "b 3"],
    target: Float[Tensor, "b 3"],
    visible: Float[Tensor, " b"],
    has_depth: Bool[Tensor, " b"] | Float[Tensor, " b"],
    *,
    depth_weight: float | int = 1,
) -> Float[Tensor, " b"]:
    """RootNet's loss of each sample: v (|Δx| + |Δy| + |Δdepth| · has_depth) / 3, so that pictures without depth teach x
    and y only. x and y in cells, depth in any unit; published is its sum with millimetres, in which depth weighs most
    by far (metres: depth_weight 1000).

    Source: Moon et al., ICCV 2019, eq. 4, as published: divided by 3 without depth too.
    """
    there = torch.stack((visible, visible, visible * has_depth), -1)
    error = torch.where(there > 0, pred, 0) - torch.where(there > 0, target, 0)
    return (error.abs() * there * error.new_tensor((1.0, 1.0, depth_weight))).sum(-1) / 3


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
