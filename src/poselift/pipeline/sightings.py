"""Who was seen where, written to a temporary file frame by frame: at the end one stored track per person.

Memory does not grow with the length of the recording; what is kept in it is one block of rows.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float, Int

from poselift.errors import InputError, OutputError
from poselift.pipeline.spool import StoredTrack
from poselift.structures import Clip

__all__ = ["Rows", "Sightings"]

_BLOCK_BYTES = 1 << 18
_GAP_FRAMES, _GAP_RATIO = 1_000_000, 50
"""Frames that people may be gone for, all together: so many, and so many times those in which they were seen."""


def _temporary(folder: Path | None) -> io.BufferedRandom:
    """A file without a name, in the folder if that can be; it is gone when nobody holds it any more."""
    if folder is not None:
        with suppress(OSError):
            return cast(io.BufferedRandom, tempfile.TemporaryFile(dir=folder))
    return cast(io.BufferedRandom, tempfile.TemporaryFile())


class Rows:
    """Rows of one dtype that only ever grow: in a temporary file, the last block in memory.

    folder: where the file is made (it has no name, and is gone with this object); None for the system's own place.
    """

    def __init__(self, dtype: np.dtype, *, folder: Path | None = None) -> None:
        self.dtype, self._folder = dtype, folder
        self._file: io.BufferedRandom | None = None
        self._block = np.empty(max(1, _BLOCK_BYTES // dtype.itemsize), dtype)
        self._filled = self._stored = 0

    def __len__(self) -> int:
        return self._stored + self._filled

    def add(self, *row: object) -> None:
        """The next row. Raises `OutputError` where the disk takes no more; what was added before is kept."""
        if self._filled == len(self._block):
            self._store()
        self._block[self._filled] = row
        self._filled += 1

    def _store(self) -> None:
        try:
            self._file = self._file or _temporary(self._folder)
            self._file.seek(self._stored * self.dtype.itemsize)
            self._file.write(self._block[: self._filled].view(np.uint8).data)
            self._file.flush()
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror}", file=tempfile.gettempdir()) from error
        self._stored, self._filled = self._stored + self._filled, 0

    def blocks(self) -> Iterator[np.ndarray]:
        """All rows, block by block; a block is good until the next one."""
        block = np.empty_like(self._block)
        for a in range(0, self._stored, len(block)):
            part = block[: min(len(block), self._stored - a)]
            assert self._file is not None
            self._file.seek(a * self.dtype.itemsize)
            if self._file.readinto(part.view(np.uint8).data) != part.nbytes:
                raise OutputError("a temporary file was cut", file=tempfile.gettempdir())
            yield part
        if self._filled:
            yield self._block[: self._filled]

    def all(self) -> np.ndarray:
        """All rows, in memory."""
        return np.concatenate([np.empty(0, self.dtype), *(b.copy() for b in self.blocks())])


class Sightings:
    """People of a recording as they are found: frame numbers that never fall, a track for each person in a frame."""

    def __init__(self, joints: int, *, folder: Path | None = None) -> None:
        self._rows = Rows(
            np.dtype([("number", "i8"), ("track", "i8"), ("kp_img", "f4", (joints, 2)), ("conf", "f4", (joints,))]),
            folder=folder,
        )
        self._folder = folder
        self._new: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        """Size of what is stored."""
        return len(self) * self._rows.dtype.itemsize

    def add(self, number: int, track: int, kp_img: Float[np.ndarray, "j 2"], conf: Float[np.ndarray, " j"]) -> None:
        """Somebody in a frame. Raises `InputError` for infinite pixels, `OutputError` where the disk is full."""
        if np.isinf(kp_img).any():
            raise InputError(field="keypoints", expected="finite pixels", found="infinite ones")
        there = np.asarray(np.isfinite(kp_img).all(-1))
        conf = np.where(there, np.clip(np.nan_to_num(conf), 0, 1), 0)
        if (conf > 0).any():
            self._rows.add(number, track, np.where(there[:, None], kp_img, 0), conf)

    def renumber(self, old: Int[np.ndarray, " n"], new: Int[np.ndarray, " n"]) -> None:
        """Frames get other numbers, both growing; every number that was added is in `old`."""
        self._new = old, new

    def _blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(frame numbers, rows) block by block."""
        for block in self._rows.blocks():
            number = block["number"]
            yield (number if self._new is None else self._new[1][np.searchsorted(self._new[0], number)]), block

    def columns(self) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """(frame number, track, sum of confidences) of each sighting: all that is needed to choose among tracks."""
        parts = [(n.copy(), b["track"].copy(), b["conf"].sum(1)) for n, b in self._blocks()]
        if not parts:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        number, track, weight = (np.concatenate(p) for p in zip(*parts, strict=True))
        return number, track, weight

    def tracks(self, keep: Int[np.ndarray, " k"], heads: Sequence[Clip]) -> list[StoredTrack]:
        """The tracks `keep`, which grow, in a second temporary file, person by person; gaps have confidence 0.

        heads: for each of them a clip without frames. Raises `InputError` for gaps beyond reason, `OutputError`.
        """
        number, track, _ = self.columns()
        place = np.searchsorted(keep, track).clip(0, len(keep) - 1)
        mine = keep[place] == track
        first, last = np.full(len(keep), np.iinfo(np.int64).max), np.full(len(keep), -1, np.int64)
        np.minimum.at(first, place[mine], number[mine])
        np.maximum.at(last, place[mine], number[mine])
        spans = last - first + 1
        if spans.sum() > _GAP_FRAMES + _GAP_RATIO * int(mine.sum()):
            found = f"{int(mine.sum()):,} sightings spread over {int(spans.sum()):,} frames"
            raise InputError(field="frame numbers", expected="gaps that make sense", found=found)
        starts = np.concatenate([[0], np.cumsum(spans)[:-1]])
        dtype = np.dtype([(n, self._rows.dtype[n]) for n in ("kp_img", "conf")])
        file = _temporary(self._folder)
        try:
            for numbers, block in self._blocks():
                at = np.searchsorted(keep, block["track"]).clip(0, len(keep) - 1)
                rows = np.flatnonzero(keep[at] == block["track"])
                to = starts[at[rows]] + numbers[rows] - first[at[rows]]
                order = np.argsort(to, kind="stable")
                rows, to = rows[order], to[order]
                out = np.empty(len(rows), dtype)
                out["kp_img"], out["conf"] = block["kp_img"][rows], block["conf"][rows]
                cuts = np.flatnonzero(np.diff(to) != 1) + 1
                for a, b in zip([0, *cuts.tolist()], [*cuts.tolist(), len(to)], strict=True):
                    if b > a:
                        file.seek(int(to[a]) * dtype.itemsize)  # what is left out between reads as zeros
                        file.write(out[a:b].view(np.uint8).data)
            file.flush()
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror}", file=tempfile.gettempdir()) from error
        return [
            StoredTrack(file, dtype, head, int(a), int(frame), int(n))
            for head, a, frame, n in zip(heads, starts, first, spans, strict=True)
        ]
