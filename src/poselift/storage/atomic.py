"""Writing without loss: into a temporary name beside the target, synced, then renamed over it.

Whatever goes wrong (an error, a full disk, Ctrl-C), the target is either the old file or the whole new one.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from poselift.errors import OutputError

__all__ = ["check_folder", "write_aside", "write_folder_aside"]

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "too large for this file system",
    errno.EACCES: "no permission to write here",
    errno.EPERM: "no permission to write here",
    errno.EROFS: "a read-only file system",
    errno.ENOTDIR: "a file is in the way of its folder",
    errno.EEXIST: "a file is in the way",
    errno.EISDIR: "a folder is in the way",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOENT: "its folder is gone",
    errno.EIO: "the disk reports an error",
}


def _output_error(error: Exception, target: Path, part: Path) -> OutputError | None:
    """The `OutputError` for a failure to write, or None when the error has another cause."""
    if isinstance(error, OSError):
        named = error.filename
        ours = named is None or str(named).startswith((str(part), str(target)))
        if ours and error.errno in _REASONS:
            return OutputError(f"cannot be written: {_REASONS[error.errno]}", file=target)
    elif "No space left on device" in str(error) or "os error 28" in str(error):  # libraries with their own errors
        return OutputError(f"cannot be written: {_REASONS[errno.ENOSPC]}", file=target)
    return None


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot be written: {_REASONS.get(error.errno or 0, error.strerror)}", file=path) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows syncs only what may be written
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _part_name(path: Path) -> Path:
    return path.with_name(f".{path.stem[:80]}.{secrets.token_hex(4)}.part{path.suffix}")


@contextmanager
def write_aside(path: str | Path) -> Iterator[Path]:
    """Give a temporary path (same folder and suffix); the finished file there replaces `path` at the end.

    The folder is made if it is missing. If the body raises, nothing of it stays.
    Raises `OutputError` where the folder or file cannot be written or the disk is full.
    """
    path = Path(os.path.realpath(path))
    _make_parent(path)
    if path.exists() and not path.is_file():
        raise OutputError("cannot be written: " + ("a folder" if path.is_dir() else "no file") + " is there", file=path)
    part = _part_name(path)
    try:
        yield part
        _sync(part)
        os.replace(part, path)
        with suppress(OSError):  # the rename itself; not every file system can sync a folder
            _sync(path.parent)
    except Exception as error:
        told = _output_error(error, path, part)
        if told is None:
            raise
        raise told from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def check_folder(path: str | Path) -> None:
    """Raises `OutputError` where a folder could not be written there, before long work; makes nothing."""
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_dir():
        raise OutputError("cannot be written: a file of that name is there", file=path)
    there = next(p for p in (path, *path.parents) if p.exists())
    if not there.is_dir():
        raise OutputError(f"cannot be written: {_REASONS[errno.ENOTDIR]}", file=path)
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"cannot be written: {_REASONS[errno.EACCES]}", file=path)


@contextmanager
def write_folder_aside(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; at the end it takes that name, or its files go into the folder there.

    An existing folder keeps its other files; each file of the new folder replaces its namesake in one step. If the
    body raises, nothing of it stays. Raises `OutputError` as `write_aside` does.
    """
    path = Path(os.path.realpath(path))
    check_folder(path)
    _make_parent(path)
    part = _part_name(path)
    try:
        part.mkdir()
        yield part
        files = sorted(p for p in part.rglob("*") if p.is_file())
        for file in files:
            _sync(file)
        if not path.exists():
            os.replace(part, path)
            return
        for folder in sorted(p for p in part.rglob("*") if p.is_dir()):
            (path / folder.relative_to(part)).mkdir(parents=True, exist_ok=True)
        for file in files:
            os.replace(file, path / file.relative_to(part))
    except Exception as error:
        told = _output_error(error, path, part)
        if told is None:
            raise
        raise told from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
