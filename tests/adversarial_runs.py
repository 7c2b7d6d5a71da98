"""A RepNet run of seconds, for tests of adversarial training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from poselift.data.datasets import DataConfig
from poselift.models.critics.repnet import RepNetCriticConfig
from poselift.models.lifters.repnet import RepNetConfig
from poselift.train.adversarial_repnet import RepNetObjectiveConfig
from poselift.train.loop import TrainOptions
from poselift.train.recipes import Recipe, Schedule

QUIET = TrainOptions(quiet=True, tensorboard=False, device="cpu")
CRITIC = RepNetCriticConfig(width=16, chain_width=16)


def small(steps: int = 8, *, objective: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    plan = Schedule(steps=steps, batch=32, lr=1e-3, decay="constant", validate_every=steps, save_every=3, log_every=2)
    recipe = Recipe(
        summary="small",
        model=RepNetConfig(width=32),
        data=DataConfig(input="gt", validation_every=200),
        objective=replace(RepNetObjectiveConfig(critic=CRITIC, critic_steps=2), **(objective or {})),
        schedule=plan,
    )
    return replace(recipe, **changes)


def flat(state: Any, name: str = "") -> dict[str, Any]:
    if isinstance(state, dict):
        return {k: v for key, value in state.items() for k, v in flat(value, f"{name}.{key}").items()}
    if isinstance(state, list):
        return {k: v for i, value in enumerate(state) for k, v in flat(value, f"{name}.{i}").items()}
    return {name: state}
