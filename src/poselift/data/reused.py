"""Crops that stay in memory: each is made once and learned from several times, mirrored every other time.

For picture sets that are slower to draw from than a small network learns.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from poselift.data.images import ImageBatch
from poselift.data.pictures import PictureSource
from poselift.errors import InputError
from poselift.structures import Skeleton

__all__ = ["ReusedPictures", "mirrored"]

_PORTION = 256
"""New crops are made so many at a time, which is faster than a few in every step."""


def mirrored(batch: ImageBatch, which: Bool[Tensor, " b"]) -> ImageBatch:
    """The batch with these crops mirrored: left and right are exchanged, and the camera is the same.

    It is the picture of the mirrored scene: everything about the vertical through the principal point.
    """
    last = batch.image.shape[-1] - 1
    side = batch.box_xywh[:, 2]
    box = batch.box_xywh.clone()
    box[:, 0] = 2 * batch.K[:, 0, 2] - box[:, 0] - side * last / (last + 1)

    def turned(kp: Tensor) -> Tensor:
        return torch.stack((last - kp[..., 0], kp[..., 1]), -1)

    flip = list(batch.skeleton.flip)
    other = replace(
        batch,
        image=batch.image.flip(-1),
        kp_patch=turned(batch.kp_patch[:, flip]),
        visible=batch.visible[:, flip],
        root_patch=turned(batch.root_patch),
        box_xywh=box,
    )
    mine, theirs = batch.as_dict(), other.as_dict()
    chosen = {k: torch.where(which.view(-1, *[1] * (v.ndim - 1)), theirs[k], v) for k, v in mine.items()}
    return replace(batch, **chosen)


@dataclass(eq=False)
class ReusedPictures:
    """A source around a source: batches are drawn from the last `held` crops, which new ones replace little by little.

    The generators decide everything, but what is held is not part of a run's state: a run that is continued begins
    with `held` new crops. Raises `InputError` for numbers below 1.
    """

    source: PictureSource
    times: int
    """How often a crop is learned from, on average."""
    held: int = 8192
    """Crops in memory."""
    _pool: ImageBatch | None = field(default=None, init=False)
    _next: int = field(default=0, init=False)
    _owed: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        for name in ("times", "held"):
            if getattr(self, name) < 1:
                raise InputError(field=f"pictures {name}", expected="1 or more", found=getattr(self, name))

    @property
    def size(self) -> int:
        """As the source's."""
        return self.source.size

    @property
    def skeleton(self) -> Skeleton:
        return self.source.skeleton

    def batch(self, b: int, gen: Generator) -> ImageBatch:
        """b crops, no two the same while b is not above `held`."""
        if self._pool is None:
            self._pool = self.source.batch(max(self.held, b), gen)
        else:
            self._owed += b / self.times
            portion = min(_PORTION, len(self._pool))
            while self._owed >= portion:
                self._owed -= portion
                self._replace(self.source.batch(portion, gen))
        pool = self._pool
        drawn = pool.part(torch.randperm(len(pool), generator=gen)[:b])
        return mirrored(drawn, torch.rand(b, generator=gen) < 0.5)

    def _replace(self, fresh: ImageBatch) -> None:
        """New crops in the places of the oldest."""
        assert self._pool is not None
        at = (self._next + torch.arange(len(fresh))) % len(self._pool)
        self._next = (self._next + len(fresh)) % len(self._pool)
        new = fresh.as_dict()
        for name, held in self._pool.as_dict().items():
            held[at] = new[name]
