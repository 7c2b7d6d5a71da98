"""Recipes: everything that a training run is made of, in frozen dataclasses. The table key is the recipe's name.

The command line grows out of these classes: every field can be overridden and is documented where it is defined.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from poselift.data.datasets import DataConfig
from poselift.data.pictures import PictureConfig
from poselift.errors import unknown_name
from poselift.models.base import LifterConfig, RefinerConfig
from poselift.models.images.base import ImageConfig
from poselift.models.images.pose_resnet import PoseResNetConfig
from poselift.models.images.rootnet import RootNetConfig
from poselift.models.lifters.lcn import LCNConfig
from poselift.models.lifters.repnet import RepNetConfig
from poselift.models.lifters.residual_mlp import ResidualMLPConfig
from poselift.models.lifters.semgcn import SemGCNConfig
from poselift.models.lifters.simple_baseline import SimpleBaselineConfig
from poselift.models.lifters.spatial_temporal import SpatialTemporalConfig
from poselift.models.lifters.temporal_conv import TemporalConvConfig
from poselift.models.lifters.ugcn import UGCNConfig
from poselift.models.lifters.video_gan import VideoGANConfig
from poselift.models.refiners.erd import ResidualDescentConfig
from poselift.models.refiners.erd_look import LookDescentConfig
from poselift.models.refiners.gauss_newton import GaussNewtonConfig
from poselift.models.roots.trajectory import TrajectoryConfig
from poselift.train.adversarial_repnet import FLAVOURS as REPNET_LOSSES
from poselift.train.adversarial_repnet import RepNetObjectiveConfig
from poselift.train.adversarial_temporal import TemporalGANConfig
from poselift.train.descent import DescentConfig
from poselift.train.encoded import EncodedConfig
from poselift.train.fitting import FittingConfig
from poselift.train.objectives import SupervisedConfig
from poselift.train.pictures import ImagePoseObjectiveConfig, ImageRootObjectiveConfig
from poselift.train.schedule import Schedule
from poselift.train.semi_supervised import SemiSupervisedConfig

__all__ = ["RECIPES", "Recipe", "Schedule", "recipe"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run: the same recipe, data and seed give the same weights on the same CPU."""

    summary: str = ""
    """What it trains, in a line."""
    model: LifterConfig | RefinerConfig | ImageConfig = field(default_factory=SimpleBaselineConfig)
    """The network."""
    data: DataConfig | PictureConfig = field(default_factory=DataConfig)
    """What it learns from."""
    objective: (
        SupervisedConfig
        | EncodedConfig
        | SemiSupervisedConfig
        | DescentConfig
        | FittingConfig
        | RepNetObjectiveConfig
        | TemporalGANConfig
        | ImagePoseObjectiveConfig
        | ImageRootObjectiveConfig
    ) = field(default_factory=SupervisedConfig)
    """What it minimises."""
    schedule: Schedule = field(default_factory=Schedule)
    """How long and how fast."""
    seed: int = 1
    """Seed of weights, data and dropout."""


def _published(
    model: LifterConfig, summary: str, *, objective: SupervisedConfig | None = None, **schedule: object
) -> Recipe:
    """A published lifter on the open benchmark: its loss, optimiser and factor of decay.

    Batch (256) and length (8,000 steps: 8 epochs of the four-camera training set) are ours, the same for all.
    """
    plan = Schedule(steps=8000, batch=256, decay_steps=80, validate_every=2000, save_every=2000)
    return Recipe(
        summary=summary,
        model=model,
        data=DataConfig(input="gt"),
        objective=objective or SupervisedConfig(),
        schedule=replace(plan, **schedule),  # type: ignore[arg-type]
    )


