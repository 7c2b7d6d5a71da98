"""The inert unpickler: it reads what numpy, torch and Python write, and runs nothing, whatever a file asks for."""

from __future__ import annotations

import collections
import contextlib
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile import bombs
from poselift.errors import InputError
from poselift.formats import READERS, ReadOptions
from poselift.storage.arrays import load_npy, load_npz
from poselift.storage.unpickle import Inert, load_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_back(protocol: int) -> None:
    value = {
        "numbers": [1, -5, 300, 70_000, 2**70, -(2**40), 1.5, float("inf"), 1 + 2j, True, False, None],
        "texts": ["", "é", "a" * 300, "日本"], "bytes": [b"", b"\x00\xff", b"x" * 300, bytearray(b"ab")],
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), "sets": [{1, 2}, frozenset({3}), set()],
        ("S1", 2, "Walking 1"): {}, 5: {"nested": [{"deep": [[]]}]},
    }  # fmt: skip
    assert load_pickle(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shared_and_recursive_values(protocol: int) -> None:
    inner: list[Any] = [1]
    value = {"a": inner, "b": inner}
    inner.append(value)
    again = load_pickle(pickle.dumps(value, protocol))
    assert again["a"] is again["b"]
    assert again["a"][1] is again


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3), np.zeros((0, 3), np.float32), np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.array([1, 2], ">i4"), np.array(["ab", "c"]), np.array([b"x"]), np.array(True), np.array([1j]),
        np.array([1.5], np.float16), np.arange(4, dtype=np.uint8)[::2],
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)  # fmt: skip
def test_arrays_come_back(protocol: int, array: np.ndarray) -> None:
    again = load_pickle(pickle.dumps([array, array], protocol))
    assert again[0] is again[1]
    assert again[0].dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(again[0], array)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_object_arrays_scalars_and_mappings(protocol: int) -> None:
    objects = np.empty(3, dtype=object)
    objects[:] = [np.ones((2, 2), np.float32), None, "text"]
    value = {
        "o": objects, "s": np.float32(3), "i": np.int64(7), "od": collections.OrderedDict([("b", 1), ("a", 2)]),
        "dd": collections.defaultdict(list, {"x": [1]}),
    }  # fmt: skip
    again = load_pickle(pickle.dumps(value, protocol))
    assert again["o"].shape == (3,)
    np.testing.assert_array_equal(again["o"][0], np.ones((2, 2)))
    assert list(again["o"][1:]) == [None, "text"]
    assert again["s"] == 3
    assert again["s"].dtype == np.float32
    assert again["i"] == 7
    assert list(again["od"].items()) == [("b", 1), ("a", 2)]
    assert again["dd"] == {"x": [1]}
    assert type(again["dd"]) is dict


def test_python_2_pickle() -> None:
    """Byte strings of Python 2, also as the bytes of arrays, are latin-1 text."""
    data = (
        b"(dp0\nS'x'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntS'b'\ntRp4\n"
        b"(I1\n(I2\ntcnumpy\ndtype\np5\n(S'f4'\nI0\nI1\ntRp6\n(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
        b"S'\\x00\\x00\\x80?\\x00\\x00\\x00@'\ntbs."
    )
    np.testing.assert_array_equal(load_pickle(data)["x"], np.array([1, 2], np.float32))


# nothing runs


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "it_ran"


def test_the_bombs_are_live(marker: Path) -> None:
    """With Python's own unpickler they go off: the tests below would fail if ours ran anything."""
    pickle.loads(pickle.dumps(bombs(marker)["mkdir"]))
    assert marker.exists()


