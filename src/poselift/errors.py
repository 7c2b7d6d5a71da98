"""The errors a user can meet: each is one clear line that says file, field, expected and found.

Everything that a user's input can cause derives from `PoseliftError`; the command line prints its
message and exits with status 2. Any other exception is a bug and shows its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["InputError", "MissingExtraError", "OutputError", "PoseliftError", "unknown_name"]


def _one_line(text: object, limit: int = 400) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


class PoseliftError(Exception):
    """Base of all errors that a user can cause and mend; `str(error)` is one line."""


class InputError(PoseliftError):
    """Something handed in is not what it must be.

    `file` names the file (with a member or line, if known), `field` the part of it, `expected` and
    `found` are short phrases. All but `what` are optional; the message is always a single line.
    """

    def __init__(
        self,
        what: str = "",
        *,
        file: str | Path | None = None,
        field: str | None = None,
        expected: object = None,
        found: object = None,
    ) -> None:
        self.file, self.field, self.expected, self.found = file, field, expected, found
        parts = [str(p) for p in (file, field) if p is not None]
        detail = [what] if what else []
        if expected is not None:
            detail.append(f"expected {expected}" + (f", found {found}" if found is not None else ""))
        elif found is not None:
            detail.append(f"found {found}")
        super().__init__(_one_line(": ".join([*parts, *(["; ".join(detail)] if detail else [])])))


class OutputError(PoseliftError):
    """Something could not be written: folder not writable, a file in the way, disk full."""

    def __init__(self, what: str, *, file: str | Path | None = None) -> None:
        self.file = file
        super().__init__(_one_line(f"{file}: {what}" if file is not None else what))


class MissingExtraError(PoseliftError):
    """A library of an optional extra is not installed; the message names the extra."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {library}: install it with  pip install 'poselift[{extra}]'")


def unknown_name(kind: str, name: str, known: Iterable[str], *, file: str | Path | None = None) -> InputError:
    """An `InputError` for a name that is in none of our tables, with the nearest right one."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return InputError(f"unknown {kind} '{name}'; {hint}known: {', '.join(known)}", file=file)
