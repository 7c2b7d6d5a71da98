"""Poses of a trained lifter with their truth: what refiners learn from. The lifter stays as it is and runs once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from poselift.data.bank import Batch
from poselift.data.datasets import BatchSource, DataConfig, dataset_clips, dataset_source
from poselift.errors import InputError
from poselift.metrics import Report
from poselift.models.base import Lifter, Refiner
from poselift.models.predict import Refinement
from poselift.models.weights import load_model, load_refiner, model_source
from poselift.structures import Clip, Skeleton
from poselift.train.evaluate import predictions, refined, report_on
from poselift.train.objectives import check_windows

__all__ = ["Lifted", "LiftedBatch", "LiftedConfig"]

CHUNK = 4096
"""Frames that are lifted in one go."""


@dataclass(frozen=True, kw_only=True)
class LiftedConfig:
    """Whose poses are refined, and how many of them are learned from."""

    lifter: str = "default"
    """The lifter whose poses are refined: a name of `poselift models`, a model folder, a Hub name."""
    after: str = ""
    """A refiner that has refined them already, with the root that it was trained with; nothing is none."""
    flip_average: bool = False
    """Lift the mean of the pose and of the mirrored person's."""
    lifter_dropout: bool = False
    """Lift the training set with the lifter's dropout on: its errors are then as large as on people it has not met."""
    samples: int = 262_144
    """Size of the lifted training set."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LiftedBatch(Batch):
    """Single frames (t = 1) with `pose` (b, 1, j, 3) metres as it is before a step, and `at` (b, 1, 3): its root."""

    pose: Tensor
    at: Tensor


class Lifted:
    """A lifter with a training source and validation clips. Raises `InputError` for one of another skeleton."""

    def __init__(self, config: LiftedConfig, skeleton: Skeleton, data: DataConfig) -> None:
        self.config, self.data = config, data
        self.lifter: Lifter = load_model(model_source(config.lifter))
        if self.lifter.skeleton.name != skeleton.name:
            found = self.lifter.skeleton.name
            raise InputError(field="objective.lifter skeleton", expected=skeleton.name, found=found)
        check_windows(self.lifter, data)
        self.refiner: Refiner | None = load_refiner(model_source(config.after)) if config.after else None
        self.source: BatchSource = dataset_source(data, "train")
        self.validation: list[Clip] = dataset_clips(data, "validation", data.validation_every)
        self._before: list[Tensor] | None = None

    @torch.no_grad()
    def draw(self, gen: Generator, device: torch.device) -> Iterator[LiftedBatch]:
        """The training set in pieces, lifted; `at` is the true root."""
        self._place(device)
        for begin in range(0, self.config.samples, CHUNK):
            batch = self.source.batch(min(CHUNK, self.config.samples - begin), gen).to(device)
            if self.config.lifter_dropout:
                torch.manual_seed(int(torch.randint(2**31, (), generator=gen)))
                _dropout(self.lifter, on=True)
            inputs = (batch.kp_img, batch.conf, batch.K, batch.size_wh)
            pose = self.lifter.lift(*inputs, flip_average=self.config.flip_average)
            _dropout(self.lifter, on=False)
            cut = {n: self.lifter.output_frames(getattr(batch, n)) for n in ("kp_img", "conf", "p_root", "root_cam")}
            if self.refiner is not None:
                pose = self.refiner.refine(cut["kp_img"], cut["conf"], pose, cut["root_cam"], batch.K)
            yield LiftedBatch(K=batch.K, size_wh=batch.size_wh, pose=pose, at=cut["root_cam"], **cut)

    def report(self, refinement: Refinement, device: torch.device) -> Report:
        """Validation of a refiner on the lifter's poses."""
        if self._before is None:
            self._place(device)
            poses = predictions(self.lifter, self.validation, device=device, flip_average=self.config.flip_average)
            if self.refiner is not None:
                poses = refined(Refinement(refiner=self.refiner), self.validation, poses, device=device)
            self._before = list(poses)
        after = refined(refinement, self.validation, self._before, device=device)
        return report_on(after, self.validation, self.lifter.skeleton)

    def _place(self, device: torch.device) -> None:
        self.lifter.to(device)
        if isinstance(self.refiner, nn.Module):
            self.refiner.to(device)

    def card(self) -> dict[str, Any]:
        return {"lifter": self.config.lifter} | ({"after": self.config.after} if self.config.after else {})


def _dropout(model: nn.Module, *, on: bool) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.train(on)