def _temporal(*filter_widths: int, causal: bool = False, motion: float = 0.0, batch: int, poses: int) -> Recipe:
    """Temporal convolutions on the open benchmark.

    Published: 1024 channels, dropout 0.25, one pose a sample, batches of 1024, Adam with AMSGrad, 0.001 falling by 5 %
    an epoch. Here 256 channels, less dropout and `poses` of a window, to train in minutes on one processor core.
    """
    seen = math.prod(filter_widths)
    what = f"{seen} frames{', causal' * causal}{', with a motion loss' * (motion > 0)}, 256 channels"
    return Recipe(
        summary=f"Temporal convolutions, Pavllo et al. 2019, {what}",
        model=TemporalConvConfig(filter_widths=filter_widths, channels=256, dropout=0.1, causal=causal),
        data=DataConfig(input="det", frames=seen - 1 + poses, causal=causal, validation_every=4),
        objective=SupervisedConfig(
            loss="mpjpe",
            units="metres",
            motion_weight=motion,
            motion_encoding="subtraction",
            motion_intervals=(1, 3, 9),
        ),
        schedule=Schedule(
            steps=6000, batch=batch, amsgrad=True, decay="cosine", warmup=100, validate_every=1500, save_every=500
        ),
    )


def _ugcn(summary: str, motion: float) -> Recipe:
    """The U-shaped network on windows of 96 frames.

    Published: dropout 0.5, AdamW at 0.01 for 110 epochs of batches of 256 windows, which takes a GPU; so does this, a
    fifth of it. On one processor core 2300 steps of 8 windows left it at 113 mm.
    """
    return Recipe(
        summary=summary,
        model=UGCNConfig(dropout=0.2),
        data=DataConfig(input="det", frames=96, validation_every=4),
        objective=SupervisedConfig(loss="mpjpe", units="metres", motion_weight=motion),
        schedule=Schedule(
            steps=20_000, batch=128, optimizer="adamw", lr=5e-3, weight_decay=1e-5, decay="cosine", warmup=500,
            validate_every=2000, save_every=500,
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
            steps=1800, batch=16, amsgrad=True, decay="staircase", gamma=0.95, decay_steps=30,
            bn_momentum=(0.1, 0.001), validate_every=450, save_every=300,
        ),
    )  # fmt: skip


def _baseline(flavour: str, summary: str, **schedule: object) -> Recipe:
    """A published SimpleBaseline."""
    return _published(SimpleBaselineConfig.flavour_of(flavour), summary, **schedule)  # type: ignore[arg-type]


