"""What a pickle may become: `Inert` stubs, `Builder`s of plain values, and the error for anything else."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

__all__ = ["MARK", "Builder", "Inert", "PickleError", "plain_key"]


class PickleError(Exception):
    """The pickle is damaged, cut off, too large, or asks for what a plain value never needs."""


class Inert:
    """Stands for an object of a class that is never imported: name, arguments and state, no behaviour."""

    __slots__ = ("args", "items", "name", "state")

    def __init__(self, name: str, args: tuple[Any, ...] = ()) -> None:
        self.name, self.args = name[:200], args
        self.state: Any = None
        self.items: list[Any] = []

    def __repr__(self) -> str:
        return f"<inert {self.name}>"


class Builder:
    """One allowed global: `build(*args)` makes a harmless value. `name` says what it stands for."""

    __slots__ = ("build", "name")

    def __init__(self, name: str, build: Callable[..., Any]) -> None:
        self.name, self.build = name, build


_KEYS = (str, bytes, int, float, complex, type(None), frozenset, Inert, Builder)


def plain_key(key: Any, depth: int = 0) -> Hashable:
    """`key` if it may be a dictionary key. Deep or wide tuples would take for ever, or the C stack, to hash.

    A tensor (optimisers keep their state so) is one by its identity only: a stub stands for it.
    """
    if depth == 0 and type(key).__module__ == "torch" and type(key).__name__ == "Tensor":
        return Inert("torch.Tensor")
    if isinstance(key, tuple):
        if depth > 2 or len(key) > 16:
            raise PickleError("a key nested too deeply")
        for item in key:
            plain_key(item, depth + 1)
    elif not (isinstance(key, _KEYS) or type(key).__module__ == "numpy"):
        raise PickleError(f"a {type(key).__name__} as a key")
    return key


MARK = object()
"""Lies on the stack where a group of items begins."""
