"""What each pickle opcode does to a `Machine`. See Lib/pickletools.py of CPython for their meaning."""

from __future__ import annotations

import ast
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from poselift.storage.inert import MARK, PickleError, plain_key

if TYPE_CHECKING:
    from poselift.storage.machine import Machine

__all__ = ["OPS"]

OPS: dict[int, Callable[[Machine], None]] = {}

_Op = Callable[["Machine"], None]


def _op(code: bytes) -> Callable[[_Op], _Op]:
    def keep(function: _Op) -> _Op:
        OPS[code[0]] = function
        return function

    return keep


def _value(code: bytes, make: Callable[[Machine], Any]) -> None:
    OPS[code[0]] = lambda m: m.push(make(m))


def _text(view: memoryview) -> str:
    return str(view, "utf-8", "surrogatepass")


def _quoted(m: Machine) -> str:
    line = m.line()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise PickleError("a text without quotes")
    value = ast.literal_eval("b" + line.decode("ascii"))
    return value.decode("latin-1")


def _int_line(m: Machine) -> int | bool:
    line = m.line()
    return {b"00": False, b"01": True}.get(line) if line in (b"00", b"01") else int(line)  # type: ignore[return-value]


def _long(m: Machine, count: int) -> int:
    if count > 1024:
        raise PickleError("an integer of more than 1024 bytes")
    return int.from_bytes(m.take(count), "little", signed=True)


def _mark(m: Machine) -> None:
    m.push(MARK)


def _pop(m: Machine) -> None:
    if not m.stack:
        raise PickleError("an empty stack")
    m.stack.pop()  # a mark may go too


# constants and numbers
_value(b"N", lambda m: None)
_value(b"\x88", lambda m: True)
_value(b"\x89", lambda m: False)
_value(b"I", _int_line)
_value(b"J", lambda m: m.number("<i"))
_value(b"K", lambda m: m.number("<B"))
_value(b"M", lambda m: m.number("<H"))
_value(b"L", lambda m: int(m.line().rstrip(b"L")))
_value(b"\x8a", lambda m: _long(m, m.number("<B")))
_value(b"\x8b", lambda m: _long(m, m.number("<i")))
_value(b"F", lambda m: float(m.line()))
_value(b"G", lambda m: struct.unpack(">d", m.take(8))[0])

# texts and bytes; Python 2's byte strings are read as latin-1, as numpy asks for
_value(b"S", _quoted)
_value(b"T", lambda m: str(m.take(m.number("<i")), "latin-1"))
_value(b"U", lambda m: str(m.take(m.number("<B")), "latin-1"))
_value(b"V", lambda m: m.line().decode("raw-unicode-escape"))
_value(b"X", lambda m: _text(m.take(m.number("<I"))))
_value(b"\x8c", lambda m: _text(m.take(m.number("<B"))))
_value(b"\x8d", lambda m: _text(m.take(m.number("<Q"))))
_value(b"B", lambda m: bytes(m.take(m.number("<I"))))
_value(b"C", lambda m: bytes(m.take(m.number("<B"))))
_value(b"\x8e", lambda m: bytes(m.take(m.number("<Q"))))
_value(b"\x96", lambda m: bytearray(m.take(m.number("<Q"))))

# containers
_value(b"]", lambda m: [])
_value(b"}", lambda m: {})
_value(b")", lambda m: ())
_value(b"\x8f", lambda m: set())
_value(b"l", lambda m: m.pop_to_mark())
_value(b"t", lambda m: tuple(m.pop_to_mark()))
_value(b"\x85", lambda m: (m.pop(),))
_value(b"\x86", lambda m: (m.pop(), m.pop())[::-1])
_value(b"\x87", lambda m: (m.pop(), m.pop(), m.pop())[::-1])


@_op(b"d")
def _dict(m: Machine) -> None:
    items: list[Any] = m.pop_to_mark()
    m.push({})
    m.put(m.top(), items)


@_op(b"\x91")
def _frozenset(m: Machine) -> None:
    m.push(frozenset(plain_key(i) for i in m.pop_to_mark()))


@_op(b"a")
def _append(m: Machine) -> None:
    item = m.pop()
    m.append(m.top(), [item])


@_op(b"e")
def _appends(m: Machine) -> None:
    items = m.pop_to_mark()
    m.append(m.top(), items)


@_op(b"s")
def _setitem(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    m.put(m.top(), [key, value])


@_op(b"u")
def _setitems(m: Machine) -> None:
    items = m.pop_to_mark()
    m.put(m.top(), items)


@_op(b"\x90")
def _additems(m: Machine) -> None:
    items = m.pop_to_mark()
    m.add(m.top(), items)


# stack and memo
OPS[b"("[0]] = _mark
OPS[b"0"[0]] = _pop
OPS[b"2"[0]] = lambda m: m.push(m.top())
OPS[b"1"[0]] = lambda m: (m.pop_to_mark(), None)[1]
OPS[b"p"[0]] = lambda m: m.remember(int(m.line()))
OPS[b"q"[0]] = lambda m: m.remember(m.number("<B"))
OPS[b"r"[0]] = lambda m: m.remember(m.number("<I"))
OPS[b"\x94"[0]] = lambda m: m.remember(len(m.memo))
OPS[b"g"[0]] = lambda m: m.recall(int(m.line()))
OPS[b"h"[0]] = lambda m: m.recall(m.number("<B"))
OPS[b"j"[0]] = lambda m: m.recall(m.number("<I"))
OPS[b"\x80"[0]] = lambda m: (m.take(1), None)[1]  # PROTO: the opcodes themselves say all
OPS[b"\x95"[0]] = lambda m: (m.take(8), None)[1]  # FRAME: a hint for reading ahead

# objects: names are looked up in our own table, nothing is imported
_value(b"c", lambda m: m.find(str(m.line(), "utf-8"), str(m.line(), "utf-8")))
_value(b"\x93", lambda m: m.find(*(m.pop(), m.pop())[::-1]))
OPS[b"P"[0]] = lambda m: m.persist(str(m.line(), "ascii"))
OPS[b"Q"[0]] = lambda m: m.persist(m.pop())
OPS[b"b"[0]] = lambda m: m.give_state(m.pop())


@_op(b"R")
def _reduce(m: Machine) -> None:
    args, what = m.pop(), m.pop()
    m.push(m.call(what, args))


OPS[b"\x81"[0]] = _reduce  # NEWOBJ: class and arguments, for us the same as a call


@_op(b"\x92")
def _newobj_ex(m: Machine) -> None:
    _, args, what = m.pop(), m.pop(), m.pop()
    m.push(m.call(what, args))


@_op(b"i")
def _inst(m: Machine) -> None:
    what = m.find(str(m.line(), "utf-8"), str(m.line(), "utf-8"))
    m.push(m.call(what, tuple(m.pop_to_mark())))


@_op(b"o")
def _obj(m: Machine) -> None:
    items = m.pop_to_mark()
    if not items:
        raise PickleError("an object without a class")
    m.push(m.call(items[0], tuple(items[1:])))
