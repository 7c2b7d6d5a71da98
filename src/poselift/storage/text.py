"""Text and JSON files: capped in size, decoded strictly, every failure one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from poselift.errors import InputError

__all__ = [
    "MAX_JSON_BYTES",
    "MAX_JSON_VALUES",
    "load_json",
    "load_text",
    "parse_json",
    "peek_json",
    "read_bytes",
    "release_json",
]

MAX_JSON_BYTES = 1 << 30
MAX_JSON_VALUES = 60_000_000
"""Numbers, texts and brackets in one JSON file; each becomes a Python object of 30 to 60 bytes."""

_last: tuple[tuple[str, int, int], Any] | None = None


def read_bytes(path: str | Path, *, max_bytes: int) -> bytes:
    """The bytes of a file of at most `max_bytes`. Raises `InputError`: missing, no file, too large, unreadable."""
    path = Path(path)
    try:
        if not path.is_file():
            raise InputError("no such file" if not path.exists() else "not a file", file=path)
        size = path.stat().st_size
        if size > max_bytes:
            raise InputError(file=path, expected=f"at most {max_bytes:,} bytes", found=f"{size:,}")
        with path.open("rb") as handle:
            data = handle.read(max_bytes + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    if len(data) > max_bytes:
        raise InputError(file=path, expected=f"at most {max_bytes:,} bytes", found="more")
    return data


def load_text(path: str | Path, *, max_bytes: int = 1 << 28) -> str:
    """A UTF-8 text file (a byte-order mark is dropped). Raises `InputError`."""
    data = read_bytes(path, max_bytes=max_bytes)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            file=path, expected="UTF-8 text", found=f"byte {data[error.start]:#x} at {error.start}"
        ) from None


def load_json(path: str | Path, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """The value of a JSON file. Do not change it: the last file read is kept and handed out again.

    Raises `InputError` for a file that is missing, too large, truncated, too deeply nested or no JSON.
    """
    global _last
    path = Path(path)
    try:
        stat = path.stat()
        key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size)
    except OSError:
        key = None
    if key is not None and _last is not None and _last[0] == key:
        return _last[1]
    _last = None
    data = read_bytes(path, max_bytes=max_bytes)
    value = parse_json(data, file=path)
    if key is not None:
        _last = (key, value)
    return value


def release_json() -> None:
    """Let go of the last JSON value, which may be large."""
    global _last
    _last = None


def parse_json(data: bytes, *, file: str | Path) -> Any:
    """The value of JSON text in UTF-8. Raises `InputError` naming `file`."""
    if not data.strip():
        raise InputError("an empty file", file=file)
    values = data.count(b",") + data.count(b"[") + data.count(b"{")
    if values > MAX_JSON_VALUES:
        raise InputError(file=file, expected=f"at most {MAX_JSON_VALUES:,} values", found=f"about {values:,}")
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(file=file, expected="JSON in UTF-8", found=f"byte {data[error.start]:#x}") from None
    except json.JSONDecodeError as error:
        at_end = not data[error.pos + 1 :].strip()
        where = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"not valid JSON{', cut off' if at_end else ''}: {error.msg} at {where}", file=file) from None
    except RecursionError:
        raise InputError("not usable JSON: nested too deeply", file=file) from None
    except ValueError as error:  # an integer of thousands of digits
        raise InputError(f"not usable JSON: {error}", file=file) from None


def peek_json(path: str | Path) -> Any:
    """The value of a JSON file, or None where there is no readable one. For `sniff`; never raises."""
    path = Path(path)
    try:
        if not path.is_file():
            return None
        with path.open("rb") as handle:
            head = handle.read(64)
        if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"[", b"{")):
            return None
        return load_json(path)
    except (InputError, OSError):
        return None
