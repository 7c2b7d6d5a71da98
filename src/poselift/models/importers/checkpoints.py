"""Reading a checkpoint of any framework: its arrays as tensors, and the numbers beside them. Nothing in it is run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poselift.errors import InputError
from poselift.models.importers.base import Container, Weights
from poselift.storage.mxnet import load_mxnet, sniff_mxnet
from poselift.storage.tensorflow import load_tensorflow, sniff_tensorflow
from poselift.storage.unpickle import Inert, load_torch

__all__ = ["read_weights", "sha256"]

_FACTS = (
    "epoch", "step", "iteration", "lr", "error", "err", "best_error", "inc_num", "perf", "best_acc", "best_acc1",
)  # fmt: skip
"""What the published codes write beside the weights."""
_PARTS = ("state_dict", "model_pos", "model_G", "model_G_pose")
"""Under which keys the network of the poses stands in the published files."""
_PARTS_OF_PICTURES = ("network", "model")
"""The same of RootNet and of Pose ResNet's variant; other files have a name under `model`."""
_ONE = "none, the file holds one network"


def read_weights(file: str | Path, *, part: str | None = None) -> tuple[Container, Weights]:
    """The framework that wrote a checkpoint, and what is in it. Raises `InputError`.

    part: key of one of several networks in a file of torch; the one of the poses if not given.
    """
    file = Path(file)
    if file.is_dir():
        raise InputError(file=file, expected="a checkpoint file", found="a folder")
    if sniff_tensorflow(file):
        arrays = load_tensorflow(file)
        return "tensorflow", Weights(file=file, tensors=_tensors(arrays, file))
    if not file.is_file():
        raise InputError("no such file" if not file.exists() else "not a file", file=file)
    try:
        with file.open("rb") as handle:
            head = handle.read(16)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=file) from error
    if sniff_mxnet(head):
        return "mxnet", Weights(file=file, tensors=_tensors(load_mxnet(file), file))
    return "torch", _stripped(_from_torch(load_torch(file), file, part))


def sha256(file: Path) -> str:
    """The checksum of a file by which its download can be told."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _from_torch(value: Any, file: Path, part: str | None) -> Weights:
    """`state_dict`, or the like, and the numbers beside it, or a bare state dict."""
    expected = "a checkpoint with a state_dict"
    if isinstance(value, Inert):
        raise InputError(file=file, expected=expected, found=f"a whole object ({value.name}): save its state_dict()")
    if not isinstance(value, Mapping):
        raise InputError(file=file, expected=expected, found=type(value).__name__)
    networks = [k for k, v in value.items() if _is_network(k, v)]
    if part is not None and part not in networks:
        raise InputError(file=file, field="--part", expected=", ".join(networks) or _ONE, found=part)
    key = part or next((k for k in _PARTS if k in value), "")
    key = key or next((k for k in _PARTS_OF_PICTURES if isinstance(value.get(k), Mapping)), "")
    state = value[key] if key else value
    if not isinstance(state, Mapping) or not state:
        found = f"keys {', '.join(map(str, list(value)[:8]))}" if value else "nothing in it"
        raise InputError(file=file, expected=expected, found=found)
    wrong = next((k for k, v in state.items() if not isinstance(k, str) or not isinstance(v, Tensor)), None)
    if wrong is not None:
        found = f"'{wrong}' with a {type(state[wrong]).__name__}"
        raise InputError(file=file, expected=f"{expected} of tensors", found=found)
    facts = {k: _number(value[k]) for k in _FACTS if k in value}
    known = {k: v for k, v in facts.items() if v is not None}
    others = tuple(k for k in networks if k != key)
    return Weights(file=file, tensors=dict(state), facts=known, part=key, left_out=others)


def _is_network(key: Any, value: Any) -> bool:
    """Whether a state dict stands under a key of a file."""
    return isinstance(key, str) and (key in _PARTS or key.startswith("model_")) and isinstance(value, Mapping)


def _number(value: Any) -> int | float | None:
    if isinstance(value, (Tensor, np.ndarray, np.generic)) and value.ndim == 0:
        value = value.item()
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return value if abs(value) < 1e15 else None


def _stripped(weights: Weights) -> Weights:
    """Without the `module.` that DataParallel puts before every name."""
    if not all(k.startswith("module.") for k in weights.tensors):
        return weights
    return replace(weights, tensors={k.removeprefix("module."): v for k, v in weights.tensors.items()})


def _tensors(arrays: Mapping[str, np.ndarray], file: Path) -> dict[str, Tensor]:
    return {k: torch.from_numpy(v.astype(v.dtype.newbyteorder("="))) for k, v in arrays.items()}
