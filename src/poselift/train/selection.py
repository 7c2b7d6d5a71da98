"""Validation: the model is scored on people it has not met, and the best one so far is kept, in native form."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from poselift.errors import InputError
from poselift.models.weights import save_model
from poselift.train.journal import Journal
from poselift.train.objectives import Objective
from poselift.train.recipes import Recipe

__all__ = ["MODEL", "Best"]

MODEL = "model"
"""Folder of the best model; what is trained beside it has its own name: root, ..."""


class Best:
    """The best model so far: OUT/model, and next to it what was trained beside it; value: its validation figure."""

    def __init__(self, recipe: Recipe, objective: Objective, out: Path, fabric: Any, journal: Journal) -> None:
        self.recipe, self.objective, self.out = recipe, objective, out
        self.fabric, self.journal = fabric, journal
        self.value = math.inf

    def validate(self, step: int) -> None:
        """Validate the model as it is, and keep it if it is better. Raises `InputError` for a figure there is not."""
        report = self.objective.report(self.fabric.device)
        summary = report.summary().items()
        figures = {k.partition("/")[0]: v for k, v in summary if k.endswith("/frame") and v is not None}
        metric = self.recipe.schedule.metric
        value = figures.get(metric)
        if value is None:
            raise InputError(field="schedule.metric", expected=f"one of {', '.join(figures)}", found=metric)
        better = value < self.value
        if better:
            self.value = value
        if better and self.fabric.is_global_zero:
            card = self._card(step, figures)
            for name, model in self.objective.beside().items():
                save_model(model, self.out / name, card=card)
            save_model(self.objective.result(), self.out / MODEL, card=card)
        self.journal.validated(step, figures, better=better)

    def _card(self, step: int, figures: dict[str, float]) -> dict[str, Any]:
        return {
            "recipe": self.journal.name,
            "summary": self.recipe.summary,
            "step": step,
            "data": self.recipe.data.dataset,
            **self.objective.card(),
            "validation": {k: round(v, 3) for k, v in figures.items()},
        }
