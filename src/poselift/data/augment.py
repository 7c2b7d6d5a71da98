"""Many bodies and poses out of few: augmentation of 3D poses, batched and without any loop over samples.

Poses are taken apart into bone vectors (child minus parent), changed there, and put together again by one
matrix product, so that bones stay bones. Poses are p (b, t, 17, 3) metres, H36M-17, any axes with z up. What is drawn
holds for a whole window: a body keeps its lengths, and a bend turns with the pelvis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from poselift.data.drift import wander
from poselift.structures import Skeleton, skeleton

__all__ = ["BodyOptions", "BoneTree", "axis_rotation", "chance", "unit", "vary_bodies"]

H36M = skeleton("h36m17")

# bone group -> (joints at the ends of its bones, shortest, longest length in metres: grown-ups, all marker sets)
BONE_GROUPS: dict[str, tuple[tuple[str, ...], float, float]] = {
    "hip": (("l_hip", "r_hip"), 0.06, 0.145),
    "thigh": (("l_knee", "r_knee"), 0.36, 0.51),
    "shin": (("l_ankle", "r_ankle"), 0.36, 0.51),
    "spine": (("spine",), 0.17, 0.28),
    "chest": (("thorax",), 0.18, 0.29),
    "neck": (("nose",), 0.07, 0.20),
    "head": (("head_top",), 0.09, 0.21),
    "clavicle": (("l_shoulder", "r_shoulder"), 0.10, 0.21),
    "upper_arm": (("l_elbow", "r_elbow"), 0.23, 0.34),
    "forearm": (("l_wrist", "r_wrist"), 0.18, 0.29),
}


@dataclass(frozen=True, kw_only=True)
class BodyOptions:
    """How bodies are varied. Probabilities are per sample."""

    p_resample_bones: float = 0.35
    """Draw every bone length anew from the human range."""
    p_scale_bones: float = 0.35
    """Scale every bone group by a factor near one."""
    bone_sd: float = 0.10
    """Standard deviation of that factor's logarithm."""
    stature_sd: float = 0.05
    """Standard deviation of the logarithm of the whole body's scale."""
    p_swap_legs: float = 0.25
    """Legs of another sample under this upper body."""
    p_bend: float = 0.5
    """Rotate joints by small angles, within human limits."""
    bend_sd_deg: float = 12.0
    """Standard deviation of those angles."""
    p_sway: float = 0.5
    """The angles wander slowly within a window; constant otherwise."""
    p_tilt: float = 0.12
    """Tilt the whole body by any angle (lying, hanging, upside down)."""
    p_mirror: float = 0.5
    """Swap left and right."""
    p_markers: float = 0.6
    """Move the joints to where another marker set would have them (input and truth alike)."""


class BoneTree:
    """Takes poses apart into bones and puts them together; tensors for one skeleton and device."""

    def __init__(self, skel: Skeleton, device: torch.device | str = "cpu") -> None:
        self.skeleton = skel
        self.children = torch.tensor([c for c, _ in skel.bones], device=device)
        self.parents = torch.tensor([p for _, p in skel.bones], device=device)
        bone_of = {c: b for b, (c, _) in enumerate(skel.bones)}
        path = torch.zeros(len(skel), len(skel.bones))
        for j in range(len(skel)):
            k = j
            while skel.parents[k] != -1:
                path[j, bone_of[k]] = 1
                k = skel.parents[k]
        self.path = path.to(device)
        self.bone_of = bone_of

    def bone(self, *joints: str) -> list[int]:
        """Indices of the bones that end in these joints."""
        return [self.bone_of[self.skeleton.index(j)] for j in joints]

    def split(self, p: Float[Tensor, "*b j 3"]) -> Float[Tensor, "*b bones 3"]:
        """Joints (..., j, 3) to bone vectors (..., j - 1, 3), child minus parent."""
        return p[..., self.children, :] - p[..., self.parents, :]

    def join(self, bones: Float[Tensor, "*b bones 3"]) -> Float[Tensor, "*b j 3"]:
        """Bone vectors to joints (..., j, 3) with the root at 0."""
        return self.path @ bones


