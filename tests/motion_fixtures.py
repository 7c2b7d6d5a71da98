"""Real motion for tests of formats: the beginnings of two CMU recordings, and clips of one seen by a camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poselift.formats import read_motion
from poselift.structures import Camera, Clip, Motion

CMU = Path(__file__).parent / "fixtures" / "cmu_asfamc"


def walk() -> Motion:
    """60 frames of walking, 120 a second, z up."""
    return read_motion(CMU / "subjects/02/02_01.amc")[0]


def camera(motion: Motion, distance: float = 4.0) -> Camera:
    """A camera that looks at the motion's middle, 1000 x 1002 pixels."""
    middle = motion.p_world[:, motion.skeleton.root].mean(0).astype(np.float64)
    t = np.eye(4)
    t[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    t[:3, 3] = -t[:3, :3] @ (middle - [0, distance, 0])
    return Camera.from_focal(focal=1145.0, size_wh=(1000, 1002), T_cam_world=t)


def lifted_clip(seed: int = 0, *, noise_m: float = 0.01, track_id: int = 0) -> Clip:
    """The walk as a network would lift it: true 2D, root-relative poses with noise, the true root."""
    motion = walk()
    clip = motion.seen_by(camera(motion))
    noise = np.random.default_rng(seed).normal(0, noise_m, (len(clip), 17, 3)).astype(np.float32)
    noise[:, clip.skeleton.root] = 0
    assert clip.p_root is not None
    return clip.replace(p_root=clip.p_root + noise, track_id=track_id)
