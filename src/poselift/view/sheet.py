"""The contact sheet: a PNG with a few frames of the motion, 2D above, the same moments in 3D from two sides below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poselift.storage.atomic import write_aside
from poselift.structures import Clip
from poselift.view.drawing import INK, PALE, SOFT, draw_body, draw_flat, draw_floor, draw_ghost, new_figure
from poselift.view.palette import track_colours
from poselift.view.stage import Stage
from poselift.view.timeline import Timeline, check_clips

__all__ = ["write_contact_sheet"]

_DARK = "#1b222d"
_WIDTH = 16.0
"""Width of all cells together, inches."""
_VIEWS = (("3D, the camera's side", 0.0, 6.0), ("3D, 70° further round", 70.0, 12.0))


def write_contact_sheet(
    clips: Sequence[Clip],
    path: str | Path,
    *,
    truth: Sequence[Clip] | None = None,
    columns: int | None = None,
    title: str = "",
) -> None:
    """Write a PNG of `columns` evenly spaced moments (five to seven unless said) of lifted clips, one per person.

    Each row has one scale: pixels in the 2D row, metres in the 3D rows, where the floor's lines are half a
    metre apart. truth: clips of the true motion, drawn as thin lines over the 3D figures. Raises `InputError`
    for clips without 3D, `MissingExtraError` without matplotlib, `OutputError` where the file cannot be written.
    """
    check_clips(clips)
    truth = list(truth or [])
    stage = Stage.of(clips)
    line = Timeline.of(clips)
    rows = np.stack([line.rows(c) for c in clips])
    seen = np.flatnonzero((rows >= 0).any(0))
    seen = seen if len(seen) else np.arange(len(line))
    side_view = _axes_of(stage, _VIEWS[0][1], _VIEWS[0][2])
    tall = _proportion(stage, rows, side_view)
    columns = columns or (7 if tall > 0.95 else 6 if tall > 0.8 else 5)
    picked = seen[np.unique(np.linspace(0, len(seen) - 1, columns).round().astype(int))]
    n = len(picked)

    cell = min(_WIDTH / max(columns, n), 3.6)
    high = 0.95 + 3 * cell * tall * 1.03
    canvas = new_figure(max(cell * n, 6) + 0.5, high)
    left, top, bottom = 0.42 / canvas.get_figwidth(), 1 - 0.62 / high, 0.3 / high
    grid = canvas.add_gridspec(3, n, left=left, right=0.995, top=top, bottom=bottom, wspace=0.04, hspace=0.05)
    axes = [[canvas.add_subplot(grid[r, k]) for k in range(n)] for r in range(3)]
    for ax in (ax for row in axes for ax in row):
        _blank(ax, _DARK if ax in axes[0] else PALE, tall)
    name = title or _title(clips, line)
    canvas.text(left, 1 - 0.26 / high, name, color=INK, fontsize=12, fontweight="bold", va="center")
    _legend(canvas, clips, bool(truth), high)
    for r, label in enumerate(("2D input", *(v[0] for v in _VIEWS))):
        box = axes[r][0].get_position()
        middle = (box.y0 + box.y1) / 2
        canvas.text(left * 0.45, middle, label, rotation=90, ha="center", va="center", color=SOFT, fontsize=9)

    _draw_images(axes[0], clips, rows[:, picked])
    ghosts = list(zip(truth, stage.of_truth(truth, clips), [line.rows(c)[picked] for c in truth], strict=True))
    for r, (_, azimuth, elevation) in enumerate(_VIEWS, start=1):
        view = _axes_of(stage, azimuth, elevation)
        _draw_space(axes[r], stage, clips, rows[:, picked], ghosts, view, cell * tall)
    for k, at in enumerate(picked):
        text = f"frame {line.frames[at]}  ·  {line.seconds[at]:.2f} s"
        axes[0][k].set_title(text, fontsize=8.5, color=SOFT, pad=4)
    with write_aside(path) as aside:
        canvas.savefig(aside, format="png", dpi=110, facecolor="white")


def _proportion(stage: Stage, rows: np.ndarray, view: np.ndarray) -> float:
    """Height over width of a cell, such that everybody fits at a glance: from 1.1 for one down to 0.62 for a crowd."""
    wide = high = 0.1
    for k in range(0, rows.shape[1], max(1, rows.shape[1] // 50)):
        people = [p[r] for p, r in zip(stage.figures, rows[:, k], strict=True) if r >= 0]
        if people:
            x, y = np.ptp((np.concatenate(people) @ view.T)[:, :2], axis=0)
            wide, high = max(wide, float(x)), max(high, float(y))
    return float(np.clip(high / wide, 0.62, 1.1))


def _title(clips: Sequence[Clip], line: Timeline) -> str:
    people = "1 person" if len(clips) == 1 else f"{len(clips)} people"
    rate = f" at {line.fps:g} per second" if line.total > 1 else ""
    return f"{people}, {line.counted()}{rate}"


def _legend(canvas: Any, clips: Sequence[Clip], has_truth: bool, high: float) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for c, colours in zip(clips, track_colours(len(clips)), strict=True):
        if len(clips) == 1:
            pairs = list(zip(("left", "trunk", "right"), colours, strict=True))
        else:
            pairs = [(f"person {c.track_id}", colours.trunk)]
        handles += [Line2D([], [], color=hue, lw=4, label=name, solid_capstyle="round") for name, hue in pairs]
    if len(clips) > 1:
        if len(handles) > 10:
            handles = [*handles[:10], Line2D([], [], lw=0, label=f"and {len(handles) - 10} more")]
        handles.append(Line2D([], [], lw=0, label="light: left, dark: right"))
    if has_truth:
        handles.append(Line2D([], [], color=INK, lw=1, alpha=0.7, label="truth"))
    canvas.legend(
        handles=handles, loc="upper right", bbox_to_anchor=(0.998, 1 - 0.1 / high), ncols=len(handles), frameon=False,
        fontsize=9, labelcolor=SOFT, handlelength=1.3, columnspacing=1.3, handletextpad=0.5, borderaxespad=0,
    )  # fmt: skip
    canvas.text(0.995, 0.11 / high, "floor lines every 0.5 m", ha="right", va="center", fontsize=8, color=SOFT)


def _blank(ax: Any, face: str, tall: float) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_facecolor(face)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_box_aspect(tall)


def _half(spans: Sequence[np.ndarray], tall: float) -> float:
    """Half the height of a cell that holds the widest and the highest of some (width, height)."""
    return max(max(float(s[0]) * tall, float(s[1])) for s in spans) / 2


def _frame(ax: Any, centre: np.ndarray, half: float) -> None:
    """Equal axes around a centre, `half` up and down from it."""
    tall = ax.get_box_aspect()
    ax.set_xlim(centre[0] - half / tall, centre[0] + half / tall)
    ax.set_ylim(centre[1] - half, centre[1] + half)


def _draw_images(axes: Sequence[Any], clips: Sequence[Clip], rows: np.ndarray) -> None:
    shown = []
    for k in range(len(axes)):
        points = [c.kp_img[r][c.confidence[r] > 0] for c, r in zip(clips, rows[:, k], strict=True) if r >= 0]
        shown.append(np.concatenate([*points, np.zeros((0, 2))]))
    boxes = [(p.min(0), p.max(0)) if len(p) else (np.zeros(2), np.ones(2)) for p in shown]
    half = _half([b - a for a, b in boxes], axes[0].get_box_aspect()) * 1.18 + 1
    size = clips[0].camera.size_wh if clips[0].camera else None
    for k, ax in enumerate(axes):
        centre = (boxes[k][0] + boxes[k][1]) / 2
        _frame(ax, centre, half)
        ax.invert_yaxis()
        if size is not None:
            x, y = [-0.5, size[0] - 0.5, size[0] - 0.5, -0.5, -0.5], [-0.5, -0.5, size[1] - 0.5, size[1] - 0.5, -0.5]
            ax.plot(x, y, color="#566173", lw=1)
        for c, r, colours in zip(clips, rows[:, k], track_colours(len(clips)), strict=True):
            if r >= 0:
                draw_flat(ax, c, int(r), colours)


def _axes_of(stage: Stage, azimuth: float, elevation: float) -> np.ndarray:
    """Rows right, up and depth (3, 3) of a parallel projection, turned from the camera's level direction."""
    f, a, e = stage.forward(), np.radians(azimuth), np.radians(elevation)
    level = np.array([f[0] * np.cos(a) - f[1] * np.sin(a), f[0] * np.sin(a) + f[1] * np.cos(a), 0])
    look = level * np.cos(e) - np.array([0, 0, np.sin(e)])
    right = np.cross(look, (0, 0, 1.0))
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, look), look])


