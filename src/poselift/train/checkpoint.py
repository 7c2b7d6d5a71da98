"""The state of a run, written so that a kill at any moment loses nothing and reading it executes nothing.

One safetensors file holds every tensor (weights, running mean, optimiser) under a flat name and everything else as
JSON in its header; it is written aside and renamed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from poselift.errors import InputError
from poselift.storage.atomic import write_aside

__all__ = ["load_state", "save_state"]

_TENSOR = "__tensor__"


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write nested dicts and lists of tensors and plain JSON values. Raises `OutputError`."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}

    def strip(value: Any, name: str) -> Any:
        if isinstance(value, Tensor):
            tensors[name] = value.detach().cpu().contiguous().clone()
            return {_TENSOR: name}
        if isinstance(value, dict):
            return {"items": [[k, strip(v, f"{name}.{k}")] for k, v in value.items()]}
        if isinstance(value, (list, tuple)):
            return [strip(v, f"{name}.{i}") for i, v in enumerate(value)]
        return value

    tree = json.dumps(strip(state, "state"))
    with write_aside(path) as aside:
        save_file(tensors, str(aside), metadata={"state": tree})


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote. Raises `InputError` for anything else."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise InputError("no such checkpoint", file=path)
    try:
        with safe_open(str(path), framework="pt") as f:
            tree = json.loads((f.metadata() or {})["state"])
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise InputError(file=path, expected="a training state of poselift", found=error) from None

    def build(node: Any) -> Any:
        if isinstance(node, dict):
            if _TENSOR in node:
                return tensors[node[_TENSOR]]
            return {k: build(v) for k, v in node["items"]}
        return [build(v) for v in node] if isinstance(node, list) else node

    try:
        return build(tree)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(file=path, expected="a training state of poselift", found=error) from None


def to_device(state: Any, device: torch.device | str) -> Any:
    """All tensors of a nested state on a device."""
    if isinstance(state, Tensor):
        return state.to(device)
    if isinstance(state, dict):
        return {k: to_device(v, device) for k, v in state.items()}
    return [to_device(v, device) for v in state] if isinstance(state, list) else state
