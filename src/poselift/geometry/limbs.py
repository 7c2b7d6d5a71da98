"""Inverse kinematics of a limb of two bones: where the middle joint goes when the end is put somewhere else."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["two_bone_ik"]

_STRETCHED = 0.9995
"""A limb is never stretched further than this: at its full length the middle joint would jump."""


def two_bone_ik(
    top: Float[Tensor, "*b 3"], middle: Float[Tensor, "*b 3"], end: Float[Tensor, "*b 3"], target: Float[Tensor, "*b 3"]
) -> tuple[Float[Tensor, "*b 3"], Float[Tensor, "*b 3"]]:
    """New middle joint and end of limbs whose end goes to `target`, or as near to it as the limb reaches.

    Both bones keep their lengths and the top joint its place. The limb is turned the shortest way towards the target,
    so that it bends to the side to which it bent, then folded or unfolded by the law of cosines. Any unit and frame.
    """
    a, b = ((y - x).norm(dim=-1, keepdim=True) for x, y in ((top, middle), (middle, end)))
    old, new = _unit(end - top), _unit(target - top)
    reach = (target - top).norm(dim=-1, keepdim=True)
    reach = torch.minimum(
        torch.maximum(reach, (a - b).abs()), torch.maximum(_STRETCHED * (a + b), (end - top).norm(dim=-1, keepdim=True))
    )
    bent = _turned(middle - top, old, new)
    side = bent - (bent * new).sum(-1, keepdim=True) * new
    along = (a.square() - b.square() + reach.square()) / (2 * reach.clamp_min(1e-9))
    across = (a.square() - along.square()).clamp_min(0).sqrt()
    return top + along * new + across * _unit(side), top + reach * new


def _turned(v: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """v turned the shortest way that leads the unit vector `old` to `new`; as it is where they are opposite."""
    w, c = torch.linalg.cross(old, new), (old * new).sum(-1, keepdim=True)
    turned = v + torch.linalg.cross(w, v) + torch.linalg.cross(w, torch.linalg.cross(w, v)) / (1 + c).clamp_min(1e-6)
    return torch.where(c > -1 + 1e-6, turned, v)


def _unit(v: Tensor) -> Tensor:
    return v / v.norm(dim=-1, keepdim=True).clamp_min(1e-9)
