"""Model configs (frozen dataclasses, which may hold others) to and from plain JSON values.

Every field is checked by its annotation.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from poselift.errors import InputError, unknown_name

__all__ = ["config_from_json", "config_to_json"]

Config = TypeVar("Config")


def config_to_json(config: Any) -> dict[str, Any]:
    """The fields of a config as JSON values, all of them: a default that changes later does not change a model."""
    return _plain(dataclasses.asdict(config))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def config_from_json(cls: type[Config], values: Any, *, file: str | Path | None = None) -> Config:
    """The config of these values. Raises `InputError` for an unknown field or a value of another type."""
    if not isinstance(values, Mapping):
        raise InputError(file=file, field="config", expected="an object of fields", found=type(values).__name__)
    hints = get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise unknown_name(f"field of {cls.__name__}", str(name), known, file=file)
    checked = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            checked[name] = config_from_json(hints[name], value, file=file)  # type: ignore[arg-type]
            continue
        if not _fits(value, hints[name]):
            raise InputError(file=file, field=f"config {name}", expected=_spell(hints[name]), found=repr(value)[:60])
        checked[name] = _build(value, hints[name])
    return cls(**checked)


def _fits(value: Any, hint: Any) -> bool:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, a) for a in args)
    if origin is Literal:
        return any(type(value) is type(a) and value == a for a in args)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            return False
        if len(args) == 2 and args[1] is Ellipsis:
            return all(_fits(v, args[0]) for v in value)
        return len(value) == len(args) and all(_fits(v, a) for v, a in zip(value, args, strict=True))
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return value is None if hint is type(None) else isinstance(value, hint)


def _build(value: Any, hint: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return float(value) if hint is float else value


def _spell(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
