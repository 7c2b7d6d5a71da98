"""A pickle machine that runs nothing: opcodes build plain containers, everything else is an inert stub.

Python's own unpickler imports and calls what a pickle names. This one imports nothing. Names are looked up in a
fixed table of builders (`builders.py`); a name outside it becomes an `Inert` that only remembers what it was.
Opcodes: Lib/pickletools.py of CPython (protocols 0 to 5).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from poselift.storage.inert import MARK, Builder, Inert, PickleError, plain_key
from poselift.storage.opcodes import OPS

__all__ = ["Machine"]


class Machine:
    """Runs one pickle in `data` from `position`; `run` returns its value and leaves `position` behind it.

    `resolve(module, name)` gives a `Builder` or `Inert` for a global; `persistent(id)` gives the object of a
    persistent id; `set_state(object, state)` handles state of builders' objects. `max_ops` caps the objects made.
    """

    def __init__(
        self,
        data: bytes | memoryview,
        *,
        resolve: Callable[[str, str], Any],
        set_state: Callable[[Any, Any], None],
        persistent: Callable[[Any], Any] | None = None,
        position: int = 0,
        max_ops: int = 20_000_000,
    ) -> None:
        self.data, self.position, self.max_ops = memoryview(data), position, max_ops
        self.resolve, self.set_state, self.persistent = resolve, set_state, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        ops = OPS
        data = self.data
        for _ in range(self.max_ops):
            if self.position >= len(data):
                raise PickleError("cut off")
            code = data[self.position]
            self.position += 1
            if code == 0x2E:  # STOP
                return self.pop()
            op = ops.get(code)
            if op is None:
                raise PickleError(f"no opcode {code:#04x}")
            op(self)
        raise PickleError(f"more than {self.max_ops:,} objects")

    # reading

    def take(self, count: int) -> memoryview:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise PickleError("cut off")
        view = self.data[self.position : end]
        self.position = end
        return view

    def number(self, code: str) -> Any:
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def line(self) -> bytes:
        piece = bytes(self.data[self.position : self.position + 65536])
        end = piece.find(b"\n")
        if end < 0:
            raise PickleError("cut off, or a line without end")
        self.position += end + 1
        return piece[:end]

    # stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is MARK:
            raise PickleError("an empty stack")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack or self.stack[-1] is MARK:
            raise PickleError("an empty stack")
        return self.stack[-1]

    def pop_to_mark(self) -> list[Any]:
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is MARK:
                items = self.stack[i + 1 :]
                del self.stack[i:]
                return items
        raise PickleError("no mark")

    # objects

    def call(self, what: Any, args: Any) -> Any:
        if not isinstance(args, tuple):
            raise PickleError("arguments that are no tuple")
        if isinstance(what, Builder):
            return what.build(*args)
        if isinstance(what, Inert):
            return Inert(what.name, args)
        raise PickleError(f"a call of a {type(what).__name__}")

    def find(self, module: Any, name: Any) -> Any:
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleError("a global whose name is no text")
        return self.resolve(module, name)

    def give_state(self, state: Any) -> None:
        target = self.top()
        if isinstance(target, Inert):
            target.state = state
        else:
            self.set_state(target, state)

    def append(self, target: Any, items: list[Any]) -> None:
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, Inert):
            target.items.extend(items)
        else:
            raise PickleError(f"items for a {type(target).__name__}")

    def put(self, target: Any, items: list[Any]) -> None:
        if len(items) % 2:
            raise PickleError("a key without a value")
        if isinstance(target, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                target[plain_key(key)] = value
        elif isinstance(target, Inert):
            target.items.extend(zip(items[::2], items[1::2], strict=True))
        else:
            raise PickleError(f"keys for a {type(target).__name__}")

    def add(self, target: Any, items: list[Any]) -> None:
        if isinstance(target, set):
            target.update(plain_key(i) for i in items)
        elif isinstance(target, Inert):
            target.items.extend(items)
        else:
            raise PickleError(f"members for a {type(target).__name__}")

    def remember(self, index: int) -> None:
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise PickleError("a reference to nothing")
        self.push(self.memo[index])

    def persist(self, pid: Any) -> None:
        if self.persistent is None:
            raise PickleError("a reference to data outside of it")
        self.push(self.persistent(pid))
