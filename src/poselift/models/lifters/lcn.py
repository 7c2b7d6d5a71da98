"""LCN: Ci, Wang, Ma, Wang, "Optimizing Network Structure for 3D Human Pose Estimation", ICCV 2019.

A network of SimpleBaseline's shape whose layers are only locally connected: a joint's features are made from those of
the joints within `knn` links of it, with weights of its own for every pair of joints.

    x (N, j, c) → LC(c, channels) → BN → PReLU → D
    blocks times  y = y + D(PReLU(BN(LC(D(PReLU(BN(LC(y))))))))
    → LC(channels, 3)

This is the version of ERD (Kang et al., BMVC 2020), and `net` has its parameter names. Against the authors' TensorFlow
code it has batch norm per joint (theirs: per channel), PReLU (leaky ReLU 0.2), no norm clip on the matrices, two
blocks (three), mean and deviation (image coordinates), and does not add the 2D input to the output.
What differs from ERD: its code lays the mask out as if features were channel-major while they are joint-major, so
that its layers have the right number of weights in the wrong places: every joint sees every other, from the first
layer on. `mask_layout="tiled"` does the same and is needed to read weights that were trained with it (both layouts
have the same sizes: a mistake here loads without complaint and gives wrong poses); "block" is what the paper describes.

MPJPE in mm on Human3.6M, mean of 15 actions, as published: 39.1 from ground-truth 2D and 53.4 from CPN's (ERD's code,
tiled); 36.3 and 52.7 (paper), 32.5 and 51.1 (authors' repository, later), the last four with the depth of the root
given and the second of each pair from a stacked hourglass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from poselift.models.base import Lifter, LifterConfig, require
from poselift.models.input_frames import InputFrameName
from poselift.structures.skeleton import Skeleton

__all__ = ["LCN", "LCNConfig", "LCNNet", "LocallyConnected", "neighbourhood", "weight_places"]

MaskLayout = Literal["block", "tiled"]


@dataclass(frozen=True, kw_only=True)
class LCNConfig(LifterConfig):
    """The defaults are ERD's settings with the mask laid out as the paper means it."""

    input_frame: InputFrameName = "pixels"
    """How image keypoints become network input."""
    confidence: bool = False
    """Give the network each joint's confidence as a third channel."""
    scale_feature: bool = False
    """Give the network the logarithm of the person's size on the image plane (only for `look_at`)."""
    channels: int = 64
    """Features per joint."""
    blocks: int = 2
    """Residual blocks of two layers each."""
    dropout: float = 0.25
    """Probability that a feature is dropped in training."""
    knn: int = 3
    """A joint sees the joints that are at most this many links away."""
    mask_layout: MaskLayout = "block"
    """`block`: weights between neighbouring joints, as the paper says; `tiled`: where ERD's code puts them."""


def neighbourhood(skeleton: Skeleton, knn: int) -> Bool[np.ndarray, "j j"]:
    """Which joints are at most `knn` links apart; a joint is its own neighbour.

    The links are the bones and, as published, one from the spine to each hip and shoulder (every paired joint
    that hangs on an unpaired one); a skeleton without a spine has its bones only.
    """
    links = skeleton.adjacency + np.eye(len(skeleton))
    if "spine" in skeleton.joints:
        spine, paired = skeleton.index("spine"), {*skeleton.left, *skeleton.right}
        for child, parent in skeleton.bones:
            if child in paired and parent not in paired:
                links[spine, child] = links[child, spine] = 1
    return np.linalg.matrix_power(links, knn) > 0


def weight_places(near: Bool[np.ndarray, "j j"], c_in: int, c_out: int, layout: MaskLayout) -> Int[np.ndarray, " n"]:
    """Where in a layer's flattened matrix (j · c_out, j · c_in) its n weights stand, row after row.

    Features are in the order joint · channels + channel; `tiled` reads the mask as if they were channel · j + joint.
    """
    if layout == "tiled":
        return np.flatnonzero(np.tile(near, (c_out, c_in)))
    return np.flatnonzero(np.kron(near, np.ones((c_out, c_in), dtype=bool)))


