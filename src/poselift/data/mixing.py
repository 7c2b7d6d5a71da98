"""Mixing picture sets with depth and sets without it, half and half, as RootNet's published training does.

Source: Moon et al., ICCV 2019, released code. Two parts are brought to the length of the longer one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from poselift.errors import InputError

__all__ = ["mixed_order"]


def mixed_order(with_depth: Sequence[int], without: Sequence[int], gen: Generator) -> Int[Tensor, "n 2"]:
    """One epoch (n, 2), not shuffled: (set, sample) with the sets with depth first, then those without.

    with_depth, without: numbers of samples of the sets. Sets of a part follow each other. The shorter part is repeated
    as often as it fits, and what is left is drawn at random. Without a second part it is the first part alone.
    Raises `InputError` for sets without samples.
    """
    parts = [p for p in (list(with_depth), list(without)) if p]
    if not parts or any(n < 1 for p in parts for n in p):
        raise InputError(field="picture sets", expected="at least one sample in each", found=parts or "no sets")
    longest = max(sum(p) for p in parts)
    first, out = 0, []
    for part in parts:
        n = sum(part)
        whole = torch.arange(n).repeat(longest // n)
        rest = torch.randint(n, (longest - len(whole),), generator=gen)
        index = torch.cat((whole, rest))
        ends = torch.tensor(part).cumsum(0)
        which = torch.searchsorted(ends, index, right=True)
        out.append(torch.stack((which + first, index - (ends - torch.tensor(part))[which]), -1))
        first += len(part)
    return torch.cat(out)
