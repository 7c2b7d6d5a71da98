"""Reading pickles and torch checkpoints that anybody may have made: nothing in them is ever run.

`load_pickle` and `load_torch` give arrays, tensors, plain containers, and `Inert` stubs for everything else.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poselift.errors import InputError
from poselift.storage.archives import Archive, open_archive
from poselift.storage.builders import check_shape, resolve, set_state
from poselift.storage.inert import Builder, Inert, PickleError
from poselift.storage.machine import Machine
from poselift.storage.text import read_bytes

if TYPE_CHECKING:
    import torch

__all__ = ["Inert", "load_pickle", "load_torch"]

_MAX_BYTES = 8 << 30
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64", "Int": "int32",
    "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool", "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}  # fmt: skip

_DAMAGE = (PickleError, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error, RecursionError,
           MemoryError, AttributeError, SyntaxError)  # fmt: skip


def _run(machine: Machine, file: str | Path) -> Any:
    try:
        return machine.run()
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"no pickle that can be read safely: {error or type(error).__name__}", file=file) from error


def load_pickle(
    source: str | Path | bytes | memoryview,
    *,
    file: str | Path | None = None,
    max_bytes: int = _MAX_BYTES,
    max_objects: int = 20_000_000,
) -> Any:
    """The value of a pickle (a path or its bytes): numpy arrays, tensors, plain containers, inert stubs.

    `file` names it in messages. Raises `InputError` for a damaged pickle or one above the caps.
    """
    if isinstance(source, (str, Path)):
        file = source if file is None else file
        source = read_bytes(source, max_bytes=max_bytes)
    file = "pickle" if file is None else file
    if len(source) == 0:
        raise InputError("an empty file", file=file)
    return _run(Machine(source, resolve=_with_torch(file, 0), set_state=set_state, max_ops=max_objects), file)


def load_torch(path: str | Path, *, max_bytes: int = _MAX_BYTES) -> Any:
    """The value of a torch file (.pth, .pt, .bin, .pth.tar; zip or legacy form) with its tensors on the CPU.

    Optimisers, models, namespaces and the like become `Inert` stubs with their state inside. Raises `InputError`.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such file" if not path.exists() else "not a file", file=path)
    with path.open("rb") as handle:
        head = handle.read(512)
    if head[:4] == b"PK\x03\x04":
        with open_archive(path, max_bytes=max_bytes) as archive:
            return _load_zip(archive, path)
    if head[257:262] == b"ustar":
        raise InputError("a torch file of 2016 or before; save it again with a newer torch", file=path)
    return _load_legacy(read_bytes(path, max_bytes=max_bytes), path, 0)


class _Storage:
    """A flat tensor that tensors are views of."""

    def __init__(self, flat: torch.Tensor) -> None:
        self.flat = flat


def _storage_type(value: Any) -> tuple[torch.dtype, int]:
    """(dtype, bytes per element) of a storage class named in a pickle."""
    import torch

    name = value.name.rpartition(".")[2] if isinstance(value, Inert) else ""
    kind = _DTYPES.get(name.removesuffix("Storage")) or ("uint8" if name == "UntypedStorage" else None)
    if kind is None:
        raise PickleError(f"a tensor of type {value!r}")
    dtype: torch.dtype = getattr(torch, kind)
    return dtype, dtype.itemsize


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    """torch._utils._rebuild_tensor_v2, with every index checked against the storage."""
    if not isinstance(storage, _Storage) or not isinstance(offset, int) or offset < 0:
        raise PickleError("a tensor without its storage")
    size, stride = check_shape(size), check_shape(stride)
    if len(size) != len(stride):
        raise PickleError("a tensor whose size and stride differ in length")
    count, have = math.prod(size), storage.flat.numel()
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if count else 0
    if (count and last >= have) or count > max(have, 1 << 20):
        raise PickleError(f"a tensor of size {size} in a storage of {have}")
    return storage.flat.as_strided(size, stride, offset if count else 0)


def _from_type(function: Any, kind: Any, args: Any, state: Any = None) -> Any:
    """torch._tensor._rebuild_from_type_v2: the tensor below a subclass or attributes."""
    if not isinstance(function, Builder) or not isinstance(args, tuple):
        raise PickleError("a tensor of unknown make")
    return function.build(*args)


