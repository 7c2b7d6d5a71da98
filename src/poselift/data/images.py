"""Batches of pictures: crops of people with their joints, and where each one's root is in space.

Every set of pictures gives these, whatever it knows: joints that are not annotated have visibility 0, people without
known depth `has_depth` False. Sets of the same skeleton and picture size go into one batch (`ImageBatch.cat`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from poselift.data.tensors import TensorBatch
from poselift.errors import InputError
from poselift.structures.skeleton import Skeleton

__all__ = ["ImageBatch"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageBatch(TensorBatch):
    """b people, each in a crop of its own; (0, 0) is the centre of the top-left pixel. Raises `InputError`."""

    skeleton: Skeleton
    image: UInt8[Tensor, "b 3 h w"]
    """The crops, RGB."""
    kp_patch: Float[Tensor, "b j 2"]
    """Joints, pixels of the crop."""
    visible: Float[Tensor, "b j"]
    """1 for a joint that is annotated and inside the crop, else 0; what stands in a joint of 0 is not looked at."""
    root_patch: Float[Tensor, "b 2"]
    """The root, pixels of the crop."""
    root_visible: Float[Tensor, " b"]
    """The same for the root."""
    root_z: Float[Tensor, " b"]
    """Depth of the root, metres; 0 where it is not known."""
    has_depth: Bool[Tensor, " b"]
    """Whether the depth is known."""
    k: Float[Tensor, " b"]
    """sqrt(fx fy · 2 m · 2 m / area of the box), metres: how far away a person of that box would be (RootNet)."""
    box_xywh: Float[Tensor, "b 4"]
    """The box that was cropped, pixels of the whole image, as extended (it may reach beyond the image)."""
    K: Float[Tensor, "b 3 3"]
    """Intrinsics of the whole image."""

    def __post_init__(self) -> None:
        b, j = len(self.image), len(self.skeleton)
        shapes = {
            "image": (b, 3, *self.image.shape[-2:]), "kp_patch": (b, j, 2), "visible": (b, j), "root_patch": (b, 2),
            "root_visible": (b,), "root_z": (b,), "has_depth": (b,), "k": (b,), "box_xywh": (b, 4), "K": (b, 3, 3),
        }  # fmt: skip
        for name, shape in shapes.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise InputError(field=f"images {name}", expected=f"shape {shape}", found=f"shape {found}")
        if self.image.dtype != torch.uint8:
            raise InputError(field="images image", expected="torch.uint8", found=self.image.dtype)

    @staticmethod
    def cat(batches: Sequence[ImageBatch]) -> ImageBatch:
        """One batch of several. Raises `InputError` for none, other skeletons or other picture sizes."""
        if not batches:
            raise InputError(field="images", expected="at least one batch", found="none")
        first = batches[0]
        for other in batches[1:]:
            if other.skeleton != first.skeleton:
                raise InputError(field="images", expected=f"skeleton {first.skeleton.name}", found=other.skeleton.name)
            if other.image.shape[1:] != first.image.shape[1:]:
                sizes = [tuple(x.image.shape[-2:]) for x in (first, other)]
                raise InputError(field="images", expected=f"height and width {sizes[0]}", found=sizes[1])
        tensors = {k: torch.cat([getattr(x, k) for x in batches]) for k in first.as_dict()}
        return replace(first, **tensors)
