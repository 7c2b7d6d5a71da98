"""What detectors do to keypoints: noise, lost joints, truncation, swapped sides, confidences. Batched.

kp_img (b, t, j, 2) pixels, conf (b, t, j). Noise is independent per frame; in a window an offset holds throughout, a
further error wanders, and what is lost or swapped is so for a stretch of frames or for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from poselift.data.drift import stretches, wander
from poselift.structures import Skeleton

__all__ = ["NoiseOptions", "box_side", "degrade", "student_t"]


@dataclass(frozen=True, kw_only=True)
class NoiseOptions:
    """Detector-like damage. Lengths are fractions of the person's larger box side; probabilities per sample."""

    scale: tuple[float, float] = (0.008, 0.008)
    """Scale of the Student-t noise per axis, drawn log-uniformly between these."""
    freedom: int = 3
    """Degrees of freedom of the Student-t distribution."""
    p_clean: float = 0.0
    """No noise at all."""
    bias: float = 0.0
    """Standard deviation of a constant offset per joint (another detector's idea of the joint)."""
    p_drop: float = 0.0
    """Lose joints independently, each with a probability drawn up to `drop_up_to`."""
    drop_up_to: float = 0.35
    """Largest probability of losing one joint."""
    p_part: float = 0.0
    """Lose a whole part: a limb, one side, the lower or the upper body, the head."""
    p_truncate: float = 0.0
    """Joints outside the image are lost."""
    p_swap: float = 0.0
    """Left and right legs, arms or both are swapped in the input."""
    p_confident: float = 1.0
    """All confidences of seen joints are 1; else they tell something about the error, or nothing."""
    wander: float = 0.0
    """Windows: largest standard deviation of an error per joint that changes smoothly."""
    wander_hz: tuple[float, float] = (0.3, 4.0)
    """Windows: how fast it changes."""
    p_whole: float = 0.35
    """Windows: a joint or part that is lost, or a swap, holds for the whole window instead of a stretch of it."""
    p_gap: float = 0.0
    """Windows: nothing at all is seen for a stretch."""
    gap_up_to: float = 0.3
    """Windows: longest such stretch, as a part of the window."""


_LEGS = ("l_hip", "l_knee", "l_ankle", "r_hip", "r_knee", "r_ankle")
_ARMS = ("l_shoulder", "l_elbow", "l_wrist", "r_shoulder", "r_elbow", "r_wrist")
_HEAD = ("nose", "head_top")
PARTS: tuple[tuple[str, ...], ...] = (
    ("l_elbow", "l_wrist"), ("r_elbow", "r_wrist"), ("l_wrist",), ("r_wrist",),
    ("l_knee", "l_ankle"), ("r_knee", "r_ankle"), ("l_ankle", "r_ankle"),
    ("l_knee", "l_ankle", "r_knee", "r_ankle"), ("l_knee", "l_ankle", "r_knee", "r_ankle"),
    ("pelvis", *_LEGS), ("pelvis", "spine", *_LEGS),
    _HEAD, ("head_top",), ("nose",), ("spine",), ("thorax", "spine"), ("spine", "thorax", "nose", "head_top", "pelvis"),
    (*_ARMS, *_HEAD), ("l_shoulder", "l_elbow", "l_wrist", "l_hip", "l_knee", "l_ankle"),
    ("r_shoulder", "r_elbow", "r_wrist", "r_hip", "r_knee", "r_ankle"),
)  # fmt: skip


def part_table(skel: Skeleton, device: torch.device | str) -> Bool[Tensor, "parts j"]:
    """(parts, j) True where a joint belongs to a part that can be lost together."""
    table = torch.zeros(len(PARTS), len(skel), dtype=torch.bool)
    for i, names in enumerate(PARTS):
        table[i, skel.indices(*names)] = True
    return table.to(device)


def box_side(kp_img: Float[Tensor, "b t j 2"], conf: Float[Tensor, "b t j"]) -> Float[Tensor, "b t"]:
    """Larger side (b, t) in pixels of the box around the joints that are seen; 0 where nobody is."""
    seen = (conf > 0)[..., None]
    hi = kp_img.masked_fill(~seen, -torch.inf).amax(-2)
    lo = kp_img.masked_fill(~seen, torch.inf).amin(-2)
    return (hi - lo).amax(-1).clamp_min(0).nan_to_num(0, 0, 0)


def student_t(shape: tuple[int, ...], freedom: int, gen: Generator, device: torch.device) -> Float[Tensor, ...]:
    """Student-t numbers: a normal over the root of a mean of squared normals."""
    n = torch.randn(freedom + 1, *shape, generator=gen, device=device)
    return n[0] * (n[1:].square().mean(0) + 1e-12).rsqrt()


