"""VideoPose3D's training: a lifter and a trajectory network beside it, learned together from labelled performers and
from the bare 2D of others. Pavllo et al., "3D human pose estimation in video with temporal convolutions and
semi-supervised training", CVPR 2019, section 4.

    labelled:    MPJPE(pose) + mean of |root error| / depth
    unlabelled:  |projection(pose + root) - keypoints|, screen coordinates, + |mean bone lengths - the labelled ones'|

What differs: warm-up is a part of the run, not epochs; cameras are straight; joints that the input does not show, and
those that are put behind the camera, are not compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from poselift.data.bank import Batch
from poselift.data.datasets import DataConfig, dataset_source
from poselift.data.labelled import PartlyLabelled
from poselift.errors import InputError
from poselift.geometry.projection import normalize_screen, project, screen_intrinsics
from poselift.losses import bone_length_match, mpjpe, weighted_mpjpe
from poselift.metrics import Report
from poselift.models.base import Lifter, LifterConfig, to_camera
from poselift.models.lifters import build_lifter
from poselift.models.roots.trajectory import Trajectory, TrajectoryConfig
from poselift.structures import Clip
from poselift.train.evaluate import evaluate_clips
from poselift.train.objectives import SingleStage, check_windows, validation_clips
from poselift.train.statistics import fit_statistics

__all__ = ["SemiSupervised", "SemiSupervisedConfig"]


@dataclass(frozen=True, kw_only=True)
class SemiSupervisedConfig:
    """The weights of the losses are the published ones. A step has `batch` labelled windows and as many others."""

    root: TrajectoryConfig = field(default_factory=TrajectoryConfig)
    """The trajectory network, of the lifter's receptive field."""
    labelled: float = 1.0
    """Part of the training frames, above 0 and up to 1, whose performers have 3D; with 1 all do, and nothing is
    unlabelled."""
    unlabelled: bool = True
    """Learn from the 2D of the others too."""
    warmup: float = 1 / 60
    """Part of the run (0 to 1) before the unlabelled count: published is 1 epoch of 60."""
    trajectory_weight: float = 1.0
    """Weight of the root's error divided by its depth."""
    projection_weight: float = 1.0
    """Weight of the reprojection error of the unlabelled."""
    pinned: bool = True
    """Project poses relative to the root that the network gives them; published is as they are, which lets the pose
    take over where the trajectory is wrong."""
    bone_weight: float = 1.0
    """Weight of the difference of mean bone lengths, unlabelled against labelled, metres."""

    def build(self, model: LifterConfig, data: DataConfig) -> SemiSupervised:
        return SemiSupervised(self, model, data)


class _Both(nn.Module):
    """Lifter and trajectory network."""

    def __init__(self, lifter: Lifter, root: Trajectory) -> None:
        super().__init__()
        self.lifter, self.root = lifter, root

    def forward(self, kp_norm: Tensor, kp_ray: Tensor) -> tuple[Tensor, Tensor]:
        return self.lifter(kp_norm), self.root(kp_ray)


