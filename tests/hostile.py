"""Hostile files for tests: pickles that run something when Python's own unpickler reads them, headers that lie."""

from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Bomb:
    """Its pickle calls `function(*args)` when Python's own unpickler reads it."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def bombs(marker: Path) -> dict[str, Bomb]:
    touch = f"open({str(marker)!r}, 'w').close()"
    return {
        "system": Bomb(os.system, f"touch {marker}"),
        "eval": Bomb(eval, touch),
        "exec": Bomb(exec, touch),
        "open": Bomb(open, str(marker), "w"),
        "mkdir": Bomb(os.mkdir, str(marker)),
        "nested": Bomb(pickle.loads, pickle.dumps(Bomb(os.mkdir, str(marker)))),
    }


def npy(shape: object, descr: str = "<f4", data: bytes = b"", version: int = 1) -> bytes:
    head = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(head)) + head + data


@contextmanager
def little_memory(limit: int = 30 << 20) -> Iterator[None]:
    """The body takes less than `limit` bytes of Python and numpy memory at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()
