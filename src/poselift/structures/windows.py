"""Windows over time: which frames a network sees for which output frame, and how long clips are cut into pieces.

Frames before the first and after the last are the first and the last one repeated; no window crosses from one clip
into another. Everything is index arithmetic: one gather makes the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from poselift.errors import InputError
from poselift.structures.clip import MAX_FRAMES, Clip

__all__ = ["Piece", "fill_gaps", "pad_edges", "pieces", "reach", "window_indices"]


def reach(size: int, *, causal: bool = False) -> tuple[int, int]:
    """Frames that a window of `size` has before and after the frame it stands for; none after if causal."""
    if size < 1:
        raise InputError(field="window", expected="at least one frame", found=size)
    return (size - 1, 0) if causal else (size // 2, size - 1 - size // 2)


def window_indices(
    lengths: int | Sequence[int] | Int[np.ndarray, " clips"], size: int, *, stride: int = 1, causal: bool = False
) -> Int[np.ndarray, "n w"]:
    """Frame indices (n, size) of the windows around every `stride`-th frame of each clip.

    `lengths` are the clips' numbers of frames, the indices go into their concatenation. A window at a clip's end
    repeats its first or last frame.
    """
    before, _ = reach(size, causal=causal)
    if stride < 1:
        raise InputError(field="stride", expected="at least one frame", found=stride)
    counts = np.atleast_1d(np.asarray(lengths, np.int64))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    per_clip = (counts + stride - 1) // stride
    clip = np.repeat(np.arange(len(counts)), per_clip)
    nth = np.arange(per_clip.sum()) - np.repeat(np.cumsum(per_clip) - per_clip, per_clip)
    local = (nth * stride)[:, None] + np.arange(-before, size - before)
    return np.clip(local, 0, counts[clip, None] - 1) + starts[clip, None]


def pad_edges(x: np.ndarray, before: int, after: int) -> np.ndarray:
    """(t, ...) with the first frame repeated `before` times and the last one `after` times."""
    return np.concatenate([np.repeat(x[:1], before, 0), x, np.repeat(x[-1:], after, 0)])


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Read frames `read`, repeat its first frame `before` and its last one `after` times: gives frames `out`."""

    read: slice
    before: int
    after: int
    out: slice


def pieces(length: int, *, piece: int, size: int = 1, causal: bool = False) -> Iterator[Piece]:
    """Cut a clip of `length` frames into pieces of `piece` output frames for a network with windows of `size`.

    Joined, the outputs are exactly those of the whole clip, in the memory of one piece.
    """
    left, right = reach(size, causal=causal)
    if piece < 1:
        raise InputError(field="piece", expected="at least one frame", found=piece)
    for start in range(0, length, piece):
        stop = min(start + piece, length)
        first, last = max(start - left, 0), min(stop + right, length)
        yield Piece(
            read=slice(first, last), before=left - (start - first), after=right - (last - stop), out=slice(start, stop)
        )


def fill_gaps(clip: Clip) -> Clip:
    """The clip with every frame number from its first to its last: the added frames have confidence 0.

    3D, where the clip has any, is interpolated over a gap. Raises `InputError` for a span above the frame limit.
    """
    numbers = clip.frame_numbers
    if len(clip) < 2 or numbers[-1] - numbers[0] == len(clip) - 1:
        return clip
    at = numbers - numbers[0]
    span = int(at[-1]) + 1
    if span > min(MAX_FRAMES, 1_000_000 + 50 * len(clip)):
        raise InputError(field="frame numbers", expected="gaps that make sense", found=f"{span:,} for {len(clip):,}")
    kp = np.zeros((span, *clip.kp_img.shape[1:]), np.float32)
    conf = np.zeros(kp.shape[:2], np.float32)
    kp[at], conf[at] = clip.kp_img, clip.confidence
    return clip.replace(
        kp_img=kp, conf=conf, frames=numbers[0] + np.arange(span),
        p_root=None if clip.p_root is None else interpolate(clip.p_root, at, span),
        root_cam=None if clip.root_cam is None else interpolate(clip.root_cam, at, span),
    )  # fmt: skip


def interpolate(x: np.ndarray, at: np.ndarray, span: int) -> np.ndarray:
    """(span, ...) linear in time between the rows of x (t, ...), which stand at the growing places `at`."""
    full = np.arange(span)
    after = np.clip(np.searchsorted(at, full), 1, len(at) - 1)
    weight = (full - at[after - 1]) / (at[after] - at[after - 1])
    weight = weight.reshape(-1, *[1] * (x.ndim - 1))
    return ((1 - weight) * x[after - 1] + weight * x[after]).astype(x.dtype)
