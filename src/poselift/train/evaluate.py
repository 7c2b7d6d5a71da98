"""Evaluation: every clip lifted, every figure of the field, all averages named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from poselift.errors import InputError
from poselift.geometry.roots import root_least_squares
from poselift.metrics import Report
from poselift.models.base import Lifter
from poselift.structures import Clip

__all__ = ["evaluate_clips", "predict"]


@torch.no_grad()
def predict(
    lifter: Lifter, clip: Clip, *, device: torch.device | str = "cpu", flip_average: bool = False, chunk: int = 8192
) -> Tensor:
    """p_root (t, j, 3) metres in camera axes for every frame of a clip that has a camera; edges are padded.

    Raises `InputError` for a clip without a camera or of another skeleton.
    """
    if clip.camera is None:
        raise InputError(field="clip", expected="a camera", found="none")
    if clip.skeleton.name != lifter.skeleton.name:
        raise InputError(field="clip skeleton", expected=lifter.skeleton.name, found=clip.skeleton.name)
    K = torch.tensor(clip.camera.K, dtype=torch.float32, device=device)
    size = torch.tensor(clip.camera.size_wh, dtype=torch.float32, device=device)
    kp = torch.from_numpy(clip.kp_img).to(device)
    conf = torch.from_numpy(clip.confidence).to(device)
    field = lifter.receptive_field
    out = []
    if field == 1:  # frames are independent: the batch axis is time
        for a, c in zip(kp.split(chunk), conf.split(chunk), strict=True):
            n = len(a)
            p = lifter.lift(a[:, None], c[:, None], K.expand(n, 3, 3), size.expand(n, 2), flip_average=flip_average)
            out.append(p[:, 0])
        return torch.cat(out)
    before = field - 1 if lifter.causal else (field - 1) // 2
    index = torch.arange(-before, len(kp) + field - 1 - before, device=kp.device).clamp(0, len(kp) - 1)
    for start in range(0, len(kp), chunk):
        window = index[start : start + chunk + field - 1]
        p = lifter.lift(kp[window][None], conf[window][None], K[None], size[None], flip_average=flip_average)
        out.append(p[0])
    return torch.cat(out)


@torch.no_grad()
def evaluate_clips(
    lifter: Lifter,
    clips: Sequence[Clip],
    *,
    device: torch.device | str = "cpu",
    flip_average: bool = False,
    absolute: bool = False,
) -> Report:
    """Report over clips with truth. `absolute` adds the root by least squares and its error.

    The lifter must be in eval mode and on `device`.
    """
    report = Report(lifter.skeleton)
    for group in _same_camera_batches(clips, lifter):
        preds = predict_many(lifter, group, device=device, flip_average=flip_average)
        for clip, pred in zip(group, preds, strict=True):
            if clip.p_root is None:
                raise InputError(field=str(clip.meta.get("name", "clip")), expected="3D truth", found="none")
            root_pred = root_target = None
            if absolute and clip.root_cam is not None and clip.camera is not None:
                K = torch.tensor(clip.camera.K, dtype=torch.float32)
                kp, conf = torch.from_numpy(clip.kp_img), torch.from_numpy(clip.confidence)
                root_pred = root_least_squares(kp, pred.cpu(), K, conf)
                root_target = torch.from_numpy(clip.root_cam)
            report.add(
                str(clip.meta.get("name", "")),
                str(clip.meta.get("action", "")),
                pred.cpu(),
                torch.from_numpy(clip.p_root),
                root_pred=root_pred,
                root_target=root_target,
                fps=clip.fps,
            )
    return report


def predict_many(
    lifter: Lifter, clips: Sequence[Clip], *, device: torch.device | str = "cpu", flip_average: bool = False
) -> list[Tensor]:
    """`predict` for several clips; single-frame lifters get all frames of all clips in large batches."""
    if lifter.receptive_field > 1 or len(clips) == 1:
        return [predict(lifter, c, device=device, flip_average=flip_average) for c in clips]
    lengths = [len(c) for c in clips]
    cameras = [c.camera for c in clips if c.camera is not None]
    if len(cameras) < len(clips):
        raise InputError(field="clip", expected="a camera", found="none")
    owner = torch.repeat_interleave(torch.arange(len(clips)), torch.tensor(lengths))
    K = torch.tensor(np.stack([c.K for c in cameras]), dtype=torch.float32)[owner]
    size = torch.tensor([c.size_wh for c in cameras], dtype=torch.float32)[owner]
    kp = torch.from_numpy(np.concatenate([c.kp_img for c in clips]))[:, None]
    conf = torch.from_numpy(np.concatenate([c.confidence for c in clips]))[:, None]
    out = [
        lifter.lift(a.to(device), c.to(device), k.to(device), s.to(device), flip_average=flip_average)[:, 0].cpu()
        for a, c, k, s in zip(kp.split(8192), conf.split(8192), K.split(8192), size.split(8192), strict=True)
    ]
    return list(torch.cat(out).split(lengths))


def _same_camera_batches(clips: Sequence[Clip], lifter: Lifter, frames: int = 200_000) -> list[list[Clip]]:
    """Clips in groups of about so many frames."""
    groups: list[list[Clip]] = [[]]
    count = 0
    for clip in clips:
        if count > frames:
            groups.append([])
            count = 0
        groups[-1].append(clip)
        count += len(clip)
    return [g for g in groups if g]
