"""The refiners: `REFINERS` maps a name to (config dataclass, network). A new refiner is one file and one line here.

A refiner is an `nn.Module` that follows `models.base.Refiner`; its `config` names the skeleton, statistics are buffers.
"""

from typing import Any

from torch import nn

from poselift.models.refiners.erd import ResidualDescent, ResidualDescentConfig
from poselift.models.refiners.erd_look import LookDescent, LookDescentConfig
from poselift.models.refiners.gauss_newton import GaussNewton, GaussNewtonConfig

__all__ = ["REFINERS"]

REFINERS: dict[str, tuple[type[Any], type[nn.Module]]] = {
    "erd": (ResidualDescentConfig, ResidualDescent),
    "erd_look": (LookDescentConfig, LookDescent),
    "gauss_newton": (GaussNewtonConfig, GaussNewton),
}
