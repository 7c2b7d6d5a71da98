"""Pose ResNet: joints of one person in a crop. Xiao, Wu, Wei, "Simple Baselines for Human Pose Estimation and
Tracking", ECCV 2018, arXiv 1804.06208.

    crop (3, h, w) → ResNet (h/32) → 3 × [4×4 transposed convolution, norm, ReLU] (h/4) → 1×1 → a heatmap per joint

Its authors report PCKh@0.5 on MPII (validation, mirrored picture averaged in): 88.5 for 50 layers at 256 × 256, 89.1
for 101, 89.6 for 152, 90.0 for 101 at 384 × 384. `FLAVOURS` has their version and the adaptation to Human3.6M that
feeds RepNet's and the temporal GAN's published codes, which differ in joints, colours and decoding. `net` has the
published parameter names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor, nn

from poselift.errors import InputError, unknown_name
from poselift.models.heatmaps import deconvolutions
from poselift.models.images.base import ImagePose, ImagePoseConfig
from poselift.models.resnet import Depth, ResNet, ResNetConfig
from poselift.structures.skeleton import skeleton

__all__ = ["FLAVOURS", "PoseResNet", "PoseResNetConfig", "PoseResNetNet"]


@dataclass(frozen=True, kw_only=True)
class PoseResNetConfig(ImagePoseConfig):
    """The defaults are the published ones."""

    filters: tuple[int, ...] = (256, 256, 256)
    """Features of the transposed convolutions; each doubles the size, and three bring it to a quarter of the crop's."""
    kernels: tuple[int, ...] = (4, 4, 4)
    """Their kernels: 2, 3 or 4."""
    deconv_bias: bool = False
    """Give them biases."""
    final_kernel: int = 1
    """Kernel of the last convolution: 1 or 3."""

    @staticmethod
    def flavour_of(name: str, depth: Depth = 50) -> PoseResNetConfig:
        """The published version of that name (`FLAVOURS`). Raises `InputError` for an unknown one."""
        if name not in FLAVOURS:
            raise unknown_name("flavour of Pose ResNet", name, FLAVOURS)
        return replace(FLAVOURS[name], depth=depth)


FLAVOURS: dict[str, PoseResNetConfig] = {
    "mpii": PoseResNetConfig(skeleton="mpii16", channels="bgr"),
    "human36m": PoseResNetConfig(
        depth=101, size_hw=(384, 384), decoding="marginal", flip_shift=False,
        mean=(0.44487878, 0.27743985, 0.2616888), std=(0.25466519, 0.26579411, 0.24354595),
    ),
}  # fmt: skip
"""The published versions: of its authors, on MPII; the adaptation to Human3.6M."""


class PoseResNetNet(ResNet):
    """The network, under the published parameter names: those of the backbone stand beside the head's."""

    def __init__(self, config: PoseResNetConfig) -> None:
        super().__init__(ResNetConfig(depth=config.depth, style=config.style))
        self.deconv_layers = deconvolutions(self.features, config.filters, config.kernels, bias=config.deconv_bias)
        k, joints = config.final_kernel, len(skeleton(config.skeleton))
        self.final_layer = nn.Conv2d(config.filters[-1], joints, k, padding=k // 2)
        nn.init.normal_(self.final_layer.weight, std=0.001)
        nn.init.zeros_(self.final_layer.bias)  # type: ignore[arg-type]

    def forward(self, image_norm: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b j h4 w4"]:
        return self.final_layer(self.deconv_layers(super().forward(image_norm)))


class PoseResNet(ImagePose):
    """Raises `InputError` for heads that do not give maps of a quarter of the crop's size."""

    config: PoseResNetConfig

    def __init__(self, config: PoseResNetConfig) -> None:
        super().__init__(config)
        if len(config.filters) != 3:
            raise InputError(field="model filters", expected="three numbers", found=config.filters)
        if config.final_kernel not in (1, 3):
            raise InputError(field="model final_kernel", expected="1 or 3", found=config.final_kernel)
        self.net = PoseResNetNet(config)

    @property
    def backbone(self) -> ResNet:
        """The part that weights of ImageNet fit (its state has the head's entries too)."""
        return self.net

    def forward(self, image_norm: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b j h4 w4"]:
        return self.net(image_norm)
