"""Lifters for tests of the pipeline: no training, known answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poselift.models.base import Lifter, LifterConfig
from poselift.structures import Camera, Clip, skeleton

H36M = skeleton("h36m17")
CAMERA = Camera.from_focal(focal=1000.0, size_wh=(1280, 720))


@dataclass(frozen=True, kw_only=True)
class FlatConfig(LifterConfig):
    """A lifter without weights."""

    field: int = 1
    causal: bool = False


class Flat(Lifter):
    """A person as flat as a picture, `thick` metres from side to side in the mean over the frames it sees."""

    def __init__(self, config: FlatConfig | None = None) -> None:
        config = config or FlatConfig()
        super().__init__(config)
        self.receptive_field, self.causal = config.field, config.causal
        self.calls: list[int] = []

    def lift(self, kp_img: Tensor, conf: Tensor, K: Tensor, size_wh: Tensor, *, flip_average: bool = False) -> Tensor:
        self.calls.append(kp_img.shape[0] * kp_img.shape[1])
        seen = (conf > 0)[..., None]
        xy = torch.where(seen, kp_img, 0.0)
        xy = (xy - xy[:, :, :1]) / 500
        p = torch.cat((xy, torch.zeros_like(xy[..., :1])), -1)
        if self.receptive_field > 1:
            p = p.unfold(1, self.receptive_field, 1).mean(-1)
        return p


def walking_clip(frames: int = 50, *, start: int = 0, track_id: int = 0, noise: float = 1.0, seed: int = 0) -> Clip:
    """A figure that walks to the right at 4 m, with keypoints that tremble by `noise` pixels."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform((-0.3, -0.9), (0.3, 0.9), (17, 2))
    xy[0] = 0
    t = np.arange(frames)[:, None]
    kp = 1000 * xy[None] / 4 + np.stack([640 + 3 * t, 360 + 0 * t], -1) + rng.normal(0, noise, (frames, 17, 2))
    return Clip(skeleton=H36M, fps=25, kp_img=kp, frames=np.arange(start, start + frames), track_id=track_id)


def with_gap(clip: Clip, a: int, b: int) -> Clip:
    """Nobody seen in frames a to b (rows of the clip)."""
    conf = clip.confidence.copy()
    conf[a:b] = 0
    return clip.replace(conf=conf)


def pose(clip: Clip) -> np.ndarray:
    """p_root of a clip that has been lifted."""
    assert clip.p_root is not None
    return clip.p_root


def root(clip: Clip) -> np.ndarray:
    """root_cam of a clip that has been lifted."""
    assert clip.root_cam is not None
    return clip.root_cam


def save_keypoints(path: Path, clips: list[Clip], **changes: object) -> Path:
    """Native npz of some clips' keypoints; `changes` replace or add arrays, None leaves one out."""
    arrays: dict[str, object] = {
        "kp_img": np.concatenate([c.kp_img for c in clips]),
        "conf": np.concatenate([c.confidence for c in clips]),
        "track_id": np.concatenate([np.full(len(c), c.track_id) for c in clips]),
        "frame": np.concatenate([c.frame_numbers for c in clips]),
        "skeleton": clips[0].skeleton.name,
        "fps": clips[0].fps,
        "size_wh": [1280, 720],
    }
    kept: dict[str, Any] = {k: np.asarray(v) for k, v in {**arrays, **changes}.items() if v is not None}
    np.savez(path, **kept)
    return path
