"""The root network of the temporal GAN (see `models.lifters.video_gan`): 27 frames of keypoints → one root.

`net` has the published parameter names. As published it sees pixels of pictures 1000 wide and not the intrinsics, so
that depth is right only for cameras like those of its training set; `coordinates="rays"` shows it K⁻¹-normalised
keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poselift.geometry.projection import rays
from poselift.models.base import require
from poselift.models.leaky import TemporalNet
from poselift.structures.skeleton import Skeleton, skeleton

__all__ = ["VideoGANRoot", "VideoGANRootConfig"]


@dataclass(frozen=True, kw_only=True)
class VideoGANRootConfig:
    """The defaults are the published ones."""

    skeleton: str = "h36m17"
    """Layout of the joints."""
    coordinates: Literal["pixels", "rays"] = "pixels"
    """What the network sees: pixels, a picture `image_size` wide scaled to [-1, 1], or K⁻¹-normalised keypoints."""
    image_size: float = 1000.0
    """Pixels, along both axes, of the pictures of the training set."""
    channels: int = 1000
    """Features of every hidden layer."""
    slope: float = 0.01
    """Slope of the leaky ReLU below 0."""


class VideoGANRoot(nn.Module):
    """A `RootModel` around `TemporalNet`; buffer mean_root (3) metres is added (0 as published).

    Raises `InputError` for an unknown skeleton or numbers out of range.
    """

    mean_root: Tensor
    receptive_field = TemporalNet.receptive_field

    def __init__(self, config: VideoGANRootConfig) -> None:
        super().__init__()
        require(config, channels=(1, 65_536), slope=(0, 1), image_size=(1, 1_000_000))
        self.config = config
        self.skeleton: Skeleton = skeleton(config.skeleton)
        self.register_buffer("mean_root", torch.zeros(3))
        self.net = TemporalNet(
            features_in=2 * len(self.skeleton), features_out=3, channels=config.channels, slope=config.slope
        )  # fmt: skip

    def forward(
        self, kp_img: Float[Tensor, "b t j 2"], conf: Float[Tensor, "b t j"], K: Float[Tensor, "b 3 3"]
    ) -> Float[Tensor, "b t_out 3"]:
        """root_cam, metres, camera axes, of the frames that have 13 others on both sides; missing joints are 0."""
        seen = (conf > 0)[..., None] & torch.isfinite(kp_img).all(-1, keepdim=True)
        kp = torch.where(seen, kp_img.to(self.mean_root.dtype), 0.0)
        x = rays(kp, K) if self.config.coordinates == "rays" else kp / self.config.image_size * 2 - 1
        return self.net(torch.where(seen, x, 0.0).flatten(-2)) + self.mean_root

    def locate(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        p_root: Float[Tensor, "b t j 3"],
        K: Float[Tensor, "b 3 3"],
    ) -> Float[Tensor, "b t 3"]:
        """root_cam, metres, camera axes; NaN in frames where no joint is seen. Takes no notice of p_root.

        The first and the last frame are repeated beyond the ends of the sequence.
        """
        side = self.receptive_field // 2
        t = torch.arange(-side, kp_img.shape[1] + side, device=kp_img.device).clamp(0, kp_img.shape[1] - 1)
        seen = (conf > 0) & torch.isfinite(kp_img).all(-1)
        return torch.where(seen.any(-1, keepdim=True), self(kp_img[:, t], conf[:, t], K), torch.nan)

    def set_statistics(self, *, mean_root: Float[Tensor, 3]) -> None:
        """Where roots are on average, metres: what the network gives is added to it, so that depth begins in front of
        the camera."""
        with torch.no_grad():
            self.mean_root.copy_(mean_root)
