"""Scenes: people of different performers on one floor, and a camera that looks at them.

All of it is drawn from one generator, many scenes at once. World axes: z up, the floor at z = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from poselift.data.augment import BodyOptions, vary_bodies
from poselift.data.bank import MotionBank
from poselift.data.moving import view_matrix
from poselift.data.rendered.body import Build, draw_build
from poselift.data.rendered.looks import Looks, draw_looks
from poselift.errors import InputError
from poselift.geometry.cameras import look_at_rotation

__all__ = ["SceneOptions", "Scenes", "draw_scenes"]


@dataclass(frozen=True, kw_only=True)
class SceneOptions:
    """Who stands where, and how the camera sees it. Ranges are uniform."""

    people: tuple[int, int] = (1, 4)
    """Fewest and most people in a scene, each of another performer."""
    distance: tuple[float, float] = (2.0, 10.0)
    """Metres from the camera to the person in the middle."""
    fov_deg: tuple[float, float] = (30.0, 75.0)
    """Field of view across the larger image side."""
    height: tuple[float, float] = (0.4, 2.6)
    """Height of the camera, metres."""
    size_wh: tuple[tuple[int, int], ...] = ((1920, 1080), (1080, 1920), (1000, 1000), (1280, 960))
    """Width and height of whole images; each scene has one of them."""
    aside: float = 0.25
    """How far from the middle of the image the first person may be, as a fraction of its sides."""
    roll_sd_deg: float = 3.0
    """Standard deviation of the camera's roll."""
    bodies: BodyOptions = field(default_factory=lambda: BodyOptions(p_tilt=0.0, p_swap_legs=0.1, p_bend=0.3))
    """Variation of bodies and poses."""

    def __post_init__(self) -> None:
        if not 1 <= self.people[0] <= self.people[1] <= 16:
            raise InputError(field="people", expected="two numbers, 1 to 16, in order", found=self.people)
        for name in ("distance", "fov_deg", "height"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise InputError(field=name, expected="two positive numbers in order", found=(low, high))
        if self.fov_deg[1] >= 150:
            raise InputError(field="fov_deg", expected="less than 150", found=self.fov_deg[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Scenes:
    """b scenes of up to m people.

    p_world (b, m, 17, 3) metres; there (b, m); frame (b, m): where in the bank their poses are from;
    R (b, 3, 3): world to camera axes; eye (b, 3) world metres; K (b, 3, 3) of images of size_wh (b, 2) pixels.
    looks, build: of the b·m people.
    """

    p_world: Tensor
    there: Tensor
    frame: Tensor
    R: Tensor
    eye: Tensor
    K: Tensor
    size_wh: Tensor
    looks: Looks
    build: Build

    def to_cam(self, p_world: Float[Tensor, "b *n 3"]) -> Float[Tensor, "b *n 3"]:
        """World points (b, ..., 3) of each scene in its camera, metres."""
        flat = p_world.reshape(len(p_world), -1, 3)
        return ((flat - self.eye[:, None]) @ self.R.mT).reshape(p_world.shape)


def _different_performers(bank: MotionBank, b: int, m: int, gen: Generator) -> Int[Tensor, "b m"]:
    """Frames (b, m) of the bank, in every row those of different performers; m must not be more than there are."""
    order, first, count = bank.by_performer
    # Gumbel's trick: the largest of log weight plus noise is a draw without replacement
    noise = -torch.rand(b, len(count), generator=gen, device=order.device).clamp_min(1e-9).log()
    who = (count.double().sqrt().log() - noise.clamp_min(1e-9).log()).topk(m, dim=1).indices
    part = torch.rand(b, m, generator=gen, device=order.device, dtype=torch.float64)
    return order[first[who] + (part * count[who]).long().minimum(count[who] - 1)]


def _places(b: int, m: int, gen: Generator, dev: torch.device) -> Float[Tensor, "b m 2"]:
    """Where people stand (metres; the first at 0, the camera far along -y), nobody inside of another."""
    sides = torch.rand(b, m, 2, generator=gen, device=dev) * 2 - 1
    at = sides * torch.tensor((1.3, 2.2), device=dev)
    at[:, 0] = 0
    for _ in range(8):
        gap = at[:, :, None] - at[:, None]
        far = gap.norm(dim=-1) + torch.eye(m, device=dev) * 9
        push = (0.75 - far).clamp_min(0) / 2
        at = at + (push[..., None] * gap / far.clamp_min(1e-3)[..., None]).sum(2)
    return at - at[:, :1]


def draw_scenes(bank: MotionBank, b: int, options: SceneOptions, gen: Generator) -> Scenes:
    """b scenes of people of the bank. With fewer performers than `options.people` allows, at most one of each."""
    dev = bank.p_world.device

    def uniform(lo: float, hi: float, *shape: int) -> Tensor:
        return lo + (hi - lo) * torch.rand(*(shape or (b,)), generator=gen, device=dev)

    most = min(options.people[1], len(set(bank.subjects)))
    number = torch.randint(min(options.people[0], most), most + 1, (b,), generator=gen, device=dev)
    there = torch.arange(most, device=dev) < number[:, None]
    frame = _different_performers(bank, b, most, gen)
    p = bank.p_world[frame].flatten(0, 1)
    ground = p[..., 2].amin(1)
    seconds = torch.zeros(len(p), 1, device=dev)
    p = p - p[:, [bank.skeleton.root]]
    p = vary_bodies(p[:, None], torch.zeros(len(p), 1, 3, device=dev), seconds, bank.tree, options.bodies, gen)[0][:, 0]
    heading = uniform(0, 2 * math.pi, len(p))
    c, s, o = heading.cos(), heading.sin(), torch.zeros_like(heading)
    turn = torch.stack((c, -s, o, s, c, o, o, o, o + 1), -1).unflatten(-1, (3, 3))
    p = p @ turn.mT
    up = ground.clamp(0.04, 1.5) - p[..., 2].amin(1)
    place = torch.cat((_places(b, most, gen, dev).flatten(0, 1), up[:, None]), -1)
    p = (p + place[:, None]).unflatten(0, (b, most))

    size = torch.tensor(options.size_wh, dtype=torch.float32, device=dev)
    size = size[torch.randint(len(size), (b,), generator=gen, device=dev)]
    f = size.amax(-1) / 2 / (uniform(*options.fov_deg) * (math.pi / 360)).tan()
    target = p[:, 0].mean(1)
    d = uniform(*options.distance)
    rise = (uniform(*options.height) - target[:, 2]).clamp(-0.8 * d, 0.8 * d)
    back = (d * d - rise * rise).sqrt()
    eye = torch.stack((target[:, 0], target[:, 1] - back, target[:, 2] + rise), -1)
    K = torch.zeros(b, 3, 3, device=dev)
    K[:, 0, 0] = K[:, 1, 1] = f
    K[:, :2, 2] = (size - 1) / 2
    K[:, 2, 2] = 1
    ray = (uniform(-1, 1, b, 2) * options.aside) * size / f[:, None]
    roll = torch.randn(b, generator=gen, device=dev) * math.radians(options.roll_sd_deg)
    c, s, o = roll.cos(), roll.sin(), torch.zeros_like(roll)
    tilt = torch.stack((c, -s, o, s, c, o, o, o, o + 1), -1).unflatten(-1, (3, 3))
    R = tilt @ look_at_rotation(ray).mT @ view_matrix(eye, target)
    looks = draw_looks(b * most, gen, dev)
    build = draw_build(b * most, gen, loose=looks.loose, skirt=looks.skirt)
    return Scenes(
        p_world=p, there=there, frame=frame, R=R, eye=eye, K=K, size_wh=size, looks=looks, build=build
    )  # fmt: skip
