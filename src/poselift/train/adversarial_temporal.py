"""Training of the temporal GAN (`models.lifters.video_gan`): a network for the pose and one for the root.

The pose at its root, projected with the known intrinsics, has to fall on the keypoints, and the critic has to take it
for one of a person. With known intrinsics a size is tied to a distance, so that metres are those of the critic's
people. The root network is saved beside the lifter, in the folder `root`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Generator, Tensor, nn

from poselift.data.bank import Batch
from poselift.data.datasets import DataConfig
from poselift.errors import InputError
from poselift.geometry.projection import normalize_screen, screen_intrinsics
from poselift.losses_adversarial import depth_weighted_reprojection
from poselift.metrics import Report
from poselift.models.base import LifterConfig
from poselift.models.lifters import build_lifter
from poselift.models.lifters.video_gan import VideoGAN
from poselift.models.roots.video_gan import VideoGANRoot, VideoGANRootConfig
from poselift.train.adversarial import AdversarialConfig, AdversarialObjective
from poselift.train.evaluate import evaluate_clips
from poselift.train.objectives import check_windows

__all__ = ["TemporalGANConfig", "TemporalGANObjective"]

_ROOTS = 4096
"""Windows that the mean root is of."""


@dataclass(frozen=True, kw_only=True)
class TemporalGANConfig(AdversarialConfig):
    """The defaults are the published ones, but for what begins the root network."""

    root: VideoGANRootConfig = field(default_factory=VideoGANRootConfig)
    """The root network."""
    reprojection: float = 100.0
    """Weight of the reprojection error (mean square of screen coordinates times depth)."""
    begin_at_mean: bool = True
    """Roots begin where those of the critic's people are on average. As published they begin at the camera, where
    the reprojection error, which is weighted by depth, is small for any pose."""

    def build(self, model: LifterConfig, data: DataConfig) -> TemporalGANObjective:
        return TemporalGANObjective(self, model, data)


class _Generator(nn.Module):
    """Both networks on the same windows."""

    def __init__(self, root: VideoGANRoot, pose: VideoGAN) -> None:
        super().__init__()
        self.root, self.pose = root, pose

    def forward(self, kp_norm: Tensor, kp_img: Tensor, conf: Tensor, K: Tensor) -> tuple[Tensor, Tensor]:
        return self.pose(kp_norm), self.root(kp_img, conf, K)


class TemporalGANObjective(AdversarialObjective):
    """Raises `InputError` for another lifter, windows shorter than it sees, a root network of another skeleton, and as
    `AdversarialObjective` does."""

    def __init__(self, config: TemporalGANConfig, model: LifterConfig, data: DataConfig) -> None:
        lifter = build_lifter(model)
        if not isinstance(lifter, VideoGAN):
            found = type(lifter).__name__
            raise InputError(field="model", expected="a video_gan, which has a root network", found=found)
        check_windows(lifter, data)
        if config.root.skeleton != lifter.skeleton.name:
            found = config.root.skeleton
            raise InputError(field="objective.root.skeleton", expected=lifter.skeleton.name, found=found)
        super().__init__(config, lifter, data)
        self.config, self.root_model = config, VideoGANRoot(config.root)
        self.model = self.generator = _Generator(self.root_model, lifter)

    def fit(self, gen: Generator) -> None:
        super().fit(gen)
        if self.config.begin_at_mean:  # of people who are not seen: no pair
            roots = self.source.shown.batch(_ROOTS // 16, gen).root_cam
            self.root_model.set_statistics(mean_root=roots.flatten(0, 1).mean(0))

    # ------------------------------------------------------------------ a step
    def fake(self, batch: Batch) -> Tensor:
        return self.lifter(self.encode(batch))

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        pose, root = (x.float() for x in network(self.encode(batch), batch.kp_img, batch.conf, batch.K))
        kp, conf = (self.lifter.output_frames(x) for x in (batch.kp_img, batch.conf))
        t = kp.shape[1]
        K = screen_intrinsics(batch.K, batch.size_wh)[:, None].expand(-1, t, 3, 3)
        kp = normalize_screen(kp, batch.size_wh)
        reprojection = depth_weighted_reprojection(pose + root[..., None, :], kp, K, conf > 0)
        convincing = self.convincing(pose)
        loss = self.config.reprojection * reprojection + convincing
        return {"loss": loss, "reprojection": reprojection, "generator": convincing, "depth_m": root[..., 2].mean()}

    # ------------------------------------------------------------------ validation and saving
    def score(self, device: torch.device) -> Report:
        return evaluate_clips(self.lifter, self.validation, device=device, root_model=self.root_model)

    def beside(self) -> dict[str, nn.Module]:
        return {"root": cast(nn.Module, self.root_model)}
