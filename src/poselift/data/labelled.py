"""Training with the truth of some performers only; of the others there is 2D, and nobody knows where they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator

from poselift.data.bank import Batch
from poselift.data.datasets import BatchSource, MotionSource
from poselift.data.unpaired import divide_performers, of_performers
from poselift.errors import InputError

__all__ = ["PartlyLabelled"]


@dataclass(frozen=True, eq=False)
class PartlyLabelled:
    """A source whose batches of b have b windows of `labelled` and, where there is anyone `unlabelled`, b of theirs.

    The two alternate, labelled first, so that every process gets its share of both (`divide`). Of those that are not
    labelled `p_root` and `root_cam` are NaN: a loss that looked at them would not be finite. The labelled windows are
    the same whether there are others or not.
    """

    labelled: BatchSource
    unlabelled: BatchSource | None = None

    @classmethod
    def of(cls, source: BatchSource, part: float, *, others: bool = True) -> PartlyLabelled:
        """Divide a source: performers with about this part of all frames are labelled, the same ones every time.

        others: whether the rest is seen at all. Raises `InputError` for a part that is not above 0 and up to 1, and,
        below 1, for anything but motions: recordings do not say who is who.
        """
        if not 0 < part <= 1:
            raise InputError(field="objective.labelled", expected="above 0, up to 1", found=part)
        if part == 1:
            return cls(source)
        if not isinstance(source, MotionSource):
            raise InputError(field="data.dataset", expected="motions (cmu17, motion)", found="recorded views")
        known, rest = (
            replace(source, bank=of_performers(source.bank, p)) for p in divide_performers(source.bank, part)
        )
        return cls(known, rest if others else None)

    @property
    def size(self) -> int:
        return self.labelled.size + (self.unlabelled.size if self.unlabelled is not None else 0)

    def batch(self, b: int, gen: Generator) -> Batch:
        known = self.labelled.batch(b, gen)
        if self.unlabelled is None:
            return known
        rest = self.unlabelled.batch(b, gen)
        unknown = {n: torch.full_like(getattr(rest, n), torch.nan) for n in ("p_root", "root_cam")}
        both = Batch.cat([known, replace(rest, **unknown)])
        return both.part(torch.arange(2 * b, device=both.kp_img.device).view(2, b).T.flatten())

    def to(self, device: torch.device | str) -> PartlyLabelled:
        rest = self.unlabelled
        return PartlyLabelled(self.labelled.to(device), None if rest is None else rest.to(device))

    def divide(self, batch: Batch) -> tuple[Batch, Batch | None]:
        """What `batch` gave: the labelled windows, and the others."""
        if self.unlabelled is None:
            return batch, None
        return batch.part(slice(0, None, 2)), batch.part(slice(1, None, 2))
