"""A lifter, and refiners after it, over a whole sequence: every frame of the input gives one pose."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from poselift.errors import InputError
from poselift.models.base import Lifter, Refiner, RootModel, RootSource, Stretch

__all__ = ["Refinement", "lift_frames"]

PIECE = 4096
"""Frames of a sequence that are lifted in one go, besides those around them that they depend on."""


@torch.no_grad()
def lift_frames(
    lifter: Lifter,
    kp_img: Float[Tensor, "t j 2"],
    conf: Float[Tensor, "t j"],
    K: Float[Tensor, "#t 3 3"],
    size_wh: Float[Tensor, "#t 2"],
    *,
    flip_average: bool = False,
    of: Stretch | None = None,
) -> Float[Tensor, "t j 3"]:
    """p_root (t, j, 3) metres in camera axes for each of t frames.

    K and size_wh are one for all frames; a lifter of single frames also takes one per frame, so that frames of
    different cameras make one batch. A temporal lifter sees the first and last frame repeated beyond the ends. A lifter
    of sequences takes long ones in pieces with what is around them, which changes nothing; of: where the frames lie in
    their sequence (None: they are all of it).
    """
    t = len(kp_img)
    if lifter.sequence:
        return _lift_sequence(lifter, kp_img, conf, K[:1], size_wh[:1], flip_average, of or Stretch(start=0, total=t))
    if lifter.single_frame:  # the batch axis is time
        p = lifter.lift(
            kp_img[:, None], conf[:, None], K.expand(t, 3, 3), size_wh.expand(t, 2), flip_average=flip_average
        )
        return p[:, 0]
    field = lifter.receptive_field
    before = field - 1 if lifter.causal else (field - 1) // 2
    index = torch.arange(-before, t + field - 1 - before, device=kp_img.device).clamp(0, t - 1)
    return lifter.lift(kp_img[index][None], conf[index][None], K[:1], size_wh[:1], flip_average=flip_average)[0]


def _lift_sequence(
    lifter: Lifter, kp_img: Tensor, conf: Tensor, K: Tensor, size_wh: Tensor, flip_average: bool, of: Stretch
) -> Tensor:
    parts, piece, end = [], max(PIECE, lifter.grid), of.start + len(kp_img)
    for a in range(of.start, end, piece):
        b = min(a + piece, end)
        first, last = lifter.needs(a, b, of.total)
        first, last = max(first, of.start), min(last, end)
        cut, at = slice(first - of.start, last - of.start), Stretch(start=first, total=of.total)
        p = lifter.lift(kp_img[cut][None], conf[cut][None], K, size_wh, flip_average=flip_average, of=at)
        parts.append(p[0, a - first : b - first])
    return torch.cat(parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Refinement:
    """A refiner and where it has the root from, by itself or the last of a chain.

    root: None is the source that the refiner was trained with. root_model: locates the root where it is to be `given`
    and nobody gives it. after: what has refined the poses before, with a root of its own.
    Raises `InputError` for a root model that sees several frames: frames come here without their order.
    """

    refiner: Refiner
    root: RootSource | None = None
    root_model: RootModel | None = None
    after: Refinement | None = None

    def __post_init__(self) -> None:
        field = getattr(self.root_model, "receptive_field", 1)
        if field > 1:
            raise InputError(field="root model", expected="one of single frames", found=f"one of {field} frames")

    @property
    def source(self) -> RootSource:
        """Where the root comes from."""
        return self.root or self.refiner.config.root

    @property
    def chain(self) -> tuple[Refinement, ...]:
        """The refinements that the poses go through, in their order."""
        return (self,) if self.after is None else (*self.after.chain, self)

    @torch.no_grad()
    def frames(
        self,
        kp_img: Float[Tensor, "t j 2"],
        conf: Float[Tensor, "t j"],
        p_root: Float[Tensor, "t j 3"],
        K: Float[Tensor, "#t 3 3"],
        root_cam: Float[Tensor, "t 3"] | None = None,
    ) -> Float[Tensor, "t j 3"]:
        """Better p_root, metres, camera axes, of each frame by itself. The keypoints are those of a straight camera.

        Raises `InputError` for poses of another skeleton, or where the root should be given and is not.
        """
        if self.after is not None:
            p_root = self.after.frames(kp_img, conf, p_root, K, root_cam)
        kp, conf, p, K = kp_img[:, None], conf[:, None], p_root[:, None], K.expand(len(p_root), 3, 3)
        at = None if root_cam is None else root_cam[:, None]
        if self.root_model is not None and self.source == "given":
            at = self.root_model.locate(kp, conf, p, K)
        return self.refiner.refine(kp, conf, p, at, K, root=self.source)[:, 0]
