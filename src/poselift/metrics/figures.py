"""The figures of the field, one number per frame: metres in, millimetres (`_mm`) or degrees (`_deg`) out.

Poses are (*b, j, 3) or, where time matters, (*b, t, j, 3), usually root-relative in camera axes; nothing is centred
or re-rooted here unless the figure says so. A `mask` (*b, j), bool or 0/1, leaves joints out of a mean; a frame in
which nothing is left gives NaN. How frames are averaged is the business of `poselift.metrics.Report`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from poselift.geometry.angles import angle_triplets, joint_angles
from poselift.geometry.bones import bone_lengths
from poselift.geometry.procrustes import aligned_distances

__all__ = [
    "AUC_THRESHOLDS_MM", "RootError", "accel_mm", "auc", "bone_length_deviation_mm", "bone_length_variation_mm",
    "joint_angle_error_deg", "joint_distances_mm", "masked_mean", "mpjpe_mm", "mpjve_mm", "mrpe_mm", "n_mpjpe_mm",
    "p_mpjpe_mm", "pck",
]  # fmt: skip

MM = 1000.0
AUC_THRESHOLDS_MM = tuple(range(0, 151, 5))

Mask = Bool[Tensor, "*b j"] | Float[Tensor, "*b j"] | None


def masked_mean(values: Float[Tensor, "*b j"], mask: Mask) -> Float[Tensor, "*b"]:
    """Mean over the last axis of what the mask leaves, NaN where it leaves nothing; what is masked may be NaN."""
    if mask is None:
        return values.mean(-1)
    keep = mask > 0
    count = keep.sum(-1)
    total = torch.where(keep, values, 0).sum(-1)
    return torch.where(count > 0, total / count.clamp(min=1), torch.nan)


def joint_distances_mm(pred: Float[Tensor, "*b j d"], target: Float[Tensor, "*b j d"]) -> Float[Tensor, "*b j"]:
    """Euclidean distance of every joint from its target in mm."""
    return torch.linalg.vector_norm(pred - target, dim=-1) * MM


def mpjpe_mm(pred: Float[Tensor, "*b j 3"], target: Float[Tensor, "*b j 3"], mask: Mask = None) -> Float[Tensor, "*b"]:
    """MPJPE: mean per-joint position error, Human3.6M protocol #1. All joints count, a root at 0 in both too."""
    return masked_mean(joint_distances_mm(pred, target), mask)


def p_mpjpe_mm(
    pred: Float[Tensor, "*b j 3"], target: Float[Tensor, "*b j 3"], mask: Mask = None, *, scale: bool = True
) -> Float[Tensor, "*b"]:
    """P-MPJPE (PA-MPJPE): MPJPE after the similarity alignment of each frame, never a reflection; protocol #2.

    `scale=False` aligns rigidly. Masked joints take no part in the alignment either.
    """
    return masked_mean(aligned_distances(pred, target, mask, scale=scale) * MM, mask)


def n_mpjpe_mm(
    pred: Float[Tensor, "*b j 3"], target: Float[Tensor, "*b j 3"], mask: Mask = None
) -> Float[Tensor, "*b"]:
    """N-MPJPE: MPJPE after the best scale of each frame, Σ<target, pred> / Σ|pred|², without centring; protocol #3.

    Source: Rhodin et al., CVPR 2018; VideoPose3D, `n_mpjpe`.
    """
    if mask is not None:
        pred, target = (torch.where((mask > 0)[..., None], x, 0) for x in (pred, target))
    power = (pred * pred).sum((-2, -1), keepdim=True)
    s = (pred * target).sum((-2, -1), keepdim=True) / torch.where(power > 0, power, 1)
    return mpjpe_mm(s * pred, target, mask)


def mpjve_mm(
    pred: Float[Tensor, "*b t j 3"], target: Float[Tensor, "*b t j 3"], mask: Bool[Tensor, "*b t j"] | None = None
) -> Float[Tensor, "*b steps"]:
    """MPJVE: mean per-joint velocity error in mm per frame, from first differences; t - 1 numbers.

    A difference counts where the mask has both of its frames. Source: Pavllo et al., CVPR 2019, section 5.1.
    """
    return _difference_error(pred, target, mask, 1)


def accel_mm(
    pred: Float[Tensor, "*b t j 3"], target: Float[Tensor, "*b t j 3"], mask: Bool[Tensor, "*b t j"] | None = None
) -> Float[Tensor, "*b steps"]:
    """Acceleration error in mm per frame², from second differences; t - 2 numbers. Source: Kanazawa, CVPR 2019."""
    return _difference_error(pred, target, mask, 2)


