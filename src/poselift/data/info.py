"""`poselift data info`: what is in a file, and whether it looks like people. The self-check before training."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from poselift.formats import ReadOptions, detect, read, read_motion
from poselift.structures import Clip, Motion

__all__ = ["Check", "Description", "describe"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One plausibility check: name, `ok` or `warning`, and the figures it rests on."""

    name: str
    verdict: Literal["ok", "warning"]
    detail: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a file holds. `frames` counts all tracks together, `gaps` frames without the person inside a track."""

    file: str
    format: str
    holds: Literal["2D keypoints", "3D motion", "2D keypoints and 3D poses"]
    skeleton: str
    tracks: int
    frames: int
    fps: tuple[float, ...]
    fps_assumed: bool
    seconds: float
    gaps: int
    camera: str
    checks: tuple[Check, ...]

    @property
    def plausible(self) -> bool:
        return all(c.verdict == "ok" for c in self.checks)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def describe(path: str | Path, *, format: str | None = None, options: ReadOptions | None = None) -> Description:
    """Description of a keypoint or motion file or folder. Raises `InputError` where it cannot be read."""
    options = options or ReadOptions()
    from poselift.formats import READERS

    reader = READERS[format] if format in READERS else detect(path)
    if reader.gives == "motion":
        return _of_motions(str(path), reader.name, read_motion(path, format, options))
    return _of_clips(str(path), reader.name, read(path, format, options))


def _verdict(name: str, fine: bool | np.bool_, detail: str) -> Check:
    return Check(name=name, verdict="ok" if fine else "warning", detail=detail)


def _of_clips(file: str, format: str, clips: list[Clip]) -> Description:
    seen = np.concatenate([c.confidence > 0 for c in clips])
    some = seen.any(-1)
    joints = clips[0].skeleton.joints
    share = seen[some].mean(0) if some.any() else np.zeros(len(joints))
    rare = [f"{n} {100 * s:.0f} %" for n, s in zip(joints, share, strict=True) if s < 0.5]
    checks = [
        _verdict(
            "joints seen", not rare, "rarely seen: " + ", ".join(rare) if rare else f"{100 * share.mean():.0f} % of all"
        ),
        _verdict("person in view", some.mean() > 0.5, f"in {100 * some.mean():.1f} % of the frames"),
        *_pixel_checks(clips),
    ]
    camera = clips[0].camera
    has_3d = any(c.p_root is not None for c in clips)
    return Description(
        file=file,
        format=format,
        holds="2D keypoints and 3D poses" if has_3d else "2D keypoints",
        skeleton=clips[0].skeleton.name,
        tracks=len(clips),
        frames=sum(map(len, clips)),
        fps=tuple(sorted({c.fps for c in clips})),
        fps_assumed=any(c.meta.get("assumed_fps", False) for c in clips),
        seconds=sum(len(c) / c.fps for c in clips),
        gaps=sum(int((~c.seen[_inside(c)]).sum()) for c in clips),
        camera="none"
        if camera is None
        else f"focal {camera.focal[0]:.0f} px, image {camera.size_wh[0]} x {camera.size_wh[1]}",
        checks=tuple(checks),
    )


def _inside(clip: Clip) -> slice:
    """From the first to the last frame with the person."""
    on = np.flatnonzero(clip.seen)
    return slice(on[0], on[-1] + 1) if len(on) else slice(0, 0)


def _pixel_checks(clips: list[Clip]) -> list[Check]:
    sides, jumps, upside = [], [], []
    for c in clips:
        kp = np.where((c.confidence > 0)[..., None], c.kp_img, np.nan)[c.seen]
        if not len(kp):
            continue
        side = (np.nanmax(kp, 1) - np.nanmin(kp, 1)).max(-1)
        sides.append(side)
        step = np.nanmean(np.linalg.norm(np.diff(kp, axis=0), axis=-1), -1) if len(kp) > 1 else np.zeros(0)
        jumps.append(step / np.maximum(side[1:], 1e-6))
        ankles = [c.skeleton.index(n) for n in ("l_ankle", "r_ankle") if n in c.skeleton.joints]
        shoulders = [c.skeleton.index(n) for n in ("l_shoulder", "r_shoulder") if n in c.skeleton.joints]
        upside.append(
            np.nanmean(kp[:, ankles, 1], 1) < np.nanmean(kp[:, shoulders, 1], 1)
        ) if ankles and shoulders else None
    if not sides:
        return [_verdict("size", False, "nobody in any frame")]
    side, jump = np.concatenate(sides), np.concatenate(jumps) if jumps else np.zeros(1)
    head_down = float(np.mean(np.concatenate(upside))) if upside else 0.0
    far = float(np.nanmean(jump > 0.5)) if len(jump) else 0.0
    return [
        _verdict(
            "size", bool(np.median(side) > 4), f"median box side {np.median(side):.0f} px (below 4: are these pixels?)"
        ),
        _verdict("jumps", far < 0.01, f"{100 * far:.2f} % of the steps move half a body (identities swapped?)"),
        _verdict(
            "upright", head_down < 0.5, f"feet above the shoulders in {100 * head_down:.0f} % (y must point down)"
        ),
    ]


def _of_motions(file: str, format: str, motions: list[Motion]) -> Description:
    skel = motions[0].skeleton
    child, parent = np.array(skel.bones).T
    p = np.concatenate([m.p_world for m in motions]).astype(np.float64)
    length = np.linalg.norm(p[:, child] - p[:, parent], axis=-1)
    limb = [
        i for i, (c, _) in enumerate(skel.bones) if skel.joints[c].split("_")[-1] in ("knee", "ankle", "elbow", "wrist")
    ]
    starts = np.concatenate([[0], np.cumsum([len(m) for m in motions])])
    wobble = max((length[a:b, limb].std(0).max() if b > a else 0.0) for a, b in itertools.pairwise(starts))
    legs = length[:, [i for i in limb if skel.joints[child[i]].endswith(("knee", "ankle"))]].sum(-1) / 2
    speed = [np.linalg.norm(np.diff(m.p_world, axis=0), axis=-1).max() * m.fps for m in motions if len(m) > 1]
    up = p[:, skel.index("head_top"), 2] - p[:, skel.indices("l_ankle", "r_ankle"), 2].mean(-1)
    low = p[..., 2].min(-1)
    fastest = max(speed, default=0.0)
    checks = (
        _verdict("metres", bool(0.45 < np.median(legs) < 1.2), f"median leg (thigh and shin) {np.median(legs):.2f} m"),
        _verdict("z up", bool(np.median(up) > 0), f"head {np.median(up):.2f} m above the ankles (median)"),
        _verdict(
            "limbs keep their length", bool(wobble < 0.01), f"largest deviation within a clip {1000 * wobble:.1f} mm"
        ),
        _verdict(
            "speed", bool(fastest < 20), f"fastest joint {fastest:.1f} m/s (above 20: tracking glitch or wrong fps)"
        ),
        _verdict("floor", bool(abs(np.median(low)) < 0.5), f"lowest joint at {np.median(low):.2f} m (median)"),
    )
    return Description(
        file=file,
        format=format,
        holds="3D motion",
        skeleton=skel.name,
        tracks=len(motions),
        frames=len(p),
        fps=tuple(sorted({m.fps for m in motions})),
        fps_assumed=any(m.meta.get("assumed_fps", False) for m in motions),
        seconds=sum(len(m) / m.fps for m in motions),
        gaps=0,
        camera="none",
        checks=checks,
    )
