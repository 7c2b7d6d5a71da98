"""What every network of pictures is: a crop of one person in, 8-bit RGB, and what is read from it.

    pose:  kp_patch, conf = model.estimate(image)                 # joints in pixels of the crop
    root:  root_cam = model.locate(image, k, box_xywh, K)         # metres, camera axes

The model's config holds how pixels become network input, so a checkpoint needs nothing beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from poselift.errors import InputError
from poselift.geometry.projection import unproject
from poselift.models.heatmaps import argmax, flip_heatmaps, marginal_soft_argmax, quarter_cell
from poselift.models.resnet import Depth, Style
from poselift.structures.skeleton import Skeleton, skeleton

__all__ = [
    "CELL",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "ImageConfig",
    "ImageModel",
    "ImagePose",
    "ImagePoseConfig",
    "ImageRoot",
]

CELL = 4
"""Pixels of the crop for a cell of the heatmaps."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MAX_SIDE = 2048


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """How a crop becomes network input, and the backbone that sees it."""

    depth: Depth = 50
    """Layers of the ResNet (`models.resnet`)."""
    style: Style = "pytorch"
    """Where a bottleneck has its stride: `pytorch` in the 3×3 convolution, `caffe` in the first 1×1."""
    size_hw: tuple[int, int] = (256, 256)
    """Height and width of the crop, multiples of 32 pixels."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Subtracted from the channels, in the network's order of them."""
    std: tuple[float, float, float] = IMAGENET_STD
    """What the channels are divided by then."""
    unit_range: bool = True
    """Divide pixels by 255 before. RootNet's published weights were trained without, and need it so."""
    channels: Literal["rgb", "bgr"] = "rgb"
    """Order in which the network sees the colours; Pose ResNet's published weights for MPII were trained on bgr."""


@dataclass(frozen=True, kw_only=True)
class ImagePoseConfig(ImageConfig):
    """What the config of every network from pictures to 2D joints says."""

    skeleton: str = "h36m17"
    """Layout of the joints."""
    decoding: Literal["quarter", "argmax", "marginal"] = "quarter"
    """How a joint is read from its map: highest cell, moved a `quarter` of a cell towards the higher neighbours; the
    highest cell alone (`argmax`); expectation under softmaxes of the `marginal` sums (Human3.6M's variant)."""
    flip_shift: bool = True
    """When the mirrored picture's maps are averaged in: move them one cell to the right first."""


class ImageModel(nn.Module):
    """Crops of people → something. Raises `InputError` for a config that contradicts itself."""

    config: ImageConfig
    mean: Tensor
    std: Tensor

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        if any(n % 32 or not 32 <= n <= MAX_SIDE for n in config.size_hw):
            expected = f"two multiples of 32 up to {MAX_SIDE}"
            raise InputError(field="model size_hw", expected=expected, found=config.size_hw)
        if not all(map(math.isfinite, config.mean)) or not all(0 < s < math.inf for s in config.std):
            found = f"{config.mean} and {config.std}"
            raise InputError(field="model mean, std", expected="finite numbers, std above 0", found=found)
        self.config = config
        unit = 255.0 if config.unit_range else 1.0
        self.register_buffer("mean", unit * torch.tensor(config.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", unit * torch.tensor(config.std).view(3, 1, 1), persistent=False)

    def normalize(self, image: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """8-bit RGB → network input."""
        x = image if self.config.channels == "rgb" else image.flip(-3)
        return x.to(self.mean.dtype).sub_(self.mean).div_(self.std)

    @property
    def map_hw(self) -> tuple[int, int]:
        """Height and width of the heatmaps, cells."""
        h, w = self.config.size_hw
        return h // CELL, w // CELL


class ImagePose(ImageModel):
    """Crops of people → 2D joints. Subclasses implement `forward`."""

    config: ImagePoseConfig

    def __init__(self, config: ImagePoseConfig) -> None:
        super().__init__(config)
        self.skeleton: Skeleton = skeleton(config.skeleton)

    def forward(self, image_norm: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b j h4 w4"]:
        """Network input → a heatmap for every joint."""
        raise NotImplementedError

    def heatmaps(self, image: UInt8[Tensor, "b 3 h w"], *, flip_average: bool = False) -> Float[Tensor, "b j h4 w4"]:
        """Heatmaps of crops, or their mean with those of the mirrored crops."""
        x = self.normalize(image)
        heat = self(x)
        if flip_average:
            mirrored = flip_heatmaps(self(x.flip(-1)), self.skeleton.flip, shift=self.config.flip_shift)
            heat = (heat + mirrored) / 2
        return heat

    def decode(self, heat: Float[Tensor, "b j h4 w4"]) -> tuple[Float[Tensor, "b j 2"], Float[Tensor, "b j"]]:
        """Heatmaps → joints in pixels of the crop, and the maps' heights (0 to 1) as confidence."""
        xy, height = quarter_cell(heat) if self.config.decoding == "quarter" else argmax(heat)
        if self.config.decoding == "marginal":
            xy = marginal_soft_argmax(heat)
        return CELL * xy, height.clamp(0, 1)

    def estimate(
        self, image: UInt8[Tensor, "b 3 h w"], *, flip_average: bool = False
    ) -> tuple[Float[Tensor, "b j 2"], Float[Tensor, "b j"]]:
        """Crops of `size_hw` → (kp_patch in pixels of the crop, conf)."""
        return self.decode(self.heatmaps(image, flip_average=flip_average))


class ImageRoot(ImageModel):
    """Crops of people → where each one's root is. Subclasses implement `forward`."""

    depth_layer: str
    """How the names of the parameters begin that give the depth."""

    def forward(self, image_norm: Float[Tensor, "b 3 h w"], k: Float[Tensor, " b"]) -> Float[Tensor, "b 3"]:
        """Network input and the distance measure k → (x, y) in cells of the map, depth in the unit of k."""
        raise NotImplementedError

    def locate(
        self,
        image: UInt8[Tensor, "b 3 h w"],
        k: Float[Tensor, " b"],
        box_xywh: Float[Tensor, "b 4"],
        K: Float[Tensor, "b 3 3"],
        *,
        flip_average: bool = False,
    ) -> Float[Tensor, "b 3"]:
        """Crops of boxes → root_cam in the unit of k (metres for real boxes of 2 m), camera axes.

        K: intrinsics of the whole image, without distortion. flip_average: the mean of what the crop and the mirrored
        crop give.
        """
        x = self.normalize(image)
        found = self(x, k)
        h, w = image.shape[-2:]
        if flip_average:
            mirrored = self(x.flip(-1), k)
            last = (w - 1) / CELL
            mirrored = torch.stack((last - mirrored[:, 0], mirrored[:, 1], mirrored[:, 2]), -1)
            found = (found + mirrored) / 2
        part = found[:, :2] / found.new_tensor((w / CELL, h / CELL))
        root_img = part * box_xywh[:, 2:] + box_xywh[:, :2]
        return unproject(root_img, found[:, 2], K)
