"""How people and things look: skin, hair, cloth in many colours, procedural patterns in the coordinates of a part."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from poselift.data.rendered.body import SLOTS

__all__ = ["Looks", "Materials", "colours", "draw_looks", "surface", "things"]

_SKIN = ((0.96, 0.80, 0.69), (0.91, 0.71, 0.57), (0.80, 0.58, 0.43), (0.64, 0.43, 0.30), (0.45, 0.29, 0.20),
         (0.30, 0.19, 0.14))  # fmt: skip
_HAIR = ((0.07, 0.05, 0.05), (0.16, 0.10, 0.07), (0.33, 0.21, 0.13), (0.62, 0.46, 0.27), (0.55, 0.53, 0.52),
         (0.45, 0.20, 0.10), (0.75, 0.15, 0.15), (0.2, 0.3, 0.6))  # fmt: skip
PATTERNS = ("plain", "stripes", "checks", "mottled", "dots")


@dataclass(frozen=True, kw_only=True, eq=False)
class Materials:
    """n materials. first, second (n, 3): colours 0 to 1; pattern (n,): index into `PATTERNS`;

    waves (n, 3, 3): three wave vectors, radians a metre; folds (n,): how far folds tilt the normals.
    """

    first: Tensor
    second: Tensor
    pattern: Tensor
    waves: Tensor
    folds: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Looks:
    """n people: a material for each slot (n · slots of them), and what they wear.

    loose (n, 2): width of upper and lower garments; skirt (n,): 1 with a skirt.
    """

    materials: Materials
    loose: Tensor
    skirt: Tensor


def colours(n: int, gen: Generator, device: torch.device) -> Float[Tensor, "n 3"]:
    """Colours of cloth and things: often grey, dark or pale, sometimes strong."""
    h, s, v = torch.rand(n, 3, generator=gen, device=device).unbind(-1)
    s = s**1.6
    v = 0.08 + 0.9 * v
    k = (torch.tensor((5.0, 3.0, 1.0), device=device) + 6 * h[:, None]) % 6
    return v[:, None] * (1 - s[:, None] * torch.minimum(k, 4 - k).clamp(0, 1))


def things(n: int, gen: Generator, device: torch.device, *, finest: float = 0.04) -> Materials:
    """Materials of anything: any colours, any pattern, no wave shorter than `finest` metres."""
    direction = torch.randn(n, 3, 3, generator=gen, device=device)
    along = torch.eye(3, device=device)[torch.argsort(torch.rand(n, 3, generator=gen, device=device))]
    straight = torch.rand(n, 1, 1, generator=gen, device=device) < 0.7
    direction = torch.where(straight, along, direction / direction.norm(dim=-1, keepdim=True))
    length = finest * (1 + 5 * torch.rand(n, 1, 1, generator=gen, device=device) ** 2)
    unequal = 0.6 + 0.8 * torch.rand(n, 3, 1, generator=gen, device=device)
    return Materials(
        first=colours(n, gen, device),
        second=colours(n, gen, device),
        pattern=torch.randint(len(PATTERNS), (n,), generator=gen, device=device),
        waves=direction * (2 * math.pi / length) * unequal,
        folds=torch.rand(n, generator=gen, device=device) * 0.25,
    )


def _pick(table: tuple[tuple[float, ...], ...], n: int, gen: Generator, device: torch.device) -> Tensor:
    """n colours between neighbours of a table."""
    rows = torch.tensor(table, device=device)
    at = torch.rand(n, generator=gen, device=device) * (len(table) - 1)
    low, part = at.floor().long(), (at % 1)[:, None]
    return rows[low] * (1 - part) + rows[(low + 1).clamp(max=len(table) - 1)] * part


def draw_looks(n: int, gen: Generator, device: torch.device) -> Looks:
    """Looks of n people."""

    def chance(p: float) -> Tensor:
        return torch.rand(n, generator=gen, device=device) < p

    q = len(SLOTS)
    cloth = things(n * q, gen, device)
    slot = {name: torch.arange(n, device=device) * q + i for i, name in enumerate(SLOTS)}
    source = torch.arange(n * q, device=device)  # which material a slot has: its own or that of another slot
    sleeveless, short = chance(0.15), chance(0.5)
    shorts, one_piece, barefoot = chance(0.3), chance(0.12), chance(0.08)
    skirt = chance(0.14)
    source[slot["lower"]] = torch.where(one_piece, slot["upper"], slot["lower"])
    source[slot["sleeve"]] = torch.where(sleeveless, slot["skin"], slot["upper"])
    source[slot["forearm"]] = torch.where(sleeveless | short, slot["skin"], slot["upper"])
    source[slot["shin"]] = torch.where(shorts | skirt, slot["skin"], source[slot["lower"]])
    source[slot["shoe"]] = torch.where(barefoot, slot["skin"], slot["shoe"])
    first, pattern, folds = cloth.first.clone(), cloth.pattern.clone(), cloth.folds.clone()
    skin = _pick(_SKIN, n, gen, device)
    first[slot["skin"]] = (skin + 0.03 * torch.randn(n, 3, generator=gen, device=device)).clamp(0.05, 1)
    hair = _pick(_HAIR, n, gen, device)
    hat = chance(0.1)[:, None]
    first[slot["hair"]] = torch.where(hat, first[slot["hair"]], hair)
    first[slot["eye"]] = first.new_tensor((0.1, 0.08, 0.08))
    for name in ("skin", "hair", "eye", "shoe"):
        pattern[slot[name]] = 0
        folds[slot[name]] = 0.12 if name == "hair" else 0.0
    plain = torch.rand(n * q, generator=gen, device=device) < 0.35
    pattern = torch.where(plain, 0, pattern)
    materials = Materials(
        first=first[source], second=cloth.second[source], pattern=pattern[source], waves=cloth.waves[source],
        folds=folds[source],
    )  # fmt: skip
    loose = 1 + 0.28 * torch.rand(n, 2, generator=gen, device=device) ** 2
    return Looks(materials=materials, loose=loose, skirt=skirt.float())


def surface(
    m: Materials, index: Int[Tensor, " p"], at: tuple[Tensor, Tensor, Tensor]
) -> tuple[Float[Tensor, "p 3"], Float[Tensor, "p 3"]]:
    """Colour of p points of materials `index`, and how folds tilt their normals there.

    at: three coordinates (p,) along left, front and up of the part, metres; the tilt is along the same axes.
    """
    table = torch.cat((m.waves.flatten(1), m.first, m.second, m.folds[:, None]), -1).T.contiguous()
    r = table.index_select(1, index)
    phase = [r[3 * i] * at[0] + r[3 * i + 1] * at[1] + r[3 * i + 2] * at[2] for i in range(3)]
    a, b, c = (p.sin() for p in phase)
    kind = m.pattern.index_select(0, index)
    mix = torch.zeros_like(a)
    for i, value in enumerate((None, a * 4, a * b * 6, (0.5 * phase[0] + 1.6 * b + c).sin(), (a * b * c - 0.3) * 9)):
        if value is not None:
            mix = torch.where(kind == i, 0.5 + 0.5 * value.clamp(-1, 1), mix)
    colour = torch.stack([r[9 + i] + (r[12 + i] - r[9 + i]) * mix for i in range(3)], -1)
    slow = [(at[(i + 1) % 3] * 37 + at[(i + 2) % 3] * 23 + b).sin() * r[15] for i in range(3)]
    return colour, torch.stack(slow, -1)
