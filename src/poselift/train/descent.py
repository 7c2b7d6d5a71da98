"""Residual descent, trained as published: one regressor after the other, on poses of a lifter that stays as it is.

The training set is drawn and lifted once. A stage moves the whole set by the regressors before it, so that a step costs
one regressor, however many there are; running them anew for every batch would give the same, as they are in eval mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Generator, Tensor, nn

from poselift.data.bank import Batch
from poselift.data.datasets import DataConfig, dataset_clips, dataset_source
from poselift.errors import InputError
from poselift.losses import LOSSES
from poselift.metrics import Report
from poselift.models.base import Lifter, Refiner, RefinerConfig, RootModel
from poselift.models.kinds import build_model
from poselift.models.predict import Refinement
from poselift.models.weights import load_model, load_root
from poselift.structures import Clip
from poselift.train.evaluate import predictions, refined, report_on
from poselift.train.objectives import LossName

__all__ = ["Descent", "DescentConfig"]

_CHUNK = 4096
"""Frames that are lifted or moved in one go."""
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
class DescentConfig:
    """The defaults are the published ones: the loss is in millimetres, every step's regressor sees the data once."""

    lifter: str = "default"
    """The lifter whose poses are refined: a name of `poselift models`, a model folder, a Hub name."""
    loss: LossName = "mse"
    """Mean squared, mean absolute, or mean Euclidean distance per joint (`sqrtl2` of ERD), of millimetres."""
    rates: tuple[float, ...] = ()
    """Learning rate of each regressor; nothing is the schedule's for all of them."""
    root_model: str = ""
    """A root model that locates the root where `model.root` is given; nothing is the truth."""
    root_noise: float = 0.0
    """Deviation of noise on the root's depth in training, as a part of it."""
    samples: int = 262_144
    """Size of the lifted training set."""
    flip_average: bool = False
    """Lift the mean of the pose and of the mirrored person's."""

    def build(self, model: RefinerConfig, data: DataConfig) -> Descent:
        return Descent(self, model, data)


@dataclass(frozen=True, kw_only=True, eq=False)
class LiftedBatch(Batch):
    """Single frames (t = 1) with `pose` (b, 1, j, 3) metres as it is before a step, and `at` (b, 1, 3): its root."""

    pose: Tensor
    at: Tensor

    def part(self, index: Any) -> LiftedBatch:
        return LiftedBatch(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


class Descent:
    """The staged objective of a `StagedRefiner`.

    Raises `InputError` for a lifter that is none or of another skeleton, and for rates that are not one per regressor.
    """

    def __init__(self, config: DescentConfig, model: RefinerConfig, data: DataConfig) -> None:
        if not config.lifter:
            raise InputError(field="objective.lifter", expected="a model name or folder", found="nothing")
        refiner: Any = build_model(model)
        if not isinstance(refiner, StagedRefiner):
            raise InputError(field="model", expected="a refiner with regressors to train", found=type(refiner).__name__)
        if config.rates and len(config.rates) != len(refiner.stages):
            found = f"{len(config.rates)}"
            raise InputError(field="objective.rates", expected=f"{len(refiner.stages)} rates", found=found)
        self.config, self.data = config, data
        self.model: Any = refiner
        self.lifter: Lifter = load_model(_source(config.lifter))
        self.root_model: RootModel | None = load_root(_source(config.root_model)) if config.root_model else None
        if self.lifter.skeleton.name != refiner.skeleton.name:
            expected, found = refiner.skeleton.name, self.lifter.skeleton.name
            raise InputError(field="objective.lifter skeleton", expected=expected, found=found)
        self.validation: list[Clip] = dataset_clips(data, "validation", data.validation_every)
        self.bank: LiftedBatch | None = None
        self.before: list[Tensor] | None = None
        self.stage = 0

    @property
    def stages(self) -> Sequence[nn.Module]:
        return list(self.model.stages)

    # ------------------------------------------------------------------ the lifted training set
    @torch.no_grad()
    def lifted(self, gen: Generator, device: torch.device) -> LiftedBatch:
        """Samples of the training source with the lifter's poses and their roots."""
        source, parts = dataset_source(self.data, "train"), []
        self.lifter.to(device)
        for begin in range(0, self.config.samples, _CHUNK):
            batch = source.batch(min(_CHUNK, self.config.samples - begin), gen).to(device)
            inputs = (batch.kp_img, batch.conf, batch.K, batch.size_wh)
            pose = self.lifter.lift(*inputs, flip_average=self.config.flip_average)
            cut = {n: self.lifter.output_frames(getattr(batch, n)) for n in ("kp_img", "conf", "p_root", "root_cam")}
            part = LiftedBatch(K=batch.K, size_wh=batch.size_wh, pose=pose, at=cut["root_cam"], **cut)
            parts.append(LiftedBatch(**{**part.as_dict(), "at": self.root(part, gen)}))
        return LiftedBatch(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(LiftedBatch)})

    def root(self, batch: LiftedBatch, gen: Generator | None = None) -> Tensor:
        """Where the root of the poses is taken to be."""
        if self.model.config.root != "given":
            return self.model.solve_root(batch.kp_img, batch.conf, batch.pose, batch.K)
        at = batch.root_cam
        if self.root_model is not None:
            at = self.root_model.locate(batch.kp_img, batch.conf, batch.pose, batch.K)
        if self.config.root_noise > 0 and gen is not None:
            noise = torch.randn(*at.shape[:-1], 1, generator=gen).to(at)
            at = at * (1 + self.config.root_noise * noise).clamp_min(0.1)
        return at

    def fit(self, gen: Generator) -> None:
        source, n = dataset_source(self.data, "train"), min(_STATISTICS, self.config.samples)
        batch = source.batch(n, gen)
        kp, conf = (self.lifter.output_frames(x).flatten(0, 1) for x in (batch.kp_img, batch.conf))
        self.model.fit(kp, conf)

    @torch.no_grad()
    def enter(self, stage: int, device: torch.device, gen: Generator) -> None:
        self.model.eval()
        if self.bank is None:
            self.bank, self.stage = self.lifted(gen, device), 0
        for number in range(self.stage, stage):
            self._move(number)
        self.stage = stage
        self.model.stages[stage].train()

    def _move(self, number: int) -> None:
        """Put the training set one regressor further."""
        bank = self.bank
        assert bank is not None
        for begin in range(0, len(bank), _CHUNK):
            piece = slice(begin, begin + _CHUNK)
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
        if self.before is None:
            clips = predictions(self.lifter, self.validation, device=device, flip_average=self.config.flip_average)
            self.before = list(clips)
        refiner = self.result().eval().to(device)
        refinement = Refinement(refiner=refiner, root_model=self.root_model)
        return report_on(
            refined(refinement, self.validation, self.before, device=device), self.validation, self.lifter.skeleton
        )

    def result(self) -> Any:
        return self.model.first_steps(self.stage + 1)

    def card(self) -> dict[str, Any]:
        return {"lifter": self.config.lifter, "root": self.model.config.root}


def _source(text: str) -> str | Path:
    """A folder where there is one: a model's name otherwise."""
    return Path(text) if Path(text).is_dir() else text
