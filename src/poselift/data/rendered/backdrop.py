"""What is behind the people: a floor in perspective, a wall or a sky, posters, and blotches of colour."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import interpolate

from poselift.data.rendered.looks import colours

__all__ = ["Backdrop", "backdrop"]

_POSTERS = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Backdrop:
    """image (b, 3, h, w) 0 to 1; depth (b, h, w) metres, infinite for the sky; floor (b, h, w) True on the floor."""

    image: Tensor
    depth: Tensor
    floor: Tensor


def _pattern(a: Tensor, b: Tensor, kind: Tensor, fade: Tensor) -> Tensor:
    """Tiles, planks, soft waves or nothing: 0 to 1, from phases a and b; `fade` 0 where they are finer than pixels."""
    sa, sb = a.sin(), b.sin()
    tiles = (sa * sb * 8).clamp(-1, 1)
    planks = ((sa.abs() - 0.12) * 9).clamp(-1, 1)
    waves = (0.6 * sa + (0.7 * b + 2 * sa).sin() * 0.6).clamp(-1, 1)
    mix = torch.where(kind == 0, tiles, torch.where(kind == 1, planks, torch.where(kind == 2, waves, 0.0)))
    return 0.5 + 0.5 * mix * fade


def backdrop(
    K: Float[Tensor, "b 3 3"], R: Float[Tensor, "b 3 3"], eye: Float[Tensor, "b 3"], size: tuple[int, int],
    gen: Generator, *, detail: float = 1.0,
) -> Backdrop:  # fmt: skip
    """What cameras at `eye` above the floor z = 0 see without people, in pictures of (h, w). K, R: world to pixels.

    detail: pixels of the picture for one of a 128-pixel crop, so that blotches keep their size.
    """
    (h, w), b, dev = size, len(K), K.device

    def uniform(lo: float, hi: float, *shape: int) -> Tensor:
        return (lo + (hi - lo) * torch.rand(*(shape or (b,)), generator=gen, device=dev)).view(-1, 1, 1)

    x = torch.arange(w, device=dev) - K[:, 0, 2, None]
    y = torch.arange(h, device=dev) - K[:, 1, 2, None]
    x, y = (x / K[:, 0, 0, None])[:, None], (y / K[:, 1, 1, None])[:, :, None]
    d = [R[:, 0, i].view(-1, 1, 1) * x + R[:, 1, i].view(-1, 1, 1) * y + R[:, 2, i].view(-1, 1, 1) for i in range(3)]
    ex, ey, ez = (e.view(-1, 1, 1) for e in eye.unbind(-1))
    down = -d[2]
    t_floor = torch.where(down > 1e-3, ez / down.clamp_min(1e-3), torch.inf)
    # the wall: a vertical plane behind the people, turned a little; some scenes have none
    turn, away = uniform(-0.7, 0.7), uniform(3.0, 9.0)
    away = torch.where(uniform(0, 1) < 0.25, 1e4, away)
    nx, ny = turn.sin(), turn.cos()
    towards = d[0] * nx + d[1] * ny
    t_wall = torch.where(towards > 1e-3, (away - ex * nx - ey * ny) / towards.clamp_min(1e-3), torch.inf)
    floor = t_floor < t_wall
    t = torch.where(floor, t_floor, t_wall).clamp(max=60.0)
    gx, gy, gz = (e + t * v for e, v in zip((ex, ey, ez), d, strict=True))
    per_metre = uniform(3.0, 14.0)
    yaw = uniform(0, math.pi)
    across = gx * ny - gy * nx
    a = torch.where(floor, gx * yaw.cos() + gy * yaw.sin(), across)
    c = torch.where(floor, gy * yaw.cos() - gx * yaw.sin(), gz)
    step = t * per_metre / K[:, 0, 0].view(-1, 1, 1)
    fade = (1.2 - step).clamp(0, 1)
    kinds = torch.randint(5, (2, b, 1, 1), generator=gen, device=dev)
    wave = torch.where(floor, 1.0, uniform(0.3, 1.2)) * per_metre
    mix = _pattern(a * wave, c * wave, torch.where(floor, kinds[0], kinds[1]), fade)
    first, second, third, fourth = colours(4 * b, gen, dev).view(4, b, 3)
    contrast = uniform(0.05, 0.7)[:, :, 0]
    second, fourth = first + (second - first) * contrast, third + (fourth - third) * contrast
    far = away.view(-1) > 1e3
    third = torch.where(far[:, None], third * 0.3 + 0.6 * third.new_tensor((0.75, 0.85, 1.0)), third)
    fourth = torch.where(far[:, None], third, fourth)
    light = 1 - 0.35 * (t / 25).clamp(0, 1)
    image = torch.empty(b, 3, h, w, device=dev)
    ground, mixed = floor.float(), mix * light
    for i in range(3):
        wall, step = third[:, i].view(-1, 1, 1), (fourth - third)[:, i].view(-1, 1, 1)
        base = torch.addcmul(wall, ground, first[:, i].view(-1, 1, 1) - wall)
        step = torch.addcmul(step, ground, (second - first)[:, i].view(-1, 1, 1) - step)
        image[:, i] = torch.addcmul(base * light, step, mixed)
    for cells, strength in ((3, 0.16), (9, 0.08), (28, 0.035)):
        n = max(2, round(cells * (detail if cells > 9 else 1)))
        blotch = torch.rand(b, 3, n, n, generator=gen, device=dev) - 0.5
        blotch = blotch * 0.5 + blotch.mean(1, keepdim=True)
        blotch = blotch * torch.rand(b, 1, 1, 1, generator=gen, device=dev) * (2 * strength)
        image += interpolate(blotch, (h, w), mode="bilinear", align_corners=False)
    for _ in range(_POSTERS):
        middle_a, middle_b = uniform(-3.5, 3.5), uniform(0.4, 2.6)
        half_a, half_b = uniform(0.1, 1.0), uniform(0.1, 0.8)
        there = uniform(0, 1) < 0.55
        inside = ((a - middle_a).abs() < half_a) & ((c - middle_b).abs() < half_b) & ~floor & there & (away < 1e3)
        i, v, u = inside.nonzero().unbind(-1)
        shade = (0.75 + 0.25 * (a[i, v, u] * 9).sin()) * light[i, v, u]
        image[i, :, v, u] = colours(b, gen, dev)[i] * shade[:, None]
    depth = torch.where(torch.minimum(t_floor, t_wall) < 1e3, torch.minimum(t_floor, t_wall), torch.inf)
    return Backdrop(image=image, depth=depth, floor=floor & (t_floor < 60))
