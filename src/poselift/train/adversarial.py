"""What adversarial objectives share: no pairs of 2D and 3D. A generator has to explain the keypoints of some performers
with poses that a critic, which is shown poses of others, takes for real.

Models are selected by the error on the validation performers, whose 3D is known; training has no pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from poselift.data.bank import Batch
from poselift.data.datasets import DataConfig, dataset_source
from poselift.data.unpaired import Unpaired
from poselift.errors import InputError
from poselift.losses_adversarial import critic_loss, generator_loss, gradient_penalty
from poselift.metrics import Report
from poselift.models.base import Lifter
from poselift.models.critics.repnet import RepNetCritic, RepNetCriticConfig
from poselift.structures import Clip
from poselift.train.evaluate import evaluate_clips
from poselift.train.objectives import SingleStage, validation_clips
from poselift.train.statistics import fit_statistics

__all__ = ["AdversarialConfig", "AdversarialObjective"]


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig:
    """The defaults are those of the PyTorch adaptation of RepNet, which the temporal GAN has too."""

    critic: RepNetCriticConfig = field(default_factory=RepNetCriticConfig)
    """The critic."""
    critic_steps: int = 5
    """Steps of the critic before each step of the generator."""
    penalty: float = 10.0
    """Weight of the gradient penalty."""
    betas: tuple[float, float] = (0.5, 0.9)
    """Adam's two decay rates, for generator and critic."""
    share: float = 0.5
    """Part of the frames whose performers are seen in 2D; the others' 3D is shown to the critic."""


class AdversarialObjective(SingleStage):
    """An objective with an opponent (`train.opponent.Adversarial`).

    Subclasses set `generator`, the module whose weights are trained, and have `fake`, `losses` and, where the critic
    does not see poses along the camera's axes, `real`. Raises `InputError` for axes that are not the camera's, another
    skeleton of the critic, numbers that make no sense.
    """

    generator: nn.Module

    def __init__(self, config: AdversarialConfig, lifter: Lifter, data: DataConfig) -> None:
        if lifter.config.input_frame == "look_at":
            found = f"input_frame {lifter.config.input_frame}"
            raise InputError(field="model", expected="poses along the camera's own axes", found=found)
        if config.critic.skeleton != lifter.skeleton.name:
            found = config.critic.skeleton
            raise InputError(field="objective.critic.skeleton", expected=lifter.skeleton.name, found=found)
        if config.critic_steps < 1:
            raise InputError(field="objective.critic_steps", expected="1 or more", found=config.critic_steps)
        if not all(0 <= b < 1 for b in config.betas):
            raise InputError(field="objective.betas", expected="0 or more and below 1", found=config.betas)
        self.adversarial, self.part = config, 0.0
        self.lifter, self.opponent = lifter, RepNetCritic(config.critic)
        self.source = Unpaired.of(dataset_source(data, "train"), config.share)
        self.validation: list[Clip] = validation_clips(data, lifter)

    @property
    def stages(self) -> Sequence[nn.Module]:
        return (self.generator,)

    @property
    def opponent_steps(self) -> int:
        return self.adversarial.critic_steps

    @property
    def betas(self) -> tuple[float, float]:
        return self.adversarial.betas

    def fit(self, gen: Generator) -> None:
        fit_statistics(self.lifter, self.source, gen)

    def enter(self, stage: int, device: torch.device, gen: Generator) -> None:
        self.opponent.to(device).train()
        super().enter(stage, device, gen)

    # ------------------------------------------------------------------ a step
    def real(self, batch: Batch) -> Tensor:
        """Poses (b, t_out, j, 3) of people, as the critic is to see them."""
        return self.lifter.output_frames(batch.p_root)

    def fake(self, batch: Batch) -> Tensor:
        """Poses (b, t_out, j, 3) of the generator, as the critic is to see them; no gradient is asked for."""
        raise NotImplementedError

    def opponent_losses(self, opponent: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """`critic` is minimised. `wasserstein` is the gap between its values of real and of fake poses; `slope` is that
        gap over the distance between them, which is at most 1 for a critic of slope 1 (`train.divergence`)."""
        with torch.no_grad():
            real, fake = (p.float().flatten(0, 1)[:, None] for p in (self.real(batch), self.fake(batch)))
            distance = torch.linalg.vector_norm((real - fake).flatten(1), dim=1).mean()
        loss = critic_loss(opponent(real).float(), opponent(fake).float())
        mix = torch.rand(len(real), device=real.device)
        # the module itself, in float32: Fabric lets nobody but itself differentiate through what it has wrapped
        penalty = gradient_penalty(self.opponent, real, fake, mix)
        slope = loss.detach().abs() / distance.clamp_min(1e-6)
        return {"critic": loss + self.adversarial.penalty * penalty, "wasserstein": -loss, "slope": slope}

    def convincing(self, pose: Tensor) -> Tensor:
        """The generator's loss for poses (b, t_out, j, 3): the less, the more the critic takes them for real."""
        return generator_loss(self.opponent(pose.flatten(0, 1)[:, None]))

    def encode(self, batch: Batch) -> Tensor:
        """kp_norm (b, t, j, c) of a batch."""
        with torch.no_grad():
            return self.lifter.encode(batch.kp_img, batch.conf, batch.K, batch.size_wh)[0]

    # ------------------------------------------------------------------ validation and saving
    def score(self, device: torch.device) -> Report:
        return evaluate_clips(self.lifter, self.validation, device=device)

    def result(self) -> nn.Module:
        return self.lifter

    def card(self) -> dict[str, Any]:
        return {"supervision": "unpaired: 2D of some performers, 3D of others"}
