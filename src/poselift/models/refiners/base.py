"""What every refiner asks of its input."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from poselift.errors import InputError
from poselift.models.base import RootSource
from poselift.structures.skeleton import Skeleton

__all__ = ["MIN_DEPTH", "check_input"]

MIN_DEPTH = 0.1
"""Metres; a joint that stands nearer to the camera than this, or behind it, counts as missing."""


def check_input(
    skeleton: Skeleton,
    p_root: Float[Tensor, "b t j 3"],
    root_cam: Float[Tensor, "b t 3"] | None,
    root: RootSource | None,
) -> None:
    """Raises `InputError` for poses of another skeleton, or for `root="given"` without root_cam."""
    j = p_root.shape[-2]
    if j != len(skeleton):
        raise InputError(field="refiner", expected=f"{len(skeleton)} joints ({skeleton.name})", found=j)
    if root == "given" and root_cam is None:
        raise InputError(field="root_cam", expected="the position of the root where root is 'given'", found="none")
