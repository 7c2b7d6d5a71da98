"""What batches of every kind have in common: frozen dataclasses of tensors whose first axis is the sample."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["TensorBatch"]

Own = TypeVar("Own", bound="TensorBatch")


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorBatch:
    """A base without fields; those of the batches are tensors (b, ...), and what says how to read them."""

    def __len__(self) -> int:
        return len(next(iter(self.as_dict().values())))

    def to(self: Own, device: torch.device | str) -> Own:
        """The batch on a device."""
        return replace(self, **{k: v.to(device) for k, v in self.as_dict().items()})

    def as_dict(self) -> dict[str, Tensor]:
        """The tensors by name."""
        every = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in every.items() if isinstance(v, Tensor)}

    def part(self: Own, index: Tensor | slice) -> Own:
        """The samples of an index, a slice or a mask."""
        return replace(self, **{k: v[index] for k, v in self.as_dict().items()})