def axis_rotation(axis: Float[Tensor, "*b 3"], angle: Float[Tensor, "*b"]) -> Float[Tensor, "*b 3 3"]:
    """Rotation matrices (..., 3, 3) from unit axes (..., 3) and angles (...) in radians (Rodrigues)."""
    x, y, z = axis.unbind(-1)
    s, c = angle.sin(), angle.cos()
    d = 1 - c
    rows = (
        c + x * x * d, x * y * d - z * s, x * z * d + y * s,
        y * x * d + z * s, c + y * y * d, y * z * d - x * s,
        z * x * d - y * s, z * y * d + x * s, c + z * z * d,
    )  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def unit(v: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """Vectors of length 1; 0 stays 0."""
    return v / v.norm(dim=-1, keepdim=True).clamp_min(1e-8)


def chance(p: float, b: int, gen: Generator, device: torch.device) -> Bool[Tensor, " b"]:
    """(b,) True with probability p."""
    return torch.rand(b, generator=gen, device=device) < p


def _random_axes(shape: tuple[int, ...], gen: Generator, device: torch.device) -> Tensor:
    return unit(torch.randn(*shape, 3, generator=gen, device=device))


def _vary_lengths(tree: BoneTree, bones: Tensor, opt: BodyOptions, gen: Generator) -> Tensor:
    b, dev = len(bones), bones.device
    g = len(BONE_GROUPS)
    lo = torch.tensor([v[1] for v in BONE_GROUPS.values()], device=dev)
    hi = torch.tensor([v[2] for v in BONE_GROUPS.values()], device=dev)
    mix = torch.rand(2, b, g, generator=gen, device=dev).mean(0)
    target = lo + (hi - lo) * mix
    factor = (torch.randn(b, g, generator=gen, device=dev) * opt.bone_sd).exp()
    choice = torch.rand(b, 1, generator=gen, device=dev)
    resample = choice < opt.p_resample_bones
    rescale = ~resample & (choice < opt.p_resample_bones + opt.p_scale_bones)
    length = bones.norm(dim=-1).mean(1)  # over the window
    scale = torch.ones_like(length)
    for i, (joints, _, _) in enumerate(BONE_GROUPS.values()):
        idx = tree.bone(*joints)
        mean = length[:, idx].mean(1, keepdim=True).clamp_min(0.02)
        s = torch.where(resample, target[:, i : i + 1] / mean, torch.where(rescale, factor[:, i : i + 1], 1.0))
        scale[:, idx] = s
    stature = (torch.randn(b, 1, generator=gen, device=dev) * opt.stature_sd).exp()
    return bones * (scale * stature)[:, None, :, None]


def _pelvis_frame(tree: BoneTree, bones: Tensor) -> Tensor:
    """Axes (b, t, 3, 3) of the pelvis as columns: x to the left hip, z along the spine."""
    left, right, spine = tree.bone("l_hip", "r_hip", "spine")
    x = unit(bones[..., left, :] - bones[..., right, :])
    up = bones[..., spine, :]
    z = unit(up - (up * x).sum(-1, keepdim=True) * x)
    return torch.stack([x, torch.linalg.cross(z, x), z], -1)


_LEG = ("l_hip", "l_knee", "l_ankle", "r_hip", "r_knee", "r_ankle")


def _swap_legs(tree: BoneTree, bones: Tensor, p: float, gen: Generator) -> Tensor:
    b, dev = len(bones), bones.device
    partner = torch.randperm(b, generator=gen, device=dev)
    frame = _pelvis_frame(tree, bones)
    turn = frame @ frame[partner].mT
    legs = tree.bone(*_LEG)
    # lengths stay this body's own: only the directions are taken over
    new = unit(bones[partner][:, :, legs]) @ turn.mT * bones[:, :, legs].norm(dim=-1, keepdim=True)
    out = bones.clone()
    out[:, :, legs] = torch.where(chance(p, b, gen, dev)[:, None, None, None], new, bones[:, :, legs])
    return out


_BALL = {
    "l_hip": ("l_knee", "l_ankle"),
    "r_hip": ("r_knee", "r_ankle"),
    "l_shoulder": ("l_elbow", "l_wrist"),
    "r_shoulder": ("r_elbow", "r_wrist"),
    "neck": ("nose", "head_top"),
    "waist": ("thorax", "nose", "head_top", "l_shoulder", "r_shoulder", "l_elbow", "l_wrist", "r_elbow", "r_wrist"),
}
_HINGE = {
    "l_knee": ("l_knee", "l_ankle"),
    "r_knee": ("r_knee", "r_ankle"),
    "l_elbow": ("l_elbow", "l_wrist"),
    "r_elbow": ("r_elbow", "r_wrist"),
}
_MAX_FLEXION = 2.6
"""Radians: knees and elbows do not fold further (about 150 degrees), and never bend backwards."""


def _sway(angle: Tensor, seconds: Tensor, p: float, gen: Generator) -> Tensor:
    """Angles (b, n) of windows as angles (b, t, n): constant, or with a part of their variance in slow wandering."""
    b, t = seconds.shape
    if t == 1:
        return angle[:, None]
    on = chance(p, b, gen, angle.device)
    part = torch.rand(b, generator=gen, device=angle.device) * (math.pi / 2) * on
    slow = wander(seconds, angle.shape[1], 0.4, gen)
    return angle[:, None] * (part.cos()[:, None, None] + part.sin()[:, None, None] * slow)


def _bend(tree: BoneTree, bones: Tensor, seconds: Tensor, opt: BodyOptions, gen: Generator) -> Tensor:
    b, t, dev = len(bones), bones.shape[1], bones.device
    on = chance(opt.p_bend, b, gen, dev).float()
    sd = math.radians(opt.bend_sd_deg) * on
    angle = torch.randn(b, len(_BALL), generator=gen, device=dev) * sd[:, None]
    axis = _random_axes((b, len(_BALL)), gen, dev)[:, None]
    if t > 1:  # an axis stays where it is in the pelvis while the body turns
        frame = _pelvis_frame(tree, bones)
        axis = axis @ (frame[:, :1] @ frame.mT)
    turn = axis_rotation(axis.expand(b, t, -1, 3), _sway(angle, seconds, opt.p_sway, gen))
    out = bones.clone()
    for i, moved in enumerate(_BALL.values()):
        idx = tree.bone(*moved)
        out[:, :, idx] = out[:, :, idx] @ turn[:, :, i].mT
    upper = tree.bone(*(u for u, _ in _HINGE.values()))
    lower = tree.bone(*(w for _, w in _HINGE.values()))
    u, w = out[:, :, upper], out[:, :, lower]
    axis = torch.linalg.cross(u, w)
    sin, cos = axis.norm(dim=-1), (u * w).sum(-1)
    flex = torch.atan2(sin, cos)
    more = torch.randn(b, len(_HINGE), generator=gen, device=dev) * 2 * sd[:, None]
    want = flex + _sway(more, seconds, opt.p_sway, gen)
    delta = want.clamp(0.0, _MAX_FLEXION) - flex
    delta = torch.where(flex > 0.1, delta, 0.0)  # a straight limb has no hinge axis to be read off
    if t > 1:  # nor may a limb jump when it passes that mark
        delta = delta * ((flex - 0.1) / 0.4).clamp(0, 1)
    r = axis_rotation(unit(axis), delta)
    out[:, :, lower] = (r @ w[..., None]).squeeze(-1)
    return out


def vary_bodies(
    p: Float[Tensor, "b t j 3"],
    path: Float[Tensor, "b t 3"],
    seconds: Float[Tensor, "b t"],
    tree: BoneTree,
    opt: BodyOptions,
    gen: Generator,
) -> tuple[Float[Tensor, "b t j 3"], Float[Tensor, "b t 3"]]:
    """Other bodies and poses: lengths, legs, bends, mirror, tilt. Gives (p, path).

    p (b, t, 17, 3) is root-relative, z up; path (b, t, 3) is where the root goes, and is scaled with the legs, so that
    steps stay steps.
    """
    b, dev = len(p), p.device
    bones = tree.split(p)
    bones = _swap_legs(tree, bones, opt.p_swap_legs, gen)
    bones = _bend(tree, bones, seconds, opt, gen)
    legs = tree.bone(*_LEG)
    before = bones[:, :, legs].norm(dim=-1).mean((1, 2))
    bones = _vary_lengths(tree, bones, opt, gen)
    path = path * (bones[:, :, legs].norm(dim=-1).mean((1, 2)) / before.clamp_min(0.02))[:, None, None]
    out = tree.join(bones)
    mirror = chance(opt.p_mirror, b, gen, dev)[:, None, None]
    x = out.new_tensor((-1.0, 1.0, 1.0))
    out = torch.where(mirror[..., None], out[:, :, list(tree.skeleton.flip)] * x, out)
    path = torch.where(mirror, path * x, path)
    heading = torch.rand(b, generator=gen, device=dev) * (2 * math.pi)
    axis = torch.stack([heading.cos(), heading.sin(), torch.zeros_like(heading)], -1)
    angle = torch.rand(b, generator=gen, device=dev) * math.pi * chance(opt.p_tilt, b, gen, dev)
    turn = axis_rotation(axis, angle).mT
    return (out.flatten(1, 2) @ turn).view_as(out), path @ turn
