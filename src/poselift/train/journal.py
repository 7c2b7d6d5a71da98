"""What a run writes besides weights: recipe.json, log.csv, validation.csv, curves.png, TensorBoard events, progress."""

from __future__ import annotations

import csv
import json
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from poselift.errors import InputError, OutputError
from poselift.models.kinds import kind_and_family
from poselift.storage.atomic import write_aside
from poselift.train.recipes import RECIPES, Recipe

__all__ = ["Journal"]

_LOGS = ("log.csv", "validation.csv")


_SHOWN = (
    "mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjpe_abs_mm", "mrpe_mm", "mrpe_x_mm", "mrpe_y_mm", "mrpe_z_mm",
    "kp_error_percent",
)  # fmt: skip
"""Figures of a validation that are told on the terminal; all are in validation.csv."""


class Journal:
    """The record of one run in its folder. Only the first of several processes writes."""

    def __init__(self, out: Path, recipe: Recipe, *, resume: bool, tensorboard: bool, quiet: bool) -> None:
        import os

        self.out, self.recipe = out, recipe
        self.first = int(os.environ.get("LOCAL_RANK", "0")) == 0
        self.name = next((n for n, r in RECIPES.items() if r.summary == recipe.summary), "custom")
        self.progress: Any = None
        self.task: Any = None
        self.events: Any = None
        self.quiet = quiet or not self.first
        self.done = 0
        self.resume, self.tensorboard = resume, tensorboard
        if resume:
            self._check_same(self._described())
        elif self.first:
            self._check_free()

    def begin(self) -> None:
        """Make folder, recipe.json and TensorBoard events: from here on there is a run. Raises `OutputError`."""
        if not self.first:
            return
        if not self.resume:
            self._fresh()
        if self.tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter

                self.events = SummaryWriter(str(self.out / "tensorboard"))
            except ImportError:
                pass

    # ------------------------------------------------------------------ the folder
    def _described(self) -> str:
        return json.dumps({"family": kind_and_family(self.recipe.model)[1], **asdict(self.recipe)}, indent=1)

    def _check_free(self) -> None:
        if self.out.is_file():
            raise OutputError("a file is in the way of the output folder", file=self.out)
        if any((self.out / name).exists() for name in ("state.safetensors", "model")):
            raise InputError("holds a run already: continue it with --resume, or choose another folder", file=self.out)

    def _fresh(self) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(error.strerror or "cannot be made", file=self.out) from None
        for name in _LOGS:  # of a run that stopped before it had saved anything
            (self.out / name).unlink(missing_ok=True)
        with write_aside(self.out / "recipe.json") as aside:
            aside.write_text(self._described())

    def _check_same(self, written: str) -> None:
        file = self.out / "recipe.json"
        if not file.is_file():
            raise InputError("nothing to resume: no recipe.json here", file=self.out)
        try:
            old = json.loads(file.read_text())
        except ValueError as error:
            raise InputError(file=file, expected="JSON", found=error) from None
        new = json.loads(written)
        for part in ("model", "data", "objective", "schedule"):
            old[part] = _completed(old.get(part), json.loads(json.dumps(_defaults(getattr(self.recipe, part)))))
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                field, was, now = _difference(key, old.get(key), new.get(key))
                raise InputError(file=file, field=field, expected=f"{was} as when the run began", found=now)

    def truncate(self, step: int) -> None:
        """Drop the rows of steps that a resumed run will do again."""
        for name in _LOGS:
            file = self.out / name
            if not (self.first and file.is_file()):
                continue
            lines = file.read_text().splitlines()
            kept = [
                line for line in lines[1:] if line.partition(",")[0].isdigit() and int(line.partition(",")[0]) <= step
            ]
            with write_aside(file) as aside:
                aside.write_text("\n".join([lines[0], *kept]) + "\n" if lines else "")

    def _append(self, name: str, row: dict[str, float]) -> None:
        file = self.out / name
        new = not file.exists() or file.stat().st_size == 0
        with file.open("a", newline="") as f:
            writer = csv.DictWriter(f, row.keys())
            if new:
                writer.writeheader()
            writer.writerow(row)

    # ------------------------------------------------------------------ events of the loop
    def start(self, step: int, steps: int, batch: int) -> None:
        self.done, self.batch = step, batch
        if self.quiet:
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.progress = Progress(
            TextColumn("step"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        self.progress.start()
        self.task = self.progress.add_task("train", total=steps, completed=step, state="")

    def log(self, step: int, values: dict[str, float], *, lr: float, seconds: float) -> None:
        if not self.first:
            return
        rate = (step - self.done) * self.batch / max(seconds, 1e-9)
        self.done = step
        self._append(
            "log.csv",
            {"step": step, **{k: round(v, 6) for k, v in values.items()}, "lr": lr, "samples_per_s": round(rate, 1)},
        )
        if self.events is not None:
            for k, v in values.items():
                self.events.add_scalar(f"train/{k}", v, step)
            self.events.add_scalar("train/lr", lr, step)
        if self.progress is not None:
            text = "  ".join(f"{k} {v:.4g}" for k, v in values.items())
            self.progress.update(self.task, completed=step, state=f"{text}  {rate:,.0f}/s")

    def validated(self, step: int, figures: dict[str, float], *, better: bool) -> None:
        if not self.first:
            return
        self._append("validation.csv", {"step": step, **{k: round(v, 4) for k, v in figures.items()}})
        if self.events is not None:
            for k, v in figures.items():
                self.events.add_scalar(f"validation/{k}", v, step)
        if not self.quiet:
            shown = "  ".join(f"{k} {v:.1f}" for k, v in figures.items() if k in _SHOWN)
            text = f"step {step}: validation {shown}{'  (best)' if better else ''}"
            self.progress.console.print(text) if self.progress is not None else print(text)

    def curves(self) -> None:
        """Loss and error curves as curves.png, if matplotlib is there."""
        if not self.first:
            return
        try:
            import matplotlib  # noqa: F401 (pictures are extra)
        except ImportError:
            return
        from poselift.train.curves import write_curves

        write_curves(self.out)

    def close(self) -> None:
        if self.progress is not None:
            self.progress.stop()
        if self.events is not None:
            self.events.close()


def _defaults(config: Any) -> dict[str, Any]:
    """The fields of a dataclass that have one, at their defaults; nested dataclasses as dictionaries."""
    found: dict[str, Any] = {}
    for f in fields(config):
        if f.default_factory is not MISSING:
            found[f.name] = f.default_factory()
        elif f.default is not MISSING:
            found[f.name] = f.default
    return {k: asdict(v) if is_dataclass(v) and not isinstance(v, type) else v for k, v in found.items()}


def _completed(old: Any, default: Any) -> Any:
    """What an earlier version wrote, with the fields that it did not know yet at their defaults."""
    if not (isinstance(old, dict) and isinstance(default, dict)):
        return old
    return {k: _completed(old[k], default.get(k)) if k in old else default[k] for k in {**default, **old}}


def _difference(key: str, old: Any, new: Any) -> tuple[str, Any, Any]:
    """The first field that differs, as a dotted name with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for k in sorted({*old, *new}):
            if old.get(k) != new.get(k):
                return _difference(f"{key}.{k}", old.get(k), new.get(k))
    return key, old, new
