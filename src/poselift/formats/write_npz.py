"""`poses.npz`: plain arrays, one row per person and frame, uncompressed, of any length.

    track_id (n,)  frame (n,)  kp_img (n, j, 2) pixels  conf (n, j)
    p_root (n, j, 3) metres, camera axes, minus the root   root_cam (n, 3) metres
    root_sd (n, 3) metres, standard deviation of root_cam, as far as it comes from what was assumed
    joints (j,)  parents (j,)  skeleton  fps  units  axes  root  meta (JSON)
    K (3, 3)  dist (5,)  T_cam_world (4, 4)  size_wh (2,)    where a camera is known

`p_root` is left out where nobody has been lifted, `root_cam` where no absolute position is known, `root_sd` where
nothing is known of its uncertainty (`structures.uncertainty`).
All of it opens with `numpy.load(path)`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from poselift.errors import InputError
from poselift.formats.scene import facts
from poselift.storage.npz_writer import NpzWriter, npz_writer
from poselift.structures import Clip
from poselift.structures.uncertainty import root_sd

__all__ = ["open_poses", "write"]


def write(clips: Sequence[Clip], path: str | Path) -> list[Path]:
    """Write a scene. Raises `InputError` for clips that do not belong together, `OutputError` where it cannot write."""
    facts(clips)
    with open_poses(path) as add:
        for clip in clips:
            add(clip)
    return [Path(path)]


@contextmanager
def open_poses(path: str | Path) -> Iterator[Callable[[Clip], None]]:
    """Give a function that adds a clip, or the next piece of one; memory does not grow with the length.

    What the file says of itself (skeleton, rate, camera, meta) is taken from the first piece; a later one that
    differs in it raises `InputError`. Nothing is written if the body raises.
    """
    first: Clip | None = None
    with npz_writer(path) as out:

        def add(clip: Clip) -> None:
            nonlocal first
            if first is None:
                first = clip
                _put_facts(out, clip)
            else:
                facts([first[:0], clip])
            _append(out, clip, stated=root_sd(first) is not None)

        yield add
        if first is None:
            raise InputError(field="scene", expected="at least one person", found="none")


def _append(out: NpzWriter, clip: Clip, *, stated: bool) -> None:
    t = len(clip)
    out.append(
        track_id=np.full(t, clip.track_id, dtype=np.int32),
        frame=clip.frame_numbers.astype(np.int64),
        kp_img=clip.kp_img,
        conf=clip.confidence,
    )
    if clip.p_root is not None:
        out.append(p_root=clip.p_root)
    if clip.root_cam is not None:
        out.append(root_cam=clip.root_cam)
    if stated:
        sd = root_sd(clip)
        out.append(root_sd=np.full((t, 3), np.nan, np.float32) if sd is None else sd.astype(np.float32))


def _put_facts(out: NpzWriter, clip: Clip) -> None:
    known = facts([clip])
    for name in ("joints", "parents", "skeleton", "fps", "units", "axes", "root", "format"):
        out.put(name, known[name])
    out.put("meta", json.dumps(known["meta"], ensure_ascii=False))
    for name, value in (known["camera"] or {}).items():
        if value is not None:
            out.put(name, np.asarray(value))
