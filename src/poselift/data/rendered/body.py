"""A body of ellipsoids around 17 joints: muscles, garments and a face, thick or thin, tall or small.

Every part sits on a line between two points of the body, turned so that its own axes are left, up and front. The
numbers are those of a grown-up of 1.75 m; `Build` changes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from poselift.data.augment import unit
from poselift.structures import skeleton

__all__ = ["PARTS", "SLOTS", "Body", "Build", "body", "draw_build", "joint_radius"]

H36M = skeleton("h36m17")
SLOTS = ("skin", "upper", "sleeve", "forearm", "lower", "shin", "shoe", "hair", "eye")
"""What a part is made of; a look gives each slot a material."""

_LEG_SCALE = 0.83
"""Metres of thigh and shin together that the numbers below belong to."""


@dataclass(frozen=True)
class Part:
    """An ellipsoid from point `low` to point `high`.

    at: place of its middle along that line, 0 to 1; half: half its length as a fraction of the line, plus `more`
    metres; side, deep: half axes across, metres; left, front: shift of the middle; grows: what makes it thicker.
    """

    name: str
    low: str
    high: str
    at: float
    half: float
    more: float
    side: float
    deep: float
    slot: str
    left: float = 0.0
    front: float = 0.0
    grows: str = "girth"
    shadow: bool = True


def _both(*parts: Part) -> list[Part]:
    """Parts of the left side, and the same on the right side."""

    def turned(p: Part, side: str) -> Part:
        sign = 1 if side == "l_" else -1
        low, high = (n if n in _MIDDLE else side + n for n in (p.low, p.high))
        fields = {**p.__dict__, "name": side + p.name, "low": low, "high": high, "left": sign * p.left}
        return Part(**fields)

    return [turned(p, side) for p in parts for side in ("l_", "r_")]


_MIDDLE = ("pelvis", "spine", "thorax", "nose", "head_top")

PARTS: tuple[Part, ...] = (
    Part("pelvis", "pelvis", "spine", 0.12, 0.0, 0.125, 0.162, 0.112, "lower", grows="hips"),
    Part("belly", "pelvis", "spine", 0.66, 0.75, 0.04, 0.142, 0.104, "upper", front=0.006, grows="fat"),
    Part("waist", "spine", "thorax", 0.1, 0.7, 0.05, 0.14, 0.102, "upper", grows="fat"),
    Part("chest", "spine", "thorax", 0.5, 0.75, 0.03, 0.15, 0.108, "upper", front=0.006, grows="torso"),
    Part("ribs", "spine", "thorax", 0.7, 0.5, 0.02, 0.156, 0.104, "upper", grows="torso"),
    Part("collar", "thorax", "nose", -0.05, 0.0, 0.085, 0.115, 0.074, "upper", front=-0.004, grows="torso"),
    Part("yoke", "r_shoulder", "l_shoulder", 0.5, 0.5, 0.03, 0.066, 0.075, "upper", front=-0.004),
    Part("neck", "thorax", "nose", 0.5, 0.5, 0.03, 0.052, 0.055, "skin"),
    Part("head", "nose", "head_top", 0.62, 0.0, 0.118, 0.075, 0.094, "skin", front=0.018, grows="head"),
    Part("jaw", "nose", "head_top", 0.12, 0.0, 0.062, 0.054, 0.058, "skin", front=0.05, grows="head", shadow=False),
    Part("face_nose", "nose", "head_top", 0.44, 0.0, 0.024, 0.013, 0.022, "skin", 0, 0.112, "head", False),
    Part("hair", "nose", "head_top", 0.78, 0.0, 0.11, 0.083, 0.1, "hair", front=-0.004, grows="hair"),
    Part("long_hair", "nose", "head_top", 0.1, 0.0, 0.17, 0.078, 0.05, "hair", 0, -0.066, "long_hair", False),
    Part("skirt", "knees", "pelvis", 0.5, 0.5, 0.1, 0.2, 0.17, "lower", grows="skirt"),
    *_both(
        Part("eye", "nose", "head_top", 0.6, 0.0, 0.009, 0.014, 0.008, "eye", 0.03, 0.104, "head", False),
        Part("ear", "nose", "head_top", 0.5, 0.0, 0.03, 0.012, 0.018, "skin", 0.077, 0.005, "head", False),
        Part("breast", "spine", "thorax", 0.5, 0.0, 0.07, 0.07, 0.065, "upper", 0.07, 0.07, "bust", False),
        Part("buttock", "pelvis", "spine", -0.18, 0.0, 0.1, 0.086, 0.082, "lower", 0.075, -0.045, "hips", False),
        Part("thigh", "knee", "hip", 0.5, 0.5, 0.05, 0.066, 0.068, "lower", grows="lower"),
        Part("quad", "knee", "hip", 0.72, 0.4, 0.02, 0.086, 0.09, "lower", 0.004, grows="lower"),
        Part("above_knee", "knee", "hip", 0.36, 0.3, 0.03, 0.07, 0.073, "lower", grows="lower"),
        Part("knee", "ankle", "knee", 0.99, 0.0, 0.075, 0.054, 0.056, "shin", grows="shin"),
        Part("shin", "ankle", "knee", 0.48, 0.5, 0.025, 0.042, 0.044, "shin", grows="shin"),
        Part("calf", "ankle", "knee", 0.68, 0.3, 0.01, 0.054, 0.056, "shin", 0, -0.014, "shin"),
        Part("ankle", "ankle", "knee", 0.0, 0.0, 0.06, 0.037, 0.042, "shoe"),
        Part("foot", "heel", "toe", 0.5, 0.5, 0.005, 0.045, 0.036, "shoe"),
        Part("toes", "heel", "toe", 0.8, 0.2, 0.02, 0.046, 0.028, "shoe", 0, -0.008, shadow=False),
        Part("deltoid", "elbow", "shoulder", 0.9, 0.18, 0.025, 0.06, 0.06, "sleeve", grows="sleeve"),
        Part("upper_arm", "elbow", "shoulder", 0.5, 0.5, 0.03, 0.044, 0.044, "sleeve", grows="sleeve"),
        Part("biceps", "elbow", "shoulder", 0.56, 0.32, 0.02, 0.049, 0.05, "sleeve", grows="sleeve", shadow=False),
        Part("forearm", "wrist", "elbow", 0.5, 0.5, 0.025, 0.031, 0.032, "forearm", grows="forearm"),
        Part("below_elbow", "wrist", "elbow", 0.74, 0.32, 0.02, 0.041, 0.042, "forearm", grows="forearm"),
        Part("hand", "wrist", "fingers", 0.46, 0.5, 0.0, 0.024, 0.043, "skin"),
    ),
)  # fmt: skip
"""Everything a body may have; a build leaves some of it out (thickness 0)."""

POINTS = (*H36M.joints, "knees", "l_heel", "r_heel", "l_toe", "r_toe", "l_fingers", "r_fingers")
GROWTHS = (
    "girth", "torso", "fat", "hips", "bust", "head", "hair", "long_hair", "skirt", "lower", "shin", "sleeve", "forearm",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Build:
    """How n people are built: growth (n, g) factors of thickness in the order of `GROWTHS`, face_yaw (n,) radians."""

    growth: Tensor
    face_yaw: Tensor


def draw_build(n: int, gen: Generator, *, loose: Float[Tensor, "n 2"], skirt: Tensor) -> Build:
    """Builds of n people; loose (n, 2): how wide upper and lower garments are; skirt (n,): who wears one."""
    dev = loose.device

    def normal(sd: float) -> Tensor:
        return (torch.randn(n, generator=gen, device=dev) * sd).exp()

    female = (torch.rand(n, generator=gen, device=dev) < 0.5).float()
    girth, wide = normal(0.1), normal(0.14).clamp(0.8, 1.45)
    up, down = loose.unbind(-1)
    values = {
        "girth": girth * (0.5 + 0.5 * up),
        "torso": girth * (0.5 + 0.5 * wide) * up,
        "fat": girth * wide * up * (1 - 0.05 * female),
        "hips": girth * (0.6 + 0.4 * wide) * (1 + 0.06 * female) * (0.5 + 0.5 * down),
        "bust": female * girth * (0.75 + 0.45 * torch.rand(n, generator=gen, device=dev)),
        "head": normal(0.035),
        "hair": 0.98 + 0.1 * torch.rand(n, generator=gen, device=dev),
        "long_hair": (torch.rand(n, generator=gen, device=dev) < 0.1 + 0.5 * female) * normal(0.15),
        "skirt": skirt * normal(0.12),
        "lower": girth * (0.7 + 0.3 * wide) * down,
        "shin": girth * (0.3 + 0.7 * down),
        "sleeve": girth * (0.3 + 0.7 * up),
        "forearm": girth * (0.5 + 0.5 * up),
    }
    yaw = torch.randn(n, generator=gen, device=dev) * 0.35
    return Build(growth=torch.stack([values[k].expand(n) for k in GROWTHS], -1), face_yaw=yaw.clamp(-1, 1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Body:
    """Ellipsoids of n people, q parts each, in world metres.

    centre (n, q, 3); axes (n, q, 3, 3): columns are the half axes, along left, front and up of the part; there (n, q).
    """

    centre: Tensor
    axes: Tensor
    there: Tensor


@cache
def _table(name: str) -> Tensor:
    """One column of `PARTS` as a tensor (q,)."""
    rows: list[float] = []
    for p in PARTS:
        if name in ("low", "high"):
            rows.append(POINTS.index(getattr(p, name)))
        elif name == "grows":
            rows.append(GROWTHS.index(p.grows))
        elif name == "slot":
            rows.append(SLOTS.index(p.slot))
        else:
            rows.append(getattr(p, name))
    whole = name in ("low", "high", "grows", "slot")
    return torch.tensor(rows, dtype=torch.int64 if whole else torch.float32)


def slots() -> Int[Tensor, " q"]:
    """Slot of every part."""
    return _table("slot")


def casts_shadow() -> Tensor:
    """(q,) parts large enough for a shadow of their own."""
    return _table("shadow") > 0


def joint_radius() -> Float[Tensor, " j"]:
    """How deep a joint lies below the skin at most, metres: the thickest part that begins or ends there."""
    at = {"hip": 0.16, "pelvis": 0.2, "spine": 0.2, "thorax": 0.17, "nose": 0.14, "head_top": 0.12, "shoulder": 0.1}
    return torch.tensor([at.get(n.removeprefix("l_").removeprefix("r_"), 0.08) for n in H36M.joints])


def body(p: Float[Tensor, "n j 3"], build: Build) -> Body:
    """The ellipsoids around the joints p (n, 17, 3), world metres, z up, floor at z = 0."""
    dev = p.device
    j = {name: p[:, i] for i, name in enumerate(H36M.joints)}
    pelvis_left = unit(j["l_hip"] - j["r_hip"])
    chest_left = unit(j["l_shoulder"] - j["r_shoulder"])
    chest_front = unit(torch.linalg.cross(chest_left, unit(j["thorax"] - j["pelvis"])))
    turn = build.face_yaw[:, None]
    face_left = turn.cos() * chest_left + turn.sin() * chest_front
    points = dict(j)
    points["knees"] = (j["l_knee"] + j["r_knee"]) / 2
    foot_left: dict[str, Tensor] = {}
    for s in ("l_", "r_"):
        shin = unit(j[s + "knee"] - j[s + "ankle"])
        front = unit(torch.linalg.cross(pelvis_left, shin))
        near = (1.4 - j[s + "ankle"][:, 2:] * 4).clamp(0, 1)  # a foot near the floor is flat on it
        flat = unit(front * front.new_tensor((1.0, 1.0, 0.0)))
        front = unit(front * (1 - near) + flat * near)
        down = unit(-shin * (1 - near) - near * front.new_tensor((0.0, 0.0, 1.0)))
        points[s + "toe"] = j[s + "ankle"] + 0.175 * front + 0.045 * down
        points[s + "heel"] = j[s + "ankle"] - 0.055 * front + 0.04 * down
        foot_left[s] = unit(torch.linalg.cross(front, -down))
        points[s + "fingers"] = j[s + "wrist"] + 0.19 * unit(j[s + "wrist"] - j[s + "elbow"])
    at = torch.stack([points[n] for n in POINTS], 1)
    low, high = at[:, _table("low").to(dev)], at[:, _table("high").to(dev)]
    left = torch.stack([_left_of(q, pelvis_left, chest_left, face_left, chest_front, foot_left) for q in PARTS], 1)
    length = (high - low).norm(dim=-1)
    up = unit(high - low)
    front = torch.linalg.cross(left, up)
    front = unit(front + 1e-4 * torch.linalg.cross(up.roll(1, -1), up))
    left = torch.linalg.cross(up, front)
    legs = ((j["l_hip"] - j["l_knee"]).norm(dim=-1) + (j["l_knee"] - j["l_ankle"]).norm(dim=-1)) / _LEG_SCALE
    size = legs.clamp(0.7, 1.25)[:, None]
    t = {k: _table(k).to(dev) for k in ("at", "half", "more", "side", "deep", "left", "front")}
    grow = build.growth[:, _table("grows").to(dev)]
    thick = size * grow
    half = length * t["half"] + t["more"] * size
    half = torch.where(grow > 0, half, 0)
    centre = low + (high - low) * t["at"][:, None] + left * (t["left"] * thick)[..., None]
    centre = centre + front * (t["front"] * thick)[..., None]
    scale = torch.stack((t["side"] * thick, t["deep"] * thick, half), -1)
    return Body(centre=centre, axes=torch.stack((left, front, up), -1) * scale[..., None, :], there=grow > 0)


def _left_of(
    part: Part, pelvis: Tensor, chest: Tensor, face: Tensor, chest_front: Tensor, foot: dict[str, Tensor]
) -> Tensor:
    """The direction that a part calls left; arms, which may point to any side, take the chest's front for it."""
    if part.low == "nose":
        return face
    if part.low in ("l_heel", "r_heel"):
        return foot[part.low[:2]]
    if part.low.endswith(("wrist", "elbow")) or part.name == "yoke":
        return chest_front
    return chest if part.low in ("spine", "thorax") else pelvis
