"""Figures of 2D joints in pictures, pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["HEAD_SHARE", "PICTURE_FIGURES", "PCKh", "head_size", "pckh"]

PICTURE_FIGURES: dict[str, str] = {"kp_error_percent": "2D joints of a crop, distance in percent of its longer side"}
"""Figures of networks of pictures beside those of `FIGURES`; lower is better."""

HEAD_SHARE = 0.6
"""Of the diagonal of MPII's head box: about the length of the head."""


class PCKh(NamedTuple):
    """Fractions (0 to 1): of each joint (NaN for one that is never there), and of all that count."""

    per_joint: Tensor
    mean: Tensor


def head_size(head_box: Float[Tensor, "*b 2 2"]) -> Float[Tensor, "*b"]:
    """0.6 of the diagonal of the head's box, given by two corners, pixels."""
    return HEAD_SHARE * (head_box[..., 1, :] - head_box[..., 0, :]).norm(dim=-1)


def pckh(
    pred: Float[Tensor, "n j 2"],
    target: Float[Tensor, "n j 2"],
    head: Float[Tensor, " n"],
    visible: Bool[Tensor, "n j"],
    *,
    threshold: float = 0.5,
    left_out: Sequence[int] = (),
) -> PCKh:
    """PCKh: joints that are nearer to the truth than `threshold` head sizes, or just as near.

    left_out: joints that do not count in the mean (of MPII pelvis and thorax), which is over all visible joints
    together. What is published as Mean@0.1 is that of the threshold 0.11.
    Source: Andriluka et al., CVPR 2014; evaluation of Xiao et al., ECCV 2018.
    """
    right = ((pred - target).norm(dim=-1) <= threshold * head[:, None]) & visible
    count, there = right.sum(0).double(), visible.sum(0).double()
    kept = [j for j in range(pred.shape[1]) if j not in left_out]
    return PCKh(count / there, count[kept].sum() / there[kept].sum())
