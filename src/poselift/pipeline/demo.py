"""`make demo`: a real person's motion, seen by a virtual camera with detector-like noise, lifted and compared."""

from __future__ import annotations

from pathlib import Path

import torch

from poselift.data.cmu17 import load_motions, views
from poselift.errors import InputError
from poselift.metrics import mpjpe_mm, p_mpjpe_mm
from poselift.pipeline.lift import Lifted, lift
from poselift.pipeline.lifters import AUTO
from poselift.structures import Clip

__all__ = ["DEMO", "demo", "demo_clip"]

DEMO = "cmu/14/14_22"
"""Seven seconds of everyday movements; a little easier than the mean of the benchmark."""


def demo_clip(camera: int = 1) -> Clip:
    """A performer of the benchmark's test split through one of its four cameras: noisy 2D, and the truth."""
    motion = next(m for m in load_motions(None, "test") if m.name == DEMO)
    return views([motion], noise=True)[camera]


def demo(out: str | Path, *, model: str = AUTO) -> tuple[Lifted, dict[str, float]]:
    """Lift the demo clip into a folder; what was lifted, and its errors: per-frame means in millimetres."""
    clip = demo_clip()
    lifted = lift(clip, out=out, model=model, truth=[clip])
    (found,) = lifted.clips
    if found.skeleton.name != clip.skeleton.name or clip.p_root is None or found.p_root is None:
        raise InputError(field="model", expected=f"one of {clip.skeleton.name}", found=found.skeleton.name)
    pred, truth = torch.from_numpy(found.p_root), torch.from_numpy(clip.p_root)
    figures = {"MPJPE": mpjpe_mm(pred, truth), "P-MPJPE": p_mpjpe_mm(pred, truth)}
    return lifted, {name: float(value.mean()) for name, value in figures.items()}
