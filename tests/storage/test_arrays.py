"""Numpy files: what numpy writes is read; headers that lie are refused before memory is taken."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hostile import little_memory, npy
from poselift.errors import InputError, OutputError
from poselift.storage.arrays import load_npy, load_npz, npy_header, npz_headers, npz_names, row_blocks
from poselift.storage.npz_writer import npz_writer, save_npz

ARRAYS = {
    "f4": np.arange(6, dtype=np.float32).reshape(2, 3), "big": np.array([1, 2], ">f8"), "scalar": np.float64(50),
    "text": np.array("h36m17"), "names": np.array(["a", "bc"]), "order": np.asfortranarray(np.arange(12).reshape(3, 4)),
    "none": np.zeros((0, 17, 2)), "flag": np.array([True, False]), "record": np.array([(1, 2.0)], dtype="i4,f8"),
}  # fmt: skip


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_of_numpy_is_read(save: Callable[..., None], tmp_path: Path) -> None:
    save(tmp_path / "a.npz", **ARRAYS)
    again = load_npz(tmp_path / "a.npz")
    assert again.keys() == ARRAYS.keys() == npz_names(tmp_path / "a.npz")
    for name, array in ARRAYS.items():
        assert again[name].dtype == array.dtype, name
        np.testing.assert_array_equal(again[name], array)
    headers = npz_headers(tmp_path / "a.npz")
    assert headers["f4"].shape == (2, 3)
    assert headers["order"].fortran
    assert load_npz(tmp_path / "a.npz", names=["f4", "other"]).keys() == {"f4"}


@pytest.mark.parametrize("name", ARRAYS)
def test_npy_of_numpy_is_read(name: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAYS[name])
    again = load_npy(tmp_path / "a.npy")
    assert again.dtype == ARRAYS[name].dtype
    np.testing.assert_array_equal(again, ARRAYS[name])


def test_own_writer_is_read_by_numpy(tmp_path: Path) -> None:
    save_npz(tmp_path / "a.npz", ARRAYS)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as z:
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(z[name], array)


LIES = {
    "a billion frames": npy((10**9, 17, 2), data=b"\0" * 64),
    "overflowing": npy((2**40, 2**40), data=b"\0" * 64),
    "negative": npy((-1, 3)),
    "float shape": npy((1.5,)),
    "bool shape": npy((True,), data=b"\0" * 4),
    "list shape": npy([2], data=b"\0" * 8),
    "too long": npy((1,), data=b"\0" * 8),
    "33 axes": npy((1,) * 33, data=b"\0" * 4),
    "record of objects": npy((1,), "|O,i4", b"\0" * 12),
    "no type": npy((1,), "wrong", b"\0" * 4),
    "call in header": b"\x93NUMPY\x01\0" + struct.pack("<H", 24) + b"__import__('os').getcwd()"[:24],
    "huge header": b"\x93NUMPY\x02\0" + struct.pack("<I", 2**31) + b" " * 100,
    "nested header": npy((1,)).replace(b"(1,)", b"(" * 4000),
    "version 9": npy((1,), data=b"\0" * 4).replace(b"\x01\0", b"\x09\0", 1),
    "short": b"\x93NUMPY",
    "empty": b"",
    "objects cut off": npy((10**9,), "|O", b"\x80\x04]"),
    "objects of another shape": npy((10**9,), "|O", b"\x80\x04]."),
}


@pytest.mark.parametrize("lie", LIES)
def test_headers_that_lie(lie: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(LIES[lie])
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("kp.npy", LIES[lie])
    with little_memory():
        with pytest.raises(InputError, match=r"a\.npy"):
            load_npy(tmp_path / "a.npy")
        with pytest.raises(InputError, match=r"a\.npz"):
            load_npz(tmp_path / "a.npz")


def test_the_message_says_what_was_declared(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(LIES["a billion frames"])
    with pytest.raises(InputError, match=r"136,000,000,000 bytes for the declared 1000000000 x 17 x 2.*found 64"):
        npy_header(tmp_path / "a.npy")


@pytest.mark.parametrize("part", [0, 1, 10, 100, 200, -300, -30, -2])
def test_cut_off(part: int, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.random.default_rng(0).normal(size=100))
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data[:part])
    assert npz_names(tmp_path / "a.npz") == frozenset()
    with pytest.raises(InputError, match=r"a\.npz"):
        load_npz(tmp_path / "a.npz")


def test_damaged_bytes_inside(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        np.save(buffer, np.random.default_rng(0).normal(size=1000))
        with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
            archive.writestr("a.npy", buffer.getvalue())
        data = bytearray((tmp_path / "a.npz").read_bytes())
        data[4000:4100] = b"\x55" * 100
        (tmp_path / "a.npz").write_bytes(data)
        with pytest.raises(InputError, match="damaged"):
            load_npz(tmp_path / "a.npz")


# row by row


def test_blocks_join_to_the_whole(tmp_path: Path) -> None:
    kp = np.random.default_rng(0).normal(size=(103, 17, 2)).astype(np.float32)
    np.savez_compressed(tmp_path / "a.npz", kp=kp, frame=np.arange(103), fps=50)
    blocks = list(row_blocks(tmp_path / "a.npz", ["kp", "frame"], rows=25))
    assert [len(b["kp"]) for b in blocks] == [25, 25, 25, 25, 3]
    np.testing.assert_array_equal(np.concatenate([b["kp"] for b in blocks]), kp)
    np.testing.assert_array_equal(np.concatenate([b["frame"] for b in blocks]), np.arange(103))


def test_blocks_refuse_what_has_no_rows(tmp_path: Path) -> None:
    objects = np.array([None])
    order = np.asfortranarray(np.zeros((3, 2)))
    np.savez(tmp_path / "a.npz", a=np.zeros(3), b=np.zeros(4), s=np.float64(1), o=objects, f=order)
    for names in (["a", "b"], ["s"], ["o"], ["f"], ["a", "missing"]):
        with pytest.raises(InputError, match=r"a\.npz"):
            next(row_blocks(tmp_path / "a.npz", names, rows=2))


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    block = np.zeros((10_000, 17, 2), np.float32)
    with little_memory(10 << 20):
        with npz_writer(tmp_path / "a.npz") as out:
            for _ in range(30):
                out.append(kp=block)
            out.put("fps", 50.0)
        total = sum(len(b["kp"]) for b in row_blocks(tmp_path / "a.npz", ["kp"], rows=10_000))
    assert total == 300_000
    assert (tmp_path / "a.npz").stat().st_size > 40_000_000


def test_writer_leaves_nothing_behind(tmp_path: Path) -> None:
    def write(second: np.ndarray) -> None:
        with npz_writer(tmp_path / "a.npz") as out:
            out.append(kp=np.zeros((2, 3)))
            out.append(kp=second)

    (tmp_path / "a.npz").write_text("old")
    for wrong in (np.zeros((2, 4)), np.zeros((2, 3), np.float32)):
        with pytest.raises(ValueError, match="do not fit"):
            write(wrong)
    with pytest.raises(TypeError), npz_writer(tmp_path / "a.npz") as out:
        out.put("o", np.array([None]))
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    assert (tmp_path / "a.npz").read_text() == "old"
    with pytest.raises(OutputError), npz_writer(tmp_path) as out:
        pass
