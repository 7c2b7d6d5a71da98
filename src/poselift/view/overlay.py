"""What the detector saw, drawn over the frames: 2D skeletons in the colours of the 3D page, with each person's number.

The surer a joint the stronger its lines; a joint that was not seen is not drawn. Frames larger than `LARGEST_SIDE` are
shown smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from poselift.storage.atomic import write_aside
from poselift.structures import Clip
from poselift.video import Frame, FrameSource
from poselift.video.ahead import ahead
from poselift.video.encode import open_video
from poselift.view.palette import Colours, side_of, track_colours

__all__ = ["LARGEST_SIDE", "draw_frame", "draw_people", "write_overlay"]

LARGEST_SIDE = 1280
"""Pixels of an overlay video's larger side."""

_FINE = 2
"""Drawn at so many times the size and made smaller, for smooth edges."""


def write_overlay(
    clips: Sequence[Clip], source: FrameSource, path: Path, *, progress: Callable[[int, int | None], None] | None = None
) -> Path:
    """Write the recording with its people drawn in: an H.264 video, or for a photograph a PNG (`path` with its suffix).

    Decoding, drawing and encoding have a thread each. Raises `OutputError`, `MissingExtraError`.
    """
    colours = track_colours(len(clips))
    if source.still:
        path = path.with_suffix(".png")
        (frame,) = source.frames()
        image = draw_people(frame.image, _rows(clips, frame.number), colours)
        with write_aside(path) as aside:
            _picture(image).save(aside, format="PNG")
        return path
    path = path.with_suffix(".mp4")
    with write_aside(path) as aside, open_video(aside, clips[0].fps) as video:
        for i, frame in enumerate(_decoded(source)):
            image, scale = _smaller(frame.image)
            video.add(frame.number, draw_people(image, _rows(clips, frame.number), colours, scale=scale))
            if progress is not None:
                progress(i + 1, source.count)
    return path


def draw_frame(image: UInt8[np.ndarray, "h w 3"], clips: Sequence[Clip]) -> UInt8[np.ndarray, "h w 3"]:
    """A frame of an overlay that is made while a camera runs: clips of this frame alone, coloured by their numbers."""
    image, scale = _smaller(image)
    several = track_colours(8)
    colours = track_colours(1) if len(clips) == 1 else [several[c.track_id % 8] for c in clips]
    people = [(c, 0) if c.seen[0] else None for c in clips]
    return draw_people(image, people, colours, scale=scale)


def _decoded(source: FrameSource) -> Iterator[Frame]:
    with closing(ahead(source.frames)) as frames:  # type: ignore[type-var]
        yield from frames


def _rows(clips: Sequence[Clip], number: int) -> list[tuple[Clip, int] | None]:
    """Each clip with its row for a frame, None where the person is not in it."""
    out: list[tuple[Clip, int] | None] = []
    for clip in clips:
        row = int(np.searchsorted(clip.frame_numbers, number))
        there = row < len(clip) and clip.frame_numbers[row] == number and bool((clip.confidence[row] > 0).any())
        out.append((clip, row) if there else None)
    return out


def _picture(image: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(image)


def _smaller(image: UInt8[np.ndarray, "h w 3"]) -> tuple[np.ndarray, float]:
    h, w = image.shape[:2]
    scale = min(1.0, LARGEST_SIDE / max(h, w))
    if scale == 1.0:
        return image, 1.0
    return np.asarray(_picture(image).resize((round(w * scale), round(h * scale)), reducing_gap=2.0)), scale


def draw_people(
    image: UInt8[np.ndarray, "h w 3"],
    people: Sequence[tuple[Clip, int] | None],
    colours: Sequence[Colours],
    *,
    scale: float = 1.0,
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of an image with people (clip and row) drawn in; scale: image pixels per pixel of their keypoints."""
    canvas = _picture(image)
    for person, colour in zip(people, colours, strict=True):
        if person is not None:
            _draw(canvas, *person, colour.on_dark(), scale)
    return np.array(canvas)


def _draw(canvas: Any, clip: Clip, row: int, colours: Colours, scale: float) -> None:
    """One person, on an enlarged copy of the part of the canvas that is just large enough."""
    from PIL import Image, ImageDraw, ImageFont

    conf = clip.confidence[row]
    kp = (clip.kp_img[row] + 0.5) * scale
    seen = kp[conf > 0]
    size = float(np.ptp(seen, axis=0).max())
    wide = float(np.clip(size / 90, 1.5, 12))
    letters = int(np.clip(size / 16, 11, 40))
    margin = 3 * wide + size / 14 + 1.6 * letters
    low = np.maximum(np.floor(seen.min(0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(seen.max(0) + margin), canvas.size).astype(int)
    if (high <= low).any():
        return
    box = (*low.tolist(), *high.tolist())
    layer = canvas.crop(box).resize(tuple(((high - low) * _FINE).tolist()), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(layer, "RGBA")  # blends what is drawn with what is there
    at = [(float(x), float(y)) for x, y in (kp - low) * _FINE]
    for edge in (True, False):  # a dark edge below, so that light colours stand out on light grounds
        for child, parent in clip.skeleton.bones:
            if conf[child] > 0 and conf[parent] > 0:
                strength = 0.35 + 0.65 * float(min(conf[child], conf[parent]))
                ink = (16, 20, 26) if edge else colours.rgb(side_of(clip.skeleton, child))
                thick, opaque = round((wide + 1.6 * edge) * _FINE), round(255 * strength * (0.6 if edge else 1))
                pen.line([at[child], at[parent]], fill=(*ink, opaque), width=thick)
        for j in np.flatnonzero(conf > 0):
            r = (wide * 0.85 + (0.8 if edge else 0)) * _FINE
            ink = (16, 20, 26) if edge else colours.rgb(side_of(clip.skeleton, int(j)))
            x, y = at[j]
            pen.ellipse([x - r, y - r, x + r, y + r], fill=(*ink, round(255 * (0.4 + 0.6 * float(conf[j])))))
    top = min(range(len(at)), key=lambda j: at[j][1] if conf[j] > 0 else np.inf)
    x = float(np.clip(at[top][0], letters * _FINE, layer.width - letters * _FINE))
    y = max(at[top][1] - (1.5 * wide + size / 14) * _FINE, 1.2 * letters * _FINE)
    font = ImageFont.load_default(letters * _FINE)
    pen.text(
        (x, y), str(clip.track_id), font=font, anchor="mb", fill=(255, 255, 255, 255),
        stroke_width=2 * _FINE, stroke_fill=(16, 20, 26, 220),
    )  # fmt: skip
    canvas.paste(layer.reduce(_FINE), box)
