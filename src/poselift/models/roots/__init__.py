"""The root models: `ROOTS` maps a name to (config dataclass, network). A new one is one file and one line here.

A root model is an `nn.Module` that follows `models.base.RootModel`. Closed-form solvers are in `geometry.roots`.
"""

from typing import Any

from torch import nn

from poselift.models.roots.pelvis import PelvisRegressor, PelvisRegressorConfig
from poselift.models.roots.trajectory import Trajectory, TrajectoryConfig
from poselift.models.roots.video_gan import VideoGANRoot, VideoGANRootConfig

__all__ = ["ROOTS"]

ROOTS: dict[str, tuple[type[Any], type[nn.Module]]] = {
    "pelvis": (PelvisRegressorConfig, PelvisRegressor),
    "video_gan": (VideoGANRootConfig, VideoGANRoot),
    "trajectory": (TrajectoryConfig, Trajectory),
}
