"""RootNet: where a person's root is in space, from one crop. Moon, Chang, Lee, "Camera Distance-aware Top-down Approach
for 3D Multi-person Pose Estimation from a Single RGB Image", ICCV 2019, arXiv 1907.11346.

    crop (3, h, w) → ResNet: F (h/32) ┬→ 3 × [4×4 transposed convolution, norm, ReLU] → 1×1 → softmax → expected x, y
                                      └→ mean over space → 1×1 → γ
    depth = γ · k,   k = sqrt(fx fy · A_real / A_box)

k is how far away something of A_real = 2 m × 2 m is that fills the box; γ corrects it for who is in it and how. So the
network need not know the camera. It has no unit: weights trained on millimetres give metres for a k in metres.
Its authors report MRPE 120.0 mm on Human3.6M (protocol 2, detected boxes) and AP_25 31.0 on MuPoTS. What differs: the
backbones of 18 and 34 layers work too, and training begins with γ = 1, k itself, where theirs begins with 0. `net` has
the published parameter names; their weights take pixels that are not divided by 255 (`unit_range=False`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poselift.models.heatmaps import deconvolutions, soft_argmax
from poselift.models.images.base import ImageConfig, ImageRoot
from poselift.models.resnet import ResNet, ResNetConfig

__all__ = ["RootNet", "RootNetConfig", "RootNetNet"]


@dataclass(frozen=True, kw_only=True)
class RootNetConfig(ImageConfig):
    """The defaults are the published ones, but that pixels are divided by 255."""

    filters: tuple[int, int, int] = (256, 256, 256)
    """Features of the transposed convolutions, which only x and y need."""


class RootNetHead(nn.Module):
    """Features → (x, y) in cells of a quarter of the crop, and γ."""

    def __init__(self, features: int, filters: tuple[int, int, int]) -> None:
        super().__init__()
        self.deconv_layers = deconvolutions(features, filters)
        self.xy_layer = nn.Conv2d(filters[-1], 1, 1)
        self.depth_layer = nn.Conv2d(features, 1, 1)
        for layer in (self.xy_layer, self.depth_layer):
            nn.init.normal_(layer.weight, std=0.001)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.ones_(self.depth_layer.bias)  # type: ignore[arg-type]

    def forward(self, features: Float[Tensor, "b c h32 w32"]) -> tuple[Float[Tensor, "b 2"], Float[Tensor, " b"]]:
        xy = soft_argmax(self.xy_layer(self.deconv_layers(features))[:, 0])
        gamma = self.depth_layer(features.mean((-2, -1), keepdim=True))
        return xy, gamma.flatten()


class RootNetNet(nn.Module):
    """The network, under the published parameter names."""

    def __init__(self, config: RootNetConfig) -> None:
        super().__init__()
        self.backbone = ResNet(ResNetConfig(depth=config.depth, style=config.style))
        self.root = RootNetHead(self.backbone.features, config.filters)

    def forward(self, image_norm: Float[Tensor, "b 3 h w"], k: Float[Tensor, " b"]) -> Float[Tensor, "b 3"]:
        xy, gamma = self.root(self.backbone(image_norm))
        return torch.cat((xy, (gamma * k)[:, None]), -1)


class RootNet(ImageRoot):
    """One person's root in a crop."""

    depth_layer = "net.root.depth_layer."
    config: RootNetConfig

    def __init__(self, config: RootNetConfig) -> None:
        super().__init__(config)
        self.net = RootNetNet(config)

    @property
    def backbone(self) -> ResNet:
        """The part that weights of ImageNet fit."""
        return self.net.backbone

    def forward(self, image_norm: Float[Tensor, "b 3 h w"], k: Float[Tensor, " b"]) -> Float[Tensor, "b 3"]:
        return self.net(image_norm, k)