class SemiSupervised(SingleStage):
    """Pose and trajectory from 3D where it is known, from reprojection and bone lengths where it is not.

    part: how much of the run is done, 0 to 1, told by the loop. Models are selected by the error of the poses on the
    validation performers. Raises `InputError` for numbers out of range, lifters of whole sequences, and a root that is
    not of the lifter's frames or joints.
    """

    def __init__(self, config: SemiSupervisedConfig, model: LifterConfig, data: DataConfig) -> None:
        for name in ("trajectory_weight", "projection_weight", "bone_weight"):
            value = getattr(config, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(field=f"objective.{name}", expected="0 or more", found=value)
        if not 0 <= config.warmup <= 1:
            raise InputError(field="objective.warmup", expected="0 to 1", found=config.warmup)
        lifter, root = build_lifter(model), Trajectory(config.root)
        if lifter.sequence:
            raise InputError(
                field="model", expected="a lifter of windows", found=f"{type(lifter).__name__}, of sequences"
            )
        check_windows(lifter, data)
        for what in ("receptive_field", "causal"):
            if getattr(root, what) != getattr(lifter, what):
                expected = f"{what} {getattr(lifter, what)}, the lifter's"
                raise InputError(field="objective.root", expected=expected, found=getattr(root, what))
        if root.skeleton.name != lifter.skeleton.name:
            raise InputError(field="objective.root.skeleton", expected=lifter.skeleton.name, found=root.skeleton.name)
        self.config, self.part = config, 0.0
        self.lifter, self.root = lifter, root
        self.model = _Both(lifter, root)
        self.source = PartlyLabelled.of(dataset_source(data, "train"), config.labelled, others=config.unlabelled)
        self.validation: list[Clip] = validation_clips(data, lifter)

    def fit(self, gen: Generator) -> None:
        fit_statistics(self.lifter, self.source.labelled, gen)

    # ------------------------------------------------------------------ a step
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        cfg = self.config
        known, others = self.source.divide(batch)
        if self.part < cfg.warmup:
            others = None
        n = len(known)
        pose, at = self._see(network, known if others is None else Batch.cat([known, others]))
        truth, place = (self.lifter.output_frames(x) for x in (known.p_root, known.root_cam))
        depth = place[..., 2:]
        near = torch.where(depth > 0, 1 / depth, 0.0)  # 0 also where nobody knows where the root is
        out = {
            "mpjpe_mm": mpjpe(pose[:n], truth),
            "trajectory": weighted_mpjpe(at[:n, :, None], place[..., None, :], near),
        }
        out["projection"] = out["bone"] = pose.new_zeros(())  # while it warms up
        if others is not None:
            held = pose[n:] - pose[n:, :, [self.lifter.skeleton.root]] if cfg.pinned else pose[n:]
            out["projection"] = self._reprojection(held + at[n:, :, None], others)
            out["bone"] = bone_length_match(pose[n:], pose[:n], self.lifter.skeleton.parents)
        weights = {"mpjpe_mm": 1.0, "trajectory": cfg.trajectory_weight}
        weights |= {"projection": cfg.projection_weight, "bone": cfg.bone_weight}
        loss = torch.stack([w * out[k] for k, w in weights.items()]).sum()
        return {"loss": loss, **out, "mpjpe_mm": out["mpjpe_mm"] * 1000}

    def _see(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Poses (b, t_out, j, 3) along the camera's axes and roots (b, t_out, 3)."""
        with torch.no_grad():
            kp_norm, R = self.lifter.encode(batch.kp_img, batch.conf, batch.K, batch.size_wh)
            kp_ray = self.root.encode(batch.kp_img, batch.conf, batch.K)
        pose, at = (x.float() for x in network(kp_norm, kp_ray))
        return (pose if R is None else to_camera(pose, self.lifter.output_frames(R))), at

    def _reprojection(self, p_cam: Tensor, batch: Batch) -> Tensor:
        """Mean distance in screen coordinates between projected joints (b, t_out, j, 3) and those that are seen."""
        kp, conf = (self.lifter.output_frames(x) for x in (batch.kp_img, batch.conf))
        shown = project(p_cam, screen_intrinsics(batch.K, batch.size_wh), clamp=True)
        there = (conf > 0) & torch.isfinite(shown).all(-1)
        return mpjpe(shown, normalize_screen(kp, batch.size_wh), there)

    # ------------------------------------------------------------------ validation and saving
    def score(self, device: torch.device) -> Report:
        return evaluate_clips(self.lifter, self.validation, device=device)

    def result(self) -> nn.Module:
        return self.lifter

    def beside(self) -> dict[str, nn.Module]:
        return {"root": self.root}

    def card(self) -> dict[str, Any]:
        if self.source.unlabelled is None:
            return {"supervision": f"3D of performers with {self.config.labelled:g} of the frames"}
        return {"supervision": f"3D of performers with {self.config.labelled:g} of the frames, 2D of the others"}
