"""The parity vectors of `tests/parity`: what the published codes compute, on stated inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent / "parity"


def vectors(name: str) -> dict[str, Tensor]:
    """All arrays of `<name>.npz` as tensors of their own type."""
    with np.load(FOLDER / f"{name}.npz") as z:
        return {k: torch.from_numpy(np.array(z[k])) for k in z.files}


def description(name: str) -> dict[str, Any]:
    """`<name>.json`: settings, parameter names, notes."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
