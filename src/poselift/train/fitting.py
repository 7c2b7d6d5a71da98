"""The objective of refiners that have statistics and no weights: all is in the fit, there is no step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, nn

from poselift.data.bank import Batch
from poselift.data.datasets import DataConfig
from poselift.errors import InputError
from poselift.metrics import Report
from poselift.models.base import RefinerConfig
from poselift.models.kinds import build_model
from poselift.models.predict import Refinement
from poselift.models.refiners.gauss_newton import GaussNewton
from poselift.train.lifted import Lifted, LiftedConfig

__all__ = ["Fitting", "FittingConfig"]


@dataclass(frozen=True, kw_only=True)
class FittingConfig(LiftedConfig):
    """Statistics of a lifter's errors on the training set."""

    samples: int = 65_536
    """Size of the lifted training set."""
    shrinkage: float = 0.05
    """How far the covariances are drawn towards their diagonal, 0 to 1."""

    def build(self, model: RefinerConfig, data: DataConfig) -> Fitting:
        return Fitting(self, model, data)


class Fitting:
    """An `Objective` without stages, for `GaussNewton`."""

    draws = torch.device("cpu")

    def __init__(self, config: FittingConfig, model: RefinerConfig, data: DataConfig) -> None:
        refiner = build_model(model)
        if not isinstance(refiner, GaussNewton):
            raise InputError(field="model", expected="a refiner that is fitted", found=type(refiner).__name__)
        self.config, self.model = config, refiner
        self.lifted = Lifted(config, refiner.skeleton, data)

    @property
    def stages(self) -> Sequence[nn.Module]:
        return ()

    def fit(self, gen: Generator) -> None:
        pieces = self.lifted.draw(gen, torch.device("cpu"))
        samples = ((b.pose, b.p_root, b.root_cam) for b in pieces)
        self.model.fit(samples, shrinkage=self.config.shrinkage)

    def enter(self, stage: int, device: torch.device, gen: Generator) -> None:
        raise IndexError(stage)

    def rate(self, stage: int) -> float | None:
        return None

    def batch(self, b: int, gen: Generator) -> Batch:
        return next(self.lifted.draw(gen, torch.device("cpu"))).part(slice(b))

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        raise IndexError("nothing is trained")

    def report(self, device: torch.device) -> Report:
        return self.lifted.report(Refinement(refiner=self.model.to(device)), device)

    def result(self) -> nn.Module:
        return self.model

    def beside(self) -> dict[str, nn.Module]:
        return {}

    def card(self) -> dict[str, Any]:
        return {**self.lifted.card(), "root": self.model.config.root}
