"""MXNet's `.params` files (NDArray lists, as Gluon's `save_parameters` and the older `save_params` write them).

Little-endian: u64 magic 0x112, u64 0, u64 count and the arrays, u64 count and the names (u64 length, bytes). An array:

    u32 magic, i32 storage type (0: dense), u32 axes, i64 sizes, i32 device, i32 its number, i32 type, the values

Files of 2017 and before (V1) have no storage type, still older ones no magic and u32 sizes.
Source: what MXNet 1.9.1 writes (src/ndarray/ndarray.cc, NDArray::Save).
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.storage.text import read_bytes

__all__ = ["load_mxnet", "sniff_mxnet"]

_HEAD = struct.pack("<QQ", 0x112, 0)
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_TYPES = ("f4", "f8", "f2", "u1", "i4", "i1", "i8")
_MAX_BYTES, _MAX_ARRAYS, _MAX_NAME = 4 << 30, 100_000, 4096


def sniff_mxnet(head: bytes) -> bool:
    """True where a file that begins so is an NDArray list."""
    return head.startswith(_HEAD)


def load_mxnet(path: str | Path) -> dict[str, np.ndarray]:
    """The named dense arrays of a `.params` file, in the file's order. Raises `InputError`.

    Names lose the `arg:` and `aux:` that symbolic models put before them.
    """
    data = read_bytes(path, max_bytes=_MAX_BYTES)
    if not sniff_mxnet(data):
        raise InputError(file=path, expected="an MXNet parameter file", found="other data" if data else "an empty file")
    reader = _Reader(data, path, len(_HEAD))
    arrays = [reader.array() for _ in range(reader.count("arrays"))]
    names = [reader.name() for _ in range(reader.count("names"))]
    if len(names) != len(arrays):
        raise InputError(file=path, expected=f"a name for each of {len(arrays)} arrays", found=f"{len(names)} names")
    if len(set(names)) != len(names):
        raise InputError("a name appears twice", file=path)
    return dict(zip(names, arrays, strict=True))


class _Reader:
    def __init__(self, data: bytes, file: str | Path, at: int) -> None:
        self.data, self.file, self.at = data, file, at

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise InputError("cut off", file=self.file)
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def count(self, what: str) -> int:
        count = self.number("Q")
        if count > _MAX_ARRAYS:
            raise InputError(file=self.file, field=what, expected=f"at most {_MAX_ARRAYS:,}", found=f"{count:,}")
        return count

    def name(self) -> str:
        length = self.number("Q")
        if length > _MAX_NAME:
            raise InputError(file=self.file, field="name", expected=f"at most {_MAX_NAME} bytes", found=f"{length:,}")
        name = self.take(length).decode("utf-8", "replace")
        return name.removeprefix("arg:").removeprefix("aux:")

    def array(self) -> np.ndarray:
        magic = self.number("I")
        if magic in (_V2, _V3) and (kind := self.number("i")) != 0:
            raise InputError(file=self.file, expected="dense arrays", found=f"a sparse one (storage type {kind})")
        axes, code = (self.number("I"), "q") if magic in (_V1, _V2, _V3) else (magic, "I")
        if not 0 < axes <= 32:
            raise InputError(file=self.file, expected="arrays of 1 to 32 axes", found=f"one of {axes}")
        shape = [self.number(code) for _ in range(axes)]
        self.take(8)  # the device it was on
        kind = self.number("i")
        if not 0 <= kind < len(_TYPES) or min(shape) < 1:
            raise InputError(file=self.file, expected="an array of numbers", found=f"type {kind}, shape {shape}")
        dtype = np.dtype("<" + _TYPES[kind])
        return np.frombuffer(self.take(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)
