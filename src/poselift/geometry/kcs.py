"""Kinematic chain space: a pose as the inner products of its bones, in which lengths and angles lie open.

Bones are the columns of a matrix C (j, bones) with +1 at one joint and -1 at another, so that B = Xᵀ C; a bone need
not be one of the tree, a column with two +1 is a sum. `Skeleton.chain_matrix` is the C of all bones of a tree.
Source: Wandt & Rosenhahn, RepNet, CVPR 2019, eq. 3-8.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from poselift.errors import InputError

__all__ = ["chain_matrix", "kcs"]


def chain_matrix(
    bones: Sequence[tuple[int, int]], joints: int, *, sums: Sequence[int] = ()
) -> Float[Tensor, "j bones"]:
    """C of any pairs of joints: +1 at the first, -1 at the second; +1 at both for the bones numbered in `sums`.

    The sum of two joints is no bone and no length of the body; RepNet's PyTorch version has one (left and right hip).
    Raises `InputError` for a joint or a bone that there is not, and for a pair of one joint with itself.
    """
    c = torch.zeros(joints, len(bones))
    for b, (plus, minus) in enumerate(bones):
        if plus == minus or not (0 <= plus < joints and 0 <= minus < joints):
            raise InputError(field="bones", expected=f"pairs of different joints below {joints}", found=(plus, minus))
        c[plus, b], c[minus, b] = 1, -1
    for b in sums:
        if not 0 <= b < len(bones):
            raise InputError(field="sums", expected=f"bones below {len(bones)}", found=b)
        c[:, b].abs_()
    return c


def kcs(
    x: Float[Tensor, "*b j 3"], chain_matrix: Float[Tensor, "j bones"] | Float[np.ndarray, "j bones"]
) -> Float[Tensor, "*b bones bones"]:
    """Kinematic chain space Ψ = Bᵀ B with bone vectors B = Xᵀ C.

    The diagonal holds squared bone lengths, the rest inner products of bones; turning the pose changes nothing.
    """
    b = x.mT @ torch.as_tensor(chain_matrix, dtype=x.dtype, device=x.device)
    return b.mT @ b
