"""From rows, one per person and frame in any order, to Clips: identities, gaps and empty frames, for all readers.

Every frame number between a person's first and last becomes a frame of the clip; where the person was not seen
it has confidence 0. Nothing is ever shifted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from poselift.errors import InputError
from poselift.formats.base import DEFAULT_FPS, ReadOptions
from poselift.structures import Camera, Clip, Skeleton
from poselift.structures.tracks import link
from poselift.structures.windows import interpolate

__all__ = ["clips_from_rows", "described", "new_array", "numbers", "positive_size", "rate", "triplets"]

_GAP_FRAMES, _GAP_RATIO = 1_000_000, 50


def clips_from_rows(
    *,
    file: str | Path,
    skeleton: Skeleton,
    frame: Int[np.ndarray, " n"],
    kp_img: Float[np.ndarray, "n j 2"],
    conf: Float[np.ndarray, "n j"],
    options: ReadOptions,
    track: Int[np.ndarray, " n"] | None = None,
    fps: Any = None,
    camera: Camera | None = None,
    size_wh: tuple[int, int] | None = None,
    meta: Mapping[str, Any] | None = None,
    p_root: Float[np.ndarray, "n j 3"] | None = None,
    root_cam: Float[np.ndarray, "n 3"] | None = None,
) -> list[Clip]:
    """One clip per track, ordered by track id; without ids (`track` None) people are told apart by `tracks.link`.

    What `options` says goes before what the file says (`camera`, `size_wh`, and `fps`, which is checked here). Of two
    rows for one track and frame the more confident counts. Raises `InputError`: infinite numbers, nobody seen, gaps
    beyond reason.
    """
    with np.errstate(over="ignore"):
        kp_img = kp_img.astype(np.float32, copy=False)
    if np.isinf(kp_img).any():
        raise InputError(file=file, field="keypoints", expected="finite pixels", found="infinite ones")
    conf = np.where(np.isfinite(kp_img).all(-1), np.clip(np.nan_to_num(conf), 0, 1), 0).astype(np.float32)
    if not (conf > 0).any():
        raise InputError("nobody in any frame: no joint has coordinates and a confidence above 0", file=file)
    keep = np.ones(len(conf), bool) if p_root is not None else (conf > 0).any(1)
    if track is None:
        track = link(frame, kp_img, conf, fps=rate(fps, options, file)["fps"])
        keep &= track >= 0
    track, frame = np.asarray(track, np.int64), np.asarray(frame, np.int64)
    order = np.flatnonzero(keep)
    order = order[np.lexsort((-conf[order].sum(1), frame[order], track[order]))]
    frame, track = frame[order], track[order]
    first = np.ones(len(order), bool)
    first[1:] = (frame[1:] != frame[:-1]) | (track[1:] != track[:-1])
    order, frame, track = order[first], frame[first], track[first]
    ids, starts = np.unique(track, return_index=True)
    ends = np.append(starts[1:], len(order))
    spans = [int(frame[b - 1]) - int(frame[a]) + 1 for a, b in zip(starts, ends, strict=True)]
    spread = max(sum(spans), int(frame.max()) - int(frame.min()) + 1)
    if spread > _GAP_FRAMES + _GAP_RATIO * len(order):
        raise InputError(
            file=file, field="frame numbers", expected="gaps that make sense",
            found=f"{len(order):,} rows spread over {spread:,} frames",
        )  # fmt: skip
    stated = {**rate(fps, options, file), **(meta or {})}
    camera = options.camera or camera
    size = options.image_size or (camera.size_wh if camera else size_wh)
    if camera is None and size is not None:
        stated["size_wh"] = size
    in_order = len(order) == len(kp_img) and bool((order == np.arange(len(order))).all())  # spares a copy
    said = {k: v for k, v in stated.items() if k != "fps"}
    made = []
    for i, a, b, span in zip(ids.tolist(), starts, ends, spans, strict=True):
        rows, at = slice(a, b) if in_order else order[a:b], frame[a:b] - frame[a]
        metres = {"p_root": p_root, "root_cam": root_cam}
        metres = {n: None if x is None else _between(x[rows], at, span) for n, x in metres.items()}
        made.append(
            Clip(
                skeleton=skeleton,
                fps=stated["fps"],
                kp_img=_spread(kp_img[rows], at, span),
                conf=_spread(conf[rows], at, span),
                camera=camera,
                frames=frame[a] + np.arange(span),
                track_id=i,
                meta=said,
                **metres,
            )
        )
    return made


def _spread(x: np.ndarray, at: np.ndarray, span: int) -> np.ndarray:
    if len(x) == span:
        return x
    full = np.zeros((span, *x.shape[1:]), x.dtype)
    full[at] = x
    return full


def _between(x: np.ndarray, at: np.ndarray, span: int) -> np.ndarray | None:
    """Metres for every frame, or None where a column is stated as unknown (NaN throughout)."""
    x = x.astype(np.float32, copy=False)
    if np.isnan(x).all():
        return None
    return x if len(x) == span else interpolate(x, at, span)


def described(value: Any) -> str:
    """A value from a file in a few words, for messages: a scalar itself, of anything larger its kind."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    if isinstance(value, (list, tuple, dict)):
        return f"{type(value).__name__} of {len(value)}"
    return repr(value)[:60] if isinstance(value, (str, int, float, np.generic, type(None))) else type(value).__name__


