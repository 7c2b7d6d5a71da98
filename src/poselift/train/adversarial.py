"""RepNet's training: no pairs of 2D and 3D. The lifter has to explain the keypoints of some performers with poses that
a critic, which is shown poses of others, takes for real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from poselift.data.bank import Batch
from poselift.data.datasets import DataConfig, dataset_clips, dataset_source
from poselift.data.unpaired import Unpaired
from poselift.errors import InputError
from poselift.geometry.projection import weak_perspective
from poselift.losses import mse
from poselift.losses_adversarial import GrowingWeight, camera_loss, critic_loss, generator_loss, gradient_penalty
from poselift.metrics import Report
from poselift.models.base import LifterConfig
from poselift.models.critics.repnet import RepNetCritic, RepNetCriticConfig
from poselift.models.lifters import build_lifter
from poselift.models.lifters.repnet import RepNet
from poselift.structures import Clip
from poselift.train.evaluate import evaluate_clips
from poselift.train.statistics import fit_statistics

__all__ = ["RepNetObjective", "RepNetObjectiveConfig"]


@dataclass(frozen=True, kw_only=True)
class RepNetObjectiveConfig:
    """The defaults are those of the PyTorch adaptation."""

    critic: RepNetCriticConfig = field(default_factory=RepNetCriticConfig)
    """The critic."""
    critic_steps: int = 5
    """Steps of the critic before each step of the lifter (as run, the authors' code makes 1)."""
    penalty: float = 10.0
    """Weight of the gradient penalty."""
    camera: float = 1.0
    """Weight of the camera loss."""
    reprojection: GrowingWeight = field(default_factory=GrowingWeight)
    """Weight of the reprojection error (mean square, screen coordinates), which grows with training."""
    betas: tuple[float, float] = (0.5, 0.9)
    """Adam's two decay rates, for lifter and critic."""
    share: float = 0.5
    """Part of the frames whose performers are seen in 2D; the others' 3D is shown to the critic."""

    def build(self, model: LifterConfig, data: DataConfig) -> RepNetObjective:
        return RepNetObjective(self, model, data)


class _Generator(nn.Module):
    """The lifter, asked for what the losses are of."""

    def __init__(self, lifter: RepNet) -> None:
        super().__init__()
        self.lifter = lifter

    def forward(self, kp_norm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.lifter.pose_and_camera(kp_norm)


class RepNetObjective:
    """An objective with an opponent (`train.opponent.Adversarial`).

    Models are selected by the error on the validation performers, whose 3D is known; training has no pair.
    Raises `InputError` for another lifter, axes that are not the camera's, another skeleton of the critic.
    """

    def __init__(self, config: RepNetObjectiveConfig, model: LifterConfig, data: DataConfig) -> None:
        lifter = build_lifter(model)
        if not isinstance(lifter, RepNet):
            raise InputError(field="model", expected="a repnet, which has a camera branch", found=type(lifter).__name__)
        if lifter.config.axes != "camera" or lifter.config.input_frame == "look_at":
            found = f"axes {lifter.config.axes}, input_frame {lifter.config.input_frame}"
            raise InputError(field="model", expected="poses along the camera's own axes", found=found)
        if config.critic.skeleton != lifter.skeleton.name:
            raise InputError(
                field="objective.critic.skeleton", expected=lifter.skeleton.name, found=config.critic.skeleton
            )
        if config.critic_steps < 1:
            raise InputError(field="objective.critic_steps", expected="1 or more", found=config.critic_steps)
        if not all(0 <= b < 1 for b in config.betas):
            raise InputError(field="objective.betas", expected="0 or more and below 1", found=config.betas)
        self.config, self.part = config, 0.0
        self.model, self.generator, self.opponent = lifter, _Generator(lifter), RepNetCritic(config.critic)
        self.source = Unpaired.of(dataset_source(data, "train"), config.share)
        self.validation: list[Clip] = dataset_clips(data, "validation", data.validation_every)

    @property
    def stages(self) -> Sequence[nn.Module]:
        return (self.generator,)

    @property
    def opponent_steps(self) -> int:
        return self.config.critic_steps

    @property
    def betas(self) -> tuple[float, float]:
        return self.config.betas

    def fit(self, gen: Generator) -> None:
        fit_statistics(self.model, self.source, gen)

    def enter(self, stage: int, device: torch.device, gen: Generator) -> None:
        self.opponent.to(device).train()
        self.model.train()

    def rate(self, stage: int) -> float | None:
        return None

    def batch(self, b: int, gen: Generator) -> Batch:
        return self.source.batch(b, gen)

    # ------------------------------------------------------------------ a step
    def opponent_losses(self, opponent: nn.Module, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            _, pose, _ = self.model.pose_and_camera(self._encode(batch))
            fake = self._whole(pose.float())
        real = batch.p_root
        wasserstein = critic_loss(opponent(real).float(), opponent(fake).float())
        mix = torch.rand(len(real), device=real.device)
        penalty = gradient_penalty(opponent, real, fake, mix)
        return {"critic": wasserstein + self.config.penalty * penalty, "wasserstein": -wasserstein}

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        seen, pose, M = (x.float() for x in network(self._encode(batch)))
        weight = (batch.conf > 0).index_select(-1, self.model.joints)
        reprojection = mse(weak_perspective(pose, M), seen, weight)
        camera = camera_loss(M).mean()
        convincing = generator_loss(self.opponent(self._whole(pose)))
        grown = self.config.reprojection.at(self.part)
        loss = grown * reprojection + convincing + self.config.camera * camera
        return {"loss": loss, "reprojection": reprojection, "camera": camera, "generator": convincing}

    def _encode(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            return self.model.encode(batch.kp_img, batch.conf, batch.K, batch.size_wh)[0]

    def _whole(self, pose: Tensor) -> Tensor:
        return self.model.whole(pose.flatten(0, 1)).unflatten(0, pose.shape[:2])

    # ------------------------------------------------------------------ validation and saving
    def report(self, device: torch.device) -> Report:
        self.model.eval()
        try:
            return evaluate_clips(self.model, self.validation, device=device)
        finally:
            self.model.train()

    def result(self) -> nn.Module:
        return self.model

    def beside(self) -> dict[str, nn.Module]:
        return {}

    def card(self) -> dict[str, Any]:
        return {"supervision": "unpaired: 2D of some performers, 3D of others"}
