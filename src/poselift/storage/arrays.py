"""Numpy files from strangers: .npy and .npz with headers checked against the bytes that are there.

Plain arrays are read straight into memory of the size that the header and the file agree on; object arrays go
through the inert unpickler. `row_blocks` reads an .npz in pieces, so that memory does not grow with its length.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from poselift.errors import InputError
from poselift.storage.archives import MAX_BYTES, Archive, MemberStream, open_archive
from poselift.storage.unpickle import load_pickle

__all__ = ["ArrayHeader", "load_npy", "load_npz", "npy_header", "npz_headers", "npz_names", "row_blocks"]

_MAX_HEADER = 65536
_MAGIC = b"\x93NUMPY"


@dataclass(frozen=True, kw_only=True)
class ArrayHeader:
    """What an .npy header declares; `offset` is where the data begins."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _header(stream: MemberStream | BinaryIO, file: str | Path, field: str | None) -> ArrayHeader:
    """Parse an .npy header (format versions 1 to 3 of numpy.lib.format)."""

    def bad(found: str) -> InputError:
        return InputError(file=file, field=field, expected="a numpy array (.npy)", found=found)

    start = stream.read(8)
    if len(start) < 8 or start[:6] != _MAGIC:
        raise bad("nothing" if not start else "other data")
    wide = start[6] >= 2
    length_bytes = stream.read(4 if wide else 2)
    length = int.from_bytes(length_bytes, "little")
    if start[6] not in (1, 2, 3) or len(length_bytes) < (4 if wide else 2) or length > _MAX_HEADER:
        raise bad("a damaged header")
    text = stream.read(length)
    try:
        head = ast.literal_eval(text.decode("utf-8" if start[6] == 3 else "latin-1").strip())
        shape, order = head["shape"], head["fortran_order"]
        dtype = np.lib.format.descr_to_dtype(head["descr"])
        whole = isinstance(shape, tuple) and len(shape) <= 32 and all(type(n) is int and n >= 0 for n in shape)
    except (ValueError, SyntaxError, KeyError, TypeError, IndexError, RecursionError, MemoryError) as error:
        raise bad(f"a damaged header ({type(error).__name__})") from None
    if len(text) < length or not whole or not isinstance(order, bool):
        raise bad("a damaged header")
    if dtype.hasobject and dtype != np.dtype(object):
        raise bad("records that hold Python objects")
    return ArrayHeader(shape=shape, dtype=dtype, fortran=order, offset=8 + len(length_bytes) + length)


def _check_bytes(header: ArrayHeader, have: int, file: str | Path, field: str | None) -> None:
    if header.dtype.hasobject:
        return
    if header.nbytes != have:
        shape = " x ".join(map(str, header.shape)) or "1"
        raise InputError(
            file=file, field=field, expected=f"{header.nbytes:,} bytes for the declared {shape} {header.dtype}",
            found=f"{have:,} (cut off, or the header is wrong)",
        )  # fmt: skip


def npy_header(path: str | Path) -> ArrayHeader:
    """The header of an .npy file, checked against the file's size. Raises `InputError`."""
    path = Path(path)
    try:
        if not path.is_file():
            raise InputError("no such file" if not path.exists() else "not a file", file=path)
        with path.open("rb") as handle:
            header = _header(handle, path, None)
        _check_bytes(header, path.stat().st_size - header.offset, path, None)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    return header


