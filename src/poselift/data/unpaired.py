"""Training without pairs: 2D of some performers, 3D of others, so that no pose that is seen is also shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Generator

from poselift.data.bank import Batch, MotionBank
from poselift.data.datasets import BatchSource, MotionSource
from poselift.data.windows import Windows
from poselift.errors import InputError

__all__ = ["Unpaired", "divide_performers", "of_performers"]


def divide_performers(bank: MotionBank, share: float) -> tuple[frozenset[str], frozenset[str]]:
    """Performers to be seen in 2D, about `share` of all frames, and the others. At least one on both sides.

    Those with most frames are given away first, each to the side that lacks most; the same bank is always divided in
    the same way. Raises `InputError` for fewer than two performers, or a share that is not between 0 and 1.
    """
    frames: Counter[str] = Counter()
    for subject, length in zip(bank.subjects, (bank.starts[1:] - bank.starts[:-1]).tolist(), strict=True):
        frames[subject] += length
    if len(frames) < 2:
        raise InputError(field="data", expected="two performers or more", found=len(frames))
    if not 0 < share < 1:
        raise InputError(field="objective.share", expected="between 0 and 1", found=share)
    total = sum(frames.values())
    lacks, sides = [share * total, (1 - share) * total], (set[str](), set[str]())
    order = sorted(frames, key=lambda s: (-frames[s], s))
    for n, subject in enumerate(order):
        side = int(lacks[1] > lacks[0])
        if n == len(order) - 1 and not all(sides):
            side = int(bool(sides[0]))
        sides[side].add(subject)
        lacks[side] -= frames[subject]
    return frozenset(sides[0]), frozenset(sides[1])


def of_performers(bank: MotionBank, performers: Collection[str]) -> MotionBank:
    """The motions of these performers alone."""
    kept = [c for c, s in enumerate(bank.subjects) if s in performers]
    if not kept:
        raise InputError(field="performers", expected="some of the bank", found=", ".join(sorted(performers)))
    parts = [bank.p_world[bank.starts[c] : bank.starts[c + 1]] for c in kept]
    lengths = torch.tensor([len(p) for p in parts])
    return replace(
        bank,
        p_world=torch.cat(parts),
        starts=torch.cat((torch.zeros(1, dtype=torch.int64), lengths.cumsum(0))),
        clip_of=torch.repeat_interleave(torch.arange(len(kept)), lengths),
        fps=bank.fps[kept],
        names=tuple(bank.names[c] for c in kept),
        subjects=tuple(bank.subjects[c] for c in kept),
    )


@dataclass(frozen=True, eq=False)
class Unpaired:
    """A source whose batches have the 2D and the cameras of `seen` and the poses of `shown`, other people, in no order.

    Where the root is (`root_cam`) is nobody's: NaN. What the people that are seen really do is not in a batch.
    """

    seen: BatchSource
    shown: BatchSource

    @classmethod
    def of(cls, source: BatchSource, share: float) -> Unpaired:
        """Divide a source of motions. Raises `InputError` for any other: recordings do not say who is who."""
        if not isinstance(source, MotionSource):
            raise InputError(field="data.dataset", expected="motions (cmu17, motion)", found="recorded views")
        both = (of_performers(source.bank, p) for p in divide_performers(source.bank, share))
        return cls(*(replace(source, bank=bank) for bank in both))

    @property
    def size(self) -> int:
        return self.seen.size

    @property
    def windows(self) -> Windows | None:
        """How samples are cut, in 2D and in 3D alike."""
        return getattr(self.seen, "windows", None)

    def batch(self, b: int, gen: Generator) -> Batch:
        seen, shown = self.seen.batch(b, gen), self.shown.batch(b, gen)
        return replace(seen, p_root=shown.p_root, root_cam=torch.full_like(seen.root_cam, torch.nan))

    def to(self, device: torch.device | str) -> Unpaired:
        return Unpaired(self.seen.to(device), self.shown.to(device))
