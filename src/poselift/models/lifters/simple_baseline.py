"""SimpleBaseline: Martinez, Hossain, Romero, Little, "A simple yet effective baseline for 3d human pose estimation",
ICCV 2017.

    x (N, I) → Linear(I, width) → BN → ReLU → Dropout
    blocks times  y = x + D(ReLU(BN(W2 · D(ReLU(BN(W1 · x))))))          # nothing after the sum
    → Linear(width, O)

The published versions differ in joints, dropout, initialisation, batch norm and weight constraint; `FLAVOURS` holds
each of them as one config. `net` has exactly the published parameter names, so their checkpoints fit.
What differs from the paper: image → input and network → metres are part of the model (`models.base`).

MPJPE in mm on Human3.6M from ground-truth 2D, as published: 45.5 paper (mean of 15 actions), 44.9 Gluon (mean
of frames; 44.4 as mean of actions), 43.0 PyTorch port (mean of its action columns).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from poselift.errors import InputError, unknown_name
from poselift.models.base import Lifter, LifterConfig, require
from poselift.models.components import WithComponents
from poselift.models.input_frames import InputFrameName
from poselift.structures.skeleton import skeleton

__all__ = ["FLAVOURS", "LinearNet", "MaxNormLinear", "SimpleBaseline", "SimpleBaselineConfig"]

Init = Literal["torch", "kaiming", "truncated_normal", "msra_prelu"]

_H36M17 = skeleton("h36m17").joints
_IN16 = tuple(n for n in _H36M17 if n != "nose")
_OUT16 = tuple(n for n in _H36M17 if n != "pelvis")


@dataclass(frozen=True, kw_only=True)
class SimpleBaselineConfig(LifterConfig):
    """The defaults are the flavour `erd`."""

    input_frame: InputFrameName = "pixels"
    """How image keypoints become network input."""
    confidence: bool = False
    """Give the network each joint's confidence as a third channel."""
    scale_feature: bool = False
    """Give the network the logarithm of the person's size on the image plane (only for `look_at`)."""
    width: int = 1024
    """Features of every hidden layer."""
    blocks: int = 2
    """Residual blocks of two layers each."""
    dropout: float = 0.25
    """Probability that a feature is dropped in training."""
    joints_in: tuple[str, ...] | None = None
    """Joints the network sees, in its order; all of the skeleton if not given."""
    joints_out: tuple[str, ...] | None = None
    """Joints the network gives, in its order; the others are 0. All of the skeleton if not given."""
    pca: int | float = 0
    """If positive, the input is projected on that many principal components (ERD uses 30), or, below 1, on as few as
    keep that fraction of the variance."""
    init: Init = "torch"
    """How the linear layers start."""
    max_norm: bool = False
    """Clip each weight matrix to Frobenius norm 1 inside the graph; the stored weights are not constrained."""
    bn_eps: float = 1e-5
    """Added to the variance in batch normalisation."""
    bn_momentum: float = 0.1
    """Share of the new batch in the running statistics."""

    @staticmethod
    def flavour_of(name: str) -> SimpleBaselineConfig:
        """The published version of that name (`FLAVOURS`). Raises `InputError` for an unknown one."""
        if name not in FLAVOURS:
            raise unknown_name("flavour of SimpleBaseline", name, FLAVOURS)
        return FLAVOURS[name]


FLAVOURS: dict[str, SimpleBaselineConfig] = {
    "erd": SimpleBaselineConfig(),
    "original": SimpleBaselineConfig(
        joints_in=_IN16, joints_out=_OUT16, dropout=0.5, init="truncated_normal", max_norm=True,
        bn_eps=1e-3, bn_momentum=0.01,
    ),
    "pytorch": SimpleBaselineConfig(joints_in=_IN16, joints_out=_OUT16, dropout=0.5, init="kaiming"),
    "gluon": SimpleBaselineConfig(joints_in=_IN16, joints_out=_OUT16, dropout=0.5, init="msra_prelu"),
}  # fmt: skip
"""The published versions: Kang et al. (ERD, BMVC 2020); Martinez et al. (TensorFlow, with its recommended flags);
the PyTorch port that SemGCN uses too; the Gluon version."""


class MaxNormLinear(nn.Linear):
    """A linear layer whose matrix is scaled down to Frobenius norm 1 where it is larger (`tf.clip_by_norm`)."""

    @property
    def effective_weight(self) -> Float[Tensor, "o i"]:
        """W / max(1, ‖W‖_F): what a network without the constraint needs to give the same output."""
        return self.weight / torch.linalg.vector_norm(self.weight).clamp_min(1.0)

    def forward(self, input: Float[Tensor, "*n i"]) -> Float[Tensor, "*n o"]:
        return F.linear(input, self.effective_weight, self.bias)


