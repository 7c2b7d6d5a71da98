"""The parity vectors of `tests/parity`: what the published codes compute, on stated inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from parity.fill import fill_state_dict

FOLDER = Path(__file__).parent / "parity"


def vectors(name: str) -> dict[str, Tensor]:
    """All arrays of `<name>.npz` as tensors of their own type."""
    with np.load(FOLDER / f"{name}.npz") as z:
        return {k: torch.from_numpy(np.array(z[k])) for k in z.files}


def description(name: str) -> dict[str, Any]:
    """`<name>.json`: settings, parameter names, notes."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def fill_as_published(net: nn.Module, name: str) -> None:
    """Give a network the stated weights; the names, order, shapes and number of its parameters have to be the published
    ones (`<name>.json`)."""
    about = description(name)
    assert [(k, list(v.shape)) for k, v in net.state_dict().items()] == list(about["state_dict"].items())
    assert sum(p.numel() for p in net.parameters()) == about["parameters"]
    checksum = fill_state_dict(net, **about.get("fill_overrides", {}))
    assert checksum == pytest.approx(about["fill_checksum"], rel=1e-9)