def _draw_space(
    axes: Sequence[Any], stage: Stage, clips: Sequence[Clip], rows: np.ndarray, ghosts: Sequence[Any], view: np.ndarray,
    inches: float,
) -> None:  # fmt: skip
    cells = []
    for k in range(len(axes)):
        people = [p[r] for p, r in zip(stage.figures, rows[:, k], strict=True) if r >= 0]
        cells.append(np.concatenate([*people, np.zeros((0, 3))]))
    floors = [np.array([*c[:, :2].mean(0), stage.ground]) if len(c) else np.zeros(3) for c in cells]
    flat = [np.concatenate([c, f[None]]) @ view.T for c, f in zip(cells, floors, strict=True)]
    half = _half([np.ptp(q[:, :2], axis=0) for q in flat], axes[0].get_box_aspect()) * 1.14 + 0.05
    per_metre = inches * 72 / (2 * half)
    for k, ax in enumerate(axes):
        low, high = flat[k][:, :2].min(0), flat[k][:, :2].max(0)
        _frame(ax, (low + high) / 2, half)
        if stage.feet_seen:
            draw_floor(ax, floors[k], view, 4 * half)
        for c, p, r, colours in zip(clips, stage.figures, rows[:, k], track_colours(len(clips)), strict=True):
            if r >= 0:
                draw_body(ax, p[r], c.skeleton, colours, view, per_metre, c.confidence[r] > 0)
        for c, p, at in ghosts:
            if at[k] >= 0:
                draw_ghost(ax, p[at[k]], c.skeleton, view)
