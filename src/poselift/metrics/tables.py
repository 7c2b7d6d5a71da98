"""A `Report` as plain data, Markdown and rich tables; every column and row names its average."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from poselift.errors import unknown_name
from poselift.metrics.report import AVERAGES, FIGURES, Report

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["VIEWS", "markdown", "plain", "rich_table"]

Grid = tuple[str, list[str], list[list[str]]]
"""Title, column heads, rows of cells."""

VIEWS = ("overall", "action", "subject", "action-subject", "joint", "angle", "clip")
"""The tables that a report has."""

_TEXT = ("figure", "meaning", "action", "subject", "joint", "angle", "clip")
_NOBODY = "–"
"""Stands for the action or subject of clips that have none."""


def _cell(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _overall(report: Report) -> Grid:
    summary = report.summary()
    averages = [a for a in AVERAGES if any(k.endswith("/" + a) for k in summary)]
    heads = {"frame": "frame average", "clip": "clip average", "action": f"action average ({len(report.actions)})"}
    figures = [n for n in FIGURES if f"{n}/frame" in summary]
    rows = [[n, *(_cell(summary.get(f"{n}/{a}")) for a in averages), FIGURES[n]] for n in figures]
    title = f"{report.skeleton.name}: {len(report.rows)} clips, {report.frames} frames"
    if report.frames_without_root:
        title += f" ({report.frames_without_root} without a predicted root, not in MRPE)"
    title += "".join(f", {k.replace('_', ' ')} {v}" for k, v in report.about.items())
    return title, ["figure", *(heads[a] for a in averages), "meaning"], rows


def _by(report: Report, view: str) -> Grid:
    table = {
        "action": report.per_action, "subject": report.per_subject, "joint": report.per_joint, "angle": report.per_angle
    }[view]()  # fmt: skip
    figures = list(dict.fromkeys(k for row in table.values() for k in row))
    rows = [[name or _NOBODY, *(_cell(row.get(k)) for k in figures)] for name, row in table.items()]
    if view == "action" and rows:
        summary = report.summary()
        means = [summary.get(k.replace("/frame", "/action")) for k in figures]
        rows.append([f"action average of {len(table)}", *map(_cell, means)])
    return f"By {view}: mean over the frames of each {view}", [view, *figures], rows


def _by_action_and_subject(report: Report) -> Grid:
    """Actions down, subjects across, with unweighted means over what there is of each row, column and the whole."""
    heads, lines = ["action"], [[a or _NOBODY] for a in report.per_action_and_subject()]
    last = ["mean"]
    for figure in ("mpjpe_mm", "p_mpjpe_mm"):
        table = report.per_action_and_subject(figure)
        heads += [f"{s or _NOBODY} {figure}/frame" for s in report.subjects] + [f"mean {figure}"]
        for line, row in zip(lines, table.values(), strict=True):
            line += [*(_cell(row.get(s)) for s in report.subjects), _cell(_mean(row.values()))]
        last += [_cell(_mean(row[s] for row in table.values() if s in row)) for s in report.subjects]
        last.append(_cell(_mean(v for row in table.values() for v in row.values())))
    title = "By action and subject: mean over the frames of both; means of those unweighted"
    return title, heads, [*lines, last] if lines else []


def _mean(values: Iterable[float]) -> float:
    v = [x for x in values if not math.isnan(x)]
    return sum(v) / len(v) if v else math.nan


def _by_clip(report: Report) -> Grid:
    clips = report.per_clip()
    figures = [f"{n}/frame" for n in FIGURES if any(f"{n}/frame" in c for c in clips)]
    rows = [
        [c["clip"], c["action"], c["subject"] or _NOBODY, str(c["frames"]), *(_cell(c.get(k)) for k in figures)]
        for c in clips
    ]
    return "By clip: mean over the frames of each clip", ["clip", "action", "subject", "frames", *figures], rows


def _grid(report: Report, view: str) -> Grid:
    if view == "overall":
        return _overall(report)
    if view == "clip":
        return _by_clip(report)
    if view == "action-subject":
        return _by_action_and_subject(report)
    if view in ("action", "subject", "joint", "angle"):
        return _by(report, view)
    raise unknown_name("table", view, VIEWS)


def markdown(report: Report, views: Iterable[str]) -> str:
    """Markdown of some views one below the other; views without rows are left out."""
    parts = []
    for view in views:
        title, heads, rows = _grid(report, view)
        if not rows:
            continue
        rule = ["---" if h in _TEXT else "---:" for h in heads]
        lines = [f"**{title}**", "", _line(heads), _line(rule), *map(_line, rows)]
        if view == "overall":
            used = [a for a in AVERAGES if any(h.startswith(a + " average") for h in heads)]
            lines += ["", *(f"* {a} average: {AVERAGES[a]}" for a in used)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def rich_table(report: Report, view: str = "overall") -> Table:
    """One view as a rich table; below the overall one stands what each average is."""
    from rich.markup import escape
    from rich.table import Table

    title, heads, rows = _grid(report, view)
    notes = "\n".join(f"{a} average: {AVERAGES[a]}" for a in AVERAGES if any(h.startswith(a + " ") for h in heads))
    table = Table(title=escape(title), title_justify="left", caption=notes or None, caption_justify="left")
    for h in heads:
        table.add_column(h, justify="left" if h in _TEXT else "right", overflow="fold")
    for row in rows:
        table.add_row(*(escape(c) for c in row))
    return table


def plain(report: Report) -> dict[str, Any]:
    """The whole report as JSON-ready data; NaN becomes None."""
    return _without_nan(
        {
            "skeleton": report.skeleton.name,
            **({"about": report.about} if report.about else {}),
            "clips": len(report.rows),
            "frames": report.frames,
            "frames_without_root": report.frames_without_root,
            "actions": list(report.actions),
            "averages": AVERAGES,
            "figures": {n: FIGURES[n] for n in FIGURES if any(n in r.sums for r in report.rows)},
            "overall": report.summary(),
            "per_action": report.per_action(),
            "subjects": list(report.subjects),
            "per_subject": report.per_subject(),
            "per_action_and_subject": {n: report.per_action_and_subject(n) for n in ("mpjpe_mm", "p_mpjpe_mm")},
            "per_joint": report.per_joint(),
            "per_angle": report.per_angle(),
            "per_clip": report.per_clip(),
        }
    )


def _without_nan(x: Any) -> Any:
    if isinstance(x, dict):
        return {k: _without_nan(v) for k, v in x.items()}
    if isinstance(x, list):
        return [_without_nan(v) for v in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x
