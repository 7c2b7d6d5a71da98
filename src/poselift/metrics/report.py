"""The report: figures of many clips, under averages that say what they are.

One table of numbers per clip is kept (sums and counts, never the poses), from which three averages are made:
`mpjpe_mm/frame`, `mpjpe_mm/clip` and `mpjpe_mm/action` are different numbers and have different names everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from poselift.errors import InputError, unknown_name
from poselift.geometry.procrustes import aligned_distances
from poselift.metrics import figures as f
from poselift.structures.skeleton import Skeleton

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["AVERAGES", "FIGURES", "H36M_ACTIONS", "Report"]

H36M_ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting",
    "SittingDown", "Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether",
)  # fmt: skip
"""The fifteen actions of Human3.6M in the order of the published tables."""

AVERAGES: dict[str, str] = {
    "frame": "mean over all frames (velocities: over all differences)",
    "clip": "unweighted mean over clips of each clip's mean over its frames",
    "action": "unweighted mean over actions of each action's mean over its frames; the Human3.6M convention",
}

FIGURES: dict[str, str] = {
    "mpjpe_mm": "mean joint distance (protocol 1)",
    "p_mpjpe_mm": "the same after similarity alignment of every frame (protocol 2)",
    "n_mpjpe_mm": "the same after scaling every frame (protocol 3)",
    "pck_percent": "joints within 150 mm",
    "auc_percent": "mean of that over thresholds from 0 to 150 mm",
    "mpjve_mm": "joint velocity error, mm per frame",
    "mpjve_mm_per_s": "joint velocity error, mm/s",
    "accel_mm": "joint acceleration error, mm per frame²",
    "accel_mm_per_s2": "joint acceleration error, mm/s²",
    "bone_length_deviation_mm": "bone length against the truth",
    "bone_length_variation_mm": "bone length against its own mean over the clip",
    "joint_angle_error_deg": "knee, hip, elbow and shoulder angles",
    "mpjpe_abs_mm": "mean joint distance of absolute poses, root included",
    "mrpe_mm": "absolute root, distance",
    "mrpe_x_mm": "absolute root along camera x (right)",
    "mrpe_y_mm": "absolute root along camera y (down)",
    "mrpe_z_mm": "absolute root along camera z (depth)",
}

_BY_ACTION = ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm", "joint_angle_error_deg", "mrpe_mm")

Sums = dict[str, tuple[float, int]]
"""Figure -> (sum over the frames that have it, their number)."""


@dataclass(frozen=True)
class _Row:
    clip: str
    action: str
    subject: str
    frames: int
    sums: Sums
    joints: dict[str, Sums] = field(repr=False)
    angles: Sums = field(repr=False)


class Report:
    """Figures over clips: `add` every clip, then `summary`, `to_markdown`, `to_rich_table`, `to_dict`.

    about: what the poses are of, beside the lifter ({"refiner": name}); tables and files repeat it.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.about: dict[str, str] = {}
        self.rows: list[_Row] = []

    def add(
        self,
        clip_name: str,
        action: str,
        pred: Tensor | np.ndarray,
        target: Tensor | np.ndarray,
        *,
        subject: str = "",
        root_pred: Tensor | np.ndarray | None = None,
        root_target: Tensor | np.ndarray | None = None,
        fps: float | int | None = None,
        mask: Tensor | np.ndarray | None = None,
    ) -> None:
        """Add one clip: pred and target (t, j, 3) metres, root-relative in camera axes; mask (t, j) of joints to score.

        root_pred and root_target (t, 3) are absolute, camera metres; a frame whose predicted root is NaN counts as one
        without a root (`frames_without_root`). `action` and `subject` are "" where there is none.
        Raises `InputError` for shapes that differ, and for NaN or infinite coordinates in what is to be scored.
        """
        p, t = _tensor(pred), _tensor(target)
        if p.shape != t.shape or p.ndim != 3 or p.shape[1:] != (len(self.skeleton), 3) or len(p) == 0:
            want = f"two (frames, {len(self.skeleton)}, 3) of one length"
            raise InputError(file=clip_name, expected=want, found=f"{tuple(p.shape)} and {tuple(t.shape)}")
        m = None if mask is None else torch.as_tensor(mask).to(p.device) > 0
        if m is not None and m.shape != p.shape[:2]:
            raise InputError(file=clip_name, field="mask", expected=tuple(p.shape[:2]), found=tuple(m.shape))
        for name, x in (("prediction", p), ("target", t)):
            if not (x.isfinite().all(-1) | (False if m is None else ~m)).all():
                raise InputError(file=clip_name, field=name, expected="finite coordinates", found="NaN or infinite")
        if m is not None:  # what is not scored must not disturb the rest
            p, t = (torch.where(m[..., None], x, 0) for x in (p, t))
        distance = f.joint_distances_mm(p, t)
        aligned = aligned_distances(p, t, m) * f.MM
        frames = {
            "mpjpe_mm": f.masked_mean(distance, m),
            "p_mpjpe_mm": f.masked_mean(aligned, m),
            "n_mpjpe_mm": f.n_mpjpe_mm(p, t, m),
            "pck_percent": f.pck(p, t, m) * 100,
            "auc_percent": f.auc(p, t, m) * 100,
            "mpjve_mm": f.mpjve_mm(p, t, m),
            "accel_mm": f.accel_mm(p, t, m),
            "bone_length_deviation_mm": f.bone_length_deviation_mm(p, t, self.skeleton.parents, m),
            "bone_length_variation_mm": f.bone_length_variation_mm(p, self.skeleton.parents, m),
        }
        if fps is not None:
            frames["mpjve_mm_per_s"] = frames["mpjve_mm"] * fps
            frames["accel_mm_per_s2"] = frames["accel_mm"] * fps**2
        angles = f.joint_angle_error_deg(p, t, self.skeleton.joints, m)
        if angles:
            frames["joint_angle_error_deg"] = torch.stack(list(angles.values())).nanmean(0)
        if root_pred is not None and root_target is not None:
            a, b = _tensor(root_pred), _tensor(root_target)
            if not a.shape == b.shape == (len(p), 3):
                found = f"{tuple(a.shape)} and {tuple(b.shape)}"
                raise InputError(file=clip_name, field="roots", expected=f"two ({len(p)}, 3)", found=found)
            frames["mpjpe_abs_mm"] = f.masked_mean(f.joint_distances_mm(p + a[:, None], t + b[:, None]), m)
            error = f.mrpe_mm(a, b)
            frames |= dict(zip(("mrpe_mm", "mrpe_x_mm", "mrpe_y_mm", "mrpe_z_mm"), error, strict=True))
        seen = torch.ones_like(distance, dtype=torch.bool) if m is None else m
        joints = {
            name: {j: _sum(d[:, i][seen[:, i]]) for i, j in enumerate(self.skeleton.joints)}
            for name, d in (("mpjpe_mm", distance), ("p_mpjpe_mm", aligned))
        }
        sums = {name: _sum(v) for name, v in frames.items()}
        by_angle = {name: _sum(v) for name, v in angles.items()}
        self.rows.append(_Row(clip_name, action, subject, len(p), sums, joints, by_angle))

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions there are, in the published order if they are Human3.6M's, else as they came."""
        found = tuple(dict.fromkeys(r.action for r in self.rows if r.action))
        return tuple(a for a in H36M_ACTIONS if a in found) if set(found) <= set(H36M_ACTIONS) else found

    def value(self, figure: str, average: str) -> float:
        """One figure under one average, NaN where no clip has it. Raises `InputError` for unknown names."""
        if figure not in FIGURES:
            raise unknown_name("figure", figure, FIGURES)
        if average not in AVERAGES:
            raise unknown_name("average", average, AVERAGES)
        if average == "clip":
            return _mean(_over_frames([r], figure) for r in self.rows if r.sums.get(figure, (0, 0))[1])
        if average == "action":
            if not all(r.action for r in self.rows):
                return math.nan
            return _mean(_over_frames([r for r in self.rows if r.action == a], figure) for a in self.actions)
        return _over_frames(self.rows, figure)

    def summary(self) -> dict[str, float]:
        """Every figure under every average that can be made: `figure/average` -> number.

        A figure that only some clips have (mm/s without a frame rate, the root) is left out rather than averaged over
        those; an action average needs an action for every clip.
        """
        shared = [n for n in FIGURES if self.rows and all(n in r.sums for r in self.rows)]
        named = bool(self.rows) and all(r.action for r in self.rows)
        averages = ["frame", "clip", "action"] if named else ["frame", "clip"]
        return {f"{n}/{a}": v for n in shared for a in averages if not math.isnan(v := self.value(n, a))}

    def per_action(self) -> dict[str, dict[str, float]]:
        """Action -> `figure/frame` -> mean over the frames of that action."""
        rows = {a: [r for r in self.rows if r.action == a] for a in self.actions}
        figures = [n for n in _BY_ACTION if any(n in r.sums for r in self.rows)]
        return {a: {f"{n}/frame": _over_frames(rows[a], n) for n in figures} for a in rows}

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects of the clips, S9 before S11; "" for clips without one."""
        return tuple(sorted({r.subject for r in self.rows}, key=_natural))

    def per_subject(self) -> dict[str, dict[str, float]]:
        """Subject -> `figure/frame` -> mean over the frames of that subject."""
        rows = {s: [r for r in self.rows if r.subject == s] for s in self.subjects}
        figures = [n for n in _BY_ACTION if any(n in r.sums for r in self.rows)]
        return {s: {f"{n}/frame": _over_frames(rows[s], n) for n in figures} for s in rows}

    def per_action_and_subject(self, figure: str = "mpjpe_mm") -> dict[str, dict[str, float]]:
        """Action -> subject -> mean of one figure over the frames of both, where there are any; "" for neither."""
        if figure not in FIGURES:
            raise unknown_name("figure", figure, FIGURES)
        actions = (*self.actions, *dict.fromkeys(r.action for r in self.rows if not r.action))
        cells: dict[tuple[str, str], list[_Row]] = {}
        for r in self.rows:
            cells.setdefault((r.action, r.subject), []).append(r)
        return {a: {s: _over_frames(cells[a, s], figure) for s in self.subjects if (a, s) in cells} for a in actions}

    def per_joint(self) -> dict[str, dict[str, float]]:
        """Joint -> `figure/frame` -> mean over the frames in which that joint is scored."""
        return {
            j: {f"{n}/frame": _ratio(r.joints[n][j] for r in self.rows) for n in ("mpjpe_mm", "p_mpjpe_mm")}
            for j in self.skeleton.joints
        }

    def per_angle(self) -> dict[str, dict[str, float]]:
        """Angle -> `joint_angle_error_deg/frame` -> mean over frames."""
        names = self.rows[0].angles if self.rows else ()
        return {a: {"joint_angle_error_deg/frame": _ratio(r.angles[a] for r in self.rows)} for a in names}

    def per_clip(self) -> list[dict[str, Any]]:
        """Clip, action, subject, frames and `figure/frame` of every clip, in the order in which they were added."""
        return [
            {"clip": r.clip, "action": r.action, "subject": r.subject, "frames": r.frames}
            | {f"{n}/frame": _over_frames([r], n) for n in FIGURES if n in r.sums}
            for r in self.rows
        ]

    @property
    def frames(self) -> int:
        """Number of frames handed in."""
        return sum(r.frames for r in self.rows)

    @property
    def frames_without_root(self) -> int:
        """Frames of clips with a predicted root whose root could not be told; they are in no MRPE."""
        return sum(r.frames - r.sums["mrpe_mm"][1] for r in self.rows if "mrpe_mm" in r.sums)

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON (a number that does not exist is None), with the averages explained."""
        from poselift.metrics.tables import plain

        return plain(self)

    def to_markdown(self, *views: str) -> str:
        """Markdown tables: overall, by action, by joint and by angle, or the given ones."""
        from poselift.metrics.tables import markdown

        return markdown(self, views or ("overall", "action", "joint", "angle"))

    def to_rich_table(self, view: str = "overall") -> Table:
        """One of the tables for the terminal."""
        from poselift.metrics.tables import rich_table

        return rich_table(self, view)


def _tensor(x: Tensor | np.ndarray) -> Tensor:
    x = torch.as_tensor(x).detach()
    return x if x.is_floating_point() else x.float()


def _natural(text: str) -> list[tuple[bool, int, str]]:
    """Sorts numbers inside of texts by their value: S9 before S11."""
    return [(w.isdecimal(), int(w) if w.isdecimal() else 0, w) for w in re.findall(r"\d+|\D+", text)]


def _sum(values: Tensor) -> tuple[float, int]:
    ok = values[values.isfinite()]
    return float(ok.double().sum()), ok.numel()


def _ratio(sums: Iterable[tuple[float, int]]) -> float:
    total, count = np.sum([(0.0, 0), *sums], axis=0)
    return float(total / count) if count else math.nan


def _over_frames(rows: Iterable[_Row], figure: str) -> float:
    return _ratio(r.sums[figure] for r in rows if figure in r.sums)


def _mean(values: Iterable[float]) -> float:
    v = list(values)
    return sum(v) / len(v) if v else math.nan
