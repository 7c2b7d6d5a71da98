"""The table of recipes (`train.recipe`): the key is the recipe's name. Those of several frames are apart."""

from __future__ import annotations

from dataclasses import replace

from poselift.data.datasets import DataConfig
from poselift.data.pictures import PictureConfig
from poselift.errors import unknown_name
from poselift.models.base import LifterConfig
from poselift.models.images.pose_resnet import PoseResNetConfig
from poselift.models.images.rootnet import RootNetConfig
from poselift.models.lifters.lcn import LCNConfig
from poselift.models.lifters.repnet import RepNetConfig
from poselift.models.lifters.residual_mlp import ResidualMLPConfig
from poselift.models.lifters.semgcn import SemGCNConfig
from poselift.models.lifters.simple_baseline import SimpleBaselineConfig
from poselift.models.refiners.erd import ResidualDescentConfig
from poselift.models.refiners.erd_look import LookDescentConfig
from poselift.models.refiners.gauss_newton import GaussNewtonConfig
from poselift.train.adversarial_repnet import FLAVOURS as REPNET_LOSSES
from poselift.train.adversarial_repnet import RepNetObjectiveConfig
from poselift.train.descent import DescentConfig
from poselift.train.fitting import FittingConfig
from poselift.train.objectives import SupervisedConfig
from poselift.train.pictures import ImagePoseObjectiveConfig, ImageRootObjectiveConfig
from poselift.train.recipe import Recipe
from poselift.train.recipes_over_time import OVER_TIME
from poselift.train.schedule import Schedule

__all__ = ["RECIPES", "Recipe", "Schedule", "recipe"]


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


def _baseline(flavour: str, summary: str, **schedule: object) -> Recipe:
    """A published SimpleBaseline."""
    return _published(SimpleBaselineConfig.flavour_of(flavour), summary, **schedule)  # type: ignore[arg-type]


_REPNET = Schedule(
    steps=100_000, batch=64, lr=1e-4, decay="staircase", gamma=0.2,
    decay_steps=80_000,  # where the reprojection weight grows
    validate_every=2000, save_every=2000,
)  # fmt: skip

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
    "repnet": Recipe(
        summary="RepNet, Wandt & Rosenhahn 2019, PyTorch adaptation: 2D of some performers, 3D of others, no pairs",
        model=RepNetConfig(),
        data=DataConfig(input="gt"),
        objective=RepNetObjectiveConfig(),
        schedule=_REPNET,
    ),
    "repnet-consistent": Recipe(
        summary="RepNet that also has to lift its own poses, turned about the vertical, as what they are; no pairs",
        model=RepNetConfig(),
        data=DataConfig(input="gt"),
        objective=RepNetObjectiveConfig(consistency=10.0),
        schedule=_REPNET,
    ),
    "repnet-cycle": Recipe(
        summary="RepNet that is consistent and also lifts the critic's poses back from their projections; no pairs",
        model=RepNetConfig(),
        data=DataConfig(input="gt"),
        objective=RepNetObjectiveConfig(consistency=10.0, cycle=100.0),
        schedule=_REPNET,
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
    **OVER_TIME,
}


def recipe(name: str) -> Recipe:
    """The recipe of that name. Raises `InputError` with the nearest name for an unknown one."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]
