"""Numbers that no run can have are refused before anything is read, by the field's name."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from poselift.errors import InputError
from poselift.train.limits import check_recipe
from poselift.train.recipes import RECIPES, Recipe


def changed(field: str, value: object) -> Recipe:
    """The first recipe that has such a field, with this value in it."""
    part, _, name = field.partition(".")
    for recipe in RECIPES.values():
        if not name:
            return replace(recipe, **{part: value})  # type: ignore[arg-type]
        if hasattr(getattr(recipe, part), name):
            return replace(recipe, **{part: replace(getattr(recipe, part), **{name: value})})
    raise AssertionError(f"no recipe has {field}")


REFUSED: dict[str, tuple[object, ...]] = {
    "schedule.steps": (0, -1), "schedule.batch": (0,), "schedule.decay_steps": (0,), "schedule.validate_every": (0,),
    "schedule.save_every": (0,), "schedule.log_every": (-3,), "data.validation_every": (0,), "data.train_every": (0,),
    "data.frames": (0, 10**9), "objective.samples": (0, -1), "schedule.lr": (0.0, -1.0, math.nan, math.inf),
    "schedule.gamma": (0.0, -1.0, math.nan), "objective.rates": ((1e-3, 0.0), (math.nan,)),
    "schedule.weight_decay": (-1.0, math.inf), "schedule.warmup": (-1,), "schedule.clip_norm": (math.nan,),
    "objective.root_noise": (-0.1, math.nan), "objective.motion_weight": (-1.0, math.nan, math.inf),
    "schedule.ema": (1.0, -0.1, math.nan), "objective.shrinkage": (2.0, -0.1, math.nan),
    "objective.motion_begin": (1.5, -0.1, math.nan), "seed": (-1, 1 << 63),
    "schedule.metric": ("mpjp_mm",), "objective.penalty": (-3.0, math.nan), "objective.camera": (-1.0, math.inf),
    "objective.consistency": (-1.0,),
    "objective.cycle": (-1.0,),
    "objective.bone_weight": (-1.0,), "objective.seen_weight": (math.nan,),
}  # fmt: skip


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in REFUSED.items() for v in values], ids=str)
def test_refused(field: str, value: object):
    with pytest.raises(InputError) as error:
        check_recipe(changed(field, value))
    assert field in str(error.value)


@pytest.mark.parametrize(
    "name", ["temporal-27", "temporal-243-causal", "temporal-semi", "default-sequence", "video-gan"]
)
def test_windows_shorter_than_the_lifter_sees_are_refused(name: str):
    recipe: Any = RECIPES[name]
    with pytest.raises(InputError, match=r"data\.frames: expected \d+ or more, which the lifter sees, found 20"):
        recipe.objective.build(recipe.model, replace(recipe.data, frames=20, validation_every=400))


@pytest.mark.parametrize(("name", "frames"), [("ugcn-motion", 8), ("temporal-27-motion", 27), ("default", 1)])
def test_a_motion_loss_that_no_window_is_long_enough_for_is_refused(name: str, frames: int):
    recipe: Any = RECIPES[name]
    objective = replace(recipe.objective, motion_weight=1.0)
    with pytest.raises(
        InputError, match=r"objective\.motion_intervals: expected one below \d+, the frames of a window"
    ):
        objective.build(recipe.model, replace(recipe.data, frames=frames, validation_every=400))


def test_what_there_is_passes():
    for recipe in RECIPES.values():
        check_recipe(recipe)
    for field, value in {
        "schedule.gamma": 1.0, "schedule.ema": 0.0, "schedule.warmup": 0, "objective.shrinkage": 1.0,
        "objective.rates": (), "objective.motion_weight": 0.0, "seed": (1 << 63) - 1,
    }.items():  # fmt: skip
        check_recipe(changed(field, value))
