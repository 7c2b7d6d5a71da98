"""Zip archives from strangers: everything that can be checked is checked before memory is taken.

Nothing is ever extracted to disk. Refused are: archives whose members claim more than the cap, members that could
not be that large (deflate packs at most 1032:1), overlapping members, encryption, and names that leave the archive.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import cast

from poselift.errors import InputError

__all__ = ["MAX_BYTES", "Archive", "MemberStream", "open_archive"]

MAX_BYTES = 8 << 30
"""Default cap on the unpacked size of an archive."""

_MAX_MEMBERS = 200_000
_DEFLATE_RATIO = 1040
_SUSPECT_BYTES, _SUSPECT_RATIO = 256 << 20, 300


class MemberStream:
    """A member being read; damage is an `InputError` that names it."""

    def __init__(self, handle: io.BufferedIOBase, telling: Callable[[], AbstractContextManager[None]]) -> None:
        self._handle, self._telling = handle, telling

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes, fewer only at the end; all that are left for -1."""
        with self._telling():
            return self._handle.read(count)

    def fill(self, view: memoryview) -> int:
        """Fill a byte buffer; the number of bytes that were there."""
        done = 0
        with self._telling():
            while done < len(view):
                chunk = self._handle.read(min(len(view) - done, 1 << 20))
                if not chunk:
                    break
                view[done : done + len(chunk)] = chunk
                done += len(chunk)
        return done


class Archive:
    """An opened and checked zip archive; `file` is its name in messages."""

    def __init__(self, opened: zipfile.ZipFile, file: str | Path) -> None:
        self._zip, self.file = opened, file
        self._infos = {i.filename: i for i in opened.infolist()}

    @property
    def names(self) -> list[str]:
        return list(self._infos)

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def size(self, name: str) -> int:
        """Unpacked bytes of a member, as checked on opening."""
        return self._infos[name].file_size

    @contextmanager
    def stream(self, name: str) -> Iterator[MemberStream]:
        """Read a member piece by piece."""
        with self._telling(name):
            handle = cast(io.BufferedIOBase, self._zip.open(self._infos[name]))
        with handle:
            yield MemberStream(handle, lambda: self._telling(name))

    @contextmanager
    def _telling(self, name: str) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise InputError(f"damaged or cut off: {error}", file=self.file, field=name) from error

    def read(self, name: str, max_bytes: int = MAX_BYTES) -> bytes:
        """All bytes of a member."""
        if self.size(name) > max_bytes:
            raise InputError(
                file=self.file, field=name, expected=f"at most {max_bytes:,} bytes", found=f"{self.size(name):,}"
            )
        with self.stream(name) as handle:
            return handle.read()


@contextmanager
def open_archive(
    source: str | Path | bytes, *, file: str | Path | None = None, max_bytes: int = MAX_BYTES
) -> Iterator[Archive]:
    """Open a zip archive (a path, or its bytes) and check what its directory declares. Raises `InputError`."""
    file = file if file is not None else ("archive" if isinstance(source, bytes) else source)
    if not isinstance(source, bytes):
        path = Path(source)
        if not path.is_file():
            raise InputError("no such file" if not path.exists() else "not a file", file=file)
        size = path.stat().st_size
    else:
        size = len(source)
    if size == 0:
        raise InputError("an empty file", file=file)
    try:
        opened = zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise InputError(f"no zip archive, or cut off: {error}", file=file) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=file) from error
    with opened:
        _check(opened.infolist(), size, file, max_bytes)
        yield Archive(opened, file)


def _check(infos: list[zipfile.ZipInfo], size: int, file: str | Path, max_bytes: int) -> None:
    if len(infos) > _MAX_MEMBERS:
        raise InputError(file=file, expected=f"at most {_MAX_MEMBERS:,} members", found=f"{len(infos):,}")
    seen: set[str] = set()
    for info in infos:
        name = info.filename
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in name[:3]:
            raise InputError("a member's name leads out of the archive", file=file, field=name)
        if name in seen:
            raise InputError("a member's name appears twice", file=file, field=name)
        seen.add(name)
        if info.flag_bits & 1:
            raise InputError("encrypted", file=file, field=name)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(file=file, field=name, expected="stored or deflated data", found=info.compress_type)
        stored = info.compress_type == zipfile.ZIP_STORED
        if info.file_size > (info.compress_size if stored else info.compress_size * _DEFLATE_RATIO + 1024):
            raise InputError(
                file=file, field=name, expected=f"at most what {info.compress_size:,} packed bytes can hold",
                found=f"{info.file_size:,} bytes declared",
            )  # fmt: skip
    total = sum(i.file_size for i in infos)
    if total > max_bytes:
        raise InputError(file=file, expected=f"at most {max_bytes:,} bytes unpacked", found=f"{total:,}")
    if sum(i.compress_size for i in infos) > size:
        raise InputError("its members overlap, or it is cut off", file=file)
    if total > _SUSPECT_BYTES and total > size * _SUSPECT_RATIO:
        raise InputError(file=file, expected=f"packed at most {_SUSPECT_RATIO}:1", found=f"{total // size}:1")
