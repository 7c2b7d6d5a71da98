"""From surfaces to a photograph: light, shadows, then what a lens and a sensor add."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d

__all__ = ["Light", "draw_light", "photograph", "shade", "soften"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Light:
    """Light of b scenes: direction (b, 3) towards it, world axes, unit; key (b, 3) and ambient (b, 3) colours."""

    direction: Tensor
    key: Tensor
    ambient: Tensor


def draw_light(b: int, gen: Generator, device: torch.device) -> Light:
    """A sun or a lamp somewhere above, and the light of everything around."""
    azimuth, height, strong, dim = torch.rand(4, b, generator=gen, device=device)
    azimuth, height = azimuth * (2 * math.pi), 0.45 + 0.95 * height
    direction = torch.stack((height.cos() * azimuth.cos(), height.cos() * azimuth.sin(), height.sin()), -1)
    tint = 1 + 0.07 * torch.randn(2, b, 3, generator=gen, device=device)
    return Light(
        direction=direction, key=(0.4 + 0.5 * strong)[:, None] * tint[0], ambient=(0.42 + 0.3 * dim)[:, None] * tint[1]
    )


def shade(
    colour: Float[Tensor, "p 3"], normal: Float[Tensor, "p 3"], light: Float[Tensor, "p 3"], up: Float[Tensor, "p 3"],
    key: Float[Tensor, "p 3"], ambient: Float[Tensor, "p 3"],
) -> Float[Tensor, "p 3"]:  # fmt: skip
    """Lambert's law under one light, and ambient light that is weaker from below; all directions in one frame."""
    lit = (normal * light).sum(-1, keepdim=True)
    lit = (lit * 0.9 + 0.1).clamp_min(0)  # soft at the edge of the dark side
    above = 0.75 + 0.25 * (normal * up).sum(-1, keepdim=True)
    facing = 0.7 + 0.3 * normal[:, 2:].neg().clamp(0, 1)  # creases and edges see less of the surroundings
    return colour * (key * lit + ambient * above * facing)


def soften(mask: Float[Tensor, "b h w"], pixels: int) -> Float[Tensor, "b h w"]:
    """A mask with edges that are about `pixels` wide."""
    if pixels < 1:
        return mask
    n = 2 * pixels + 1
    rows = avg_pool2d(mask[:, None], (1, n), 1, (0, pixels), count_include_pad=False)
    return avg_pool2d(rows, (n, 1), 1, (pixels, 0), count_include_pad=False)[:, 0]


def _blur(image: Tensor, sigma: Tensor, reach: int) -> Tensor:
    """Gaussian blur of pictures (b, 3, h, w) with sigma (b,) pixels, edges repeated; `reach` pixels to each side."""
    at = torch.arange(-reach, reach + 1, device=image.device)
    weight = torch.exp(-0.5 * (at / sigma.clamp_min(0.05)[:, None]) ** 2)
    weight = weight / weight.sum(1, keepdim=True)
    for axis in (2, 3):
        n = image.shape[axis]
        out = image * weight[:, reach].view(-1, 1, 1, 1)
        for k in range(1, reach + 1):
            w = weight[:, reach + k].view(-1, 1, 1, 1)
            edge = image.narrow(axis, 0, 1), image.narrow(axis, n - 1, 1)
            shape = [k if i == axis else -1 for i in range(4)]
            out += w * torch.cat((edge[0].expand(shape), image.narrow(axis, 0, n - k)), axis)
            out += w * torch.cat((image.narrow(axis, k, n - k), edge[1].expand(shape)), axis)
        image = out
    return image


def photograph(
    image: Float[Tensor, "b 3 h w"], gen: Generator, *, blur: tuple[float, float], noise: float
) -> UInt8[Tensor, "b 3 h w"]:
    """Blur of sigma within `blur` pixels, gain, white balance, contrast, and noise of up to `noise` (of 1)."""
    b, dev = len(image), image.device

    def uniform(lo: float, hi: float, *shape: int) -> Tensor:
        return lo + (hi - lo) * torch.rand(b, *shape, generator=gen, device=dev)

    if blur[1] > 0:
        sigma = blur[0] + (blur[1] - blur[0]) * uniform(0, 1) ** 2
        image = _blur(image, sigma, min(8, max(1, math.ceil(2 * blur[1]))))
    gain = uniform(0.8, 1.25, 1, 1, 1) * uniform(0.93, 1.07, 3, 1, 1)
    contrast = uniform(0.8, 1.2, 1, 1, 1)
    image = (image * gain - 0.45) * contrast + 0.45
    if noise > 0:
        # the sum of two uniform draws: bell-shaped enough, and three times as fast as a normal
        grain = torch.randint(-512, 512, image.shape, generator=gen, device=dev, dtype=torch.int16)
        image = image + grain * (uniform(0, 1, 1, 1, 1) ** 2 * noise / 295)
    return (image.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
