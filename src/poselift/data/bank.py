"""Training data that stays resident: motions and clips concatenated into a few tensors.

A batch is cut from them by gathers on whatever device they live on; nothing is done per sample in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Generator, Tensor

from poselift.data.augment import BoneTree
from poselift.data.tensors import TensorBatch
from poselift.data.windows import Windows
from poselift.errors import InputError
from poselift.structures import Clip, Motion, Skeleton

__all__ = ["Batch", "ClipBank", "MotionBank", "Statistics"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch(TensorBatch):
    """What an objective gets: b windows of t frames.

    kp_img (b, t, j, 2) pixels, conf (b, t, j), K (b, 3, 3), size_wh (b, 2) pixels: what a user would hand in.
    p_root (b, t, j, 3) metres in camera axes minus the root, root_cam (b, t, 3) metres: the truth.
    """

    kp_img: Tensor
    conf: Tensor
    K: Tensor
    size_wh: Tensor
    p_root: Tensor
    root_cam: Tensor

    @staticmethod
    def cat(batches: Sequence[Batch]) -> Batch:
        return Batch(**{k: torch.cat([getattr(b, k) for b in batches]) for k in batches[0].as_dict()})


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a data set publishes: mean and deviation of keypoints (j, 2) pixels and of p_root (j, 3) metres."""

    mean2d: Tensor
    std2d: Tensor
    mean3d: Tensor
    std3d: Tensor


def _offsets(lengths: Sequence[int]) -> Tensor:
    return torch.tensor(np.concatenate([[0], np.cumsum(lengths)]), dtype=torch.int64)


def _rate(clip: Clip) -> float:
    """Frames of the clip per second: a thinned one keeps the frame numbers and the rate of its source."""
    numbers = clip.frame_numbers
    return clip.fps / max(1, int(numbers[1] - numbers[0])) if len(clip) > 1 else clip.fps


