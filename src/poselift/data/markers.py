"""The same pose as other marker sets and detectors place its joints: systematic offsets, batched."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from poselift.data.augment import H36M, BodyOptions, chance, unit

__all__ = ["vary_markers"]


def vary_markers(p: Float[Tensor, "b t j 3"], opt: BodyOptions, gen: Generator) -> Float[Tensor, "b t j 3"]:
    """The same pose as another marker set or detector would place its joints; p (b, t, 17, 3) metres.

    Sources disagree systematically: hips are wider or narrower, higher or lower; the spine point slides along
    the back and in or out; thorax and shoulders sit higher or lower; nose and head top lie on the face, in the
    skull or above it. Offsets are constant for a sample and symmetric, in the axes of trunk and head. The root moves
    as well.
    """
    b, dev = len(p), p.device
    on = chance(opt.p_markers, b, gen, dev).float()[:, None, None]

    def draw(sd: float) -> Tensor:
        return torch.randn(b, 1, 1, generator=gen, device=dev) * sd * on

    j = H36M.index
    out = p.clone()
    pelvis, thorax, nose, head = (p[:, :, j(n)] for n in ("pelvis", "thorax", "nose", "head_top"))
    up = unit(thorax - pelvis)

    def axes(left: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        x = unit(left - (left * up).sum(-1, keepdim=True) * up)
        return x, torch.linalg.cross(x, up)  # to the left, to the front

    hip_x, hip_y = axes(p[:, :, j("l_hip")] - p[:, :, j("r_hip")], up)
    sho_x, sho_y = axes(p[:, :, j("l_shoulder")] - p[:, :, j("r_shoulder")], up)
    wide, high, front = draw(0.012), draw(0.02), draw(0.015)
    shift = high * up + front * hip_y
    out[:, :, j("l_hip")] += shift + wide * hip_x
    out[:, :, j("r_hip")] += shift - wide * hip_x
    root = shift + draw(0.012) * up
    out[:, :, j("pelvis")] += root
    out[:, :, j("spine")] += draw(0.03) * up + draw(0.025) * hip_y
    middle = (p[:, :, j("l_shoulder")] + p[:, :, j("r_shoulder")]) / 2
    halfway = chance(0.35, b, gen, dev)[:, None, None] & (on > 0)  # detectors know shoulders and hips, no spine
    out[:, :, j("thorax")] = torch.where(halfway, middle, out[:, :, j("thorax")])
    out[:, :, j("spine")] = torch.where(halfway, (out[:, :, j("pelvis")] + middle) / 2, out[:, :, j("spine")])
    out[:, :, j("thorax")] += draw(0.025) * up + draw(0.02) * sho_y
    wide, high, front = draw(0.02), draw(0.02), draw(0.015)
    shift = high * up + front * sho_y
    out[:, :, j("l_shoulder")] += shift + wide * sho_x
    out[:, :, j("r_shoulder")] += shift - wide * sho_x
    neck = unit(head - nose)
    _, face_y = axes(sho_x, neck)
    out[:, :, j("nose")] += draw(0.03) * neck + (0.03 * on + draw(0.05)) * face_y  # neck to tip of the nose
    out[:, :, j("head_top")] += draw(0.03) * neck + draw(0.03) * face_y
    limbs = H36M.indices("l_knee", "r_knee", "l_ankle", "r_ankle", "l_elbow", "r_elbow", "l_wrist", "r_wrist")
    along = p[:, :, limbs] - p[:, :, [H36M.parents[i] for i in limbs]]
    slide = torch.randn(b, 1, 4, generator=gen, device=dev).repeat_interleave(2, 2) * 0.03 * on
    out[:, :, limbs] += along * slide[..., None]
    return out
