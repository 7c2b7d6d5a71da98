"""`index.html`: the 3D scene with its time line, the 2D input beside it in step, and what the numbers mean.

One file of about a megabyte plus the motion; it needs no network and no server.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.storage.atomic import write_aside
from poselift.structures import Clip
from poselift.view import scene
from poselift.view.notes import page_notes, standard_notes
from poselift.view.palette import side_of, track_colours
from poselift.view.stage import Stage
from poselift.view.timeline import Timeline, check_clips

__all__ = ["PageReport", "write_page"]

MAX_MEGABYTES = 10.0
LEAST_RATE = 10.0
"""Frames per second below which motion looks broken: a page that would need fewer shows less time instead."""
_BYTES_OF_PAGE = 900_000
_BYTES_PER_FIGURE = 560
"""Bytes of the page per figure and frame; only the first guess, the page is measured."""


@dataclass(frozen=True, kw_only=True)
class PageReport:
    """What a page holds: `frames` of the source's `total`, every `stride`-th; `size` in bytes."""

    path: Path
    frames: int
    total: int
    stride: int
    size: int


def write_page(
    clips: Sequence[Clip],
    path: str | Path,
    *,
    truth: Sequence[Clip] | None = None,
    title: str = "poselift",
    notes: Sequence[str] | None = None,
    max_megabytes: float = MAX_MEGABYTES,
) -> PageReport:
    """Write lifted clips as one self-contained HTML page.

    clips: one per person, with p_root (t, j, 3) in metres and, if known, root_cam (t, 3) and a camera.
    truth: clips of the true motion, drawn as thin grey figures. notes: lines of text for the reader;
    None writes `standard_notes`. Frames are thinned, then cut, until the page has `max_megabytes`, and the
    page says so. Raises `InputError` for clips without 3D, `MissingExtraError` without viser, `OutputError`
    where the file cannot be written.
    """
    check_clips(clips)
    truth = list(truth or [])
    if truth:
        check_clips(truth)
    if not max_megabytes > 2:
        raise InputError(field="max_megabytes", expected="more than 2", found=max_megabytes)
    scene.load_viser()
    stage = Stage.of(clips)
    stride, last = _first_guess([*clips, *truth], max_megabytes * 1e6)
    while True:
        line = Timeline.of(clips, stride=stride, last=last)
        text = _page(clips, truth, stage, line, title, standard_notes(clips) if notes is None else notes)
        over = len(text) / (max_megabytes * 1e6)
        if over <= 1 or len(line) <= 2:
            break
        stride, last = _thinner(line, stride, over * 1.1)
    with write_aside(path) as aside:
        Path(aside).write_text(text, encoding="utf-8", newline="\n")
    return PageReport(path=Path(path), frames=len(line), total=line.total, stride=stride, size=len(text.encode()))


def _first_guess(clips: Sequence[Clip], budget: float) -> tuple[int, int | None]:
    figures = sum(int(c.seen.sum()) for c in clips)
    over = figures * _BYTES_PER_FIGURE / (budget - _BYTES_OF_PAGE)
    return (1, None) if over <= 1 else _thinner(Timeline.of(clips), 1, over)


def _thinner(line: Timeline, stride: int, over: float) -> tuple[int, int | None]:
    """A stride, and a number of source frames, that leave 1/over of the frames that the line shows now."""
    wanted = max(stride + 1, int(np.ceil(stride * over)))
    most = max(1, int(line.fps / LEAST_RATE))
    if wanted <= most:
        return wanted, (int(line.total) if line.cut else None)
    best = max(stride, most)
    return best, max(2, int(len(line) * stride / over * best / stride))


def _page(
    clips: Sequence[Clip], truth: Sequence[Clip], stage: Stage, line: Timeline, title: str, notes: Sequence[str]
) -> str:
    assets = files("poselift.view") / "assets"
    fill = {
        "TITLE": html.escape(title),
        "SUMMARY": html.escape(_summary(clips, line)),
        "NOTES": "".join(f"<li>{html.escape(n)}</li>" for n in [*notes, *page_notes(stage, line, bool(truth))]),
        "CSS": (assets / "page.css").read_text(encoding="utf-8"),
        "JS": (assets / "page.js").read_text(encoding="utf-8"),
        "DATA": _in_script(json.dumps(_flat(clips, truth, line), separators=(",", ":"), ensure_ascii=True)),
        "SCENE": _in_script(json.dumps(_recorded(clips, truth, stage, line))),
    }
    page = (assets / "page.html").read_text(encoding="utf-8")
    return re.sub(r"@@([A-Z]+)@@", lambda m: fill[m[1]], page)