def _with_torch(file: str | Path, depth: int) -> Callable[[str, str], Builder | Inert]:
    """`resolve` with torch's rebuilding functions added."""

    def nested(data: Any) -> Any:
        if depth >= 3 or not isinstance(data, (bytes, bytearray)):
            raise PickleError("tensors nested in tensors")
        return _load_legacy(bytes(data), file, depth + 1)

    table = {
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": lambda data, *_: data,
        "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
        "torch._tensor._rebuild_from_type_v2": _from_type,
        "torch.storage._load_from_bytes": nested,
        "torch.Size": lambda v=(): check_shape(tuple(v)),
    }

    def find(module: str, name: str) -> Builder | Inert:
        full = f"{module}.{name}"
        return Builder(full, table[full]) if full in table else resolve(module, name)

    return find


def _flat(data: bytes | bytearray, dtype: torch.dtype) -> torch.Tensor:
    import torch

    return torch.frombuffer(data, dtype=dtype) if len(data) else torch.empty(0, dtype=dtype)


def _load_zip(archive: Archive, file: Path) -> Any:
    pickles = [n for n in archive.names if n == "data.pkl" or n.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise InputError(file=file, expected="a torch file with one data.pkl", found=f"{len(pickles)} of them")
    prefix = pickles[0].removesuffix("data.pkl")
    if prefix + "constants.pkl" in archive and any(n.startswith(prefix + "code/") for n in archive.names):
        raise InputError("a TorchScript program; weights are needed (a state_dict)", file=file)
    if prefix + "byteorder" in archive and archive.read(prefix + "byteorder", 16).strip() == b"big":
        raise InputError("saved on a big-endian machine", file=file)
    stores: dict[str, _Storage] = {}

    def persistent(pid: Any) -> _Storage:
        kind, dtype, key, count = _storage_id(pid)
        if key not in stores:
            name = f"{prefix}data/{key}"
            if name not in archive or archive.size(name) != count * kind:
                raise PickleError(f"a storage of {count} elements that is not there")
            stores[key] = _Storage(_flat(bytearray(archive.read(name)), dtype))
        return stores[key]

    data = archive.read(pickles[0], 1 << 30)
    return _run(Machine(data, resolve=_with_torch(file, 0), set_state=set_state, persistent=persistent), file)


def _storage_id(pid: Any) -> tuple[int, torch.dtype, str, int]:
    """(bytes per element, dtype, key, elements) of a persistent id ('storage', type, key, place, elements)."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
        raise PickleError("an unknown persistent id")
    dtype, width = _storage_type(pid[1])
    if not isinstance(pid[4], int) or not 0 <= pid[4] < 1 << 48 or not isinstance(pid[2], (str, int)):
        raise PickleError("a storage without a size")
    return width, dtype, str(pid[2]), pid[4]


def _load_legacy(data: bytes, file: str | Path, depth: int) -> Any:
    """Legacy torch files: pickles of magic number, protocol, system, value, keys; then the storages' bytes.

    A file that does not begin with the magic number is read as a plain pickle.
    """
    if not data:
        raise InputError("an empty file", file=file)
    find = _with_torch(file, depth)
    buffers: dict[str, tuple[bytearray, int]] = {}
    stores: dict[str, _Storage] = {}
    at = taken = 0

    def persistent(pid: Any) -> _Storage | Inert:
        nonlocal taken
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module" and isinstance(pid[1], Inert):
            return pid[1]  # a class, with its source code behind it
        width, dtype, key, count = _storage_id(pid)
        if len(pid) > 5 and pid[5] is not None:
            raise PickleError("views of storages, as torch saved them in 2016")
        if key not in stores:
            taken += count * width
            if taken > len(data):
                raise PickleError(f"a storage of {count} elements that is not there")
            buffers[key] = bytearray(count * width), width
            stores[key] = _Storage(_flat(buffers[key][0], dtype))
        return stores[key]

    def next_pickle() -> Any:
        nonlocal at
        machine = Machine(data, resolve=find, set_state=set_state, persistent=persistent, position=at)
        value = _run(machine, file)
        at = machine.position
        return value

    value = next_pickle()
    if not (isinstance(value, int) and value == _LEGACY_MAGIC):
        return value
    for _ in ("protocol", "system"):
        next_pickle()
    value, keys = next_pickle(), next_pickle()
    if not isinstance(keys, list) or {str(k) for k in keys} != set(buffers):
        raise InputError("a torch file whose storages do not fit", file=file)
    for key in map(str, keys):
        buffer, width = buffers[key]
        count = int.from_bytes(data[at : at + 8], "little")
        at += 8
        if count * width != len(buffer) or at + len(buffer) > len(data):
            raise InputError("cut off in the middle of a tensor", file=file)
        buffer[:] = data[at : at + len(buffer)]
        at += len(buffer)
    return value