RECIPES: dict[str, Recipe] = {
    "default": Recipe(
        summary="The default single-frame lifter: any camera, half bodies, missing joints, other marker sets",
        model=ResidualMLPConfig(blocks=3, dropout=0.0),
        data=DataConfig(input="wild"),
        objective=SupervisedConfig(loss="mpjpe", units="metres"),
        schedule=Schedule(
            steps=32_000,
            batch=1024,
            optimizer="adamw",
            weight_decay=0.01,
            decay="cosine",
            warmup=500,
            ema=0.999,
            validate_every=2000,
        ),
    ),
    "linear-erd": _baseline("erd", "SimpleBaseline as ERD trains it (17 joints, dropout 0.25)", decay="staircase"),
    "linear-original": _baseline("original", "SimpleBaseline, Martinez et al. 2017, with max-norm weights"),
    "linear-pytorch": _baseline(
        "pytorch", "SimpleBaseline, the PyTorch port (gradient norm clipped to 1)", clip_norm=1.0
    ),
    "linear-gluon": _baseline("gluon", "SimpleBaseline, the Gluon version", decay="staircase"),
    "lcn": _published(LCNConfig(), "LCN, locally connected layers, Ci et al. 2019 in ERD's version", decay="staircase"),
    "semgcn": _published(
        replace(SemGCNConfig.flavour_of("original-nonlocal"), skeleton="h36m17"),
        "SemGCN with non-local blocks, Zhao et al. 2019 (17 joints, gradient norm clipped to 1)",
        objective=SupervisedConfig(units="metres"),
        decay="cosine",  # one that falls early leaves it far from trained, one that stays high unsettles batch norm
        clip_norm=1.0,
    ),
    "temporal-27": _temporal(3, 3, 3, batch=72, poses=16),
    "temporal-27-motion": _temporal(3, 3, 3, batch=72, poses=16, motion=3.0),
    "temporal-27-causal": _temporal(3, 3, 3, batch=72, poses=16, causal=True),
    "temporal-81": _temporal(3, 3, 3, 3, batch=36, poses=24),
    "temporal-81-causal": _temporal(3, 3, 3, 3, batch=36, poses=24, causal=True),
    "temporal-243": _temporal(3, 3, 3, 3, 3, batch=24, poses=64),
    "temporal-243-causal": _temporal(3, 3, 3, 3, 3, batch=24, poses=64, causal=True),
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
    "repnet": Recipe(
        summary="RepNet, Wandt & Rosenhahn 2019, PyTorch adaptation: 2D of some performers, 3D of others, no pairs",
        model=RepNetConfig(),
        data=DataConfig(input="gt"),
        objective=RepNetObjectiveConfig(),
        schedule=Schedule(
            steps=100_000,
            batch=64,
            lr=1e-4,
            decay="staircase",
            gamma=0.2,
            decay_steps=80_000,  # where the reprojection weight grows
            validate_every=2000,
            save_every=2000,
        ),
    ),
    "repnet-original": Recipe(
        summary="RepNet as its authors train it: poses turned to a template, every pose normalised by itself, no pairs",
        model=RepNetConfig.flavour_of("original"),
        data=DataConfig(input="gt"),
        objective=REPNET_LOSSES["original"],
        schedule=Schedule(
            steps=100_000,
            batch=32,
            lr=1e-4,
            decay="staircase",
            gamma=0.1,
            decay_steps=25_000,  # a quarter of the run, as there
            validate_every=2000,
            save_every=2000,
        ),
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
    "rootnet": Recipe(
        summary="RootNet, Moon et al. 2019, on rendered people: the absolute root from a crop",
        model=RootNetConfig(),
        data=PictureConfig(),
        objective=ImageRootObjectiveConfig(),
        schedule=Schedule(
            steps=20_000, batch=64, decay="staircase", gamma=0.1, decay_steps=17_000, save_every=1000, metric="mrpe_mm"
        ),
    ),
    "pose-resnet": Recipe(
        summary="Pose ResNet, Xiao et al. 2018, on rendered people: 2D joints from a crop",
        model=PoseResNetConfig(),
        data=PictureConfig(),
        objective=ImagePoseObjectiveConfig(),
        schedule=Schedule(steps=20_000, batch=64, decay="cosine", save_every=1000, metric="kp_error_percent"),
    ),
    "erd": Recipe(
        summary="Residual descent, Kang et al. 2020, on any lifter (--objective.lifter), with the true root",
        model=ResidualDescentConfig(),
        data=DataConfig(input="gt"),
        objective=DescentConfig(),
        schedule=Schedule(steps=1300, batch=200, decay="constant", validate_every=1300, save_every=1300),
    ),
    "erd-look": Recipe(
        summary="Residual descent in a camera aimed at the person, with a solved root: for any camera",
        model=LookDescentConfig(),
        data=DataConfig(input="det"),
        objective=DescentConfig(lifter_dropout=True),
        schedule=Schedule(steps=2000, batch=256, decay="cosine", validate_every=2000, save_every=1000),
    ),
    "gauss-newton": Recipe(
        summary="Reprojection, bone lengths and a lifter's error statistics optimised together, for detections",
        model=GaussNewtonConfig(),
        data=DataConfig(input="det"),
        objective=FittingConfig(lifter_dropout=True),
    ),
    "gauss-newton-exact": Recipe(
        summary="Reprojection, bone lengths and a lifter's error statistics optimised together, for exact keypoints",
        model=GaussNewtonConfig(noise=0.001, freedom=0.0, prior_scale=2.0),
        data=DataConfig(input="gt"),
        objective=FittingConfig(lifter_dropout=True),
    ),
}


def recipe(name: str) -> Recipe:
    """The recipe of that name. Raises `InputError` with the nearest name for an unknown one."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
