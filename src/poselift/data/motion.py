"""`motion`: anybody's own motion (npz, BVH, ASF/AMC), seen through virtual cameras."""

from __future__ import annotations

import zlib
from pathlib import Path

from poselift.errors import InputError
from poselift.formats import detect, read_motion
from poselift.structures import Motion

__all__ = ["load", "split_of"]

_SHARE = {"train": range(80), "validation": range(80, 90), "test": range(90, 100)}


def split_of(motion: Motion) -> str:
    """Split of a recording by a hash of its performer (of its name, where no performer is known): 80 / 10 / 10 %."""
    bucket = zlib.crc32((motion.subject or motion.name).encode()) % 100
    return next(name for name, share in _SHARE.items() if bucket in share)


def load(path: str | Path, split: str | None = None) -> list[Motion]:
    """Motions of a file, or of every motion file below a folder.

    With one performer only, or where a split would be empty, every split holds everything: figures then
    say nothing about other people. Raises `InputError` when there is no motion at all.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder", file=path)
    motions: list[Motion] = []
    for file in _files(path):
        motions += read_motion(file)
    if not motions:
        raise InputError(file=path, expected="motion files (npz, bvh, amc)", found="none")
    parts = {name: [m for m in motions if split_of(m) == name] for name in _SHARE}
    if split is None or not all(parts.values()):
        return motions
    return parts[split]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = [f for suffix in ("*.npz", "*.bvh", "*.amc") for f in sorted(path.rglob(suffix))]
    return [f for f in files if detect(f).gives == "motion"]
