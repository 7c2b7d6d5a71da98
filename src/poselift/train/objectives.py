"""What a run minimises: the protocol of objectives, what those of one stage share, and the supervised one.

An objective has the model, the data and the losses; the loop has steps, optimisers, saving and resuming. It may
have several stages: modules that are trained one after the other, each with an optimiser of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Generator, Tensor, nn

from poselift.data.bank import Batch
from poselift.data.datasets import BatchSource, DataConfig, dataset_clips, dataset_source, resident
from poselift.data.tensors import TensorBatch
from poselift.errors import InputError
from poselift.losses import LOSSES, motion
from poselift.metrics import Report
from poselift.models.base import Lifter, LifterConfig, to_look
from poselift.models.config_json import config_to_json
from poselift.models.lifters import build_lifter
from poselift.models.weights import load_model, model_source
from poselift.structures import Clip
from poselift.train.evaluate import evaluate_clips
from poselift.train.statistics import fit_statistics

__all__ = [
    "LossName", "Objective", "Progressive", "SingleStage", "Supervised", "SupervisedConfig", "check_windows",
    "validation_clips",
]  # fmt: skip

LossName = Literal["mse", "l1", "mpjpe"]


@runtime_checkable
class Scaled(Protocol):
    """An objective that has a part of its model learn at another rate."""

    @property
    def scales(self) -> dict[str, float]:
        """Beginning of parameters' names → factor of the learning rate."""
        ...


@runtime_checkable
class Validation(Protocol):
    """What a validation found: a `Report`, or the like."""

    def summary(self) -> dict[str, float]:
        """`figure/average` → number."""
        ...


@runtime_checkable
class Objective(Protocol):
    """What the loop asks of an objective. `model` is all that is trained, complete, with its statistics in buffers."""

    model: nn.Module

    @property
    def stages(self) -> Sequence[nn.Module]:
        """The modules that are trained, in their order."""
        ...

    def fit(self, gen: Generator) -> None:
        """Before the first step of a new run: statistics of the training set."""
        ...

    def enter(self, stage: int, device: torch.device, gen: Generator) -> None:
        """Before a stage's first step, and where a run is resumed: earlier stages are done, modes are to be set.

        gen: always in the same state.
        """
        ...

    def rate(self, stage: int) -> float | None:
        """Highest learning rate of a stage; None is the schedule's."""
        ...

    @property
    def draws(self) -> torch.device:
        """Where batches are made, and so the device of their generator; known once a stage is entered."""
        ...

    def batch(self, b: int, gen: Generator) -> TensorBatch:
        """The global batch of a step."""
        ...

    def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Named scalars, of which `loss` is minimised; `network` is the stage's module as wrapped for its device."""
        ...

    def report(self, device: torch.device) -> Validation:
        """Validation of the model as it is, on people that it has not met."""
        ...

    def result(self) -> nn.Module:
        """What is worth saving after the stage that is being trained."""
        ...

    def beside(self) -> dict[str, nn.Module]:
        """Further models that are trained with it, each saved in a folder of that name next to it."""
        ...

    def card(self) -> dict[str, Any]:
        """What the model's card says about it."""
        ...


def validation_clips(data: DataConfig, lifter: Lifter) -> list[Clip]:
    """What a lifter is validated on: each so-many-th frame, or, of clips that it has to see whole, each so-many-th."""
    if lifter.single_frame:
        return dataset_clips(data, "validation", data.validation_every)
    return dataset_clips(data, "validation")[:: data.validation_every]


def check_windows(lifter: Lifter, data: DataConfig) -> int:
    """How many frames of a training window get a pose. Raises `InputError` for windows shorter than the lifter sees."""
    if lifter.sequence:
        return data.frames
    if data.frames < lifter.receptive_field:
        want = f"{lifter.receptive_field} or more, which the lifter sees"
        raise InputError(field="data.frames", expected=want, found=data.frames)
    return data.frames - lifter.receptive_field + 1


def take_weights(model: Lifter, other: Lifter) -> None:
    """Weights and statistics of a trained lifter. Raises `InputError` for one that differs in more than dropout."""
    mine, theirs = (config_to_json(m.config) for m in (model, other))
    if type(model) is not type(other):
        raise InputError(field="objective.start", expected=type(model).__name__, found=type(other).__name__)
    for name in sorted(mine | theirs):
        if name != "dropout" and mine.get(name) != theirs.get(name):
            expected, found = (f"a model with {name} {c.get(name)}" for c in (mine, theirs))
            raise InputError(field="objective.start", expected=expected, found=found)
    model.load_state_dict(other.state_dict())


@runtime_checkable
class Progressive(Protocol):
    """An objective that changes with training. part: how much of the run is done, 0 to 1, told by the loop before each
    step."""

    part: float


