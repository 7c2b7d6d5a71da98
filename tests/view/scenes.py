"""Made-up people for the viewers' tests: a walker of the world, seen by a pitched camera."""

from __future__ import annotations

import numpy as np

from poselift.structures import Camera, Clip, Motion, skeleton

H36M = skeleton("h36m17")
PITCH_DEG = 10.0
_STANDING = {
    "pelvis": (0, 0, 0.95), "r_hip": (0.13, 0, 0.95), "r_knee": (0.13, 0, 0.52), "r_ankle": (0.13, 0, 0.08),
    "l_hip": (-0.13, 0, 0.95), "l_knee": (-0.13, 0, 0.52), "l_ankle": (-0.13, 0, 0.08), "spine": (0, 0, 1.2),
    "thorax": (0, 0, 1.45), "nose": (0, 0.08, 1.55), "head_top": (0, 0.02, 1.72), "l_shoulder": (-0.17, 0, 1.42),
    "l_elbow": (-0.22, 0, 1.15), "l_wrist": (-0.24, 0.05, 0.92), "r_shoulder": (0.17, 0, 1.42),
    "r_elbow": (0.22, 0, 1.15), "r_wrist": (0.24, 0.05, 0.92),
}  # fmt: skip


def walker(
    frames: int = 60, *, fps: float = 30.0, start: tuple[float, float] = (0.0, 0.0), speed: float = 1.2
) -> Motion:
    """A person who walks along +y (away from `camera()`) with swinging legs and arms."""
    p = np.tile(np.array([_STANDING[n] for n in H36M.joints], dtype=np.float64), (frames, 1, 1))
    t = np.arange(frames) / fps
    swing = 0.28 * np.sin(2 * np.pi * 0.9 * t)
    for side, sign in (("l", 1), ("r", -1)):
        leg, arm = H36M.indices(f"{side}_knee", f"{side}_ankle"), H36M.indices(f"{side}_elbow", f"{side}_wrist")
        p[:, leg, 1] += sign * swing[:, None] * (0.5, 1.0)
        p[:, leg[1], 2] += 0.1 * np.maximum(0, sign * np.cos(2 * np.pi * 0.9 * t))
        p[:, arm, 1] -= sign * swing[:, None] * (0.4, 0.9)
    p[..., 0] += start[0]
    p[..., 1] += start[1] + speed * t[:, None]
    return Motion(skeleton=H36M, fps=fps, p_world=p.astype(np.float32), name="walker")


def camera(*, posed: bool = True) -> Camera:
    """1280 x 720, 2 m high at y = -5, looking along +y and down by `PITCH_DEG`."""
    a = np.radians(PITCH_DEG)
    t = np.eye(4)
    t[:3, :3] = [[1, 0, 0], [0, -np.sin(a), -np.cos(a)], [0, np.cos(a), -np.sin(a)]]
    t[:3, 3] = -t[:3, :3] @ (0, -5, 2)
    return Camera.from_focal(focal=1100.0, size_wh=(1280, 720), T_cam_world=t if posed else None)


def clip(frames: int = 60, *, posed: bool = False, track_id: int = 0, **kwargs: float | tuple[float, float]) -> Clip:
    """The walker as a lifter would give them; without `posed` the camera does not know where up is."""
    seen = walker(frames, **kwargs).seen_by(camera())  # type: ignore[arg-type]
    return seen.replace(camera=camera(posed=posed), track_id=track_id)


def hide(c: Clip, start: int, stop: int) -> Clip:
    """The clip with nobody seen in frames start to stop."""
    conf = c.confidence.copy()
    conf[start:stop] = 0
    return c.replace(conf=conf)