def new_array(array: np.ndarray, once: set[int], file: str | Path, field: str) -> None:
    """Refuse an array met before: references can make a small pickle hold more than any memory."""
    if id(array) in once:
        raise InputError("the same array a second time", file=file, field=field)
    once.add(id(array))


def rate(fps: Any, options: ReadOptions, file: str | Path) -> dict[str, Any]:
    """`fps` from the user, else the file, else `DEFAULT_FPS` with `assumed_fps`."""
    if options.fps is not None:
        return {"fps": float(options.fps)}
    if fps is None:
        return {"fps": DEFAULT_FPS, "assumed_fps": True}
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not 0 < fps <= 10_000:
        raise InputError(file=file, field="fps", expected="a positive number up to 10000", found=described(fps))
    return {"fps": float(fps)}


def positive_size(value: Any, file: str | Path, field: str = "image size") -> tuple[int, int] | None:
    """(width, height) in pixels from a file, None where it states none. Raises `InputError`."""
    if value is None:
        return None
    try:
        w, h = (int(v) for v in value)
    except (TypeError, ValueError, OverflowError):
        w = h = 0
    if not (0 < w <= 100_000 and 0 < h <= 100_000):
        raise InputError(file=file, field=field, expected="positive width and height in pixels", found=described(value))
    return w, h


def numbers(values: Any, shape: tuple[int | None, ...], *, file: str | Path, field: str) -> np.ndarray:
    """Nested lists from a JSON file as float64 of `shape` (None: any length); null becomes NaN. Raises `InputError`."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = None
    if array is not None and array.ndim == 1 and len(array) == 0 and shape[0] is None:
        return np.zeros([n or 0 for n in shape])
    fits = array is not None and array.ndim == len(shape)
    if array is None or not fits or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        want = " x ".join("n" if n is None else str(n) for n in shape)
        found = "other data, or lists of differing length" if array is None else " x ".join(map(str, array.shape))
        raise InputError(file=file, field=field, expected=f"{want} numbers", found=found or "one number")
    return array


def triplets(lists: Sequence[Any], *, file: str | Path, field: str) -> np.ndarray:
    """Flat x, y, confidence lists, one per person, as (n, j, 3). Raises `InputError` naming the first odd one."""
    want = next((len(v) for v in lists if isinstance(v, list)), 0)
    for i, flat in enumerate(lists):
        if not isinstance(flat, list) or len(flat) != want or want % 3 or not want:
            found = f"{len(flat)} values" if isinstance(flat, list) else type(flat).__name__
            want_text = f"x, y, confidence of each joint{f' ({want} numbers)' if want and want % 3 == 0 else ''}"
            raise InputError(file=file, field=f"{field} of entry {i}", expected=want_text, found=found)
    return numbers(list(lists), (None, want), file=file, field=field).reshape(len(lists), -1, 3)
