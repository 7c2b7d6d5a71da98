"""What every critic is: an `nn.Module` that gives poses a value, the higher the more they look like a person's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poselift.structures.skeleton import Skeleton, skeleton

__all__ = ["Critic", "CriticConfig"]


@dataclass(frozen=True, kw_only=True)
class CriticConfig:
    """What the config of every critic says."""

    skeleton: str = "h36m17"
    """Layout of the joints."""


class Critic(nn.Module):
    """Root-relative poses in metres → values without bounds (Wasserstein).

    No batch norm and nothing else that mixes samples: the gradient penalty is of each sample by itself. The root joint
    is not looked at. Raises `InputError` for an unknown skeleton.
    """

    others: Tensor
    receptive_field: int = 1

    def __init__(self, config: CriticConfig) -> None:
        super().__init__()
        self.config = config
        self.skeleton: Skeleton = skeleton(config.skeleton)
        others = [j for j in range(len(self.skeleton)) if j != self.skeleton.root]
        self.register_buffer("others", torch.tensor(others), persistent=False)

    def forward(self, p_root: Float[Tensor, "b t j 3"]) -> Float[Tensor, "b t_out"]:
        """One value for every window of `receptive_field` frames: t_out = t - receptive_field + 1."""
        raise NotImplementedError
