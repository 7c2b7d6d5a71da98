"""Pictures of a run and of an evaluation."""

from __future__ import annotations

import csv
from pathlib import Path

from poselift.metrics import Report
from poselift.view.plots import plot_bars, plot_curves

__all__ = ["read_log", "write_bars", "write_curves"]

_SHOWN = ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm")


def read_log(file: Path) -> list[dict[str, float]]:
    """Rows of a CSV journal; empty if there is none."""
    if not file.is_file():
        return []
    with file.open(newline="") as f:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(f)]


def write_curves(out: Path) -> None:
    """curves.png of a run's folder: training losses and validation errors over steps."""
    rows: dict[float, dict[str, float]] = {}
    for row in read_log(out / "log.csv"):
        rows.setdefault(row["step"], {}).update({k: v for k, v in row.items() if k != "samples_per_s"})
    for row in read_log(out / "validation.csv"):
        shown = {f"validation/{k}": row[k] for k in _SHOWN if k in row}
        rows.setdefault(row["step"], {"step": row["step"]}).update(shown)
    names = dict.fromkeys(k for row in rows.values() for k in row)
    if rows:
        plot_curves({n: [rows[s].get(n) for s in sorted(rows)] for n in names}, out / "curves.png")


def write_bars(report: Report, out: Path) -> None:
    """per_action.png and per_joint.png of an evaluation: MPJPE and P-MPJPE, means over frames, mm."""
    for name, table in (("action", report.per_action()), ("joint", report.per_joint())):
        bars = {
            key: {f: row[f"{f}/frame"] for f in ("mpjpe_mm", "p_mpjpe_mm") if f"{f}/frame" in row}
            for key, row in table.items()
        }
        if bars:
            plot_bars(bars, out / f"per_{name}.png", title=f"Error per {name} (mean over frames)")
