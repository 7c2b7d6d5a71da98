"""Residual MLP: a single-frame lifter of SimpleBaseline's shape (Martinez et al., ICCV 2017) with the parts that have
proved themselves in transformers since.

    x = W_in · [x, y, conf] of every joint and log-size
    blocks times  x = x + W2 · D(GELU(W1 · LN(x)))                        # pre-activation (He et al., ECCV 2016)
    → W_out · LN(x), root subtracted

What differs from SimpleBaseline: layer norm in place of batch norm (a frame's result does not depend on what else
was in the batch, in training neither; no gap between the two modes), GELU, the residual path is never
normalised or dropped, each block ends near zero so that the net starts as a linear map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from poselift.models.base import Lifter, LifterConfig, require
from poselift.models.components import WithComponents

__all__ = ["ResidualMLP", "ResidualMLPConfig"]


@dataclass(frozen=True, kw_only=True)
class ResidualMLPConfig(LifterConfig):
    """The defaults give 6.5 million parameters, 13 MFLOP a pose."""

    width: int = 1024
    """Features on the residual path."""
    hidden: int = 1024
    """Features inside a block."""
    blocks: int = 3
    """Residual blocks of two layers each."""
    dropout: float = 0.1
    """Probability that a feature inside a block is dropped in training."""
    pca: int | float = 0
    """If positive, the input is projected on that many principal components, or, below 1, on as few as keep that
    fraction of the variance."""


class _Block(nn.Module):
    """x + W2 · D(GELU(W1 · LN(x)))."""

    def __init__(self, *, config: ResidualMLPConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.w1 = nn.Linear(config.width, config.hidden)
        self.w2 = nn.Linear(config.hidden, config.width)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.zeros_(self.w1.bias)
        nn.init.zeros_(self.w2.bias)
        nn.init.kaiming_normal_(self.w1.weight)
        nn.init.normal_(self.w2.weight, std=0.5 / math.sqrt(config.hidden * config.blocks))

    def forward(self, x: Float[Tensor, "*n w"]) -> Float[Tensor, "*n w"]:
        return x + self.w2(self.dropout(F.gelu(self.w1(self.norm(x)))))


class ResidualMLP(WithComponents, Lifter):
    """Single-frame lifter; the root of what it gives is exactly 0."""

    config: ResidualMLPConfig

    def __init__(self, config: ResidualMLPConfig) -> None:
        super().__init__(config)
        require(config, width=(1, 65_536), hidden=(1, 65_536), blocks=(0, 1000), dropout=(0, 0.999))
        j, scale = len(self.skeleton), int(config.scale_feature)
        self.w_in = nn.Linear(self.hold_components(j * (self.in_channels - scale) + scale), config.width)
        self.blocks = nn.ModuleList(_Block(config=config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.w_out = nn.Linear(config.width, 3 * j)

    def forward(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t j 3"]:
        x = self.w_in(self.project(self.flat(kp_norm)))  # b t w
        for block in self.blocks:
            x = block(x)
        p = self.w_out(self.norm(x)).unflatten(-1, (-1, 3))  # b t j 3, standardised
        p = p * self.std3d + self.mean3d
        root = self.skeleton.root
        return p - p[..., root : root + 1, :]

    def flat(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t i"]:
        """Joint after joint; the scale feature, the same for all joints, once at the end."""
        if self.config.scale_feature:
            return torch.cat((kp_norm[..., :-1].flatten(-2), kp_norm[..., 0, -1:]), -1)
        return kp_norm.flatten(-2)

    def fit_pca(self, kp_norm: Float[Tensor, "b t j c"]) -> None:
        """Take the principal components of the training set's inputs."""
        self.take_components(self.flat(kp_norm).flatten(0, 1))

    def resize_input(self, features: int) -> None:
        self.w_in = nn.Linear(features, self.config.width).to(self.mean3d)
