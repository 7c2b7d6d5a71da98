"""Training networks of pictures: joints from heatmaps, roots from crops with and without known depth.

Both draw batches of crops from a picture set (`data.pictures`); whatever is varied is varied there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from poselift.data.images import ImageBatch
from poselift.data.pictures import PictureConfig, PictureSource, picture_source
from poselift.data.reused import ReusedPictures
from poselift.errors import InputError
from poselift.geometry.projection import unproject
from poselift.losses import heatmap_mse, root_l1
from poselift.metrics import mrpe_mm
from poselift.models.heatmaps import gaussian_targets
from poselift.models.images import IMAGE_POSES, IMAGE_ROOTS
from poselift.models.images.base import CELL, ImageConfig, ImageModel, ImagePose, ImageRoot
from poselift.models.kinds import build_model
from poselift.models.weights import load_backbone
from poselift.train.objectives import SingleStage

__all__ = ["ImagePoseObjective", "ImagePoseObjectiveConfig", "ImageRootObjective", "ImageRootObjectiveConfig"]

_VALIDATION_SEED = 20_240
_PORTION = 32


@dataclass(frozen=True, kw_only=True)
class PictureObjectiveConfig:
    """What both objectives say."""

    backbone: str | None = None
    """Backbone to begin with: a model folder, from `poselift import resnet50-….pth` or of any network of pictures, such
    as a trained Pose ResNet; from nothing if not given."""
    validation: int = 512
    """Crops of people that it has not met, always the same ones, on which the model is validated."""


@dataclass(frozen=True, kw_only=True)
class ImagePoseObjectiveConfig(PictureObjectiveConfig):
    """Mean squared error of heatmaps (Xiao et al., ECCV 2018)."""

    sigma: float = 2.0
    """Of the targets, cells; published are 2, and 3 for crops of 384 pixels."""
    rounded: bool = True
    """Targets are centred on the nearest cell (MPII) or on the very place (Human3.6M's variant)."""

    def build(self, model: ImageConfig, data: PictureConfig) -> ImagePoseObjective:
        return ImagePoseObjective(self, model, data)


@dataclass(frozen=True, kw_only=True)
class ImageRootObjectiveConfig(PictureObjectiveConfig):
    """Absolute error of x, y (cells) and depth (Moon et al., ICCV 2019); pictures without depth teach x and y."""

    depth_weight: float = 1000.0
    """Weight of a metre of depth against a cell; published is 1000 (millimetres)."""
    depth_rate: float = 1.0
    """Learning rate of the layer that gives the depth, as a part of the others'; published is 1. All of its hundreds of
    inputs are positive, so a step of Adam moves γ of everybody at once by about the rate times their sum."""

    def build(self, model: ImageConfig, data: PictureConfig) -> ImageRootObjective:
        return ImageRootObjective(self, model, data)


@dataclass(frozen=True)
class Figures:
    """What a validation found: figure → mean over crops."""

    values: dict[str, float]

    def summary(self) -> dict[str, float]:
        """As that of `metrics.Report`."""
        return {f"{k}/frame": v for k, v in self.values.items()}


class _Pictures(SingleStage):
    """What both objectives do; subclasses have `losses` and `errors`. Raises `InputError`."""

    model: ImageModel

    def __init__(self, config: PictureObjectiveConfig, model: Any, data: PictureConfig) -> None:
        if config.validation < 1:
            raise InputError(field="objective.validation", expected="1 or more", found=config.validation)
        self.settings, self.data = config, data
        self.model = build_model(model)  # type: ignore[assignment]
        self.source: PictureSource = picture_source(data, "train")
        if data.reuse != 1:
            self.source = ReusedPictures(self.source, data.reuse, data.held)
        self.seen: PictureSource = picture_source(data, "validation")

    def fit(self, gen: Generator) -> None:
        """Nothing is measured; the backbone is put in. Raises `InputError` for one of another depth."""
        if self.settings.backbone is None:
            return
        given, own = load_backbone(self.settings.backbone), self.model.backbone  # type: ignore[union-attr]
        if given.config != own.config:  # type: ignore[union-attr]
            found = f"{given.config.depth} layers, {given.config.style}"
            expected = f"{own.config.depth} layers, {own.config.style}"  # type: ignore[union-attr]
            raise InputError(field="objective.backbone", expected=expected, found=found)
        own.load_state_dict({**own.state_dict(), **given.state_dict()})  # type: ignore[union-attr,operator]

    def enter(self, stage: int, device: torch.device, gen: Generator) -> None:
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().enter(stage, device, gen)

    def batch(self, b: int, gen: Generator) -> ImageBatch:
        return self._checked(self.source.batch(b, gen))

    def _checked(self, batch: ImageBatch) -> ImageBatch:
        size, own = tuple(batch.image.shape[-2:]), self.model.config.size_hw
        if size != own:
            raise InputError(field="model.size_hw", expected=f"{size}, that of the pictures", found=own)
        return batch

    def score(self, device: torch.device) -> Figures:
        """Means over the validation crops."""
        gen = torch.Generator().manual_seed(_VALIDATION_SEED)
        found: dict[str, list[Tensor]] = {}
        left = self.settings.validation
        while left > 0:
            batch = self._checked(self.seen.batch(min(left, _PORTION), gen)).to(device)
            left -= _PORTION
            with torch.no_grad():
                for name, values in self.errors(batch).items():
                    found.setdefault(name, []).append(values.cpu())
        return Figures({k: float(torch.cat(v).double().mean()) for k, v in found.items()})

    def errors(self, batch: ImageBatch) -> dict[str, Tensor]:
        """Figure → an error of each crop, or of what can be told."""
        raise NotImplementedError

    def card(self) -> dict[str, Any]:
        return {} if self.settings.backbone is None else {"backbone": self.settings.backbone}


class ImagePoseObjective(_Pictures):
    """Heatmaps against Gaussians at the visible joints."""

    model: ImagePose

    def __init__(self, config: ImagePoseObjectiveConfig, model: ImageConfig, data: PictureConfig) -> None:
        if not any(isinstance(model, entry[0]) for entry in IMAGE_POSES.values()):
            raise InputError(field="model", expected="a network from pictures to joints", found=type(model).__name__)
        super().__init__(config, model, data)
        self.config = config
        if self.source.skeleton != self.model.skeleton:
            expected, found = self.source.skeleton.name, self.model.skeleton.name
            raise InputError(field="model.skeleton", expected=f"{expected}, that of the pictures", found=found)

    def losses(self, network: nn.Module, batch: ImageBatch) -> dict[str, Tensor]:
        heat = network(self.model.normalize(batch.image)).float()
        size: tuple[int, int] = self.model.map_hw
        cells = batch.kp_patch / CELL
        target, weight = gaussian_targets(
            cells, batch.visible, size, sigma=self.config.sigma, rounded=self.config.rounded
        )
        return {"loss": heatmap_mse(heat, target, weight)}

    def errors(self, batch: ImageBatch) -> dict[str, Tensor]:
        kp, _ = self.model.estimate(batch.image)
        distance = (kp - batch.kp_patch).norm(dim=-1)[batch.visible > 0]
        return {"kp_error_percent": 100 * distance / max(self.model.config.size_hw)}


class ImageRootObjective(_Pictures):
    """RootNet's loss; validation in millimetres over crops of known depth."""

    model: ImageRoot

    def __init__(self, config: ImageRootObjectiveConfig, model: ImageConfig, data: PictureConfig) -> None:
        if not any(isinstance(model, entry[0]) for entry in IMAGE_ROOTS.values()):
            raise InputError(field="model", expected="a network from pictures to roots", found=type(model).__name__)
        if not 0 < config.depth_rate <= 1:
            raise InputError(field="objective.depth_rate", expected="above 0, up to 1", found=config.depth_rate)
        super().__init__(config, model, data)
        self.config = config

    @property
    def scales(self) -> dict[str, float]:
        return {self.model.depth_layer: self.config.depth_rate}

    def losses(self, network: nn.Module, batch: ImageBatch) -> dict[str, Tensor]:
        found = network(self.model.normalize(batch.image), batch.k).float()
        target = torch.cat((batch.root_patch / CELL, batch.root_z[:, None]), -1)
        weight = self.config.depth_weight
        value = root_l1(found, target, batch.root_visible, batch.has_depth, depth_weight=weight).mean()
        with torch.no_grad():
            known = batch.has_depth & (batch.root_visible > 0)
            depth = 1000 * (found - target)[:, 2].abs() * known
        return {"loss": value, "mrpe_z_mm": depth.sum() / known.sum().clamp_min(1)}

    def errors(self, batch: ImageBatch) -> dict[str, Tensor]:
        known = batch.has_depth
        pred = self.model.locate(batch.image, batch.k, batch.box_xywh, batch.K)[known]
        h, w = self.model.config.size_hw
        part = batch.root_patch / batch.root_patch.new_tensor((w, h))
        root_img = part * batch.box_xywh[:, 2:] + batch.box_xywh[:, :2]
        error = mrpe_mm(pred, unproject(root_img, batch.root_z, batch.K)[known])
        return {"mrpe_mm": error.total, "mrpe_x_mm": error.x, "mrpe_y_mm": error.y, "mrpe_z_mm": error.z}
