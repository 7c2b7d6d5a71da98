"""Clips in one upright space: view axes (x right, y away from the camera, z up, metres), ground, point of view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poselift.structures import Camera, Clip
from poselift.view.ground import fit_floor, foot_points, level

__all__ = ["Stage"]

_UPRIGHT = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def _gravity_known(camera: Camera | None) -> bool:
    return camera is not None and camera.T_cam_world is not None and not np.allclose(camera.T_cam_world, np.eye(4))


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where everything stands.

    figures: p_view (t, j, 3) of each clip; T_view_cams (4, 4) of each clip's camera; ground: height of the
    floor; gravity_known: up is the world's z. If it is not, up is the camera's -y, corrected by `tilt` radians
    so that the floor that the feet walk on is level. placed: the clips had no absolute root and stand side by
    side. feet_seen: somebody's foot was; the floor is a guess otherwise.
    """

    figures: tuple[np.ndarray, ...]
    camera: Camera | None
    T_view_cams: tuple[np.ndarray, ...]
    ground: float
    tilt: float
    gravity_known: bool
    placed: bool
    feet_seen: bool = True

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> Stage:
        """The stage of lifted clips, which may have different cameras if these know their place in the world."""
        known = all(_gravity_known(c.camera) for c in clips)
        placed = any(c.root_cam is None for c in clips)
        frames = [_view_from_cam(c.camera, known) for c in clips]
        figures = []
        for i, c in enumerate(clips):
            assert c.p_root is not None
            beside = np.array([1.2 * (i - (len(clips) - 1) / 2), 0.0, 4.0])
            root = beside if placed or c.root_cam is None else c.root_cam[:, None]
            figures.append(_moved(frames[i], c.p_root + root))
        both = list(zip(figures, clips, strict=True))
        soles = [foot_points(p, c.skeleton, c.confidence > 0) for p, c in both]
        feet_seen = any(map(len, soles))
        if not feet_seen:
            soles = [foot_points(p[_shown(c)], c.skeleton) for p, c in both]
        a, b, ground = fit_floor(soles, clips[0].fps, tilted=feet_seen and not known and not placed)
        if a or b:
            turn = np.eye(4)
            turn[:3, :3] = level(a, b)
            frames = [turn @ t for t in frames]
            figures = [_moved(turn, p) for p in figures]
            ground = fit_floor([_moved(turn, s) for s in soles], clips[0].fps, tilted=False)[2]
        if known and abs(ground) < 0.12:  # the world's own floor
            ground = 0.0
        return cls(
            figures=tuple(figures), camera=clips[0].camera, T_view_cams=tuple(frames), ground=ground,
            tilt=float(np.arctan(np.hypot(a, b))), gravity_known=known, placed=placed,
            feet_seen=feet_seen,
        )  # fmt: skip

    @property
    def T_view_cam(self) -> np.ndarray:
        """(4, 4) pose of the first clip's camera."""
        return self.T_view_cams[0]

    def of_truth(self, truth: Sequence[Clip], clips: Sequence[Clip]) -> list[np.ndarray]:
        """p_view of true clips on this stage. Where the clips were placed, the truth takes the place of
        the clip with the same position in the list."""
        out = []
        for i, c in enumerate(truth):
            assert c.p_root is not None
            k = min(i, len(clips) - 1)
            t = self.T_view_cams[k]
            if self.placed or c.root_cam is None:
                place = self.figures[k][:1, clips[k].skeleton.root]
                out.append(c.p_root.astype(np.float64) @ t[:3, :3].T + place)
            else:
                out.append(_moved(t, c.p_root + c.root_cam[:, None]))
        return out

    def points(self, clips: Sequence[Clip]) -> np.ndarray:
        """(n, 3) joints of all seen frames, thinned to a few thousand rows."""
        rows = [p[_shown(c)] for p, c in zip(self.figures, clips, strict=True)]
        p = np.concatenate([r.reshape(-1, 3) for r in rows])
        return p[:: max(1, len(p) // 5000)]

    def forward(self) -> np.ndarray:
        """(3,) level direction in which the camera looks."""
        f = self.T_view_cam[:3, 2] * (1, 1, 0)
        n = np.linalg.norm(f)
        return f / n if n > 1e-3 else np.array([0.0, 1, 0])

    def viewpoint(
        self, clips: Sequence[Clip], *, fov_deg: float = 40.0, aspect: float = 1.1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where to look from and at, (3,) each: from beside and above the camera, all of the motion in sight."""
        p = self.points(clips)
        f = self.forward()
        side, high = np.radians(30), np.radians(12)
        turned = np.array([np.cos(side) * f[0] + np.sin(side) * f[1], np.cos(side) * f[1] - np.sin(side) * f[0], 0])
        look = turned * np.cos(high) - np.array([0, 0, np.sin(high)])
        right = np.cross(look, (0, 0, 1.0))
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(right, look), look])
        q = p @ axes.T
        low, top = np.percentile(q, 1, axis=0), np.percentile(q, 99, axis=0)
        target = (low + top) / 2
        tan = np.tan(np.radians(fov_deg) / 2) * 0.8
        need = np.maximum(np.abs(q[:, 0] - target[0]) / (tan * aspect), np.abs(q[:, 1] - target[1]) / tan)
        distance = max(3.0, float(np.percentile(need - (q[:, 2] - target[2]), 99)))
        return (target - (0, 0, distance)) @ axes, target @ axes


def _shown(clip: Clip) -> np.ndarray:
    return clip.seen if clip.seen.any() else np.ones(len(clip), dtype=bool)


def _moved(t: np.ndarray, p: np.ndarray) -> np.ndarray:
    return p.astype(np.float64) @ t[:3, :3].T + t[:3, 3]


def _view_from_cam(camera: Camera | None, known: bool) -> np.ndarray:
    if camera is None or not known:
        return _UPRIGHT
    assert camera.T_cam_world is not None
    return np.linalg.inv(camera.T_cam_world)
