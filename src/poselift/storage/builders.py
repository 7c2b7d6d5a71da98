"""The globals that a pickle may name and get: numpy arrays, scalars and dtypes, plain containers, torch tensors.

Everything is checked against the bytes that are there before an array is made. Names outside the table become
`Inert`. Old spellings (`numpy.core`, `__builtin__`) are folded into the new ones.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from poselift.storage.inert import Builder, Inert, PickleError, plain_key

__all__ = ["DType", "check_shape", "resolve", "set_state"]

_PLAIN = re.compile(r"[<>=|]?(?:[?bhilqBHILQefdFD]|b1|[iu][1248]|f[248]|c(?:8|16)|[SUa]\d{1,6}|O[48]?)")


class DType:
    """A numpy dtype under construction: its byte order comes later, as state."""

    def __init__(self, text: Any, *_: Any) -> None:
        if isinstance(text, bytes):
            text = text.decode("ascii")
        if not isinstance(text, str) or not _PLAIN.fullmatch(text):
            raise PickleError(f"an array of type {str(text)[:40]!r}")
        self.dtype = np.dtype("O") if "O" in text else np.dtype(text)

    def set_state(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "|"
        order = order.decode("ascii") if isinstance(order, bytes) else order
        if order in ("<", ">") and not self.dtype.hasobject:
            self.dtype = self.dtype.newbyteorder(order)


def check_shape(shape: Any) -> tuple[int, ...]:
    """`shape` as a tuple of at most 32 non-negative integers."""
    if not isinstance(shape, tuple) or len(shape) > 32:
        raise PickleError("an array's shape that is none")
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in shape):
        raise PickleError("an array's shape that is none")
    return tuple(int(n) for n in shape)


def _dtype_of(value: Any) -> np.dtype[Any]:
    if isinstance(value, DType):
        return value.dtype
    raise PickleError(f"an array of type {value!r}"[:80])


def _from_bytes(dtype: np.dtype[Any], shape: Any, data: Any, order: str) -> np.ndarray:
    shape = check_shape(shape)
    if isinstance(data, str):
        data = data.encode("latin-1")
    if dtype.hasobject or not isinstance(data, (bytes, bytearray)):
        raise PickleError("an array without its bytes")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise PickleError(f"an array of shape {shape} with {len(data)} bytes")
    flat = np.frombuffer(data, dtype) if data else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _set_array_state(array: np.ndarray, state: Any) -> None:
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise PickleError("an array with unknown state")
    shape, dtype, fortran, data = state[-4:]
    shape, dtype = check_shape(shape), _dtype_of(dtype)
    if dtype.hasobject:
        if not isinstance(data, list) or len(data) != math.prod(shape):
            raise PickleError(f"an array of shape {shape} without its objects")
    else:
        data = _from_bytes(dtype, shape, data, "C").tobytes()
    array.__setstate__((1, shape, dtype, bool(fortran), data))  # pyright: ignore[reportArgumentType]


def _scalar(dtype: Any, data: Any = b"") -> Any:
    dtype = _dtype_of(dtype)
    return data if dtype.hasobject else _from_bytes(dtype, (1,), data, "C")[0]


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    array = _from_bytes(_dtype_of(dtype), shape, data, order)
    return array.astype(array.dtype.newbyteorder("="))


def _items(name: str, value: Any = ()) -> Any:
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise PickleError(f"a {name} of a {type(value).__name__}")
    return value


def _bytearray(data: Any = b"", encoding: str = "") -> bytearray:
    if isinstance(data, str):
        data = data.encode("latin-1")
    if not isinstance(data, (bytes, bytearray)):
        raise PickleError("a bytearray without bytes")
    return bytearray(data)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise PickleError("bytes in an unknown encoding")
    return text.encode("latin-1")


def _mapping(*args: Any) -> dict[Any, Any]:
    """OrderedDict, defaultdict: a plain dict (which keeps its order); pairs in the first argument are taken."""
    made: dict[Any, Any] = {}
    for arg in args:
        if isinstance(arg, dict):
            made.update(arg)
        elif isinstance(arg, (list, tuple)):
            for pair in arg:
                if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                    raise PickleError("a mapping of things that are no pairs")
                made[plain_key(pair[0])] = pair[1]
    return made


def _reconstructor(cls: Any, *_: Any) -> Any:
    return Inert(getattr(cls, "name", "object"))


_TABLE: dict[str, Builder] = {
    name: Builder(name, build)
    for name, build in {
        "numpy.ndarray": lambda *a: np.empty(0, np.int8),
        "numpy.dtype": DType,
        "numpy.core.multiarray._reconstruct": lambda *a: np.empty(0, np.int8),
        "numpy.core.multiarray.scalar": _scalar,
        "numpy.core.numeric._frombuffer": _frombuffer,
        "builtins.set": lambda v=(): {plain_key(i) for i in _items("set", v)},
        "builtins.frozenset": lambda v=(): frozenset(plain_key(i) for i in _items("frozenset", v)),
        "builtins.list": lambda v=(): list(_items("list", v)),
        "builtins.tuple": lambda v=(): tuple(_items("tuple", v)),
        "builtins.dict": _mapping,
        "builtins.bytearray": _bytearray,
        "builtins.bytes": lambda v=b"": bytes(_bytearray(v)),
        "builtins.complex": lambda re=0.0, im=0.0: complex(float(re), float(im)),
        "collections.OrderedDict": _mapping,
        "collections.defaultdict": _mapping,
        "_codecs.encode": _encode,
        "copyreg._reconstructor": _reconstructor,
    }.items()
}
_OLD = {"__builtin__": "builtins", "copy_reg": "copyreg"}


def resolve(module: str, name: str) -> Builder | Inert:
    """The builder of a known global, an inert stub for any other. Nothing is imported."""
    module = _OLD.get(module, module).replace("numpy._core", "numpy.core")
    return _TABLE.get(f"{module}.{name}") or Inert(f"{module}.{name}")


def set_state(target: Any, state: Any) -> None:
    """State (the BUILD opcode) for arrays, dtypes and mappings. Raises `PickleError` for anything else."""
    if isinstance(target, np.ndarray):
        _set_array_state(target, state)
    elif isinstance(target, DType):
        target.set_state(state)
    elif not isinstance(target, dict):  # attributes of an OrderedDict (torch's _metadata) are dropped
        raise PickleError(f"state for a {type(target).__name__}")
