"""Residual networks for pictures: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.

    7×7/2 → norm → ReLU → 3×3/2 max → layer1 → layer2 (/2) → layer3 (/2) → layer4 (/2)

without the mean over space and the classifier at the end. Parameters have torchvision's names, so that files trained on
ImageNet fit. What differs from the paper: in a bottleneck the stride is in the 3×3 convolution (`style="pytorch"`, as
torchvision and nearly all published files have it) and not in the first 1×1 (`"caffe"`); weights do not show which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["BACKBONES", "DEPTHS", "Depth", "ResNet", "ResNetConfig", "Style"]

Depth = Literal[18, 34, 50, 101, 152]
Style = Literal["pytorch", "caffe"]

DEPTHS: dict[Depth, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3),
}  # fmt: skip
"""Depth → blocks in each of the four stages."""
_WIDTHS = (64, 128, 256, 512)


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """A backbone."""

    depth: Depth = 50
    """Layers with weights; 18 and 34 have plain blocks of two convolutions, the others bottlenecks of three."""
    style: Style = "pytorch"
    """Where a bottleneck has its stride: `pytorch` in the 3×3 convolution, `caffe` in the first 1×1."""


class BasicBlock(nn.Module):
    """x + conv(conv(x)): two 3×3 convolutions."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, style: Style) -> None:
        super().__init__()
        del style
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return F.relu(y.add_(x if self.downsample is None else self.downsample(x)), inplace=True)


class Bottleneck(nn.Module):
    """x + conv(conv(conv(x))): 1×1, 3×3, 1×1, the last four times as wide."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, style: Style) -> None:
        super().__init__()
        first, second = (1, stride) if style == "pytorch" else (stride, 1)
        self.conv1 = nn.Conv2d(inputs, width, 1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(inputs, 4 * width, stride)

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h2 w2"]:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return F.relu(y.add_(x if self.downsample is None else self.downsample(x)), inplace=True)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """The 1×1 convolution beside a block that changes the shape."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """Pictures → features at a 32nd of their size. `features`: how many."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        block = BasicBlock if config.depth < 50 else Bottleneck
        self.features = 512 * block.expansion
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for s, (width, count) in enumerate(zip(_WIDTHS, DEPTHS[config.depth], strict=True), start=1):
            blocks: list[nn.Module] = []
            for b in range(count):
                blocks.append(block(inputs, width, 2 if s > 1 and b == 0 else 1, config.style))
                inputs = width * block.expansion
            self.add_module(f"layer{s}", nn.Sequential(*blocks))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image_norm: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h32 w32"]:
        """Network input (any mean and scale that it was trained with) → features."""
        x = F.relu(self.bn1(self.conv1(image_norm)), inplace=True)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for s in range(1, 5):
            x = self.get_submodule(f"layer{s}")(x)
        return x


BACKBONES: dict[str, tuple[type[ResNetConfig], type[ResNet]]] = {"resnet": (ResNetConfig, ResNet)}
"""Networks that others begin with."""
