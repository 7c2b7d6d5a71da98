"""TensorFlow 1 checkpoints: V2 (`NAME.index` and `NAME.data-00000-of-00001`) and V1 (one file).

Index and V1 file are LevelDB tables: blocks of sorted entries whose keys share prefixes, an index block, a footer of
48 bytes. Values are protocol buffers: in V2 BundleEntryProto {1 type, 2 shape, 3 shard, 4 offset, 5 size, 6 crc}, in
V1 SavedTensorSlices {1 the shapes of all, 2 {1 name, 3 TensorProto}}. TensorFlow does not compress these tables.
Source: LevelDB's doc/table_format.md, tensor_bundle.proto and saved_tensor_slice.proto of TensorFlow, checked against
files that TensorFlow wrote.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.storage.text import read_bytes

__all__ = ["load_tensorflow", "sniff_tensorflow"]

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_TYPES = {1: "f4", 2: "f8", 3: "i4", 9: "i8", 19: "f2"}
_MAX_INDEX, _MAX_DATA, _MAX_ENTRIES = 1 << 28, 4 << 30, 100_000
_SUFFIXES = (".index", ".meta", ".data-00000-of-00001")


def sniff_tensorflow(path: str | Path) -> bool:
    """True for a part of a V2 checkpoint, its name without suffix, or a V1 file. Never raises."""
    path = Path(path)
    try:
        if _stem(path).with_name(_stem(path).name + ".index").is_file():
            return True
        if not path.is_file() or path.stat().st_size < 48:
            return False
        with path.open("rb") as handle:
            handle.seek(-8, 2)
            return handle.read(8) == _MAGIC
    except OSError:
        return False


def load_tensorflow(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint by name. `path`: any of its files, or their common name. Raises `InputError`."""
    stem = _stem(Path(path))
    index = stem.with_name(stem.name + ".index")
    file = index if index.is_file() else Path(path)
    try:
        entries = dict(_table(read_bytes(file, max_bytes=_MAX_INDEX if file == index else _MAX_DATA)))
        if file != index:
            return _arrays_v1(entries, file)
        data = stem.with_name(stem.name + _SUFFIXES[2])
        return _arrays_v2(entries, index, read_bytes(data, max_bytes=_MAX_DATA))
    except _Damage as error:
        raise InputError(f"no TensorFlow checkpoint that can be read: {error}", file=file) from None


def _stem(path: Path) -> Path:
    for suffix in _SUFFIXES:
        if path.name.endswith(suffix):
            return path.with_name(path.name.removesuffix(suffix))
    return path


class _Damage(Exception):
    """What is wrong with the bytes."""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """(number, position behind it) of a base-128 number."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Damage("a number that does not end")


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a LevelDB table."""
    if len(data) < 48 or data[-8:] != _MAGIC:
        raise _Damage("cut off, or something else")
    at = len(data) - 48
    for _ in range(2):
        _, at = _varint(data, at)  # where the meta index is: not wanted
    left = _MAX_ENTRIES
    for _, handle in _block(data, data[at:]):
        for entry in _block(data, handle):
            left -= 1
            if left < 0:
                raise _Damage(f"more than {_MAX_ENTRIES:,} entries")
            yield entry


def _block(data: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The entries of the block that a handle (offset, size) points to."""
    offset, at = _varint(handle, 0)
    size, _ = _varint(handle, at)
    if offset + size + 5 > len(data) or size < 4:
        raise _Damage("a block that is not there")
    if data[offset + size] != 0:
        raise _Damage("a compressed table, which TensorFlow does not write")
    block = data[offset : offset + size]
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or fresh + length > end - at:
            raise _Damage("an entry that is longer than its block")
        key = key[:shared] + block[at : at + fresh]
        yield key, block[at + fresh : at + fresh + length]
        at += fresh + length


def _message(data: Any) -> dict[int, list[Any]]:
    """A protocol buffer as {field number: values}: numbers, and bytes where there is a length."""
    if not isinstance(data, bytes):
        raise _Damage("a number where a message belongs")
    fields: dict[int, list[Any]] = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind, size = tag & 7, {1: 8, 5: 4}.get(tag & 7, 0)
        if kind == 0:
            value, at = _varint(data, at)
        elif kind in (1, 2, 5):
            if kind == 2:
                size, at = _varint(data, at)
            if size > len(data) - at:
                raise _Damage("a field that is longer than its message")
            value, at = data[at : at + size], at + size
        else:
            raise _Damage(f"a field of kind {kind}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _field(message: dict[int, list[Any]], number: int, default: Any) -> Any:
    value = message.get(number, [default])[-1]
    if type(value) is not type(default):
        raise _Damage(f"field {number} is no {type(default).__name__}")
    return value


def _shape(data: bytes) -> tuple[int, ...]:
    """TensorShapeProto {2 {1 size}}."""
    return tuple(_field(_message(axis), 1, 0) for axis in _message(data).get(2, []))


def _array(name: str, kind: int, shape: tuple[int, ...], data: bytes) -> np.ndarray:
    dtype = np.dtype("<" + _TYPES[kind])
    if len(shape) > 32 or not data or math.prod(shape) * dtype.itemsize != len(data):
        raise _Damage(f"{name} has shape {shape} and {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape)


def _arrays_v2(entries: dict[bytes, bytes], file: Path, data: bytes) -> dict[str, np.ndarray]:
    shards = _field(_message(entries.pop(b"", b"")), 1, 0)
    if shards > 1:
        raise InputError(file=file, expected="a checkpoint with one data file", found=f"{shards} of them")
    arrays = {}
    for key, value in entries.items():
        entry, name = _message(value), key.decode("utf-8", "replace")
        kind, offset, size = _field(entry, 1, 0), _field(entry, 4, 0), _field(entry, 5, 0)
        if kind not in _TYPES:
            continue  # texts and the like are no weights
        if offset + size > len(data):
            raise _Damage(f"its data file is cut off before {name}")
        arrays[name] = _array(name, kind, _shape(_field(entry, 2, b"")), data[offset : offset + size])
    return arrays


def _arrays_v1(entries: dict[bytes, bytes], file: Path) -> dict[str, np.ndarray]:
    saved = [_message(v) for v in entries.values()]
    metas = [_message(m) for s in saved for top in s.get(1, []) for m in _message(top).get(1, [])]
    shapes = {_field(m, 1, b""): (_field(m, 3, 1), _shape(_field(m, 2, b""))) for m in metas}
    arrays = {}
    for part in (_message(d) for s in saved for d in s.get(2, [])):
        key = _field(part, 1, b"")
        name, tensor = key.decode("utf-8", "replace"), _message(_field(part, 3, b""))
        if key not in shapes:
            raise _Damage(f"{name} has no shape")
        kind, shape = shapes[key]
        if kind not in (1, 2):
            continue  # counters of steps are no weights
        values = b"".join(v for v in tensor.get(4 + kind, []) if isinstance(v, bytes)) or _field(tensor, 4, b"")
        arrays[name] = _array(name, kind, shape, values)
    if not arrays:
        raise InputError(file=file, expected="a TensorFlow checkpoint", found="a table without arrays")
    return arrays
