"""RepNet's training: the pose has to explain the keypoints through a predicted weak-perspective camera.

`FLAVOURS` has the losses of the PyTorch adaptation (`variant`) and of the authors (`original`), whose critic sees
poses turned to one template. Theirs is not published: here it is the mean of such poses, aligned to one another.

`consistency` adds what RepNet does not have, the geometric self-supervision of Chen, Tyagi, Agrawal, Drover, MV,
Stojanov, Rehg, CVPR 2019: a lifted pose is turned about the vertical and projected; what is lifted from there has to be
that pose, turned. No 3D is told by it, and it ties the pose to the axes of the camera, which the predicted one leaves
free. Vertical is the camera's own y axis: good for cameras that are about level.

`cycle` closes the other circle, 3D to 2D to 3D: the poses that the critic is shown are projected with the scale of the
predicted cameras, and what is lifted from there has to be those poses (cycle consistency: Zhu, Park, Isola, Efros, ICCV
2017; between 2D and 3D: Tung, Harley, Seto, Fragkiadaki, ICCV 2017). It needs no pair either: the poses are others'.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from poselift.data.bank import Batch
from poselift.data.datasets import DataConfig
from poselift.errors import InputError
from poselift.geometry.procrustes import align
from poselift.geometry.projection import weak_perspective
from poselift.geometry.rotations import axis_angle_to_matrix
from poselift.losses import mse
from poselift.losses_adversarial import GrowingWeight, camera_loss, weighted_l1
from poselift.models.base import LifterConfig
from poselift.models.critics import repnet as critics
from poselift.models.lifters import build_lifter
from poselift.models.lifters.repnet import RepNet
from poselift.train.adversarial import AdversarialConfig, AdversarialObjective

__all__ = ["FLAVOURS", "RepNetObjective", "RepNetObjectiveConfig"]

_WEIGHTS = {"pelvis": 0.0, "nose": 0.1, "head_top": 0.1}
"""The authors' weights of joints in the reprojection; all others have 1."""

_TEMPLATE = 4096
"""Poses that the template is the mean of."""


@dataclass(frozen=True, kw_only=True)
class RepNetObjectiveConfig(AdversarialConfig):
    """The defaults are those of the PyTorch adaptation."""

    camera: float = 1.0
    """Weight of the camera loss."""
    camera_norm: Literal["frobenius", "sum"] = "frobenius"
    """Norm of the camera loss: of Frobenius, or the sum of absolute entries (the authors')."""
    reprojection: GrowingWeight = field(default_factory=GrowingWeight)
    """Weight of the reprojection error, which grows with training."""
    reprojection_loss: Literal["mse", "l1"] = "mse"
    """Mean square, or the authors' weighted mean of absolute values."""
    consistency: float = 0.0
    """Weight of the squared distance (m², mean over joints) between a pose turned about the vertical and what is
    lifted from its keypoints; 0 as published."""
    cycle: float = 0.0
    """Weight of the squared distance (m², mean over joints) between a pose that the critic is shown and what is lifted
    from its projection; 0 as published."""

    def build(self, model: LifterConfig, data: DataConfig) -> RepNetObjective:
        return RepNetObjective(self, model, data)


FLAVOURS: dict[str, RepNetObjectiveConfig] = {
    "variant": RepNetObjectiveConfig(),
    "original": RepNetObjectiveConfig(
        critic=critics.FLAVOURS["original"],
        critic_steps=1,  # the authors mean 5; as run, their code makes 1
        camera_norm="sum",
        reprojection=GrowingWeight(first=1, last=1),
        reprojection_loss="l1",
    ),
}
"""The published losses; each belongs to the lifter's flavour of the same name."""


class _Generator(nn.Module):
    """The lifter, asked for what the losses are of. All poses (b, t, k, 3) have the lifter's own joints."""

    def __init__(self, lifter: RepNet) -> None:
        super().__init__()
        self.lifter = lifter

    def forward(self, kp_norm: Tensor, turn: Tensor | None = None, shown: Tensor | None = None) -> dict[str, Tensor]:
        """`seen` keypoints, `pose`, camera `M`. With rotations `turn` (b, t, 3, 3) also `turned`, the pose, and
        `again`, what is lifted from its keypoints; with poses `shown` also `back`, what is lifted from theirs."""
        seen, pose, M = self.lifter.pose_and_camera(kp_norm)
        out = {"seen": seen, "pose": pose, "M": M}
        scale = torch.linalg.vector_norm(M.detach(), dim=-2).mean(-1)[..., None, None]
        if turn is not None:
            out["turned"] = pose @ turn.to(pose).mT
            out["again"] = self.lifter.pose_of(scale * out["turned"][..., :2])
        if shown is not None:
            out["back"] = self.lifter.pose_of(scale * shown[..., :2].to(scale))
        return out


