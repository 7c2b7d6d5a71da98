"""Bones: vectors, lengths and directions of a joint tree, and poses built from them.

A bone belongs to every joint that has a parent, in joint order (`Skeleton.bones`), and points from parent to child.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from poselift.errors import InputError

__all__ = ["bone_directions", "bone_lengths", "bone_vectors", "from_bones"]

_TINY = 1e-12


def bone_vectors(x: Float[Tensor, "*b j d"], parents: Sequence[int]) -> Float[Tensor, "*b bones d"]:
    """Bone vectors, child minus parent; one for every joint j with `parents[j] >= 0`, in joint order."""
    child = [j for j, p in enumerate(parents) if p >= 0]
    return x[..., child, :] - x[..., [parents[j] for j in child], :]


def bone_lengths(x: Float[Tensor, "*b j d"], parents: Sequence[int]) -> Float[Tensor, "*b bones"]:
    """Bone lengths in the unit of x. The gradient of a bone of length 0 is 0."""
    return torch.linalg.vector_norm(bone_vectors(x, parents), dim=-1)


def bone_directions(x: Float[Tensor, "*b j d"], parents: Sequence[int]) -> Float[Tensor, "*b bones d"]:
    """Unit vectors from parent to child; a bone of length 0 has the direction 0."""
    v = bone_vectors(x, parents)
    return v / torch.linalg.vector_norm(v, dim=-1, keepdim=True).clamp(min=_TINY)


def from_bones(
    root: Float[Tensor, "*b d"],
    directions: Float[Tensor, "*b bones d"],
    lengths: Float[Tensor, "*#b bones"],
    parents: Sequence[int],
    order: Sequence[int] | None = None,
) -> Float[Tensor, "*b j d"]:
    """Pose with given bones: walks down the tree from the root. Inverse of `bone_directions` and `bone_lengths`.

    `order` names every parent before its children (`Skeleton.order`); it is worked out when it is not given.
    Raises `InputError` for a tree that has not exactly one root.
    """
    if sum(p < 0 for p in parents) != 1:
        raise InputError(field="parents", expected="a tree with one root", found=tuple(parents))
    vectors = (directions * lengths[..., None]).unbind(-2)
    bone = {j: b for b, j in enumerate(j for j, p in enumerate(parents) if p >= 0)}
    placed: dict[int, Tensor] = {}
    for j in _order(parents) if order is None else order:
        placed[j] = root if parents[j] < 0 else placed[parents[j]] + vectors[bone[j]]
    return torch.stack([placed[j] for j in range(len(parents))], -2)


def _order(parents: Sequence[int]) -> list[int]:
    done: list[int] = []
    while len(done) < len(parents):
        ready = [j for j, p in enumerate(parents) if j not in done and (p < 0 or p in done)]
        if not ready:
            raise InputError(field="parents", expected="a tree", found=tuple(parents))
        done += ready
    return done
