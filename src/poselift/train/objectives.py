"""What a step minimises. An objective turns a model and a batch into named losses; the loop does the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from poselift.data.bank import Batch
from poselift.losses import LOSSES
from poselift.models.base import Lifter, to_look

__all__ = ["Supervised", "SupervisedConfig"]


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig:
    """2D in, 3D truth known."""

    loss: Literal["mse", "l1", "mpjpe"] = "mse"
    """Mean squared, mean absolute, or mean Euclidean distance per joint."""
    units: Literal["standardized", "metres"] = "standardized"
    """Units of the difference: each coordinate's standard deviation over the training set, or metres."""
    seen_weight: float = 1.0
    """Weight of joints that the input shows, against 1 for joints that it does not show."""
    bone_weight: float = 0.0
    """Weight of the mean absolute error of bone vectors, metres."""

    def build(self) -> Supervised:
        return Supervised(self)


class Supervised:
    """Loss between the lifted and the true root-relative pose, in the axes of the lifter's input frame."""

    def __init__(self, config: SupervisedConfig) -> None:
        self.config = config

    def losses(self, lifter: Lifter, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Named scalars, of which `loss` is minimised; `network` is the lifter as wrapped for its device."""
        with torch.no_grad():
            kp_norm, R = lifter.encode(batch.kp_img, batch.conf, batch.K, batch.size_wh)
            target = batch.p_root if R is None else to_look(batch.p_root, R)
            target = lifter.output_frames(target)
        pred = network(kp_norm).float()
        cfg = self.config
        weight = torch.where(lifter.output_frames(batch.conf) > 0, cfg.seen_weight, 1.0)
        if cfg.units == "standardized":
            scale = lifter.std3d.clamp_min(1e-6)
            moving = (lifter.std3d > 1e-6).any(-1)  # the root of a root-relative pose never varies: it teaches nothing
            value = LOSSES[cfg.loss](pred / scale, target / scale, weight * moving)
        else:
            value = LOSSES[cfg.loss](pred, target, None if cfg.seen_weight == 1 else weight)
        out = {"loss": value}
        if cfg.bone_weight > 0:
            child, parent = zip(*lifter.skeleton.bones, strict=True)
            bones = (pred[..., child, :] - pred[..., parent, :]) - (target[..., child, :] - target[..., parent, :])
            out["bone"] = bones.abs().mean()
            out["loss"] = value + cfg.bone_weight * out["bone"]
        with torch.no_grad():
            out["mpjpe_mm"] = (pred - target).norm(dim=-1).mean() * 1000
        return out