@dataclass(frozen=True, kw_only=True, eq=False)
class MotionBank:
    """Motions in the world, concatenated: p_world (n, j, 3) metres, z up; starts (m + 1,); clip_of (n,); fps (m,)."""

    skeleton: Skeleton
    p_world: Tensor
    starts: Tensor
    clip_of: Tensor
    fps: Tensor
    names: tuple[str, ...]
    subjects: tuple[str, ...]

    @classmethod
    def from_motions(cls, motions: Sequence[Motion]) -> MotionBank:
        """Raises `InputError` when there are none or their skeletons differ."""
        if not motions:
            raise InputError(field="motions", expected="at least one", found="none")
        if len({m.skeleton.name for m in motions}) > 1:
            raise InputError(field="motions", expected="one skeleton", found={m.skeleton.name for m in motions})
        lengths = [len(m) for m in motions]
        return cls(
            skeleton=motions[0].skeleton,
            p_world=torch.from_numpy(np.concatenate([m.p_world for m in motions])),
            starts=_offsets(lengths),
            clip_of=torch.repeat_interleave(torch.arange(len(motions)), torch.tensor(lengths)),
            fps=torch.tensor([m.fps for m in motions], dtype=torch.float32),
            names=tuple(m.name for m in motions),
            subjects=tuple(m.subject for m in motions),
        )

    def __len__(self) -> int:
        return len(self.p_world)

    def to(self, device: torch.device | str) -> MotionBank:
        moved: dict[str, Any] = {k: getattr(self, k).to(device) for k in ("p_world", "starts", "clip_of", "fps")}
        return replace(self, **moved)

    @cached_property
    def tree(self) -> BoneTree:
        """Bones of the skeleton, on the bank's device."""
        return BoneTree(self.skeleton, self.p_world.device)

    @cached_property
    def by_performer(self) -> tuple[Tensor, Tensor, Tensor]:
        """Frames (n,) in the order of their performers; first place (s,) and number (s,) of each performer's frames."""
        names = sorted(set(self.subjects))
        of_clip = torch.tensor([names.index(s) for s in self.subjects], device=self.p_world.device)
        of_frame = of_clip[self.clip_of]
        count = torch.bincount(of_frame, minlength=len(names))
        return torch.argsort(of_frame, stable=True), count.cumsum(0) - count, count

    @cached_property
    def clip_centres(self) -> tuple[Tensor, Tensor]:
        """Mean root (m, 3) of every clip and the largest horizontal distance (m,) of the root from it, metres."""
        root = self.p_world[:, self.skeleton.root].double()
        count = (self.starts[1:] - self.starts[:-1]).double()
        total = torch.zeros(len(count), 3, dtype=torch.float64, device=root.device).index_add_(0, self.clip_of, root)
        mean = total / count[:, None]
        away = (root - mean[self.clip_of])[:, :2].norm(dim=-1)
        reach = torch.zeros_like(count).scatter_reduce_(0, self.clip_of, away, "amax")
        return mean.float(), reach.float()


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipBank:
    """Clips with their truth, concatenated frame by frame; K (m, 3, 3), size_wh (m, 2), fps (m,) per clip."""

    skeleton: Skeleton
    kp_img: Tensor
    conf: Tensor
    p_root: Tensor
    root_cam: Tensor
    K: Tensor
    size_wh: Tensor
    starts: Tensor
    clip_of: Tensor
    fps: Tensor

    @classmethod
    def from_clips(cls, clips: Sequence[Clip]) -> ClipBank:
        """Raises `InputError` for a clip without a camera or without 3D truth."""
        if not clips:
            raise InputError(field="clips", expected="at least one", found="none")
        for c in clips:
            if c.camera is None or c.p_root is None:
                raise InputError(field=str(c.meta.get("name", "clip")), expected="a camera and 3D truth", found="none")
        lengths = [len(c) for c in clips]

        def stack(name: str, default: float | None = None) -> Tensor:
            parts = [getattr(c, name) for c in clips]
            if default is not None:
                parts = [
                    np.full((len(c), 3), default, np.float32) if p is None else p
                    for c, p in zip(clips, parts, strict=True)
                ]
            return torch.from_numpy(np.concatenate(parts).astype(np.float32))

        cameras = [c.camera for c in clips if c.camera is not None]
        return cls(
            skeleton=clips[0].skeleton,
            kp_img=stack("kp_img"),
            conf=stack("conf"),
            p_root=stack("p_root"),
            root_cam=stack("root_cam", float("nan")),
            K=torch.tensor(np.stack([c.K for c in cameras]), dtype=torch.float32),
            size_wh=torch.tensor([c.size_wh for c in cameras], dtype=torch.float32),
            starts=_offsets(lengths),
            clip_of=torch.repeat_interleave(torch.arange(len(clips)), torch.tensor(lengths)),
            fps=torch.tensor([_rate(c) for c in clips], dtype=torch.float32),
        )

    def __len__(self) -> int:
        return len(self.kp_img)

    def to(self, device: torch.device | str) -> ClipBank:
        names = ("kp_img", "conf", "p_root", "root_cam", "K", "size_wh", "starts", "clip_of", "fps")
        moved: dict[str, Any] = {k: getattr(self, k).to(device) for k in names}
        return replace(self, **moved)

    def windows(self, frames: Int[Tensor, " b"], windows: Windows, gen: Generator) -> Batch:
        """Windows around the frames `frames` (b,).

        Between two frames of which one lacks a joint, the joint is missing.
        """
        clip = self.clip_of[frames]
        cut = windows.cut(frames, self.starts, self.clip_of, self.fps, gen)
        conf = cut.take(self.conf)
        if cut.part is not None:
            there = (self.conf[cut.before] > 0) & ((self.conf[cut.after] > 0) | (cut.part[..., None] < 1e-3))
            conf = torch.where(there, conf, 0.0)
        return Batch(
            kp_img=cut.take(self.kp_img),
            conf=conf,
            K=self.K[clip],
            size_wh=self.size_wh[clip],
            p_root=cut.take(self.p_root),
            root_cam=cut.take(self.root_cam),
        )