def _difference_error(pred: Tensor, target: Tensor, mask: Tensor | None, order: int) -> Tensor:
    error = pred - target  # the difference of differences is the difference of the error
    keep = mask
    for _ in range(order):
        error = error[..., 1:, :, :] - error[..., :-1, :, :]
        keep = None if keep is None else (keep[..., 1:, :] > 0) & (keep[..., :-1, :] > 0)
    return masked_mean(torch.linalg.vector_norm(error, dim=-1) * MM, keep)


def pck(
    pred: Float[Tensor, "*b j 3"],
    target: Float[Tensor, "*b j 3"],
    mask: Mask = None,
    *,
    threshold_mm: float | int = 150,
) -> Float[Tensor, "*b"]:
    """3D PCK: the fraction (0 to 1) of joints nearer to their target than that. Source: Mehta et al., 3DV 2017."""
    d = joint_distances_mm(pred, target)
    return masked_mean((d < threshold_mm).to(d.dtype), mask)


def auc(pred: Float[Tensor, "*b j 3"], target: Float[Tensor, "*b j 3"], mask: Mask = None) -> Float[Tensor, "*b"]:
    """AUC of 3D PCK: its mean (0 to 1) over the thresholds 0, 5, … 150 mm. Source: Mehta et al., 3DV 2017."""
    d = joint_distances_mm(pred, target)
    limits = torch.tensor(AUC_THRESHOLDS_MM, dtype=d.dtype, device=d.device)
    # the number of thresholds above d, counted without a (…, j, 31) array
    above = len(limits) - torch.searchsorted(limits, d.contiguous(), right=True)
    return masked_mean(above.to(d.dtype) / len(limits), mask)


def bone_length_deviation_mm(
    pred: Float[Tensor, "*b j 3"], target: Float[Tensor, "*b j 3"], parents: Sequence[int], mask: Mask = None
) -> Float[Tensor, "*b"]:
    """Mean absolute difference between predicted and true bone lengths; a bone counts where both its ends do."""
    d = (bone_lengths(pred, parents) - bone_lengths(target, parents)).abs() * MM
    return masked_mean(d, _bone_mask(mask, parents))


def bone_length_variation_mm(
    pred: Float[Tensor, "*b t j 3"], parents: Sequence[int], mask: Bool[Tensor, "*b t j"] | None = None
) -> Float[Tensor, "*b t"]:
    """How far bones are from their own mean length over the clip: 0 for limbs of constant length. Needs no truth."""
    lengths = bone_lengths(pred, parents) * MM
    keep = _bone_mask(mask, parents)
    mean = masked_mean(lengths.mT, None if keep is None else keep.mT)
    return masked_mean((lengths - mean[..., None, :]).abs(), keep)


def _bone_mask(mask: Tensor | None, parents: Sequence[int]) -> Tensor | None:
    if mask is None:
        return None
    child = [j for j, p in enumerate(parents) if p >= 0]
    return (mask[..., child] > 0) & (mask[..., [parents[j] for j in child]] > 0)


def joint_angle_error_deg(
    pred: Float[Tensor, "*b j 3"], target: Float[Tensor, "*b j 3"], joints: Sequence[str], mask: Mask = None
) -> dict[str, Float[Tensor, "*b"]]:
    """Absolute error of knee, hip, elbow and shoulder angles in degrees, by angle name (`geometry.angles.ANGLES`).

    `joints` are the joint names of the skeleton. NaN where the mask lacks one of an angle's three joints.
    """
    triplets = angle_triplets(joints)
    a, b = joint_angles(pred, triplets), joint_angles(target, triplets)
    out = {name: torch.rad2deg((a[name] - b[name]).abs()) for name in triplets}
    if mask is not None:
        out = {n: torch.where((mask[..., list(triplets[n])] > 0).all(-1), e, torch.nan) for n, e in out.items()}
    return out


class RootError(NamedTuple):
    """Error of the absolute root in mm: the distance, and the absolute error along the camera's axes."""

    total: Tensor
    x: Tensor
    y: Tensor
    z: Tensor


def mrpe_mm(pred: Float[Tensor, "*b 3"], target: Float[Tensor, "*b 3"]) -> RootError:
    """MRPE: root position error per frame, in all and along camera x, y, z. Source: Moon et al., RootNet, ICCV 2019."""
    e = (pred - target) * MM
    x, y, z = e.abs().unbind(-1)
    return RootError(torch.linalg.vector_norm(e, dim=-1), x, y, z)
