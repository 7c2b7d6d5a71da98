"""Plots as PNG: training curves from columns, and bars per action or per joint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.storage.atomic import write_aside
from poselift.view.drawing import INK, LINE, SOFT, WHEEL, new_figure

__all__ = ["plot_bars", "plot_curves"]

_MOST_CURVES = len(WHEEL)


def plot_curves(
    columns: Mapping[str, Sequence[Any]], path: str | Path, *, x: str | None = None, title: str = ""
) -> None:
    """Write the columns of a training log as curves, one panel per quantity.

    columns: equally long lists of numbers by name, as read from a CSV file; an empty cell, None or NaN is a
    gap. x: the column that all others are drawn over (the first of `step`, `epoch`, `iteration` that is there,
    else the row number). Losses share a panel, as do all columns with the same unit at the end of their name
    (`mpjpe_mm`, `val/mpjpe_mm/clip` → millimetres); learning rates have their own. The best value of an error
    is marked. Raises `InputError` for columns that differ in length or hold no number.
    """
    data = {name: _numbers(name, values) for name, values in columns.items()}
    if len({len(v) for v in data.values()}) > 1:
        raise InputError(field="columns", expected="equal lengths", found={n: len(v) for n, v in data.items()})
    x = x or next((n for n in ("step", "epoch", "iteration") if n in data), None)
    if x is not None and x not in data:
        raise InputError(field="columns", expected=f"a column '{x}'", found=", ".join(data))
    along = data[x] if x else np.arange(max((len(v) for v in data.values()), default=0), dtype=float)
    skip = {x, "step", "epoch", "iteration", "seconds", "time", "eta"}
    panels: dict[str, dict[str, np.ndarray]] = {}
    for name, values in data.items():
        if name not in skip and np.isfinite(values).any():
            panels.setdefault(_quantity(name), {})[name] = values
    if not panels:
        raise InputError(field="columns", expected="at least one column of numbers", found=", ".join(data) or "none")

    panels = dict(sorted(panels.items(), key=lambda p: _ORDER.index(p[0]) if p[0] in _ORDER else 9))
    across = len(panels) if len(panels) <= 3 else 2
    down = math.ceil(len(panels) / across)
    canvas = new_figure({1: 7.6, 2: 6.2, 3: 5.2}[across] * across, 3.6 * down + 0.4)
    axes = np.atleast_1d(canvas.subplots(down, across)).ravel()
    for ax, (quantity, curves) in zip(axes, panels.items(), strict=False):
        _draw_curves(ax, along, curves, quantity)
        ax.set_xlabel(x or "row", color=SOFT, fontsize=9)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    _save(canvas, path, title)


_ORDER = ["loss", "mm", "deg", "", "learning rate"]
_LABELS = {"mm": "error, mm", "deg": "error, degrees", "": "value"}


def _quantity(name: str) -> str:
    words = name.lower().replace("-", "_").replace("/", "_").split("_")
    if "loss" in words or "losses" in words:
        return "loss"
    if "lr" in words or "learning" in words:
        return "learning rate"
    return next((u for u in ("mm", "deg", "percent") if u in words), "")


def _numbers(name: str, values: Sequence[Any]) -> np.ndarray:
    try:
        return np.array([math.nan if v is None or v == "" else float(v) for v in values], dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(field=f"column '{name}'", expected="numbers", found="text") from None


def _draw_curves(ax: Any, along: np.ndarray, curves: Mapping[str, np.ndarray], quantity: str) -> None:
    named = list(curves.items())
    for i, (name, values) in enumerate(named[:_MOST_CURVES]):
        there = np.isfinite(values) & np.isfinite(along)
        xs, ys, colour = along[there], values[there], WHEEL[i]
        rough = len(ys) > 60 and quantity == "loss"
        thin: dict[str, Any] = {"lw": 0.8, "alpha": 0.35} if rough else {"lw": 1.7, "label": name}
        ax.plot(xs, ys, color=colour, marker="o" if len(ys) <= 25 else None, ms=3, **thin)
        if rough:
            ax.plot(xs, _smooth(ys), color=colour, lw=1.8, label=name)
        if quantity in ("mm", "deg") and len(ys):
            k = int(ys.argmin())
            ax.plot(xs[k], ys[k], "o", color=colour, ms=5.5, mec="white", mew=1, zorder=4)
            ax.annotate(f"{ys[k]:.1f}", (xs[k], ys[k]), (0, -11), textcoords="offset points", ha="center",
                        fontsize=8, color=colour)  # fmt: skip
    every = np.concatenate([v[np.isfinite(v)] for v in curves.values()])
    if len(every) and every.min() > 0 and every.max() / every.min() > 8:
        ax.set_yscale("log")
        ax.minorticks_off()
    else:
        ax.margins(y=0.12)
    if len(named) > _MOST_CURVES:
        ax.plot([], [], lw=0, label=f"{len(named) - _MOST_CURVES} more not drawn")
    _style(ax, "y")
    ax.set_ylabel(_LABELS.get(quantity, quantity), color=SOFT, fontsize=9)
    ax.legend(frameon=False, fontsize=8.5, labelcolor=INK)


def _smooth(y: np.ndarray) -> np.ndarray:
    """Running mean over a fiftieth of the curve, shorter at its ends."""
    half = max(1, len(y) // 100)
    total = np.concatenate([[0.0], np.cumsum(y)])
    i = np.arange(len(y))
    reach = np.minimum(half, np.minimum(i, len(y) - 1 - i))
    return (total[i + reach + 1] - total[i - reach]) / (2 * reach + 1)


def plot_bars(
    values: Mapping[str, float] | Mapping[str, Mapping[str, float]],
    path: str | Path,
    *,
    title: str = "",
    unit: str = "mm",
    mean: bool = True,
) -> None:
    """Write one bar per action or joint, with its value; several series stand side by side.

    values: label → value, or label → (series name → value). NaN draws no bar. mean: a line at the unweighted
    mean of the bars, named as such. Raises `InputError` for nothing to draw.
    """
    several = bool(values) and all(isinstance(v, Mapping) for v in values.values())
    rows: dict[str, Any] = {k: v if several else {"": v} for k, v in values.items()}
    labels, series = list(rows), list(dict.fromkeys(name for row in rows.values() for name in row))
    table = np.array([[float(rows[k].get(name, math.nan)) for k in labels] for name in series])
    if not np.isfinite(table).any():
        raise InputError(field="bars", expected="at least one number", found="none")

    thick = max(0.26, 0.19 * len(series))
    canvas = new_figure(7.6, 1.2 + thick * len(labels))
    ax = canvas.subplots()
    y, high = np.arange(len(labels)), 0.76 / len(series)
    for i, (name, row) in enumerate(zip(series, table, strict=True)):
        colour = WHEEL[i % len(WHEEL)]
        at = y + (i - (len(series) - 1) / 2) * high
        there = np.isfinite(row)
        middle = float(row[there].mean()) if there.any() else math.nan
        label = name
        if mean and there.sum() > 1:
            label = f"{name}  (mean of bars {middle:.1f})" if name else f"mean of bars {middle:.1f}"
        ax.barh(at[there], row[there], height=high * 0.94, color=colour, label=label or None)
        if mean and there.sum() > 1:
            ax.axvline(middle, color=colour, lw=1, ls=(0, (4, 3)), zorder=0.5)
        look = {"va": "center", "fontsize": 8, "color": INK, "bbox": {"fc": "white", "ec": "none", "pad": 0.6}}
        for yy, v in zip(at[there], row[there], strict=True):
            ax.annotate(f"{v:.1f}", (max(v, 0), yy), (5, 0), textcoords="offset points", **look)
    ax.set_yticks(y, labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_xlim(min(0.0, float(np.nanmin(table))), float(np.nanmax(table)) * 1.1 or 1)
    ax.set_xlabel(unit, color=SOFT, fontsize=9)
    _style(ax, "x")
    ax.tick_params(axis="y", labelcolor=INK)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
    _save(canvas, path, title)


def _style(ax: Any, lines: str) -> None:
    ax.grid(axis=lines, color=LINE, lw=0.8)
    ax.set_axisbelow(True)
    for side in ("top", "right", "left" if lines == "y" else "bottom"):
        ax.spines[side].set_visible(False)
    for spine in ax.spines.values():
        spine.set_color("#b9c2ce")
    ax.tick_params(colors=SOFT, labelsize=8.5, length=0)


def _save(canvas: Any, path: str | Path, title: str) -> None:
    canvas.tight_layout(rect=(0, 0, 1, 1 - (0.4 / canvas.get_figheight() if title else 0)))
    if title:
        high = 1 - 0.24 / canvas.get_figheight()
        canvas.text(0.012, high, title, color=INK, fontsize=12, fontweight="bold", va="center")
    with write_aside(path) as aside:
        canvas.savefig(aside, format="png", dpi=120, facecolor="white")
