"""People placed by a root model, where the root is not solved from keypoints and pose (`place`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from poselift.errors import InputError
from poselift.models.base import Lifter, RootModel
from poselift.models.weights import load_root
from poselift.pipeline.refine import model_name

__all__ = ["PLACED", "Placing", "choose_root"]

PLACED = "root_model"
"""What the meta of clips says whose people a model has placed: its name."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Placing:
    """A root model for `lift_tracks`; `name` for people and files."""

    model: RootModel
    name: str

    @property
    def meta(self) -> dict[str, str]:
        return {PLACED: self.name}

    @property
    def note(self) -> str:
        return f"Where people stand is found by {self.name}."


def choose_root(model: str | Path | RootModel, lifter: Lifter, device: torch.device | str = "cpu") -> Placing:
    """A root model that is named or handed in, ready for use. Raises `InputError`, for other joints than the lifter's
    as well."""
    name = model_name(model) if isinstance(model, (str, Path)) else type(model).__name__
    if isinstance(model, (str, Path)):
        model = load_root(model, device=device)
    layout = getattr(model, "skeleton", lifter.skeleton)
    if layout != lifter.skeleton:
        found = f"a lifter of {lifter.skeleton.name}"
        raise InputError(field="root model", expected=f"poses of {layout.name}", found=found)
    if isinstance(model, nn.Module):
        model.to(device).eval()
    return Placing(model=model, name=name)