def load_npy(path: str | Path, *, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The array of an .npy file; objects in it are plain or inert. Raises `InputError`."""
    path = Path(path)
    header = npy_header(path)
    size = path.stat().st_size
    if size > max_bytes:
        raise InputError(file=path, expected=f"at most {max_bytes:,} bytes", found=f"{size:,}")
    with path.open("rb") as handle:
        handle.seek(header.offset)
        if header.dtype.hasobject:
            return _objects(handle.read(), header, path, None)
        data = np.fromfile(handle, header.dtype, math.prod(header.shape))
    if data.size != math.prod(header.shape):
        raise InputError("cut off while it was read", file=path)
    return data.reshape(header.shape, order="F" if header.fortran else "C")


def _objects(data: bytes, header: ArrayHeader, file: str | Path, field: str | None) -> np.ndarray:
    name = f"{file}: {field}" if field else file
    value = load_pickle(data, file=name)
    if not isinstance(value, np.ndarray) or value.shape != header.shape:
        raise InputError(file=name, expected=f"an array of shape {header.shape}", found=type(value).__name__)
    return value


def npz_names(path: str | Path) -> frozenset[str]:
    """Names of the arrays in an .npz file, or none where there is no readable one. For `sniff`; never raises."""
    try:
        if not Path(path).is_file():
            return frozenset()
        with open(path, "rb") as handle:
            if handle.read(2) != b"PK":
                return frozenset()
        with open_archive(path) as archive:
            return frozenset(n.removesuffix(".npy") for n in archive.names)
    except (InputError, OSError):
        return frozenset()


def npz_headers(path: str | Path, *, max_bytes: int = MAX_BYTES) -> dict[str, ArrayHeader]:
    """Headers of all arrays of an .npz file, each checked against its member's size. Raises `InputError`."""
    with open_archive(path, max_bytes=max_bytes) as archive:
        return {name: _member_header(archive, name) for name in _members(archive)}


def _members(archive: Archive) -> list[str]:
    names = [n.removesuffix(".npy") for n in archive.names if n.endswith(".npy")]
    if not names:
        raise InputError(file=archive.file, expected="arrays (.npz)", found="a zip archive without any")
    return names


def _member_header(archive: Archive, name: str) -> ArrayHeader:
    with archive.stream(name + ".npy") as stream:
        header = _header(stream, archive.file, name)
    _check_bytes(header, archive.size(name + ".npy") - header.offset, archive.file, name)
    return header


def load_npz(
    path: str | Path, *, names: Iterable[str] | None = None, max_bytes: int = MAX_BYTES
) -> dict[str, np.ndarray]:
    """The arrays of an .npz file (only `names`, where given and present); objects are plain or inert.

    `max_bytes` caps the unpacked size. Raises `InputError` for anything damaged, oversized or misdeclared.
    """
    wanted = None if names is None else set(names)
    with open_archive(path, max_bytes=max_bytes) as archive:
        return {n: _load_member(archive, n) for n in _members(archive) if wanted is None or n in wanted}


def _load_member(archive: Archive, name: str) -> np.ndarray:
    header = _member_header(archive, name)
    with archive.stream(name + ".npy") as stream:
        stream.read(header.offset)
        if header.dtype.hasobject:
            return _objects(stream.read(), header, archive.file, name)
        flat = np.empty(math.prod(header.shape), header.dtype)
        _fill(stream, flat, archive.file, name)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def _fill(stream: MemberStream, array: np.ndarray, file: str | Path, name: str) -> None:
    if array.nbytes and stream.fill(array.reshape(-1).view(np.uint8).data) != array.nbytes:
        raise InputError("cut off", file=file, field=name)


def row_blocks(
    path: str | Path, names: Iterable[str], *, rows: int, max_bytes: int = 1 << 40
) -> Iterator[dict[str, np.ndarray]]:
    """Read several arrays of one .npz side by side, `rows` rows at a time, in memory for one block only.

    The arrays need the same first axis and plain numbers in C order. Raises `InputError`.
    """
    names = list(names)
    with ExitStack() as stack:
        archive = stack.enter_context(open_archive(path, max_bytes=max_bytes))
        missing = [n for n in names if n + ".npy" not in archive]
        if missing:
            raise InputError(file=path, expected=f"an array '{missing[0]}'", found=", ".join(_members(archive)))
        headers = {n: _member_header(archive, n) for n in names}
        lengths = {h.shape[:1] for h in headers.values()}
        if len(lengths) != 1 or () in lengths:
            raise InputError("its arrays differ in length", file=path, field=", ".join(names))
        for name, header in headers.items():
            if header.dtype.hasobject or (header.fortran and len(header.shape) > 1):
                raise InputError("objects or column order; it cannot be read in blocks", file=path, field=name)
        streams = {n: stack.enter_context(archive.stream(n + ".npy")) for n in names}
        for name, stream in streams.items():
            stream.read(headers[name].offset)
        (total,) = lengths.pop()
        for start in range(0, total, rows):
            count = min(rows, total - start)
            block = {n: np.empty((count, *h.shape[1:]), h.dtype) for n, h in headers.items()}
            for name, stream in streams.items():
                _fill(stream, block[name], path, name)
            yield block
