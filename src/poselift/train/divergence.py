"""When a run has to stop: a loss or weights that are not finite, and a critic that has diverged.

The gradient penalty keeps a critic's slope near 1, and a critic of slope 1 cannot tell two sets of poses further apart
than they are: the gap between its mean values is at most the mean distance between real and fake poses, however they
are paired (Kantorovich & Rubinstein; Arjovsky et al., Wasserstein GAN, 2017). So, whatever the data and the weights of
the losses are, gap over distance (`slope`) is below 1 for a sound critic, or a little above it at times. Where it is
ten times that for so many steps that it is no accident, the penalty has lost the critic: nothing it says is worth
learning from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from poselift.errors import PoseliftError

__all__ = ["CriticDivergedError", "CriticWatch", "NotFiniteError", "all_finite"]


class NotFiniteError(PoseliftError):
    """The loss became NaN or infinite; the batch that did it is saved."""


class CriticDivergedError(PoseliftError):
    """The critic's values are not finite, or have been further apart than poses can be for too long."""


class CriticWatch:
    """Looks at a critic's losses after each step. A run saves no checkpoint while the watch is not `well`."""

    LIMIT = 10.0
    """Gap over distance beyond which a critic is suspicious."""
    PATIENCE = 50
    """Suspicious steps in a row after which it has diverged."""

    def __init__(self) -> None:
        self.suspicious = 0

    @property
    def well(self) -> bool:
        return self.suspicious == 0

    def look(self, losses: Mapping[str, Tensor]) -> str:
        """What is wrong, or "" while the run can go on."""
        values = {name: float(v) for name, v in losses.items()}
        for name, value in values.items():
            if not math.isfinite(value):
                return f"{name} is {value}"
        slope = values.get("slope", 0.0)
        self.suspicious = self.suspicious + 1 if slope > self.LIMIT else 0
        if self.suspicious < self.PATIENCE:
            return ""
        gap = f"the gap between real and fake poses is {slope:.3g} times their distance"
        return f"{gap}, and has been over {self.LIMIT:g} times for {self.PATIENCE} steps"


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether none of them holds NaN or infinity."""
    return all(bool(torch.isfinite(t).all()) for t in tensors if t.is_floating_point())
