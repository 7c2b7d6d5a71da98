"""Large native .npz files, read once in blocks into a temporary file: tracks of any length in constant memory."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from poselift.errors import InputError, OutputError
from poselift.formats import ReadOptions
from poselift.formats.columns import FACTS, clips_from_columns
from poselift.formats.poses_npz import _fact, sniff
from poselift.storage.arrays import load_npz, npz_headers, row_blocks
from poselift.structures import Clip

__all__ = ["LARGE_BYTES", "StoredTrack", "spool"]

LARGE_BYTES = 16 << 20
"""Files below this size are simply read into memory."""

_ROWS = 1 << 15


@dataclass(frozen=True, eq=False)
class StoredTrack:
    """One person in a temporary file: t rows from row `start`, frames counted from `frame`; slices give Clips."""

    file: io.BufferedRandom
    dtype: np.dtype
    head: Clip
    start: int
    frame: int
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, frames: slice, /) -> Clip:
        a, b, _ = frames.indices(self.length)
        rows = np.empty(max(0, b - a), self.dtype)
        self.file.seek((self.start + a) * self.dtype.itemsize)
        if self.file.readinto(rows.view(np.uint8).data) != rows.nbytes:
            raise OSError("a temporary file was cut")
        kp, conf = (np.ascontiguousarray(rows[n]) for n in ("kp_img", "conf"))
        return self.head.replace(kp_img=kp, conf=conf, frames=np.arange(self.frame + a, self.frame + a + len(rows)))


def spool(path: Path, options: ReadOptions, transform: Callable[[Clip], Clip]) -> list[StoredTrack] | None:
    """The tracks of a large native .npz, each slice passed through `transform` (to the model's skeleton) once.

    None for any other file, and for one whose rows are not person by person and frame by frame without a gap:
    such files are read as a whole. Raises `InputError` as `formats.read` does.
    """
    if not path.is_file() or path.stat().st_size < LARGE_BYTES or not sniff(path):
        return None
    headers = npz_headers(path)
    columns = [n for n in ("kp_img", "conf", "track_id", "frame") if n in headers]
    if (
        len(headers["kp_img"].shape) != 3
        or headers["kp_img"].shape[2] != 2
        or ("frame" in columns) != ("track_id" in columns)
    ):
        return None
    file = cast(io.BufferedRandom, tempfile.TemporaryFile())  # noqa: SIM115 (the tracks keep it open)
    try:
        tracks: list[StoredTrack] = []
        written = 0
        for clip in _runs(path, columns, _facts(path, options, joints=headers["kp_img"].shape[1])):
            made = transform(clip)
            dtype = np.dtype([("kp_img", "f4", made.kp_img.shape[1:]), ("conf", "f4", made.kp_img.shape[1:2])])
            rows = np.empty(len(made), dtype)
            rows["kp_img"], rows["conf"] = made.kp_img, made.confidence
            file.write(rows.view(np.uint8).data)
            last = tracks[-1] if tracks else None
            first = int(made.frame_numbers[0])
            if last is not None and last.head.track_id == made.track_id:
                if first != last.frame + last.length:
                    return None
                tracks[-1] = StoredTrack(file, dtype, last.head, last.start, last.frame, last.length + len(made))
            elif any(t.head.track_id == made.track_id for t in tracks):
                return None
            else:
                tracks.append(StoredTrack(file, dtype, made[:0], written, first, len(made)))
            written += len(made)
        file.flush()
        return tracks
    except _NotInOrder:
        return None
    except InputError as error:
        raise error if error.file is not None else InputError(str(error), file=path) from error
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", file=tempfile.gettempdir()) from error


class _NotInOrder(Exception):
    pass


def _facts(path: Path, options: ReadOptions, *, joints: int) -> Clip:
    """An empty clip with what the file says of itself, and what the user says instead."""
    data = load_npz(path, names=FACTS)
    facts = {name: _fact(array, name, path) for name, array in data.items()}
    return clips_from_columns({"kp_img": np.ones((1, joints, 2))}, facts, options, file=path)[0][:0]


def _runs(path: Path, columns: list[str], facts: Clip) -> Iterator[Clip]:
    """Runs of one person's consecutive frames, none longer than a block."""
    counted = 0
    for block in row_blocks(path, columns, rows=_ROWS):
        n = len(block["kp_img"])
        frame = block.get("frame", np.arange(counted, counted + n))
        track = block.get("track_id", np.zeros(n, np.int64))
        counted += n
        cuts = np.flatnonzero(np.diff(track)) + 1
        for a, b in zip([0, *cuts.tolist()], [*cuts.tolist(), n], strict=True):
            if b > a:
                if (np.diff(frame[a:b]) != 1).any():
                    raise _NotInOrder
                conf = block["conf"][a:b] if "conf" in block else None
                yield facts.replace(kp_img=block["kp_img"][a:b], conf=conf, frames=frame[a:b], track_id=int(track[a]))
