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
    bucket = _hash(_performer(motion)) % 100
    return next(name for name, share in _SHARE.items() if bucket in share)


def _performer(motion: Motion) -> str:
    return motion.subject or motion.name


def _hash(performer: str) -> int:
    return zlib.crc32(performer.encode())


def load(path: str | Path, split: str | None = None) -> list[Motion]:
    """Motions of a file, or of every motion file below a folder.

    Splits are by performer (`split_of`); where so few leave one empty, one performer each is for validation and test.
    With one or two performers every split holds everything: figures then say nothing about other people.
    Raises `InputError` for an unknown split and when there is no motion at all.
    """
    if split is not None and split not in _SHARE:
        raise InputError(field="split", expected=f"one of {', '.join(_SHARE)}", found=split)
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder", file=path)
    motions: list[Motion] = []
    for file in _files(path):
        motions += read_motion(file)
    if not motions:
        raise InputError(file=path, expected="motion files (npz, bvh, amc)", found="none")
    parts = {name: [m for m in motions if split_of(m) == name] for name in _SHARE}
    performers = sorted({_performer(m) for m in motions}, key=_hash)
    if split is None or len(performers) < len(_SHARE):
        return motions
    if not all(parts.values()):
        held = {performers[0]: "validation", performers[1]: "test"}
        parts = {name: [m for m in motions if held.get(_performer(m), "train") == name] for name in _SHARE}
    return parts[split]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = [f for suffix in ("*.npz", "*.bvh", "*.amc") for f in sorted(path.rglob(suffix))]
    return [f for f in files if detect(f).gives == "motion"]