class LocallyConnected(nn.Module):
    """A linear layer on all joints' features whose matrix is 0 outside of a mask.

    weight (n): the n kept entries, row after row; bias (j · c_out).
    """

    places: Tensor

    def __init__(self, *, near: Bool[np.ndarray, "j j"], c_in: int, c_out: int, layout: MaskLayout) -> None:
        super().__init__()
        self.shape = (len(near) * c_out, len(near) * c_in)
        self.run = c_in if layout == "block" else 1
        """How many weights always stand side by side, from a multiple of that number on."""
        n = int(near.sum()) * c_in * c_out
        places = torch.empty(n // self.run, dtype=torch.int64)  # of the runs
        if not places.is_meta:  # a network without memory, of which only the shapes are wanted
            places.copy_(torch.from_numpy(weight_places(near, c_in, c_out, layout)[:: self.run] // self.run))
        self.register_buffer("places", places, persistent=False)
        self.weight = nn.Parameter(torch.empty(n))
        self.bias = nn.Parameter(torch.empty(self.shape[0]))
        fan = c_in * c_out  # published: Kaiming uniform (a = √3) that takes one pair of joints for its fan
        nn.init.uniform_(self.weight, -math.sqrt(1.5 / fan), math.sqrt(1.5 / fan))
        nn.init.uniform_(self.bias, -1 / math.sqrt(fan), 1 / math.sqrt(fan))

    @property
    def matrix(self) -> Float[Tensor, "o i"]:
        """The whole matrix, zeros included."""
        zeros = self.weight.new_zeros(math.prod(self.shape) // self.run, self.run)
        if self.run == 1:  # scatter is the faster one for single numbers
            return zeros[:, 0].scatter(0, self.places, self.weight).view(self.shape)
        return zeros.index_copy(0, self.places, self.weight.view(-1, self.run)).view(self.shape)

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        return F.linear(x, self.matrix, self.bias)


class _Shape:
    """What all layers of one network share: its mask, and batch norm over the joints."""

    def __init__(self, *, near: Bool[np.ndarray, "j j"], config: LCNConfig) -> None:
        self.near, self.channels = near, config.channels
        self.layout: MaskLayout = config.mask_layout

    def layer(self, c_in: int, c_out: int) -> LocallyConnected:
        return LocallyConnected(near=self.near, c_in=c_in, c_out=c_out, layout=self.layout)

    def norm(self) -> nn.BatchNorm1d:
        return nn.BatchNorm1d(len(self.near))


def _per_joint(norm: nn.BatchNorm1d, x: Float[Tensor, "n f"]) -> Float[Tensor, "n f"]:
    """Batch norm with one mean and deviation per joint, over the batch and the joint's features."""
    return norm(x.unflatten(1, (norm.num_features, -1))).flatten(1)


class _Block(nn.Module):
    """y = x + D(PReLU(BN(LC(D(PReLU(BN(LC(x)))))))); the slope of PReLU is one number for both."""

    def __init__(self, *, shape: _Shape, dropout: float) -> None:
        super().__init__()
        self.w1 = shape.layer(shape.channels, shape.channels)
        self.batch_norm1 = shape.norm()
        self.w2 = shape.layer(shape.channels, shape.channels)
        self.batch_norm2 = shape.norm()
        self.relu = nn.PReLU()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n f"]:
        y = self.dropout(self.relu(_per_joint(self.batch_norm1, self.w1(x))))
        return x + self.dropout(self.relu(_per_joint(self.batch_norm2, self.w2(y))))


class LCNNet(nn.Module):
    """The network of ERD under its parameter names: standardised keypoints to a standardised pose."""

    def __init__(self, *, near: Bool[np.ndarray, "j j"], c_in: int, config: LCNConfig) -> None:
        super().__init__()
        shape = _Shape(near=near, config=config)
        self.w1 = shape.layer(c_in, config.channels)
        self.batch_norm1 = shape.norm()
        self.relu = nn.PReLU()
        self.linear_stages = nn.ModuleList(_Block(shape=shape, dropout=config.dropout) for _ in range(config.blocks))
        self.w2 = shape.layer(config.channels, 3)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "n j c"]) -> Float[Tensor, "n j 3"]:
        y = self.dropout(self.relu(_per_joint(self.batch_norm1, self.w1(x.flatten(1)))))
        for stage in self.linear_stages:
            y = stage(y)
        return self.w2(y).unflatten(1, (-1, 3))


class LCN(Lifter):
    """Single-frame lifter around `LCNNet`; undoes the standardisation of the target."""

    config: LCNConfig

    def __init__(self, config: LCNConfig) -> None:
        super().__init__(config)
        require(config, channels=(1, 4096), blocks=(0, 1000), dropout=(0, 0.999), knn=(0, 100))
        self.net = LCNNet(near=neighbourhood(self.skeleton, config.knn), c_in=self.in_channels, config=config)

    def forward(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t j 3"]:
        y = self.net(kp_norm.flatten(0, 1)).unflatten(0, kp_norm.shape[:2])
        return y * self.std3d + self.mean3d