class RepNetObjective(AdversarialObjective):
    """Raises `InputError` for another lifter, and as `AdversarialObjective` does."""

    model: RepNet

    def __init__(self, config: RepNetObjectiveConfig, model: LifterConfig, data: DataConfig) -> None:
        lifter = build_lifter(model)
        if not isinstance(lifter, RepNet):
            raise InputError(field="model", expected="a repnet, which has a camera branch", found=type(lifter).__name__)
        super().__init__(config, lifter, data)
        self.config, self.model, self.generator = config, lifter, _Generator(lifter)
        names = [lifter.skeleton.joints[j] for j in lifter.joints.tolist()]
        self.weights = torch.tensor([_WEIGHTS.get(n, 1.0) for n in names])
        self.turned = lifter.config.axes == "template"
        for name in ("consistency", "cycle"):
            if self.turned and getattr(config, name) > 0:
                found = "a template's (model.axes)"
                raise InputError(field=f"objective.{name}", expected="poses along the camera's axes", found=found)

    @torch.no_grad()
    def fit(self, gen: Generator) -> None:
        """Where poses are turned to a template, that is what `mean3d` is: the mean pose in the network's own axes."""
        super().fit(gen)
        if not self.turned:
            return
        poses = self.source.shown.batch(_TEMPLATE, gen).p_root[:, 0]
        template = poses[0]
        for _ in range(4):
            mean = align(poses, template.expand_as(poses), scale=False).mean(0)
            template = mean - mean[self.model.skeleton.root]
        std = (align(poses, template.expand_as(poses), scale=False) - template).square().mean(0).sqrt()
        self.model.set_statistics(mean3d=template, std3d=std)

    # ------------------------------------------------------------------ a step
    def real(self, batch: Batch) -> Tensor:
        if not self.turned:
            return super().real(batch)
        seen = torch.zeros(len(self.model.skeleton), device=batch.p_root.device)
        seen[self.model.joints] = 1
        template = self.model.mean3d.expand_as(batch.p_root)
        return self._centred(align(batch.p_root, template, seen.expand(batch.p_root.shape[:-1]), scale=False))

    def fake(self, batch: Batch) -> Tensor:
        if self.turned:
            return self._shown(self.model.pose_and_camera(self.encode(batch))[1])
        return self.model(self.encode(batch))  # without the camera

    def _shown(self, pose: Tensor) -> Tensor:
        """The network's own joints (b, t, k, 3) as the critic is to see them."""
        whole = self.model.whole(pose.flatten(0, 1)).unflatten(0, pose.shape[:2])
        return self._centred(whole) if self.turned else whole

    def _centred(self, pose: Tensor) -> Tensor:
        """Minus the middle of the network's joints, as the authors' poses are."""
        return pose - pose.index_select(-2, self.model.joints).mean(-2, keepdim=True)

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        cfg, kp_norm = self.config, self.encode(batch)
        turn = about_vertical(2 * torch.pi * torch.rand(kp_norm.shape[:2])) if cfg.consistency > 0 else None
        shown = self.real(batch).index_select(-2, self.model.joints) if cfg.cycle > 0 else None
        made = {k: x.float() for k, x in network(kp_norm, turn, shown).items()}
        seen, pose, M = made["seen"], made["pose"], made["M"]
        weight = (batch.conf > 0).index_select(-1, self.model.joints)
        if cfg.reprojection_loss == "mse":
            reprojection = mse(weak_perspective(pose, M), seen, weight)
        else:
            reprojection = weighted_l1(weak_perspective(pose, M), seen, weight * self.weights.to(seen.device))
        camera = camera_loss(M, norm=cfg.camera_norm).mean()
        convincing = self.convincing(self._shown(pose))
        loss = cfg.reprojection.at(self.part) * reprojection + convincing + cfg.camera * camera
        out = {"loss": loss, "reprojection": reprojection, "camera": camera, "generator": convincing}
        if turn is not None:
            out["consistency"] = (made["turned"] - made["again"]).square().sum(-1).mean()
            out["loss"] = out["loss"] + cfg.consistency * out["consistency"]
        if shown is not None:
            out["cycle"] = (made["back"] - shown).square().sum(-1).mean()
            out["loss"] = out["loss"] + cfg.cycle * out["cycle"]
        return out


def about_vertical(angle: Float[Tensor, "*b"]) -> Float[Tensor, "*b 3 3"]:
    """Rotations by angles (radians) about the camera's y axis."""
    axis = torch.tensor((0.0, 1.0, 0.0), device=angle.device)
    return axis_angle_to_matrix(angle[..., None] * axis)
