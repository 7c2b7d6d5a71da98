"""What the numbers of a recipe may be: said before anything is read or written."""

from __future__ import annotations

import math

from poselift.data.datasets import DataConfig
from poselift.errors import InputError
from poselift.losses_adversarial import GrowingWeight
from poselift.train.recipes import Recipe

__all__ = ["check_recipe"]

_COUNTS = ("data.validation_every", "data.train_every", "objective.samples")
_POSITIVE = ("objective.rates",)
_NOT_NEGATIVE = (
    "objective.root_noise", "objective.motion_weight", "objective.bone_weight", "objective.seen_weight",
    "objective.penalty", "objective.camera", "objective.reprojection", "objective.consistency",
    "objective.cycle",
)  # fmt: skip
_PARTS = ("objective.shrinkage", "objective.motion_begin")


def check_recipe(recipe: Recipe) -> None:
    """Raises `InputError` for numbers that no run can have. What an objective has no field for is not looked at."""
    for field in _COUNTS:
        for value in _numbers(recipe, field):
            if value < 1:
                raise InputError(field=field, expected="1 or more", found=value)
    if isinstance(recipe.data, DataConfig):
        recipe.data.windows()
    recipe.schedule.check()
    for field in (*_POSITIVE, *_NOT_NEGATIVE):
        for value in _numbers(recipe, field):
            if not (math.isfinite(value) and value >= 0 and (value or field not in _POSITIVE)):
                expected = "a positive number" if field in _POSITIVE else "0 or more"
                raise InputError(field=field, expected=expected, found=value)
    for field in _PARTS:
        for value in _numbers(recipe, field):
            if not 0 <= value <= 1:
                raise InputError(field=field, expected="0 to 1", found=value)
    if not 0 <= recipe.seed < 1 << 63:
        raise InputError(field="seed", expected="0 to 9223372036854775807", found=recipe.seed)


def _numbers(recipe: Recipe, field: str) -> tuple[float, ...]:
    """The number or the numbers of a field, none where this recipe has no such field."""
    part, _, name = field.partition(".")
    value = getattr(getattr(recipe, part), name, ())
    if isinstance(value, GrowingWeight):  # which has looked at itself
        return ()
    return value if isinstance(value, tuple) else (value,)
