"""Supervised training of a temporal network on a frozen spatial one: windows are drawn and go through the spatial
network once, before the first step, and stay resident. Steps then cost what the temporal network costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from poselift.data.datasets import DataConfig
from poselift.data.tensors import TensorBatch
from poselift.errors import InputError
from poselift.models.base import LifterConfig
from poselift.models.lifters.spatial_temporal import SpatialTemporal
from poselift.models.weights import load_model, model_source
from poselift.train.objectives import Supervised, SupervisedConfig

__all__ = ["Encoded", "EncodedBatch", "EncodedConfig"]

CHUNK = 64
"""Windows that are drawn and encoded in one go."""


@dataclass(frozen=True, kw_only=True)
class EncodedConfig(SupervisedConfig):
    """2D in, 3D truth known, the spatial network given."""

    loss: str = "mpjpe"  # type: ignore[assignment]
    """Mean squared, mean absolute, or mean Euclidean distance per joint."""
    units: str = "metres"  # type: ignore[assignment]
    """Units of the difference: each coordinate's standard deviation over the training set, or metres."""
    spatial: str = "default"
    """The single-frame lifter whose poses are corrected: a name of `poselift models`, a model folder, a Hub name."""
    samples: int = 8192
    """Windows of the training set."""

    def build(self, model: LifterConfig, data: DataConfig) -> Encoded:
        return Encoded(self, model, data)


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedBatch(TensorBatch):
    """kp_norm (b, t, j, c), target (b, t_out, j, 3) metres, conf (b, t_out, j); see `Supervised.encode`."""

    kp_norm: Tensor
    target: Tensor
    conf: Tensor


class Encoded(Supervised):
    """The objective. Raises `InputError` for another family of lifters, or a spatial network that does not fit."""

    config: EncodedConfig
    model: SpatialTemporal

    def __init__(self, config: EncodedConfig, model: LifterConfig, data: DataConfig) -> None:
        super().__init__(config, model, data)
        if not isinstance(self.model, SpatialTemporal):
            found = type(self.model).__name__
            raise InputError(field="model", expected="a spatial_temporal, which has a spatial network", found=found)
        if config.samples < 1:
            raise InputError(field="objective.samples", expected="1 or more", found=config.samples)
        self.bank: EncodedBatch | None = None

    def fit(self, gen: Generator) -> None:
        if self.config.start:
            return super().fit(gen)
        self.model.take_spatial(load_model(model_source(self.config.spatial)))
        spatial = self.model.spatial
        self.model.set_statistics(mean3d=spatial.mean3d, std3d=spatial.std3d)

    def enter(self, stage: int, device: torch.device, gen: Generator) -> None:
        super().enter(stage, device, gen)
        if self.bank is not None:
            return
        if self.draws != gen.device:
            gen = Generator(self.draws).manual_seed(gen.initial_seed())
        parts: list[EncodedBatch] = []
        for begin in range(0, self.config.samples, CHUNK):
            drawn = self.source.batch(min(CHUNK, self.config.samples - begin), gen).to(device)
            parts.append(EncodedBatch(**dict(zip(("kp_norm", "target", "conf"), self.encode(drawn), strict=True))))
        joined = {name: torch.cat([getattr(p, name) for p in parts]) for name in parts[0].as_dict()}
        self.bank = EncodedBatch(**joined)

    def batch(self, b: int, gen: Generator) -> Any:
        assert self.bank is not None
        index = torch.randint(len(self.bank), (b,), generator=gen, device=gen.device).to(self.bank.kp_norm.device)
        return self.bank.part(index)

    def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
        return self.compare(network, batch.kp_norm, batch.target, batch.conf)

    def card(self) -> dict[str, Any]:
        return {"spatial": self.config.spatial}