class _Block(nn.Module):
    """y = x + D(ReLU(BN(W2 · D(ReLU(BN(W1 · x))))))."""

    def __init__(self, *, config: SimpleBaselineConfig) -> None:
        super().__init__()
        w = config.width
        self.w1 = _linear(w, w, config)
        self.batch_norm1 = nn.BatchNorm1d(w, eps=config.bn_eps, momentum=config.bn_momentum)
        self.w2 = _linear(w, w, config)
        self.batch_norm2 = nn.BatchNorm1d(w, eps=config.bn_eps, momentum=config.bn_momentum)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "n w"]) -> Float[Tensor, "n w"]:
        y = self.dropout(F.relu(self.batch_norm1(self.w1(x))))
        return x + self.dropout(F.relu(self.batch_norm2(self.w2(y))))


class LinearNet(nn.Module):
    """The network of the paper, flat in and flat out, under the published parameter names."""

    def __init__(self, *, in_features: int, out_features: int, config: SimpleBaselineConfig) -> None:
        super().__init__()
        self.w1 = _linear(in_features, config.width, config)
        self.batch_norm1 = nn.BatchNorm1d(config.width, eps=config.bn_eps, momentum=config.bn_momentum)
        self.linear_stages = nn.ModuleList(_Block(config=config) for _ in range(config.blocks))
        self.w2 = _linear(config.width, out_features, config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        x = self.dropout(F.relu(self.batch_norm1(self.w1(x))))
        for stage in self.linear_stages:
            x = stage(x)
        return self.w2(x)


class SimpleBaseline(WithComponents, Lifter):
    """Single-frame lifter around `LinearNet`: picks its joints, and undoes the standardisation of the target."""

    config: SimpleBaselineConfig
    joints_in: Tensor
    joints_out: Tensor
    place: Tensor

    def __init__(self, config: SimpleBaselineConfig) -> None:
        super().__init__(config)
        joints = self.skeleton.joints
        names_in, names_out = config.joints_in or joints, config.joints_out or joints
        inputs = len(names_in) * (self.in_channels - config.scale_feature) + config.scale_feature
        require(config, width=(1, 65_536), blocks=(0, 1000), dropout=(0, 0.999), bn_eps=(0, 1), bn_momentum=(0, 1))
        for names in (names_in, names_out):
            if not names or len(set(names)) != len(names):
                raise InputError(field="joints_in and joints_out", expected="different joints", found=", ".join(names))
        self.register_buffer("joints_in", torch.tensor(self.skeleton.indices(*names_in)), persistent=False)
        self.register_buffer("joints_out", torch.tensor(self.skeleton.indices(*names_out)), persistent=False)
        place = [names_out.index(n) if n in names_out else len(names_out) for n in joints]
        self.register_buffer("place", torch.tensor(place), persistent=False)
        features = self.hold_components(inputs)
        self.net = LinearNet(in_features=features, out_features=3 * len(names_out), config=config)

    def forward(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t j 3"]:
        b, t = kp_norm.shape[:2]
        y = self.net(self.features(kp_norm).flatten(0, 1)).unflatten(-1, (-1, 3))  # b·t j_out 3, standardised
        y = y * self.std3d[self.joints_out] + self.mean3d[self.joints_out]
        if self.config.joints_out is not None:
            y = F.pad(y, (0, 0, 0, 1)).index_select(1, self.place)  # joints that the network does not give are 0
        return y.unflatten(0, (b, t))

    def features(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t i"]:
        """kp_norm → the input of `net`: its principal components if the config says so, else `flat`."""
        return self.project(self.flat(kp_norm))

    def flat(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t i"]:
        """Joint after joint, x0 y0 x1 y1 …; the scale feature, the same for all joints, once at the end."""
        x = kp_norm.index_select(-2, self.joints_in)
        if self.config.scale_feature:
            return torch.cat((x[..., :-1].flatten(-2), x[..., 0, -1:]), -1)
        return x.flatten(-2)

    def fit_pca(self, kp_norm: Float[Tensor, "b t j c"]) -> None:
        """Take the principal components of the training set's inputs."""
        self.take_components(self.flat(kp_norm).flatten(0, 1))

    def resize_input(self, features: int) -> None:
        self.net.w1 = _linear(features, self.config.width, self.config).to(self.mean3d)


def _linear(fan_in: int, fan_out: int, config: SimpleBaselineConfig) -> nn.Linear:
    """A linear layer with the constraint and the initialisation of the flavour."""
    layer = (MaxNormLinear if config.max_norm else nn.Linear)(fan_in, fan_out)
    with torch.no_grad():
        if config.init == "kaiming":  # variance 2 / fan_in; bias as torch has it
            nn.init.kaiming_normal_(layer.weight)
        elif config.init == "truncated_normal":  # TensorFlow cuts at two sigma; the bias has its length for a fan
            for tensor, fan in ((layer.weight, fan_in), (layer.bias, fan_out)):
                std = math.sqrt(2 / fan)
                nn.init.trunc_normal_(tensor, std=std, a=-2 * std, b=2 * std)
        elif config.init == "msra_prelu":  # MXNet: slope 0.25, mean of both fans
            nn.init.normal_(layer.weight, std=math.sqrt(2 / (1 + 0.25**2) / ((fan_in + fan_out) / 2)))
            nn.init.zeros_(layer.bias)
    return layer