def _in_script(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c")


def _summary(clips: Sequence[Clip], line: Timeline) -> str:
    people = "1 person" if len(clips) == 1 else f"{len(clips)} people"
    if line.total == 1:
        return f"{people} · {line.counted()}"
    last = max(c.frame_numbers[-1] for c in clips if len(c))
    first = min(c.frame_numbers[0] for c in clips if len(c))
    seconds = (last - first + 1) / line.fps
    return f"{people} · {line.counted()} · {seconds:.1f} s · {line.fps:g} frames/s"


def _recorded(clips: Sequence[Clip], truth: Sequence[Clip], stage: Stage, line: Timeline) -> str:
    """viser's own page of the scene, played along the time line."""
    server = scene.open_server("127.0.0.1", 0)
    with scene.quiet():
        try:
            eye, target = stage.viewpoint(clips)
            server.initial_camera.fov = np.radians(40)
            server.initial_camera.position, server.initial_camera.look_at = eye, target
            scene.add_ground(server.scene, stage, clips)
            scene.add_camera(server.scene, stage)
            puppets = scene.add_figures(server.scene, stage, clips, [line.rows(c) for c in clips])
            puppets += scene.add_truth(server.scene, stage, truth, clips, [line.rows(c) for c in truth])
            record = server.get_scene_serializer()
            waits = np.diff(np.append(line.seconds, line.duration))
            for k, wait in enumerate(waits):
                for puppet, rows in puppets:
                    puppet.show(int(rows[k]))
                if len(line) > 1:
                    record.insert_sleep(float(wait))
            return record.as_html()
        finally:
            server.stop()


def _flat(clips: Sequence[Clip], truth: Sequence[Clip], line: Timeline) -> dict[str, Any]:
    """The 2D input for the page's own player: pixels as int16 at `scale` steps a pixel, confidence as uint8."""
    size = clips[0].camera.size_wh if clips[0].camera else clips[0].meta.get("size_wh")
    valid = [c.kp_img[c.confidence > 0] for c in clips]
    points = np.concatenate(valid) if valid else np.zeros((0, 2))
    points = points if len(points) else np.zeros((1, 2))
    if size is None:
        size = np.maximum(points.max(0) * 1.05, 1)
    scale = float(min(16.0, 32000 / max(1.0, float(np.abs(points).max()))))
    tracks = []
    for c, colours in zip(clips, track_colours(len(clips)), strict=True):
        rows = line.rows(c)
        there = rows >= 0
        xy = np.round(c.kp_img[rows] * scale).clip(-32767, 32767) * there[:, None, None]
        conf = np.round(c.confidence[rows] * 255).clip(1, 255) * (c.confidence[rows] > 0) * there[:, None]
        tracks.append({
            "id": c.track_id, "colours": list(colours), "bright": list(colours.on_dark()), "joints": len(c.skeleton),
            "bones": [[child, parent] for child, parent in c.skeleton.bones],
            "sides": "".join(side_of(c.skeleton, j) or "-" for j in range(len(c.skeleton))),
            "xy": _b64(xy.astype("<i2")), "conf": _b64(conf.astype("u1")),
        })  # fmt: skip
    box = [*np.percentile(points, 0.5, axis=0), *np.percentile(points, 99.5, axis=0)]
    return {
        "fps": line.fps, "size": [float(v) for v in size], "scale": scale, "duration": line.duration,
        "frames": line.frames.tolist(), "seconds": [round(float(s), 5) for s in line.seconds],
        "box": [round(float(v), 1) for v in box], "truth": bool(truth), "tracks": tracks,
    }  # fmt: skip


def _b64(a: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(a).tobytes()).decode("ascii")