class SingleStage:
    """What objectives of one model, trained in one stage, have in common. Subclasses set `model` and `source`, and have
    `losses` and `score`; those that save a part of the model, or measure the training set, say so."""

    model: nn.Module
    source: Any
    draws = torch.device("cpu")

    @property
    def stages(self) -> Sequence[nn.Module]:
        return (self.model,)

    def fit(self, gen: Generator) -> None:
        pass

    def enter(self, stage: int, device: torch.device, gen: Generator) -> None:
        self.source, self.draws = resident(self.source, device)
        self.model.train()

    def rate(self, stage: int) -> float | None:
        return None

    def batch(self, b: int, gen: Generator) -> Any:
        return self.source.batch(b, gen)

    def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
        raise NotImplementedError

    def report(self, device: torch.device) -> Validation:
        self.model.eval()
        try:
            return self.score(device)
        finally:
            self.model.train()

    def score(self, device: torch.device) -> Validation:
        """The report, of the model in eval mode."""
        raise NotImplementedError

    def result(self) -> nn.Module:
        return self.model

    def beside(self) -> dict[str, nn.Module]:
        return {}

    def card(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig:
    """2D in, 3D truth known."""

    start: str = ""
    """A model to go on from, with its weights and statistics: a name of `poselift models`, a model folder, a Hub name;
    nothing is random weights. Dropout may be another one than it was trained with."""
    loss: LossName = "mse"
    """Mean squared, mean absolute, or mean Euclidean distance per joint (`sqrtl2` of ERD)."""
    units: Literal["standardized", "metres"] = "standardized"
    """Units of the difference: each coordinate's standard deviation over the training set, or metres."""
    seen_weight: float = 1.0
    """Weight of joints that the input shows, against 1 for joints that it does not show."""
    bone_weight: float = 0.0
    """Weight of the mean absolute error of bone vectors, metres."""
    motion_weight: float = 0.0
    """Weight of the motion loss (Wang et al., ECCV 2020), where windows have more than one frame; theirs is 1."""
    motion_encoding: Literal["subtraction", "inner", "cross"] = "cross"
    """What two places of a joint say of its motion: their difference, inner product, or cross product."""
    motion_intervals: tuple[int, ...] = (8, 12, 16, 24)
    """Frames between the two; intervals that the windows are too short for do not count."""
    motion_begin: float = 0.0
    """Part of the run (0 to 1) at which the motion loss comes in: poses first, then how they move."""
    flip_average: bool = False
    """Validate the mean of the pose and of the mirrored person's."""

    def build(self, model: LifterConfig, data: DataConfig) -> Supervised:
        return Supervised(self, model, data)


class Supervised(SingleStage):
    """Loss between the lifted and the true root-relative pose, in the axes of the lifter's input frame.

    part: how much of the run is done (`Progressive`).
    """

    model: Lifter
    part: float = 0.0

    def __init__(self, config: SupervisedConfig, model: LifterConfig, data: DataConfig) -> None:
        if min(config.motion_intervals, default=1) < 1:
            raise InputError(
                field="objective motion_intervals", expected="numbers above 0", found=config.motion_intervals
            )
        self.config, self.data = config, data
        self.model = build_lifter(model)
        posed = check_windows(self.model, data)
        if config.motion_weight > 0 and not any(i < posed for i in config.motion_intervals):
            want = f"one below {posed}, the frames of a window that get a pose (--data.frames for longer ones)"
            raise InputError(field="objective.motion_intervals", expected=want, found=config.motion_intervals)
        self.source: BatchSource = dataset_source(data, "train")
        self.validation: list[Clip] = validation_clips(data, self.model)

    def fit(self, gen: Generator) -> None:
        if self.config.start:
            take_weights(self.model, load_model(model_source(self.config.start)))
        else:
            fit_statistics(self.model, self.source, gen)

    def score(self, device: torch.device) -> Report:
        return evaluate_clips(self.model, self.validation, device=device, flip_average=self.config.flip_average)

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return self.compare(network, *self.encode(batch))

    @torch.no_grad()
    def encode(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """kp_norm (b, t, j, c), and for the frames that get a pose: target (b, t_out, j, 3) metres in the axes of the
        input frame, conf (b, t_out, j)."""
        lifter = self.model
        kp_norm, R = lifter.encode(batch.kp_img, batch.conf, batch.K, batch.size_wh)
        target = batch.p_root if R is None else to_look(batch.p_root, R)
        return kp_norm, lifter.output_frames(target), lifter.output_frames(batch.conf)

    def compare(self, network: nn.Module, kp_norm: Tensor, target: Tensor, conf: Tensor) -> dict[str, Tensor]:
        """The losses of what the network makes of `encode`'s results."""
        lifter, cfg = self.model, self.config
        pred = network(kp_norm).float()
        weight = torch.where(conf > 0, cfg.seen_weight, 1.0)
        if cfg.units == "standardized":
            scale = lifter.std3d.clamp_min(1e-6)
            moving = (lifter.std3d > 1e-6).any(-1)  # the root of a root-relative pose never varies: it teaches nothing
            value = LOSSES[cfg.loss](pred / scale, target / scale, weight * moving)
        else:
            value = LOSSES[cfg.loss](pred, target, None if cfg.seen_weight == 1 else weight)
        out = {"loss": value}
        if cfg.bone_weight > 0:
            child, parent = zip(*lifter.skeleton.bones, strict=True)
            bones = (pred[..., child, :] - pred[..., parent, :]) - (target[..., child, :] - target[..., parent, :])
            out["bone"] = bones.abs().mean()
            out["loss"] = value + cfg.bone_weight * out["bone"]
        if cfg.motion_weight > 0 and pred.shape[1] > 1:
            out["motion"] = motion(pred, target, encoding=cfg.motion_encoding, intervals=cfg.motion_intervals)
            if self.part >= cfg.motion_begin:
                out["loss"] = out["loss"] + cfg.motion_weight * out["motion"]
        with torch.no_grad():
            out["mpjpe_mm"] = (pred - target).norm(dim=-1).mean() * 1000
        return out
