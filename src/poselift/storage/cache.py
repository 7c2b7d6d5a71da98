"""The user's cache folder: what was fetched once, checked by its SHA-256 whenever it is used."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

__all__ = ["cache_folder", "sha256_of", "sha256_of_file"]


def cache_folder(name: str) -> Path:
    """Folder of that name in the user's cache; `POSELIFT_CACHE` puts it elsewhere. It may not exist yet."""
    told = os.environ.get("POSELIFT_CACHE")
    if told:
        return Path(told).expanduser() / name
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "poselift" / name


def sha256_of(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str | None:
    """Hexadecimal SHA-256 of a file, read piece by piece; None if there is none that can be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
