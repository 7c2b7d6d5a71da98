"""Torch checkpoints, zip and legacy form: tensors and plain values come back, nothing runs, nothing lies."""

from __future__ import annotations

import argparse
import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hostile import Bomb, bombs
from poselift.errors import InputError
from poselift.storage.unpickle import Inert, load_pickle, load_torch


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "it_ran"


@pytest.fixture
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2, bias=False))


FORMS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


@FORMS
def test_checkpoint_comes_back(zipped: bool, model: torch.nn.Module, tmp_path: Path) -> None:
    adam = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.randn(4, 3)}}, "param_groups": [{"lr": 1e-3}]}
    value = {
        "state_dict": model.state_dict(), "optimizer": adam, "epoch": 3, "err": np.float64(0.5),
        "opt": argparse.Namespace(lr=0.1), "model": model, "p": torch.nn.Parameter(torch.ones(2)),
        "stat": np.arange(4.0),
        "types": [torch.ones(3, dtype=getattr(torch, d)) for d in ("int64", "float16", "bfloat16", "uint8")],
        "flags": torch.tensor([True, False]), "empty": torch.empty(0, 3), "view": torch.arange(12).view(3, 4).t()[1:3],
        "size": torch.Size([1, 2]), "scalar": torch.tensor(2.5),
    }  # fmt: skip
    torch.save(value, tmp_path / "c.pth.tar", _use_new_zipfile_serialization=zipped)
    again = load_torch(tmp_path / "c.pth.tar")
    assert again["epoch"] == 3
    assert again["opt"].state == {"lr": 0.1}
    assert isinstance(again["model"], Inert)
    assert again["size"] == (1, 2)
    for name, tensor in model.state_dict().items():
        assert torch.equal(again["state_dict"][name], tensor), name
    for name in ("p", "flags", "empty", "view", "scalar"):
        assert torch.equal(again[name], value[name].detach()), name
    for a, b in zip(again["types"], value["types"], strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    np.testing.assert_array_equal(again["stat"], np.arange(4.0))
    assert torch.equal(again["optimizer"]["state"][0]["exp_avg"], adam["state"][0]["exp_avg"])


def test_tensor_in_a_plain_pickle(tmp_path: Path) -> None:
    (tmp_path / "t.pkl").write_bytes(pickle.dumps({"t": torch.arange(3)}))
    assert torch.equal(load_pickle(tmp_path / "t.pkl")["t"], torch.arange(3))


@FORMS
def test_checkpoint_runs_nothing(zipped: bool, tmp_path: Path, marker: Path) -> None:
    for bomb in bombs(marker).values():
        torch.save({"w": torch.ones(2), "evil": bomb}, tmp_path / "c.pth", _use_new_zipfile_serialization=zipped)
        again = load_torch(tmp_path / "c.pth")
        assert torch.equal(again["w"], torch.ones(2))
        assert isinstance(again["evil"], Inert)
        assert not marker.exists()


def test_torch_storage_hides_no_second_pickle(tmp_path: Path, marker: Path) -> None:
    """torch.storage._load_from_bytes unpickles bytes: here with the same inert unpickler."""
    buffer = io.BytesIO()
    torch.save({"evil": bombs(marker)["system"]}, buffer, _use_new_zipfile_serialization=False)
    data = pickle.dumps(Bomb(torch.storage._load_from_bytes, buffer.getvalue()))
    assert isinstance(load_pickle(data)["evil"], Inert)
    assert not marker.exists()


@FORMS
def test_cut_off_checkpoint(zipped: bool, model: torch.nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "c.pth"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    for part in (0, 1, 5, 50, 300, len(data) // 2, len(data) - 100, len(data) - 1):
        path.write_bytes(data[:part])
        with pytest.raises(InputError, match=r"c\.pth"):
            load_torch(path)


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _tensor_pickle(
    *, offset: int = 0, size: tuple[int, ...] = (2,), stride: tuple[int, ...] = (1,), count: int = 2
) -> bytes:
    """The pickle of one float tensor over storage '0', as torch writes it."""

    def number(n: int) -> bytes:
        raw = n.to_bytes(9, "little", signed=True)
        return b"\x8a" + bytes([len(raw)]) + raw

    def tuple_of(*items: bytes) -> bytes:
        return b"(" + b"".join(items) + b"t"

    def text(t: str) -> bytes:
        return b"X" + struct.pack("<I", len(t)) + t.encode()

    storage = tuple_of(text("storage"), b"ctorch\nFloatStorage\n", text("0"), text("cpu"), number(count)) + b"Q"
    args = tuple_of(
        storage, number(offset), tuple_of(*map(number, size)), tuple_of(*map(number, stride)), b"\x89", b"N"
    )
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + args + b"R."


def test_hand_made_tensor_reads(tmp_path: Path) -> None:
    path = _zip(
        tmp_path / "t.pth", {"a/data.pkl": _tensor_pickle(), "a/data/0": np.array([1, 2], np.float32).tobytes()}
    )
    assert load_torch(path).tolist() == [1, 2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (3,)}, {"offset": 1}, {"offset": -1}, {"stride": (2,)}, {"stride": (-1,)}, {"size": (-1,)},
        {"size": (10**9,), "stride": (0,)}, {"count": 10**12}, {"count": -1}, {"count": 3}, {"size": (2, 1)},
        {"size": (2**40, 2**40), "stride": (1, 1)}, {"size": (1,) * 40, "stride": (1,) * 40},
    ],
    ids=str,
)  # fmt: skip
def test_tensors_beyond_their_storage_are_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    data = np.array([1, 2], np.float32).tobytes()
    path = _zip(tmp_path / "t.pth", {"a/data.pkl": _tensor_pickle(**wrong), "a/data/0": data})
    with pytest.raises(InputError, match=r"t\.pth"):
        load_torch(path)


def test_other_torch_files_are_named(tmp_path: Path) -> None:
    script = _zip(tmp_path / "s.pt", {"a/data.pkl": b"N.", "a/constants.pkl": b").", "a/code/x.py": b""})
    with pytest.raises(InputError, match="TorchScript"):
        load_torch(script)
    with pytest.raises(InputError, match="no such file"):
        load_torch(tmp_path / "none.pth")
    with pytest.raises(InputError, match=r"data\.pkl"):
        load_torch(_zip(tmp_path / "z.pth", {"a.txt": b"x"}))


@FORMS
def test_optimiser_objects_are_inert_with_their_state(zipped: bool, model: torch.nn.Module, tmp_path: Path) -> None:
    """Their state is kept by parameter: a tensor is the key."""
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    torch.save({"w": torch.ones(2), "optimizer": [optimizer]}, tmp_path / "c", _use_new_zipfile_serialization=zipped)
    again = load_torch(tmp_path / "c")
    assert torch.equal(again["w"], torch.ones(2))
    (inert,) = again["optimizer"]
    assert isinstance(inert, Inert)
    assert inert.name == "torch.optim.adam.Adam"
    assert len(inert.state["state"]) == len(list(model.parameters()))
