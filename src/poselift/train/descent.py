"""Residual descent, trained as published: one regressor after the other, on poses of a lifter that stays as it is.

The training set is drawn and lifted once. A stage moves the whole set by the regressors before it, so that a step costs
one regressor, however many there are; running them anew for every batch would give the same, as they are in eval mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Generator, Tensor, nn

from poselift.data.bank import Batch
from poselift.data.datasets import DataConfig
from poselift.errors import InputError
from poselift.losses import LOSSES
from poselift.metrics import Report
from poselift.models.base import Refiner, RefinerConfig, RootModel
from poselift.models.kinds import build_model
from poselift.models.predict import Refinement
from poselift.models.weights import load_root, model_source
from poselift.train.lifted import CHUNK, Lifted, LiftedBatch, LiftedConfig
from poselift.train.objectives import LossName

__all__ = ["Descent", "DescentConfig"]

_STATISTICS = 32_768
"""Frames that statistics are taken of."""


@runtime_checkable
class StagedRefiner(Refiner, Protocol):
    """A refiner whose steps can be trained one by one; see `ResidualDescent` for what they do."""

    @property
    def stages(self) -> nn.ModuleList: ...

    def solve_root(self, kp: Tensor, conf: Tensor, p: Tensor, K: Tensor) -> Tensor: ...

    def see(self, kp_img: Tensor, conf: Tensor, p_root: Tensor, root_cam: Tensor, K: Tensor) -> tuple[Any, Any]: ...

    def advance(self, p_root: Tensor, y: Tensor, known: Any) -> Tensor: ...

    def first_steps(self, steps: int) -> Any: ...

    def fit(self, kp_img: Tensor, conf: Tensor) -> None: ...


@dataclass(frozen=True, kw_only=True)
class DescentConfig(LiftedConfig):
    """The defaults are the published ones: the loss is in millimetres, every step's regressor sees the data once."""

    loss: LossName = "mse"
    """Mean squared, mean absolute, or mean Euclidean distance per joint (`sqrtl2` of ERD), of millimetres."""
    rates: tuple[float, ...] = ()
    """Learning rate of each regressor; nothing is the schedule's for all of them."""
    root_model: str = ""
    """A root model that locates the root where `model.root` is given; nothing is the truth."""
    root_noise: float = 0.0
    """Deviation of noise on the root's depth in training, as a part of it."""

    def build(self, model: RefinerConfig, data: DataConfig) -> Descent:
        return Descent(self, model, data)


class Descent:
    """The staged objective of a `StagedRefiner`.

    Raises `InputError` for a lifter that is none or of another skeleton, and for rates that are not one per regressor.
    """

    draws = torch.device("cpu")

    def __init__(self, config: DescentConfig, model: RefinerConfig, data: DataConfig) -> None:
        refiner: Any = build_model(model)
        if not isinstance(refiner, StagedRefiner):
            raise InputError(field="model", expected="a refiner with regressors to train", found=type(refiner).__name__)
        if config.rates and len(config.rates) != len(refiner.stages):
            expected, found = f"{len(refiner.stages)} rates", len(config.rates)
            raise InputError(field="objective.rates", expected=expected, found=found)
        self.config = config
        self.model: Any = refiner
        self.root_model: RootModel | None = load_root(model_source(config.root_model)) if config.root_model else None
        Refinement(refiner=self.model, root_model=self.root_model)  # refuses a root model that it has no use for
        self.lifted = Lifted(config, refiner.skeleton, data)
        self.bank: LiftedBatch | None = None
        self.stage = 0

    @property
    def stages(self) -> Sequence[nn.Module]:
        return list(self.model.stages)

    # ------------------------------------------------------------------ the lifted training set
    @torch.no_grad()
    def root(self, batch: LiftedBatch) -> Tensor:
        """Where the root of the poses is taken to be, but for noise."""
        if self.model.config.root != "given":
            return self.model.solve_root(batch.kp_img, batch.conf, batch.pose, batch.K)
        if self.root_model is not None:
            return self.root_model.locate(batch.kp_img, batch.conf, batch.pose, batch.K)
        return batch.root_cam

    def fit(self, gen: Generator) -> None:
        batch = self.lifted.source.batch(min(_STATISTICS, self.config.samples), gen)
        kp, conf = (self.lifted.lifter.output_frames(x).flatten(0, 1) for x in (batch.kp_img, batch.conf))
        self.model.fit(kp, conf)

    @torch.no_grad()
    def enter(self, stage: int, device: torch.device, gen: Generator) -> None:
        self.model.eval()
        if self.bank is None:
            parts = list(self.lifted.draw(gen, device))
            bank = LiftedBatch(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(LiftedBatch)})
            at = torch.cat([self.root(bank.part(piece)) for piece in _pieces(bank)])
            if self.config.root_noise > 0 and self.model.config.root == "given":
                noise = torch.randn(*at.shape[:-1], 1, generator=gen).to(at)
                at = at * (1 + self.config.root_noise * noise).clamp_min(0.1)
            self.bank, self.stage = replace(bank, at=at), 0
        for number in range(self.stage, stage):
            self._move(self.bank, number)
        self.stage = stage
        self.model.stages[stage].train()

    def _move(self, bank: LiftedBatch, number: int) -> None:
        """Put the training set one regressor further."""
        for piece in _pieces(bank):
            part = bank.part(piece)
            f, known = self.model.see(part.kp_img, part.conf, part.pose, part.at, part.K)
            bank.pose[piece] = self.model.advance(part.pose, self.model.stages[number](f), known)
            if self.model.config.root == "resolved":
                bank.at[piece] = self.root(bank.part(piece))

    def rate(self, stage: int) -> float | None:
        return self.config.rates[stage] if self.config.rates else None

    def batch(self, b: int, gen: Generator) -> Batch:
        assert self.bank is not None
        return self.bank.part(torch.randint(len(self.bank), (b,), generator=gen))

    # ------------------------------------------------------------------ a step
    def losses(self, network: nn.Module, batch: LiftedBatch) -> dict[str, Tensor]:
        with torch.no_grad():
            f, known = self.model.see(batch.kp_img, batch.conf, batch.pose, batch.at, batch.K)
        pose = self.model.advance(batch.pose, network(f).float(), known)
        value = LOSSES[self.config.loss](1000 * pose, 1000 * batch.p_root, None)
        with torch.no_grad():
            before, after = ((p - batch.p_root).norm(dim=-1).mean() * 1000 for p in (batch.pose, pose))
        return {"loss": value, "before_mm": before, "mpjpe_mm": after}

    # ------------------------------------------------------------------ validation and saving
    def report(self, device: torch.device) -> Report:
        refiner = self.result().eval().to(device)
        return self.lifted.report(Refinement(refiner=refiner, root_model=self.root_model), device)

    def result(self) -> Any:
        return self.model.first_steps(self.stage + 1)

    def beside(self) -> dict[str, nn.Module]:
        return {}

    def card(self) -> dict[str, Any]:
        return {**self.lifted.card(), "root": self.model.config.root}


def _pieces(bank: LiftedBatch) -> list[slice]:
    return [slice(begin, begin + CHUNK) for begin in range(0, len(bank), CHUNK)]
