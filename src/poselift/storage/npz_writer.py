"""Writing an .npz of any length in constant memory: rows are appended, the archive is put together at the end."""

from __future__ import annotations

import io
import secrets
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from poselift.storage.atomic import write_aside

__all__ = ["NpzWriter", "npz_writer", "save_npz"]


def save_npz(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Write plain arrays to an .npz (uncompressed, no pickles), aside and renamed. Raises `OutputError`."""
    with npz_writer(path) as writer:
        for name, array in arrays.items():
            writer.put(name, array)


class NpzWriter:
    """Collects an .npz: `append` adds rows to growing arrays, `put` a whole array. Made by `npz_writer`."""

    def __init__(self, part: Path) -> None:
        self._part = part
        self._token = secrets.token_hex(3)
        self._rows: dict[str, tuple[Path, BinaryIO, np.dtype[Any], tuple[int, ...]]] = {}
        self._counts: dict[str, int] = {}
        self._whole: dict[str, np.ndarray] = {}

    def append(self, **arrays: np.ndarray) -> None:
        """Add rows (n, ...) to the array of each name; shapes after the first axis and types stay the same."""
        for name, array in arrays.items():
            array = np.ascontiguousarray(array)
            if name not in self._rows:
                if array.dtype.hasobject:
                    raise TypeError(f"{name}: objects cannot be written without a pickle")
                file = self._part.with_name(f".{name}.{self._token}.rows")
                self._rows[name] = file, file.open("wb"), array.dtype, array.shape[1:]
                self._counts[name] = 0
            _, handle, dtype, tail = self._rows[name]
            if array.dtype != dtype or array.shape[1:] != tail:
                raise ValueError(f"{name}: rows of {dtype} {tail} do not fit {array.dtype} {array.shape[1:]}")
            if array.nbytes:
                handle.write(array.reshape(-1).view(np.uint8).data)
            self._counts[name] += len(array)

    def put(self, name: str, array: Any) -> None:
        """A whole array, number or text."""
        array = np.asanyarray(array)
        if array.dtype.hasobject:
            raise TypeError(f"{name}: objects cannot be written without a pickle")
        self._whole[name] = array

    def finish(self) -> None:
        """Put the archive together at the temporary path."""
        with zipfile.ZipFile(self._part, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, (file, handle, dtype, tail) in self._rows.items():
                handle.close()
                head = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
                with archive.open(f"{name}.npy", "w", force_zip64=True) as out:
                    out.write(_head_bytes({**head, "shape": (self._counts[name], *tail)}))
                    with file.open("rb") as rows:
                        shutil.copyfileobj(rows, out, 1 << 20)
                file.unlink()
            for name, array in self._whole.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as out:
                    np.lib.format.write_array(out, array, allow_pickle=False)

    def discard(self) -> None:
        for file, handle, _, _ in self._rows.values():
            with suppress(OSError):
                handle.close()
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _head_bytes(head: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_2_0(buffer, head)
    return buffer.getvalue()


@contextmanager
def npz_writer(path: str | Path) -> Iterator[NpzWriter]:
    """Give an `NpzWriter`; the file appears under `path` when the body ends well, and not at all otherwise."""
    with ExitStack() as stack:
        part = stack.enter_context(write_aside(path))
        writer = NpzWriter(part)
        stack.callback(writer.discard)
        yield writer
        writer.finish()