@pytest.mark.parametrize("kind", ["system", "eval", "exec", "open", "mkdir", "nested"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickle_runs_nothing(kind: str, protocol: int, marker: Path) -> None:
    value = load_pickle(pickle.dumps({"weights": [1.0], "evil": bombs(marker)[kind]}, protocol))
    assert not marker.exists()
    assert value["weights"] == [1.0]
    assert isinstance(value["evil"], Inert)


def test_nothing_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil_module_xyz.py").write_text(f"open({str(tmp_path / 'it_ran')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for data in (b"cevil_module_xyz\nanything\n.", b"\x80\x04\x8c\x0fevil_module_xyz\x8c\x01x\x93."):
        assert "evil_module_xyz" in repr(load_pickle(data))
    assert "evil_module_xyz" not in sys.modules
    assert not (tmp_path / "it_ran").exists()


def test_old_style_instances_are_inert(marker: Path) -> None:
    for data in (
        f"(S'touch {marker}'\nios\nsystem\n.".encode(),
        f"(cos\nsystem\nS'touch {marker}'\no.".encode(),
        f"cos\nsystem\n(S'touch {marker}'\ntR.".encode(),
        b"c__builtin__\neval\n(S'1'\ntRc__builtin__\n__import__\n(S'os'\ntR0.",
    ):
        assert isinstance(load_pickle(data), Inert)
    assert not marker.exists()


def hostile_files(folder: Path, marker: Path) -> list[tuple[str, Path]]:
    """(reader, file) for every reader of files that may hold pickles."""
    files = []
    for i, bomb in enumerate(bombs(marker).values()):
        evil = np.empty((), dtype=object)
        evil[()] = {"S1": {"Walking": [np.zeros((3, 17, 2), np.float32)]}, "S2": bomb}
        names = {
            "videopose3d-2d": "positions_2d",
            "videopose3d-3d": "positions_3d",
            "poses-npz": "kp_img",
            "array": "keypoints",
        }
        for reader, name in names.items():
            path = folder / f"{reader}_{i}.npz"
            np.savez(path, **{name: evil})  # pyright: ignore[reportArgumentType]
            files.append((reader, path))
        ragged = np.empty(2, dtype=object)
        ragged[:] = [np.zeros((1, 17, 3)), bomb]
        np.save(folder / f"array_{i}.npy", ragged, allow_pickle=True)
        files.append(("array", folder / f"array_{i}.npy"))
        path = folder / f"{i}.pkl"
        path.write_bytes(pickle.dumps({"test": {"joint_2d": bomb}}))
        files.append(("motionbert-pkl", path))
    return files


def test_no_reader_runs_anything(tmp_path: Path, marker: Path) -> None:
    for reader, path in hostile_files(tmp_path, marker):
        READERS[reader].sniff(path)
        with pytest.raises(InputError, match=path.name):
            READERS[reader].read(path, ReadOptions(skeleton="h36m17"))
        assert not marker.exists(), path


def test_npz_and_npy_run_nothing(tmp_path: Path, marker: Path) -> None:
    evil = np.empty((), dtype=object)
    evil[()] = {"good": np.arange(3), "bad": bombs(marker)["system"]}
    np.savez(tmp_path / "evil.npz", a=np.zeros(2), o=evil)
    np.save(tmp_path / "evil.npy", evil, allow_pickle=True)
    for value in (load_npz(tmp_path / "evil.npz")["o"], load_npy(tmp_path / "evil.npy")):
        assert value.item()["good"].tolist() == [0, 1, 2]
        assert isinstance(value.item()["bad"], Inert)
    assert not marker.exists()


# damage and greed


@pytest.mark.parametrize(
    "data",
    [
        b"", b".", b"N", b"(", b"0.", b"R.", b"b.", b"a.", b"s.", b"u.", b"t.", b"e.", b"h\x05.", b"g7\n.", b"\xff.",
        b"Pid\n.", b"NQ.", b"]Na", b"I1x\n.", b"L" + b"9" * 5000 + b"L\n.", b"X\xff\xff\xff\xff.",
        b"\x8e" + b"\xff" * 8 + b".", b"\x8b\xff\xff\xff\x7f.", b"\x8b\x00\x10\x00\x00" + b"\x01" * 4096 + b".",
        b"T\xff\xff\xff\xff.", b"\x82\x01.", b"\x97.", b"\x98.", b"K\x01]s.", b"}]Ns.", b"\x8f(]\x90.", b"(]\x91.",
        b"NNR.", b"K\x01)R.", b"S'abc\n.", b"Sabc\n.", b"F1..5\n.", b"cbuiltins\nbytearray\n(J\xff\xff\xff\x7ftR.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR.", b"cnumpy\ndtype\n(S'(1000000000,)f8'\ntR.",
        b"cnumpy\ndtype\n(S'M8[ns]'\ntR.",
    ],
    ids=lambda d: repr(d[:16]),
)  # fmt: skip
def test_damage_is_an_input_error(data: bytes) -> None:
    with pytest.raises(InputError, match=r"f\.pkl"):
        load_pickle(data, file="f.pkl")


def _array_pickle(shape: tuple[int, ...], kind: str, data: bytes | list[Any]) -> bytes:
    class Made:
        def __reduce__(self) -> tuple[Any, ...]:
            make = np.zeros(1).__reduce__()[0]
            return make, (np.ndarray, (0,), b"b"), (1, shape, np.dtype(kind), False, data)

    return pickle.dumps(Made())


@pytest.mark.parametrize(
    ("shape", "kind", "data"),
    [
        ((10**9, 17, 2), "f4", b""), ((3,), "f4", b"1234"), ((2**62, 4), "f8", b""), ((2,), "O", [1]),
        ((10**9,), "O", [1]),        ((1,), "O", b"12345678"), ((-1,), "f4", b""), ((2,), "f4", [1.0, 2.0]),
    ],
)  # fmt: skip
def test_arrays_must_fit_their_bytes(shape: tuple[int, ...], kind: str, data: bytes | list[Any]) -> None:
    with pytest.raises(InputError):
        load_pickle(_array_pickle(shape, kind, data))


def test_too_many_objects() -> None:
    with pytest.raises(InputError, match="more than 1,000 objects"):
        load_pickle(b"]" * 2000 + b".", max_objects=1000)


def test_deep_tuples_as_keys_do_not_crash() -> None:
    """Hashing a tuple nested a million deep overflows the C stack of the interpreter."""
    with pytest.raises(InputError, match="nested too deeply"):
        load_pickle(b"}" + b")" + b"\x85" * 30_000 + b"Ns.")


def _read_or_refuse(data: bytes) -> None:
    """Any other exception than `InputError` fails the test."""
    with contextlib.suppress(InputError):
        load_pickle(data)


@settings(max_examples=300, deadline=None, database=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    _read_or_refuse(data)


_GOOD = pickle.dumps(
    {"a": np.arange(4.0), "b": [(1, 2), {"c": None}], "d": np.array([None, 1], dtype=object), "e": {1}}, 4
)


@settings(max_examples=300, deadline=None, database=None)
@given(at=st.integers(0, len(_GOOD) - 1), byte=st.integers(0, 255))
def test_any_flipped_byte_is_read_or_refused(at: int, byte: int) -> None:
    data = bytearray(_GOOD)
    data[at] = byte
    _read_or_refuse(bytes(data))
