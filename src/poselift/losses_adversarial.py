"""Losses of training without pairs of 2D and 3D: a critic against the poses, a reprojection against the keypoints.

Source: Wandt & Rosenhahn, RepNet, CVPR 2019, and the PyTorch adaptations of it; Gulrajani et al., "Improved Training of
Wasserstein GANs", NeurIPS 2017. Reprojection compared without weights is `losses.mse`, weighted by confidence too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from poselift.errors import InputError

__all__ = [
    "GrowingWeight", "camera_loss", "critic_loss", "depth_weighted_reprojection", "generator_loss", "gradient_penalty",
    "weighted_l1",
]  # fmt: skip


def critic_loss(real: Float[Tensor, "*b"], fake: Float[Tensor, "*c"]) -> Float[Tensor, ""]:
    """Wasserstein critic loss from the critic's values: mean(fake) - mean(real)."""
    return fake.mean() - real.mean()


def generator_loss(fake: Float[Tensor, "*b"]) -> Float[Tensor, ""]:
    """Wasserstein generator loss: - mean(fake)."""
    return -fake.mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Float[Tensor, "n ..."],
    fake: Float[Tensor, "n ..."],
    mix: Float[Tensor, " n"],
) -> Float[Tensor, ""]:
    """Mean over samples of (‖∇ critic(x)‖ - 1)² at x = mix · real + (1 - mix) · fake, one factor per sample.

    The norm is over everything but the first axis, and the gradient is that of the sum of all of a sample's values.
    No sample may have an influence on another one's value (no batch norm). It can be differentiated with respect to the
    critic's parameters, not to real and fake, which are taken as they are.
    Published weight 10. Source: Gulrajani et al., NeurIPS 2017, eq. 3.
    """
    a = mix.view(-1, *[1] * (real.ndim - 1))
    with torch.enable_grad():
        x = (a * real.detach() + (1 - a) * fake.detach()).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        return (torch.linalg.vector_norm(gradient.flatten(1), dim=1) - 1).square().mean()


def camera_loss(M: Float[Tensor, "*b 3 2"], *, norm: Literal["frobenius", "sum"] = "frobenius") -> Float[Tensor, "*b"]:
    """How far each weak-perspective camera is from two rows of a scaled rotation: ‖(2 / trace K) K - I‖, K = Mᵀ M.

    norm: of Frobenius (the PyTorch adaptation, gradient 0 at a loss of 0), or the sum of absolute entries (the
    authors'). A camera of nothing but 0 gives ‖I‖. Source: Wandt & Rosenhahn, RepNet, CVPR 2019, eq. 13.
    """
    K = M.mT @ M
    trace = K.diagonal(dim1=-2, dim2=-1).sum(-1).clamp_min(1e-12)
    difference = 2 / trace[..., None, None] * K - torch.eye(2, dtype=M.dtype, device=M.device)
    flat = difference.flatten(-2)
    return torch.linalg.vector_norm(flat, dim=-1) if norm == "frobenius" else flat.abs().sum(-1)


def weighted_l1(
    pred: Float[Tensor, "*b j d"], target: Float[Tensor, "*b j d"], weight: Float[Tensor, "*#b j"]
) -> Float[Tensor, ""]:
    """Mean of weight · |difference| over every coordinate, not divided by the weights' sum: the authors' reprojection
    loss, with weight 0 for the pelvis and 0.1 for neck and head. A joint of weight 0 takes no part, whatever it is."""
    keep = (weight > 0)[..., None]
    difference = torch.where(keep, pred, 0) - torch.where(keep, target, 0)
    return (weight[..., None] * difference.abs()).mean()


def depth_weighted_reprojection(
    p_cam: Float[Tensor, "*b j 3"],
    kp: Float[Tensor, "*b j 2"],
    K: Float[Tensor, "*b 3 3"],
    weight: Float[Tensor, "*#b j"] | Bool[Tensor, "*#b j"] | None = None,
) -> Float[Tensor, ""]:
    """Mean squared error of z · projection against z · kp: reprojection without a division, for absolute poses.

    kp and K in the same coordinates (`normalize_screen` and `screen_intrinsics` as published); the unit is theirs times
    metres. weight: a weighted mean over joints, of which those with weight 0 (or NaN there) take no part. It favours
    small depth, down to a pose in the camera itself; published weight 100. Source: the temporal GAN
    (`models.lifters.video_gan`).
    """
    difference = (p_cam @ K.mT)[..., :2]
    if weight is None:
        return (difference - kp * p_cam[..., 2:]).square().mean()
    keep = (weight > 0)[..., None]
    difference = torch.where(keep, difference, 0) - torch.where(keep, kp, 0) * torch.where(keep, p_cam[..., 2:], 0)
    w = weight.to(p_cam.dtype).expand(difference.shape[:-1])
    total = w.sum()
    return (w * difference.square().mean(-1)).sum() / torch.where(total > 0, total, 1)


@dataclass(frozen=True, kw_only=True)
class GrowingWeight:
    """A weight that grows with training, as RepNet's reprojection has to. The defaults are the variant's two stages;
    when they changed was never published."""

    first: float = 10_000.0
    """Weight at the beginning."""
    last: float = 250_000.0
    """Weight at the end."""
    begin: float = 0.8
    """Part of the run (0 to 1) at which it begins to grow."""
    end: float = 0.8
    """Part of the run at which it is full-grown; the same as `begin` is one step."""

    def __post_init__(self) -> None:
        """Raises `InputError` for weights that cannot grow, or never."""
        for name in ("first", "last"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(field=f"reprojection.{name}", expected="a positive number", found=value)
        if not 0 <= self.begin <= self.end <= 1:
            found = f"{self.begin:g} and {self.end:g}"
            raise InputError(
                field="reprojection.begin, reprojection.end", expected="0 to 1, in this order", found=found
            )

    def at(self, part: float) -> float:
        """The weight when so large a part of the run is done; between begin and end it grows geometrically."""
        if part < self.begin:
            return self.first
        if part >= self.end:
            return self.last
        return self.first * (self.last / self.first) ** ((part - self.begin) / (self.end - self.begin))
