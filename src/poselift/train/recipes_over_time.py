"""Recipes of lifters that see several frames."""

from __future__ import annotations

import math

from poselift.data.datasets import DataConfig
from poselift.models.lifters.spatial_temporal import SpatialTemporalConfig
from poselift.models.lifters.temporal_conv import TemporalConvConfig
from poselift.models.lifters.ugcn import UGCNConfig
from poselift.models.lifters.video_gan import VideoGANConfig
from poselift.models.roots.trajectory import TrajectoryConfig
from poselift.train.adversarial_temporal import TemporalGANConfig
from poselift.train.encoded import EncodedConfig
from poselift.train.objectives import SupervisedConfig
from poselift.train.recipe import Recipe
from poselift.train.schedule import Schedule
from poselift.train.semi_supervised import SemiSupervisedConfig

__all__ = ["OVER_TIME"]


def _temporal(*filter_widths: int, causal: bool = False, motion: float = 0.0) -> Recipe:
    """Temporal convolutions on the open benchmark.

    Published: 1024 channels, dropout 0.25, one pose a sample, batches of 1024, Adam with AMSGrad, 0.001 falling by 5 %
    an epoch. Here half as many channels and 64 poses of a window: minutes on a GPU.
    """
    seen = math.prod(filter_widths)
    what = f"{seen} frames{', causal' * causal}{', with a motion loss' * (motion > 0)}, 512 channels"
    return Recipe(
        summary=f"Temporal convolutions, Pavllo et al. 2019, {what}",
        model=TemporalConvConfig(filter_widths=filter_widths, channels=512, dropout=0.2, causal=causal),
        data=DataConfig(input="det", frames=seen + 63, causal=causal, validation_every=4),
        objective=SupervisedConfig(
            loss="mpjpe",
            units="metres",
            motion_weight=motion,
            motion_encoding="subtraction",
            motion_intervals=(1, 3, 9),
        ),
        schedule=Schedule(
            steps=4600, batch=64, amsgrad=True, decay="cosine", warmup=100, bn_momentum=(0.1, 0.01),
            validate_every=2300, save_every=500,
        ),
    )  # fmt: skip


def _ugcn(summary: str, motion: float) -> Recipe:
    """The U-shaped network on windows of 192 frames.

    Published: windows of 96, dropout 0.5, AdamW at 0.01 for 110 epochs of batches of 256 windows. Here there is no
    dropout: it comes between batch norms, whose statistics are then not those of the network that is used (Li et al.,
    "Understanding the disharmony between dropout and batch normalization", CVPR 2019; `docs/benchmark.md`).
    """
    return Recipe(
        summary=summary,
        model=UGCNConfig(dropout=0.0),
        data=DataConfig(input="det", frames=192, validation_every=4),
        objective=SupervisedConfig(loss="mpjpe", units="metres", motion_weight=motion),
        schedule=Schedule(
            steps=5200, batch=48, optimizer="adamw", lr=5e-3, weight_decay=1e-5, decay="cosine", warmup=500,
            validate_every=2600, save_every=500,
        ),
    )  # fmt: skip


def _tenth(summary: str, *, unlabelled: bool) -> Recipe:
    """VideoPose3D's training with 3D for a tenth of the data: the same network, steps and labelled samples either way.

    Published: 1024 channels, dropout 0.25, one pose a sample, 60 epochs. Here 32 poses a sample, less dropout, which a
    narrow network bears badly, and a long warm-up: the unlabelled can correct poses that are about right, not others.
    Detections, because whoever has no 3D has no exact keypoints either.
    """
    return Recipe(
        summary=summary,
        model=TemporalConvConfig(channels=256, dropout=0.1),
        data=DataConfig(input="det", frames=27 + 31, flip=True, validation_every=4),
        objective=SemiSupervisedConfig(
            root=TrajectoryConfig(channels=256, dropout=0.0), labelled=0.1, unlabelled=unlabelled, warmup=0.3
        ),
        schedule=Schedule(
            steps=5000, batch=16, amsgrad=True, decay="staircase", gamma=0.95, decay_steps=83,
            bn_momentum=(0.1, 0.001), validate_every=1250, save_every=500,
        ),
    )  # fmt: skip


OVER_TIME: dict[str, Recipe] = {
    "temporal-27": _temporal(3, 3, 3),
    "temporal-27-motion": _temporal(3, 3, 3, motion=1.0),
    "temporal-27-causal": _temporal(3, 3, 3, causal=True),
    "temporal-81": _temporal(3, 3, 3, 3),
    "temporal-81-causal": _temporal(3, 3, 3, 3, causal=True),
    "temporal-243": _temporal(3, 3, 3, 3, 3),
    "temporal-243-causal": _temporal(3, 3, 3, 3, 3, causal=True),
    "ugcn": _ugcn("U-shaped GCN, Wang et al. 2020, without its motion loss", 0.0),
    "ugcn-motion": _ugcn("U-shaped GCN, Wang et al. 2020, with its motion loss", 1.0),
    "default-sequence": Recipe(
        summary="The default lifter of sequences: what the frames around say corrects the single-frame default's poses",
        model=SpatialTemporalConfig(),
        data=DataConfig(input="wild", frames=128, fps=(24.0, 60.0), reverse=True, validation_every=4),
        objective=EncodedConfig(motion_weight=3.0, motion_encoding="subtraction", motion_intervals=(1, 3, 9)),
        schedule=Schedule(
            steps=6000,
            batch=32,
            optimizer="adamw",
            weight_decay=0.01,
            decay="cosine",
            warmup=200,
            clip_norm=1.0,
            ema=0.998,
            validate_every=1000,
        ),
    ),
    "temporal-semi": _tenth(
        "Temporal convolutions, 27 frames: 3D of performers with a tenth of the frames, 2D of the others",
        unlabelled=True,
    ),
    "temporal-tenth": _tenth(
        "Temporal convolutions, 27 frames: that tenth alone, to compare with temporal-semi", unlabelled=False
    ),
    "video-gan": Recipe(
        summary="Temporal GAN: 27 frames to pose and absolute root with known intrinsics, no pairs of 2D and 3D",
        model=VideoGANConfig(),
        data=DataConfig(input="gt", frames=27, validation_every=4),
        objective=TemporalGANConfig(),
        schedule=Schedule(
            steps=50_000,
            batch=64,
            lr=1e-4,
            decay="constant",
            validate_every=2000,
            save_every=2000,
            metric="mpjpe_abs_mm",
        ),
    ),
}
