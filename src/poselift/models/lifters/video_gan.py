"""Temporal convolutions for weak supervision: the pose network of a PyTorch code that joins RepNet's critic (Wandt &
Rosenhahn, CVPR 2019) with the temporal convolutions and known intrinsics of Pavllo et al. (VideoPose3D, CVPR 2019).

27 frames of keypoints, each minus its root, give the root-relative pose of the one in the middle;
`models.roots.video_gan` gives its root. Their sum, projected with the known intrinsics, has to fall on the keypoints
(`losses_adversarial.depth_weighted_reprojection`), and a critic (`models.critics.repnet`) has to take the pose for one
of a person: no pairs of 2D and 3D. With known intrinsics the size of a pose is tied to its distance: metres are those
of the critic's people, and what is wrong in one is wrong in the other by the same factor.

What differs: image → input is part of the model; the convolutions are dilated, so a clip gives a pose for each frame.
MPJPE in mm on Human3.6M, as published: 70.5, 51.2 after alignment. Whether the first is of absolute or of root-relative
poses cannot be told (the code computes the absolute one), and the model was selected on the test set.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from poselift.models.base import Lifter, LifterConfig, require
from poselift.models.input_frames import InputFrameName
from poselift.models.leaky import TemporalNet, about_root

__all__ = ["VideoGAN", "VideoGANConfig"]


@dataclass(frozen=True, kw_only=True)
class VideoGANConfig(LifterConfig):
    """The defaults are the published ones."""

    input_frame: InputFrameName = "screen"
    """How image keypoints become network input."""
    confidence: bool = False
    """Give the network each joint's confidence as a third channel."""
    scale_feature: bool = False
    """Give the network the logarithm of the person's size on the image plane (only for `look_at`)."""
    channels: int = 1000
    """Features of every hidden layer."""
    slope: float = 0.01
    """Slope of the leaky ReLU below 0."""


class VideoGAN(Lifter):
    """Temporal lifter, 27 frames, not causal. The root of what it gives is exactly 0."""

    config: VideoGANConfig
    others: Tensor
    receptive_field = TemporalNet.receptive_field

    def __init__(self, config: VideoGANConfig) -> None:
        super().__init__(config)
        require(config, channels=(1, 65_536), slope=(0, 1))
        j, root = len(self.skeleton), self.skeleton.root
        self.register_buffer("others", torch.tensor([k for k in range(j) if k != root]), persistent=False)
        self.net = TemporalNet(
            features_in=(j - 1) * self.in_channels,
            features_out=3 * (j - 1),
            channels=config.channels,
            slope=config.slope,
        )

    def forward(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t_out j 3"]:
        root = self.skeleton.root
        x = about_root(kp_norm, root).index_select(-2, self.others)
        y = self.net(x.flatten(-2)).unflatten(-1, (-1, 3))  # b t_out j-1 3, metres
        return torch.cat((y[..., :root, :], F.pad(y[..., root:, :], (0, 0, 1, 0))), -2)
