"""Windows of training batches: which frames of a clip one sample shows, at which rate, forwards or backwards.

Index arithmetic over the whole batch; a window never leaves its clip. What stands beyond a clip's end is a copy of
frames that the window holds, as it is when a clip is lifted: the same keypoints with the same noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from poselift.errors import InputError
from poselift.structures.windows import reach

__all__ = ["Cut", "Windows"]

MAX_WINDOW = 4096
"""Frames; the longest published receptive field is 351."""


@dataclass(frozen=True, eq=False)
class Cut:
    """b windows of t frames. before, after (b, t): rows of the bank between which a frame lies, at `part` (b, t) of the
    way (None: exactly on `before`). source (b, t): the place in the window that holds the same frame, its own but for
    copies beyond a clip's end. seconds (b, t): time of the frames, 0 at the drawn one.
    """

    before: Tensor
    after: Tensor
    part: Tensor | None
    source: Tensor
    seconds: Tensor

    def take(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "b t *c"]:
        """Rows of the bank as windows, linear between two of them."""
        first = x[self.before]
        if self.part is None:
            return first
        return torch.lerp(first, x[self.after], self.part.view(*self.part.shape, *[1] * (x.ndim - 1)))

    def repeat(self, x: Float[Tensor, "b t *c"]) -> Float[Tensor, "b t *c"]:
        """Windows whose frames beyond a clip's end are copies of those they stand for."""
        if x.shape[1] == 1:
            return x
        return x.gather(1, self.source.view(*self.source.shape, *[1] * (x.ndim - 2)).expand_as(x))


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How windows are cut around drawn frames; the fields are those of `DataConfig`. Raises `InputError`."""

    frames: int = 1
    causal: bool = False
    pad: Literal["edge", "reflect"] = "edge"
    fps: tuple[float, float] | None = None
    reverse: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= MAX_WINDOW:
            raise InputError(field="data.frames", expected=f"1 to {MAX_WINDOW}", found=self.frames)
        if self.fps is not None and not (math.isfinite(self.fps[1]) and 0 < self.fps[0] <= self.fps[1]):
            raise InputError(field="data.fps", expected="two positive numbers, the smaller first", found=self.fps)

    def cut(
        self,
        frames: Int[Tensor, " b"],
        starts: Int[Tensor, " clips1"],
        clip_of: Int[Tensor, " n"],
        fps: Float[Tensor, " clips"],
        gen: Generator,
    ) -> Cut:
        """Windows around the rows `frames` (b,) of a bank: starts (clips + 1,), clip_of (n,), fps (clips,)."""
        b, dev, clip = len(frames), frames.device, clip_of[frames]
        if self.frames == 1:
            one = frames[:, None]
            return Cut(one, one, None, torch.zeros_like(one), torch.zeros(b, 1, device=dev))
        left, right = reach(self.frames, causal=self.causal)
        first, last = starts[clip], starts[clip + 1] - 1
        rate = fps[clip]
        if self.fps is not None:
            lo, hi = self.fps
            rate = lo * (hi / lo) ** torch.rand(b, generator=gen, device=dev)
        step = fps[clip] / rate
        forwards = torch.ones(b, dtype=torch.bool, device=dev)
        if self.reverse:
            forwards = torch.rand(b, generator=gen, device=dev) < 0.5
        # frames that the clip has on either side of the drawn one, at the window's rate, in the order of the window
        behind, ahead = ((x / step + 1e-4).floor().long() for x in (frames - first, last - frames))
        lo = -torch.where(forwards, behind, ahead).clamp(max=left)[:, None]
        hi = torch.where(forwards, ahead, behind).clamp(max=right)[:, None]
        k = torch.arange(-left, right + 1, device=dev)
        if self.pad == "edge":
            place = torch.minimum(torch.maximum(k, lo), hi)
        else:
            turn = (k - lo) % (2 * (hi - lo)).clamp_min(1)
            place = lo + torch.minimum(turn, 2 * (hi - lo) - turn)
        sign = torch.where(forwards, 1, -1)[:, None]
        seconds = k / rate[:, None]
        if self.fps is None:
            at = frames[:, None] + sign * place
            return Cut(at, at, None, place + left, seconds)
        # relative to the clip's start, so that float32 holds the fraction in banks of any size
        at = (frames - first)[:, None] + sign * place * step[:, None]
        at = torch.minimum(at.clamp_min(0), (last - first)[:, None].to(at.dtype))
        before = at.floor().long()
        after = torch.minimum(before + 1, (last - first)[:, None])
        return Cut(before + first[:, None], after + first[:, None], at - before, place + left, seconds)
