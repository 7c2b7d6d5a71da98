"""`Clip`: one person seen by one camera; `Motion`: one person's true motion in the world.

Both are frozen and check themselves. Every stage of the pipeline takes Clips and returns Clips with
one field more. A frame in which the person was not seen is a frame with confidence 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.structures.camera import Camera
from poselift.structures.skeleton import Skeleton

__all__ = ["Clip", "Motion"]

MAX_FRAMES = 50_000_000


def _check_fps(fps: float) -> None:
    if not (isinstance(fps, (int, float, np.number)) and math.isfinite(fps) and 0 < fps <= 10_000):
        raise InputError(field="fps", expected="a positive number up to 10000", found=fps)


def _array(value: Any, shape: tuple[int | None, ...], name: str, dtype: Any, *, finite: bool = True) -> np.ndarray:
    try:
        a = np.asarray(value, dtype=dtype)
    except (TypeError, ValueError):
        raise InputError(field=name, expected="an array of numbers", found=type(value).__name__) from None
    if a.ndim != len(shape) or any(s is not None and s != n for s, n in zip(shape, a.shape, strict=True)):
        want = tuple("any" if s is None else s for s in shape)
        raise InputError(field=name, expected=f"shape {want}", found=f"shape {a.shape}")
    if finite and not np.isfinite(a).all():
        bad = np.argwhere(~np.isfinite(a))[0].tolist()
        raise InputError(field=name, expected="finite numbers", found=f"NaN or infinite at index {bad}")
    return a


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """One person, one camera, t frames of j joints.

    kp_img (t, j, 2) pixels and conf (t, j) in [0, 1]: where conf is 0 the joint is missing and its
    coordinates mean nothing (NaN is replaced by 0). p_root (t, j, 3) metres, camera axes, minus the
    root; root_cam (t, 3) metres; p_cam = p_root + root_cam. frames (t,) are the strictly growing frame
    numbers in the source; fps is the source's rate. meta holds plain values a report may want.
    Raises `InputError` for shapes, rates or numbers that do not fit.
    """

    skeleton: Skeleton
    fps: float
    kp_img: np.ndarray
    conf: np.ndarray | None = None
    p_root: np.ndarray | None = None
    root_cam: np.ndarray | None = None
    camera: Camera | None = None
    frames: np.ndarray | None = None
    track_id: int = 0
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_fps(self.fps)
        j = len(self.skeleton)
        kp = _array(self.kp_img, (None, j, 2), f"keypoints of {self.skeleton.name}", np.float32, finite=False)
        t = len(kp)
        if t > MAX_FRAMES:
            raise InputError(field="frames", expected=f"at most {MAX_FRAMES}", found=t)
        finite = np.asarray(np.isfinite(kp).all(-1))
        if self.conf is None:
            conf = finite.astype(np.float32)
        else:
            conf = np.clip(np.nan_to_num(_array(self.conf, (t, j), "confidence", np.float32, finite=False)), 0, 1)
        if np.isinf(kp).any():
            raise InputError(field="keypoints", expected="finite pixels (NaN for a missing joint)", found="infinite")
        put = object.__setattr__
        put(self, "fps", float(self.fps))
        put(self, "kp_img", np.where(finite[..., None], kp, np.float32(0)))
        put(self, "conf", np.where(finite, conf, np.float32(0)))
        if self.p_root is not None:
            put(self, "p_root", _array(self.p_root, (t, j, 3), "p_root", np.float32))
        if self.root_cam is not None:
            put(self, "root_cam", _array(self.root_cam, (t, 3), "root_cam", np.float32))
        frames = np.arange(t) if self.frames is None else self.frames
        frames = _array(frames, (t,), "frame numbers", np.int64)
        if t > 1 and (np.diff(frames) <= 0).any():
            raise InputError(field="frame numbers", expected="strictly growing", found="repeated or falling ones")
        put(self, "frames", frames)

    def __len__(self) -> int:
        return len(self.kp_img)

    @property
    def confidence(self) -> np.ndarray:
        """conf (t, j), never None after construction."""
        assert self.conf is not None
        return self.conf

    @property
    def frame_numbers(self) -> np.ndarray:
        """frames (t,), never None after construction."""
        assert self.frames is not None
        return self.frames

    @property
    def seen(self) -> np.ndarray:
        """(t,) True where at least one joint was seen."""
        return np.asarray((self.confidence > 0).any(-1))

    @property
    def p_cam(self) -> np.ndarray | None:
        """(t, j, 3) absolute joints in camera metres, if both parts are known."""
        if self.p_root is None or self.root_cam is None:
            return None
        return self.p_root + self.root_cam[:, None]

    @property
    def p_world(self) -> np.ndarray | None:
        """(t, j, 3) world metres, if the absolute pose and the camera are known."""
        p = self.p_cam
        return None if p is None or self.camera is None else self.camera.cam_to_world(p)

    def replace(self, **changes: Any) -> Clip:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def __getitem__(self, frames: slice) -> Clip:
        """The clip of a slice of its frames; frame numbers stay what they were."""
        cut = {n: getattr(self, n) for n in ("kp_img", "conf", "p_root", "root_cam", "frames")}
        return replace(self, **{n: None if a is None else a[frames] for n, a in cut.items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """A person's motion as recorded: p_world (t, j, 3) metres, world axes with z up.

    `subject` is the performer (splits go by it), `name` the recording.
    """

    skeleton: Skeleton
    fps: float
    p_world: np.ndarray
    name: str = ""
    subject: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_fps(self.fps)
        p = _array(self.p_world, (None, len(self.skeleton), 3), f"positions of {self.skeleton.name}", np.float32)
        object.__setattr__(self, "fps", float(self.fps))
        object.__setattr__(self, "p_world", p)

    def __len__(self) -> int:
        return len(self.p_world)

    def seen_by(self, camera: Camera) -> Clip:
        """The exact view of this motion by a camera: 2D, root-relative and absolute 3D."""
        p_cam = camera.world_to_cam(self.p_world)
        root = p_cam[:, self.skeleton.root]
        kp = camera.project(p_cam)
        return Clip(
            skeleton=self.skeleton, fps=self.fps, kp_img=kp, p_root=p_cam - root[:, None], root_cam=root,
            camera=camera, meta={**self.meta, "name": self.name, "subject": self.subject},
        )  # fmt: skip
