"""Everything that a model can be, in one table of tables, and models from their configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from poselift.models.critics import CRITICS
from poselift.models.images import IMAGE_POSES, IMAGE_ROOTS
from poselift.models.lifters import LIFTERS
from poselift.models.refiners import REFINERS
from poselift.models.resnet import BACKBONES
from poselift.models.roots import ROOTS

__all__ = ["KINDS", "build_model", "kind_and_family"]

KINDS: dict[str, Mapping[str, tuple[type[Any], type[nn.Module]]]] = {
    "lifter": LIFTERS,
    "refiner": REFINERS,
    "root": ROOTS,
    "critic": CRITICS,
    "image": IMAGE_POSES,
    "image_root": IMAGE_ROOTS,
    "backbone": BACKBONES,
}
"""What a model can be: kind → {family: (config dataclass, network)}."""


def kind_and_family(config: Any) -> tuple[str, str]:
    """The kind of the model that this config describes, and its name in that kind's table."""
    for kind, table in KINDS.items():
        for family, (config_class, _) in table.items():
            if type(config) is config_class:
                return kind, family
    raise KeyError(f"{type(config).__name__} is the config of no model")


def build_model(config: Any) -> nn.Module:
    """The untrained model that this config describes. Raises `InputError` where the config contradicts itself."""
    kind, family = kind_and_family(config)
    return KINDS[kind][family][1](config)
