"""Evaluation: every clip lifted, every figure of the field, all averages named."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from poselift.data.datasets import DataConfig, dataset_clips
from poselift.errors import InputError
from poselift.geometry.projection import undistort
from poselift.geometry.roots import root_least_squares
from poselift.metrics import Report
from poselift.models.base import Lifter, RootModel
from poselift.models.predict import Refinement, lift_frames
from poselift.models.weights import load_model
from poselift.storage.atomic import write_aside
from poselift.structures import Clip, Skeleton

__all__ = ["evaluate", "evaluate_clips", "predictions", "refined", "report_on", "save_report"]

CHUNK = 8192
"""Frames in one go through a single-frame lifter."""


def evaluate(
    model: str | Path | Lifter,
    data: DataConfig,
    *,
    split: str = "test",
    every: int = 1,
    device: str = "cpu",
    flip_average: bool = False,
    refinement: Refinement | None = None,
    root_model: RootModel | None = None,
    out: str | Path | None = None,
) -> Report:
    """Evaluate a model (folder, embedded name, hub id or lifter) on a split of a data set, absolute root included.

    refinement: what corrects the poses; a root that is to be given is the truth, unless there is a root model.
    root_model: says where the root is, in place of least squares.
    out: folder for report.json, report.md and the plots. Raises `InputError`, `OutputError`.
    """
    lifter = model if isinstance(model, Lifter) else load_model(model, device=device)
    clips = dataset_clips(data, split, every)
    report = evaluate_clips(
        lifter, clips, device=device, flip_average=flip_average, refinement=refinement, root_model=root_model,
        absolute=True,
    )  # fmt: skip
    if out is not None:
        save_report(report, Path(out))
    return report


def save_report(report: Report, out: Path) -> None:
    """report.json, report.md, per_action.png and per_joint.png (where matplotlib is installed) into a folder."""
    for name, text in (
        ("report.json", json.dumps(report.to_dict(), indent=1) + "\n"),
        ("report.md", report.to_markdown() + "\n"),
    ):
        with write_aside(out / name) as aside:
            aside.write_text(text, encoding="utf-8")
    try:
        import matplotlib  # noqa: F401 (pictures are extra)
    except ImportError:
        return
    from poselift.train.curves import write_bars

    write_bars(report, out)


@torch.no_grad()
def evaluate_clips(
    lifter: Lifter,
    clips: Sequence[Clip],
    *,
    device: torch.device | str = "cpu",
    flip_average: bool = False,
    refinement: Refinement | None = None,
    root_model: RootModel | None = None,
    absolute: bool = False,
) -> Report:
    """Report over clips with truth. `absolute` adds the root by least squares and its error, a root model the root
    that it gives.

    Lifter and refiner must be in eval mode and on `device`. Raises `InputError` for clips without camera or truth.
    """
    poses = predictions(lifter, clips, device=device, flip_average=flip_average)
    if refinement is not None:
        poses = refined(refinement, clips, poses, device=device)
    return report_on(poses, clips, lifter.skeleton, absolute=absolute, root_model=root_model, device=device)


@torch.no_grad()
def report_on(
    poses: Iterable[Tensor],
    clips: Sequence[Clip],
    skeleton: Skeleton,
    *,
    absolute: bool = False,
    root_model: RootModel | None = None,
    device: torch.device | str = "cpu",
) -> Report:
    """Report on the pose (t, j, 3) metres of each clip; see `evaluate_clips`."""
    report = Report(skeleton)
    for clip, pred in zip(clips, poses, strict=True):
        if clip.p_root is None:
            raise InputError(field=str(clip.meta.get("name", "clip")), expected="3D truth", found="none")
        root_pred = root_target = None
        if (absolute or root_model is not None) and clip.root_cam is not None and clip.camera is not None:
            K, conf = torch.tensor(clip.camera.K, dtype=torch.float32), torch.from_numpy(clip.confidence)
            if root_model is None:
                root_pred = root_least_squares(_straight(clip), pred, K, conf)
            else:
                inputs = (x[None].to(device) for x in (_straight(clip), conf, pred, K))
                root_pred = root_model.locate(*inputs)[0].cpu()
            root_target = torch.from_numpy(clip.root_cam)
        report.add(
            str(clip.meta.get("name", "")),
            str(clip.meta.get("action", "")),
            pred,
            torch.from_numpy(clip.p_root),
            subject=str(clip.meta.get("subject", "")),
            root_pred=root_pred,
            root_target=root_target,
            fps=clip.fps,
        )
    return report


def _straight(clip: Clip) -> Tensor:
    """The keypoints (t, j, 2) as a camera without lens distortion would have seen them."""
    kp, camera = torch.from_numpy(clip.kp_img), clip.camera
    if camera is None or camera.dist is None:
        return kp
    return undistort(kp.double(), torch.tensor(camera.K), torch.tensor(camera.dist)).to(kp.dtype)


def refined(
    refinement: Refinement, clips: Sequence[Clip], poses: Iterable[Tensor], *, device: torch.device | str = "cpu"
) -> Iterator[Tensor]:
    """p_root (t, j, 3) metres of each clip, better; many clips make one batch. The root is the truth where `given`."""
    held: list[tuple[Clip, Tensor]] = []
    for pair in zip(clips, poses, strict=True):
        held.append(pair)
        if sum(len(c) for c, _ in held) >= CHUNK:
            yield from _refined_together(refinement, held, device)
            held = []
    if held:
        yield from _refined_together(refinement, held, device)


def _refined_together(
    refinement: Refinement, held: list[tuple[Clip, Tensor]], device: torch.device | str
) -> Sequence[Tensor]:
    clips = [c for c, _ in held]
    K, _ = _cameras(clips, np.repeat(np.arange(len(clips)), [len(c) for c in clips]))
    kp, conf = torch.cat([_straight(c) for c in clips]), torch.from_numpy(np.concatenate([c.confidence for c in clips]))
    roots = [np.full((len(c), 3), np.nan, np.float32) if c.root_cam is None else c.root_cam for c in clips]
    p, at = torch.cat([p for _, p in held]), torch.from_numpy(np.concatenate(roots).astype(np.float32))
    inputs = (x.to(device) for x in (kp, conf, p, K, at))
    return refinement.frames(*inputs).cpu().split([len(c) for c in clips])


def _cameras(clips: Sequence[Clip], owner: np.ndarray) -> tuple[Tensor, Tensor]:
    """K (n, 3, 3) and image size (n, 2) of the clip that each of n frames belongs to."""
    K = torch.tensor(np.stack([c.camera.K for c in clips if c.camera]), dtype=torch.float32)[owner]
    return K, torch.tensor([c.camera.size_wh for c in clips if c.camera], dtype=torch.float32)[owner]


@torch.no_grad()
def predictions(
    lifter: Lifter, clips: Sequence[Clip], *, device: torch.device | str = "cpu", flip_average: bool = False
) -> Iterator[Tensor]:
    """p_root (t, j, 3) metres of each clip; a single-frame lifter gets frames of many clips in one batch."""
    lifter = lifter if lifter.training else lifter.fold()
    held: list[Clip] = []
    for clip in clips:
        if clip.camera is None:
            raise InputError(field=str(clip.meta.get("name", "clip")), expected="a camera", found="none")
        if clip.skeleton.name != lifter.skeleton.name:
            raise InputError(field="clip skeleton", expected=lifter.skeleton.name, found=clip.skeleton.name)
        held.append(clip)
        if not lifter.single_frame or sum(map(len, held)) >= CHUNK:
            yield from _together(lifter, held, device, flip_average)
            held = []
    if held:
        yield from _together(lifter, held, device, flip_average)


def _together(lifter: Lifter, clips: list[Clip], device: torch.device | str, flip_average: bool) -> Sequence[Tensor]:
    lengths = [len(c) for c in clips]
    owner = np.repeat(np.arange(len(clips)), lengths if lifter.single_frame else 1)
    K, size = _cameras(clips, owner)
    # rays need a straight camera; lifters of pixels get what they were trained on, lens and all
    straight = lifter.config.input_frame == "look_at"
    kp = torch.cat([_straight(c) if straight else torch.from_numpy(c.kp_img) for c in clips])
    conf = torch.from_numpy(np.concatenate([c.confidence for c in clips]))
    inputs = (x.to(device) for x in (kp, conf, K, size))
    return lift_frames(lifter, *inputs, flip_average=flip_average).cpu().split(lengths)
