"""The trajectory network: where the person walks, from keypoints over time. Pavllo et al., CVPR 2019 (VideoPose3D).

The network of `lifters.temporal_conv` with one joint, which is the root; the authors' semi-supervised training projects
the pose with it, and weights its loss by 1 / depth (`losses.weighted_mpjpe`). They publish no figures for it.
`net` has the published parameter names. What differs: the authors feed it pixels divided by the image width, so that
it is right only for cameras like those of its training set. Here it sees rays, K⁻¹ times the pixel, which say the same
to it for any straight camera: a person of a known size at a known place has the same rays everywhere. Weights of
theirs see the rays as one `camera` of their training set would show them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poselift.errors import InputError
from poselift.geometry.projection import rays
from poselift.models.base import require
from poselift.models.lifters.temporal_conv import FoldedNet, TemporalConvNet, spans
from poselift.structures.skeleton import Skeleton, skeleton

__all__ = ["HUMAN36M_CAMERA", "Trajectory", "TrajectoryConfig"]

HUMAN36M_CAMERA = (2.2947, 2.2925, 0.0281, 0.0124)
"""Mean of Human3.6M's four cameras in screen coordinates, fx fy cx cy: they are within 0.3 % and 10 pixels of it."""


@dataclass(frozen=True, kw_only=True)
class TrajectoryConfig:
    """The defaults are the published ones."""

    skeleton: str = "h36m17"
    """Layout of the joints."""
    filter_widths: tuple[int, ...] = (3, 3, 3)
    """Frames that each filter sees, odd numbers; their product is the receptive field."""
    channels: int = 1024
    """Features of every frame."""
    dropout: float = 0.25
    """Probability that a feature is dropped in training."""
    causal: bool = False
    """See no frame after the one that the root is of."""
    dense: bool = False
    """Filters without holes, as long as the dilated ones reach."""
    camera: tuple[float, float, float, float] | None = None
    """fx fy cx cy in screen coordinates (`INPUT_FRAMES`): the network sees rays projected by it; rays if not given."""


class Trajectory(nn.Module):
    """A `RootModel` that sees `receptive_field` frames.

    Raises `InputError` for an unknown skeleton or numbers out of range.
    """

    net: TemporalConvNet | FoldedNet

    def __init__(self, config: TrajectoryConfig) -> None:
        super().__init__()
        require(config, channels=(1, 65_536), dropout=(0, 0.999))
        if config.camera is not None and not all(map(math.isfinite, config.camera)):
            raise InputError(field="model camera", expected="four finite numbers", found=config.camera)
        found = spans(config.filter_widths, causal=config.causal, dense=config.dense)
        self.config = config
        self.skeleton: Skeleton = skeleton(config.skeleton)
        self.receptive_field, self.causal = math.prod(config.filter_widths), config.causal
        self.net = TemporalConvNet(
            in_features=2 * len(self.skeleton), joints=1, found=found, channels=config.channels, dropout=config.dropout
        )

    def forward(self, kp_ray: Float[Tensor, "b t j 2"]) -> Float[Tensor, "b t_out 3"]:
        """Rays on the plane z = 1 (missing joints 0) → root_cam, metres, camera axes; t_out = t - receptive_field + 1.

        Exactly one receptive field goes the strided way, as in the lifter.
        """
        alone = not torch.compiler.is_compiling() and kp_ray.shape[1] == self.receptive_field
        return self.net(kp_ray.flatten(-2), strided=alone and not self.config.dense)[..., 0, :]

    def encode(
        self, kp_img: Float[Tensor, "b t j 2"], conf: Float[Tensor, "b t j"], K: Float[Tensor, "b 3 3"]
    ) -> Float[Tensor, "b t j 2"]:
        """Pixels of a straight camera → what the network sees: rays, or these projected by `config.camera`.

        A joint with confidence 0, or without coordinates, is 0.
        """
        seen = ((conf > 0) & torch.isfinite(kp_img).all(-1))[..., None]
        x = rays(torch.where(seen, kp_img, 0.0), K)
        if self.config.camera is not None:
            focal, centre = x.new_tensor(self.config.camera).split(2)
            x = x * focal + centre
        return torch.where(seen, x, 0.0)

    def locate(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        p_root: Float[Tensor, "b t j 3"],
        K: Float[Tensor, "b 3 3"],
    ) -> Float[Tensor, "b t 3"]:
        """root_cam of each of t consecutive frames, metres, camera axes; NaN where no joint is seen.

        The first and last frame are repeated beyond the ends. Takes no notice of p_root.
        """
        t = kp_img.shape[1]
        before = self.receptive_field - 1 if self.causal else self.receptive_field // 2
        frames = torch.arange(t + self.receptive_field - 1, device=kp_img.device) - before
        root = self(self.encode(kp_img, conf, K)[:, frames.clamp(0, t - 1)])
        someone = ((conf > 0) & torch.isfinite(kp_img).all(-1)).any(-1, keepdim=True)
        return torch.where(someone, root, torch.nan)
