"""What a training run is made of, in frozen dataclasses; the table of those with a name is `train.recipes`.

The command line grows out of these classes: every field can be overridden and is documented where it is defined.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from poselift.data.datasets import DataConfig
from poselift.data.pictures import PictureConfig
from poselift.models.base import LifterConfig, RefinerConfig
from poselift.models.images.base import ImageConfig
from poselift.models.lifters.simple_baseline import SimpleBaselineConfig
from poselift.train.adversarial_repnet import RepNetObjectiveConfig
from poselift.train.adversarial_temporal import TemporalGANConfig
from poselift.train.descent import DescentConfig
from poselift.train.encoded import EncodedConfig
from poselift.train.fitting import FittingConfig
from poselift.train.objectives import SupervisedConfig
from poselift.train.pictures import ImagePoseObjectiveConfig, ImageRootObjectiveConfig
from poselift.train.schedule import Schedule
from poselift.train.semi_supervised import SemiSupervisedConfig

__all__ = ["Recipe"]


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
