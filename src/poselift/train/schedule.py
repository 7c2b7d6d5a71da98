"""How long a run is and how fast it learns: optimiser, learning rate, batch-norm momentum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from poselift.errors import InputError, unknown_name
from poselift.metrics import FIGURES
from poselift.metrics.keypoints import PICTURE_FIGURES

__all__ = ["Schedule"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Optimiser, learning rate and length of a run."""

    steps: int = 20_000
    """Optimiser steps (of each stage, where the objective has several)."""
    batch: int = 1024
    """Samples of a step, over all processes together."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Optimiser."""
    amsgrad: bool = False
    """AMSGrad variant of Adam."""
    lr: float = 1e-3
    """Learning rate at its highest."""
    weight_decay: float = 0.0
    """Weight decay (decoupled for AdamW)."""
    decay: Literal["constant", "cosine", "exponential", "staircase"] = "exponential"
    """Learning rate over time; exponential and staircase multiply by `gamma` every `decay_steps`."""
    gamma: float = 0.96
    """Factor of exponential and staircase decay."""
    decay_steps: int = 1000
    """Steps for one factor `gamma`."""
    warmup: int = 0
    """Steps of linear warm-up."""
    clip_norm: float = 0.0
    """Largest gradient norm; 0 for no clipping."""
    ema: float = 0.0
    """Decay of the running mean of the weights that is evaluated and saved; 0 for none."""
    validate_every: int = 1000
    """Steps between validations; the best one is kept."""
    save_every: int = 500
    """Steps between checkpoints to resume from."""
    log_every: int = 50
    """Steps between log lines."""
    bn_momentum: tuple[float, float] | None = None
    """Weight of a new batch in batch norm's running statistics, at the beginning and at the end, e.g. 0.1 0.001;
    exponential in between. The networks' own (0.1) where nothing is said."""
    metric: str = "mpjpe_mm"
    """Validation figure that selects the model: lower is better."""

    def lr_at(self, step: int) -> float:
        """Learning rate of a step (0-based)."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.decay == "cosine":
            done = (step - self.warmup) / max(1, self.steps - self.warmup)
            return self.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        if self.decay == "exponential":
            return self.lr * self.gamma ** (step / self.decay_steps)
        if self.decay == "staircase":
            return self.lr * self.gamma ** (step // self.decay_steps)
        return self.lr

    def bn_momentum_at(self, step: int) -> float | None:
        """Batch-norm momentum of a step (0-based); None leaves the networks' own."""
        if self.bn_momentum is None:
            return None
        first, last = self.bn_momentum
        return first * (last / first) ** (step / self.steps)

    def check(self) -> None:
        """Raises `InputError` for numbers that no run can have."""
        for name in ("steps", "batch", "decay_steps", "validate_every", "save_every", "log_every"):
            if getattr(self, name) < 1:
                raise InputError(field=f"schedule.{name}", expected="1 or more", found=getattr(self, name))
        for name in ("lr", "gamma"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InputError(field=f"schedule.{name}", expected="a positive number", found=getattr(self, name))
        for name in ("weight_decay", "warmup", "clip_norm"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(field=f"schedule.{name}", expected="0 or more", found=getattr(self, name))
        if self.bn_momentum is not None and not all(0 < m <= 1 for m in self.bn_momentum):
            found = self.bn_momentum
            raise InputError(field="schedule.bn_momentum", expected="two numbers above 0, up to 1", found=found)
        if not 0 <= self.ema < 1:
            raise InputError(field="schedule.ema", expected="0 or more and below 1", found=self.ema)
        known = {**FIGURES, **PICTURE_FIGURES}
        if self.metric not in known:
            raise unknown_name("figure in schedule.metric", self.metric, known)