def degrade(
    kp_img: Float[Tensor, "b t j 2"],
    conf: Float[Tensor, "b t j"],
    size_wh: Float[Tensor, "b 2"],
    skel: Skeleton,
    opt: NoiseOptions,
    gen: Generator,
    seconds: Float[Tensor, "b t"] | None = None,
) -> tuple[Float[Tensor, "b t j 2"], Float[Tensor, "b t j"]]:
    """Damaged (kp_img, conf); size_wh (b, 2). At least three joints of every frame stay seen, but for gaps (`p_gap`).

    seconds (b, t): times of the frames; None is 50 frames per second.
    """
    b, t, j, _ = kp_img.shape
    dev = kp_img.device

    def chance(p: float, *shape: int) -> Tensor:
        return torch.rand(b, *shape, generator=gen, device=dev) < p

    side = box_side(kp_img, conf)[..., None, None]
    lo, hi = opt.scale
    scale = (
        lo * (hi / lo) ** torch.rand(b, 1, 1, 1, generator=gen, device=dev)
        if lo > 0
        else torch.full((b, 1, 1, 1), hi, device=dev)
    )
    if opt.p_clean > 0:
        scale = scale * ~chance(opt.p_clean, 1, 1, 1)
    err = student_t((b, t, j, 2), opt.freedom, gen, dev) * scale
    if opt.bias > 0:
        err = err + torch.randn(b, 1, j, 2, generator=gen, device=dev) * (
            opt.bias * torch.rand(b, 1, 1, 1, generator=gen, device=dev)
        )
    if opt.wander > 0 and t > 1:
        err = err + _wandering(b, t, j, seconds, opt, gen, dev)
    kp = kp_img + err * side
    if opt.p_swap > 0:
        which = torch.rand(b, 2, generator=gen, device=dev) < 0.6
        on = chance(opt.p_swap)[:, None] & which
        flip = torch.arange(j, device=dev).repeat(b, 1)
        for k, names in enumerate((_LEGS, _ARMS)):
            idx = skel.indices(*names)
            flip[:, idx] = torch.where(
                on[:, k : k + 1], torch.tensor([skel.flip[i] for i in idx], device=dev), flip[:, idx]
            )
        swapped = kp.gather(2, flip[:, None, :, None].expand(b, t, j, 2))
        kp = torch.where(stretches((b, t, 1), gen, dev, p_whole=opt.p_whole)[..., None], swapped, kp)
    lost = torch.zeros(b, 1, j, dtype=torch.bool, device=dev)
    if opt.p_drop > 0:
        rate = torch.rand(b, 1, 1, generator=gen, device=dev) * opt.drop_up_to * chance(opt.p_drop, 1, 1)
        dropped = torch.rand(b, 1, j, generator=gen, device=dev) < rate
        lost = lost | (dropped & stretches((b, t, j), gen, dev, p_whole=opt.p_whole))
    if opt.p_part > 0:
        table = part_table(skel, dev)
        part = table[torch.randint(len(table), (b,), generator=gen, device=dev)]
        hidden = (part & chance(opt.p_part, 1))[:, None]
        lost = lost | (hidden & stretches((b, t, 1), gen, dev, p_whole=opt.p_whole))
    if opt.p_truncate > 0:
        outside = ((kp < 0) | (kp > size_wh[:, None, None] - 1)).any(-1) & chance(opt.p_truncate, 1, 1)
        lost = lost | outside
    seen = (conf > 0) & ~lost
    seen = torch.where(seen.sum(-1, keepdim=True) >= 3, seen, conf > 0)
    if opt.p_gap > 0 and t > 1:
        seen = seen & ~(chance(opt.p_gap, 1, 1) & stretches((b, t, 1), gen, dev, up_to=opt.gap_up_to))
    told = torch.ones_like(conf)
    if opt.p_confident < 1:
        size = (err.norm(dim=-1) / 0.03).neg().exp()
        tells = size * (0.75 + 0.25 * torch.rand(b, 1, 1, generator=gen, device=dev))
        noise = torch.rand(b, t, j, generator=gen, device=dev)
        says_nothing = 0.3 + 0.7 * noise
        mixed = torch.where(chance(0.6, 1, 1), (tells + 0.15 * (noise - 0.5)), says_nothing).clamp(0.05, 1)
        told = torch.where(chance(opt.p_confident, 1, 1), told, mixed)
    conf = told * seen
    return torch.where(seen[..., None], kp, 0.0), conf


def _wandering(
    b: int, t: int, j: int, seconds: Tensor | None, opt: NoiseOptions, gen: Generator, dev: torch.device
) -> Tensor:
    """Smooth errors (b, t, j, 2) as fractions of the box, each window with its own size and speed."""
    if seconds is None:
        seconds = (torch.arange(t, device=dev) / 50).expand(b, t)
    lo, hi = opt.wander_hz
    hz = lo * (hi / lo) ** torch.rand(b, generator=gen, device=dev)
    sd = opt.wander * torch.rand(b, 1, 1, 1, generator=gen, device=dev)
    return wander(seconds, 2 * j, hz, gen).unflatten(-1, (j, 2)) * sd
