"""Many bodies and poses out of few: augmentation of 3D poses, batched and without any loop over samples.

Poses are taken apart into bone vectors (child minus parent), changed there, and put together again by one
matrix product, so that bones stay bones. All functions take p (b, 17, 3) metres, H36M-17, any axes with z up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from poselift.structures import Skeleton, skeleton

__all__ = ["BodyOptions", "BoneTree", "axis_rotation", "vary_bodies", "vary_markers"]

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

    def split(self, p: Float[Tensor, "b j 3"]) -> Float[Tensor, "b bones 3"]:
        """Joints (b, j, 3) to bone vectors (b, j - 1, 3), child minus parent."""
        return p[:, self.children] - p[:, self.parents]

    def join(self, bones: Float[Tensor, "b bones 3"]) -> Float[Tensor, "b j 3"]:
        """Bone vectors to joints (b, j, 3) with the root at 0."""
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


def _unit(v: Tensor) -> Tensor:
    return v / v.norm(dim=-1, keepdim=True).clamp_min(1e-8)


def _chance(p: float, b: int, gen: Generator, device: torch.device) -> Tensor:
    return torch.rand(b, generator=gen, device=device) < p


def _random_axes(shape: tuple[int, ...], gen: Generator, device: torch.device) -> Tensor:
    return _unit(torch.randn(*shape, 3, generator=gen, device=device))


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
    length = bones.norm(dim=-1)
    scale = torch.ones_like(length)
    for i, (joints, _, _) in enumerate(BONE_GROUPS.values()):
        idx = tree.bone(*joints)
        mean = length[:, idx].mean(1, keepdim=True).clamp_min(0.02)
        s = torch.where(resample, target[:, i : i + 1] / mean, torch.where(rescale, factor[:, i : i + 1], 1.0))
        scale[:, idx] = s
    stature = (torch.randn(b, 1, generator=gen, device=dev) * opt.stature_sd).exp()
    return bones * (scale * stature)[..., None]


def _pelvis_frame(tree: BoneTree, bones: Tensor) -> Tensor:
    """Axes (b, 3, 3) of the pelvis as columns: x to the left hip, z along the spine."""
    left, right, spine = tree.bone("l_hip", "r_hip", "spine")
    x = _unit(bones[:, left] - bones[:, right])
    up = bones[:, spine]
    z = _unit(up - (up * x).sum(-1, keepdim=True) * x)
    return torch.stack([x, torch.linalg.cross(z, x), z], -1)


def _swap_legs(tree: BoneTree, bones: Tensor, p: float, gen: Generator) -> Tensor:
    b, dev = len(bones), bones.device
    partner = torch.randperm(b, generator=gen, device=dev)
    frame = _pelvis_frame(tree, bones)
    turn = frame @ frame[partner].mT
    legs = tree.bone("l_hip", "l_knee", "l_ankle", "r_hip", "r_knee", "r_ankle")
    # lengths stay this body's own: only the directions are taken over
    new = _unit(bones[partner][:, legs]) @ turn.mT * bones[:, legs].norm(dim=-1, keepdim=True)
    out = bones.clone()
    out[:, legs] = torch.where(_chance(p, b, gen, dev)[:, None, None], new, bones[:, legs])
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


def _bend(tree: BoneTree, bones: Tensor, opt: BodyOptions, gen: Generator) -> Tensor:
    b, dev = len(bones), bones.device
    on = _chance(opt.p_bend, b, gen, dev).float()
    sd = math.radians(opt.bend_sd_deg) * on
    angle = torch.randn(b, len(_BALL), generator=gen, device=dev) * sd[:, None]
    turn = axis_rotation(_random_axes((b, len(_BALL)), gen, dev), angle)
    out = bones.clone()
    for i, moved in enumerate(_BALL.values()):
        idx = tree.bone(*moved)
        out[:, idx] = out[:, idx] @ turn[:, i].mT
    upper = tree.bone(*(u for u, _ in _HINGE.values()))
    lower = tree.bone(*(w for _, w in _HINGE.values()))
    u, w = out[:, upper], out[:, lower]
    axis = torch.linalg.cross(u, w)
    sin, cos = axis.norm(dim=-1), (u * w).sum(-1)
    flex = torch.atan2(sin, cos)
    want = flex + torch.randn(b, len(_HINGE), generator=gen, device=dev) * 2 * sd[:, None]
    delta = want.clamp(0.0, _MAX_FLEXION) - flex
    delta = torch.where(flex > 0.1, delta, 0.0)  # a straight limb has no hinge axis to be read off
    r = axis_rotation(_unit(axis), delta)
    out[:, lower] = (r @ w[..., None]).squeeze(-1)
    return out


def vary_bodies(p: Float[Tensor, "b j 3"], tree: BoneTree, opt: BodyOptions, gen: Generator) -> Float[Tensor, "b j 3"]:
    """Other bodies and poses from p (b, 17, 3), root-relative, z up: lengths, legs, bends, mirror, tilt."""
    b, dev = len(p), p.device
    bones = tree.split(p)
    bones = _swap_legs(tree, bones, opt.p_swap_legs, gen)
    bones = _bend(tree, bones, opt, gen)
    bones = _vary_lengths(tree, bones, opt, gen)
    out = tree.join(bones)
    mirror = _chance(opt.p_mirror, b, gen, dev)[:, None, None]
    out = torch.where(mirror, out[:, list(tree.skeleton.flip)] * out.new_tensor((-1.0, 1.0, 1.0)), out)
    heading = torch.rand(b, generator=gen, device=dev) * (2 * math.pi)
    axis = torch.stack([heading.cos(), heading.sin(), torch.zeros_like(heading)], -1)
    angle = torch.rand(b, generator=gen, device=dev) * math.pi * _chance(opt.p_tilt, b, gen, dev)
    return out @ axis_rotation(axis, angle).mT


def vary_markers(p: Float[Tensor, "b j 3"], opt: BodyOptions, gen: Generator) -> Float[Tensor, "b j 3"]:
    """The same pose as another marker set or detector would place its joints; p (b, 17, 3) metres.

    Sources disagree systematically: hips are wider or narrower, higher or lower; the spine point slides along
    the back and in or out; thorax and shoulders sit higher or lower; nose and head top lie on the face, in the
    skull or above it. Offsets are constant for a sample and symmetric, in the axes of trunk and head.
    """
    b, dev = len(p), p.device
    on = _chance(opt.p_markers, b, gen, dev).float()[:, None]

    def draw(sd: float) -> Tensor:
        return torch.randn(b, 1, generator=gen, device=dev) * sd * on

    j = H36M.index
    out = p.clone()
    pelvis, thorax, nose, head = (p[:, j(n)] for n in ("pelvis", "thorax", "nose", "head_top"))
    up = _unit(thorax - pelvis)

    def axes(left: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        x = _unit(left - (left * up).sum(-1, keepdim=True) * up)
        return x, torch.linalg.cross(x, up)  # to the left, to the front

    hip_x, hip_y = axes(p[:, j("l_hip")] - p[:, j("r_hip")], up)
    sho_x, sho_y = axes(p[:, j("l_shoulder")] - p[:, j("r_shoulder")], up)
    wide, high, front = draw(0.012), draw(0.02), draw(0.015)
    shift = high * up + front * hip_y
    out[:, j("l_hip")] += shift + wide * hip_x
    out[:, j("r_hip")] += shift - wide * hip_x
    root = shift + draw(0.012) * up
    out[:, j("pelvis")] += root
    out[:, j("spine")] += draw(0.03) * up + draw(0.025) * hip_y
    middle = (p[:, j("l_shoulder")] + p[:, j("r_shoulder")]) / 2
    halfway = _chance(0.35, b, gen, dev)[:, None] & (on > 0)  # detectors know shoulders and hips, no spine
    out[:, j("thorax")] = torch.where(halfway, middle, out[:, j("thorax")])
    out[:, j("spine")] = torch.where(halfway, (out[:, j("pelvis")] + middle) / 2, out[:, j("spine")])
    out[:, j("thorax")] += draw(0.025) * up + draw(0.02) * sho_y
    wide, high, front = draw(0.02), draw(0.02), draw(0.015)
    shift = high * up + front * sho_y
    out[:, j("l_shoulder")] += shift + wide * sho_x
    out[:, j("r_shoulder")] += shift - wide * sho_x
    neck = _unit(head - nose)
    _, face_y = axes(sho_x, neck)
    out[:, j("nose")] += draw(0.03) * neck + (0.03 * on + draw(0.05)) * face_y  # from the neck to the tip of the nose
    out[:, j("head_top")] += draw(0.03) * neck + draw(0.03) * face_y
    limbs = H36M.indices("l_knee", "r_knee", "l_ankle", "r_ankle", "l_elbow", "r_elbow", "l_wrist", "r_wrist")
    along = p[:, limbs] - p[:, [H36M.parents[i] for i in limbs]]
    slide = torch.randn(b, 4, generator=gen, device=dev).repeat_interleave(2, 1) * 0.03 * on
    out[:, limbs] += along * slide[..., None]
    return out - out[:, [j("pelvis")]]
