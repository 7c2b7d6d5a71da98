"""Randomness in time: smooth wandering, and stretches of frames in which something happens. Batched."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

__all__ = ["stretches", "wander"]

_WAVES = 6


def wander(
    seconds: Float[Tensor, "b t"], n: int, hz: float | Float[Tensor, " b"], gen: Generator
) -> Float[Tensor, "b t n"]:
    """n smooth random curves per window with mean 0 and variance 1, their spectrum a Gaussian of width hz.

    Sums of a few random waves (random Fourier features: Rahimi and Recht, NeurIPS 2007).
    """
    b, dev = len(seconds), seconds.device
    width = torch.as_tensor(hz, dtype=seconds.dtype, device=dev).expand(b)[:, None]
    frequency = torch.randn(b, _WAVES, generator=gen, device=dev) * width
    phase = seconds[..., None] * (2 * math.pi * frequency)[:, None]
    amplitude = torch.randn(b, 2 * _WAVES, n, generator=gen, device=dev) / math.sqrt(_WAVES)
    return torch.cat((phase.cos(), phase.sin()), -1) @ amplitude


def stretches(
    shape: tuple[int, int, int], gen: Generator, device: torch.device, *, p_whole: float = 0.0, up_to: float = 1.0
) -> Bool[Tensor, "b t n"]:
    """For each of n things in b windows a stretch of frames, or the whole window (`p_whole`).

    Stretches last from one frame to `up_to` of the window (log-uniform). A single frame is a whole window.
    """
    b, t, n = shape
    if t == 1:
        return torch.ones(shape, dtype=torch.bool, device=device)
    length = max(1.0, up_to * t) ** torch.rand(b, 1, n, generator=gen, device=device)
    start = torch.rand(b, 1, n, generator=gen, device=device) * (t - 1 + length) - length
    k = torch.arange(t, device=device)[None, :, None]
    whole = torch.rand(b, 1, n, generator=gen, device=device) < p_whole
    return ((k >= start) & (k < start + length)) | whole
