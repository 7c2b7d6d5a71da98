"""A critic of 27 frames, which the temporal GAN's code defines and does not use in its training
(see `models.lifters.video_gan`).

    the 26 other poses minus the one in the middle → Linear → RB RB RB → Linear → Linear → value

It sees how a person moves and not the pose itself. `net` has the published parameter names.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from poselift.models.base import require
from poselift.models.critics.base import Critic, CriticConfig
from poselift.models.leaky import LeakyBlock

__all__ = ["MotionCritic", "MotionCriticConfig", "MotionCriticNet"]


@dataclass(frozen=True, kw_only=True)
class MotionCriticConfig(CriticConfig):
    """The defaults are the published ones."""

    side: int = 13
    """Frames before, and as many after, the one in the middle."""
    width: int = 1000
    """Features of the hidden layers."""
    last_width: int = 100
    """Features of the last hidden layer."""
    slope: float = 0.01
    """Slope of the leaky ReLU below 0."""


class MotionCriticNet(nn.Module):
    """The network, under the published parameter names."""

    def __init__(self, *, features_in: int, config: MotionCriticConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(features_in, config.width)
        self.linear_stage1 = LeakyBlock(width=config.width, slope=config.slope)
        self.linear_stage2 = LeakyBlock(width=config.width, slope=config.slope)
        self.linear_stage3 = LeakyBlock(width=config.width, slope=config.slope)
        self.w2 = nn.Linear(config.width, config.last_width)
        self.w3 = nn.Linear(config.last_width, 1)
        self.slope = config.slope

    def forward(self, x: Float[Tensor, "n t i"]) -> Float[Tensor, "n 1"]:
        """x: the whole window, a flat pose per frame."""
        middle = x.shape[1] // 2
        others = torch.cat((x[:, :middle], x[:, middle + 1 :]), 1) - x[:, middle : middle + 1]
        y = F.leaky_relu(self.w1(others.flatten(1)), self.slope)
        y = self.linear_stage3(self.linear_stage2(self.linear_stage1(y)))
        return self.w3(F.leaky_relu(self.w2(y), self.slope))


class MotionCritic(Critic):
    """Critic of windows of 2 · side + 1 poses."""

    config: MotionCriticConfig

    def __init__(self, config: MotionCriticConfig) -> None:
        super().__init__(config)
        require(config, side=(1, 1000), width=(1, 65_536), last_width=(1, 65_536), slope=(0, 1))
        self.receptive_field = 2 * config.side + 1
        self.net = MotionCriticNet(features_in=2 * config.side * 3 * len(self.others), config=config)

    def forward(self, p_root: Float[Tensor, "b t j 3"]) -> Float[Tensor, "b t_out"]:
        x = p_root.index_select(-2, self.others).flatten(-2)  # b t i
        windows = x.unfold(1, self.receptive_field, 1).mT  # b t_out window i
        return self.net(windows.flatten(0, 1)).view(windows.shape[:2])
