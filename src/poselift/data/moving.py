"""Cameras that move while a window lasts: pans, dollies, orbits, cameras that follow the person, and unsteady hands."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from poselift.data.augment import axis_rotation
from poselift.data.drift import wander

__all__ = ["CameraMotion", "camera_path", "view_matrix"]


@dataclass(frozen=True, kw_only=True)
class CameraMotion:
    """How cameras move within a window. Probabilities per window; the three kinds are drawn independently."""

    p_moving: float = 0.25
    """Slow orbit, dolly and pan, each of its own size."""
    p_follow: float = 0.25
    """The aim goes with the person; half of these cameras go along as well."""
    p_handheld: float = 0.35
    """Held in the hand: small smooth turns and shifts."""
    orbit_deg: float = 25.0
    """Largest standard deviation of the azimuth."""
    dolly: float = 0.15
    """Largest way towards the person or back, as a part of the distance."""
    pan: float = 0.12
    """Largest standard deviation of the aim about the person, as a part of the distance."""
    hz: float = 0.2
    """Speed of these movements."""
    shake_deg: tuple[float, float] = (0.05, 0.8)
    """Standard deviation of a hand-held camera's turns about each axis, drawn log-uniformly."""
    shake_m: float = 0.015
    """Largest standard deviation of its shifts along each axis."""
    shake_hz: tuple[float, float] = (0.7, 3.0)
    """Speed of hands."""


def view_matrix(eye: Float[Tensor, "*b 3"], target: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Rotations R_cam_world (..., 3, 3) of upright cameras at `eye` (..., 3) looking at `target`; world z up."""
    z = torch.nn.functional.normalize(target - eye, dim=-1)
    down = torch.zeros_like(z)
    down[..., 2] = -1
    x = torch.nn.functional.normalize(torch.linalg.cross(down, z), dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x), z], -2)


def camera_path(
    eye: Float[Tensor, "b 3"],
    path: Float[Tensor, "b t 3"],
    seconds: Float[Tensor, "b t"],
    opt: CameraMotion,
    gen: Generator,
) -> tuple[Float[Tensor, "b t 3"], Float[Tensor, "b t 3 3"]]:
    """Position (b, t, 3) in the world and rotation R_cam_world (b, t, 3, 3) of cameras that start from looking at 0.

    eye (b, 3): where a camera stands that does not move; path (b, t, 3): where the person's root goes, about 0.
    A camera that does not move keeps one position and one rotation throughout.
    """
    b, t, dev = *seconds.shape, eye.device
    if t == 1:
        return eye[:, None], view_matrix(eye, torch.zeros_like(eye))[:, None]

    def uniform(p: float) -> Tensor:
        """(b, 1, 1) up to 1, with probability p; else 0."""
        size, on = torch.rand(2, b, 1, 1, generator=gen, device=dev)
        return size * (on < p)

    distance = eye.norm(dim=-1)[:, None, None]
    way = wander(seconds, 6, opt.hz, gen)
    moving = uniform(opt.p_moving)
    angle = (way[..., 0] * moving[..., 0] * math.radians(opt.orbit_deg)).clamp(-math.pi, math.pi)
    up = torch.tensor((0.0, 0.0, 1.0), device=dev).expand(b, t, 3)
    place = (axis_rotation(up, angle) @ eye[:, None, :, None]).squeeze(-1)
    place = place * (1 + opt.dolly * moving * way[..., 1:2].tanh())
    aim = opt.pan * moving * distance * (way[..., 3:] / 2).tanh() * 2
    follow = uniform(opt.p_follow)
    along = follow * _smooth_path(path)
    goes = torch.rand(b, 1, 1, generator=gen, device=dev) < 0.5
    aim, place = aim + along, place + torch.where(goes, along, 0.0)

    held = uniform(opt.p_handheld)
    lo, hi = opt.shake_hz
    hz = lo * (hi / lo) ** torch.rand(b, generator=gen, device=dev)
    hand = wander(seconds, 6, hz, gen)
    lo, hi = opt.shake_deg
    turn = hand[..., :3] * (math.radians(lo) * (hi / lo) ** held * (held > 0))
    place = place + hand[..., 3:] * (opt.shake_m * held)
    size = turn.norm(dim=-1)
    shake = axis_rotation(turn / size[..., None].clamp_min(1e-12), size)
    return place, shake @ view_matrix(place, aim)


def _smooth_path(path: Tensor) -> Tensor:
    """What an operator follows: the cubic in time that is nearest to the path (b, t, 3)."""
    t = path.shape[1]
    u = torch.linspace(-1, 1, t, device=path.device, dtype=torch.float64)
    powers = torch.stack([u**k for k in range(min(4, t))], -1)
    q, _ = torch.linalg.qr(powers)
    return (q @ q.mT).to(path.dtype) @ path
