"""Loss and error curves of a run as a picture."""

from __future__ import annotations

import csv
from pathlib import Path

from poselift.view.plots import plot_curves

__all__ = ["read_log", "write_curves"]


def read_log(file: Path) -> dict[str, list[float]]:
    """Columns of a CSV journal; empty if there is none."""
    if not file.is_file():
        return {}
    with file.open(newline="") as f:
        rows = list(csv.DictReader(f))
    return {k: [float(r[k]) for r in rows] for k in (rows[0] if rows else {})}


def write_curves(out: Path) -> Path:
    """curves.png of a run's folder: training losses and validation errors over steps."""
    return plot_curves(read_log(out / "log.csv"), out / "curves.png", validation=read_log(out / "validation.csv"))
