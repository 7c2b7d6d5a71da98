"""From one skeleton to another: tables of named joints, with derived ones, that carry confidence along.

A derived joint is a `mean` of joints (those present count; the confidence falls with those missing) or a `blend`
(an affine combination, which needs all of its joints). Alternatives are tried in order for every frame by itself;
where none has its sources, the joint is missing: confidence 0.

The Human3.6M layout has two head points that no detector marks: `nose`, at the base of the skull about as high as
the chin, and `head_top`, the end of the head joint. Both are placed on the line from the middle of the shoulders
to the middle of the ears: at 0.58 and 1.20 of it in the motion-capture layout that the lifters learn (mean over
the performers of CMU; their ears follow from ANSUR's heights of acromion, tragion and vertex).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from poselift.errors import InputError
from poselift.structures.clip import Clip
from poselift.structures.skeleton import Skeleton, skeleton

__all__ = ["CONVERSIONS", "Blend", "Mean", "convert", "convert_points"]


@dataclass(frozen=True)
class Mean:
    """Mean of the joints that are present; confidence = their sum / number of all, times `trust`."""

    joints: tuple[str, ...]
    trust: float = 1.0


@dataclass(frozen=True)
class Blend:
    """Sum of weight · joint (weights sum to 1), if all are present; confidence = the least, times `trust`."""

    weights: tuple[tuple[str, float], ...]
    trust: float = 1.0


Step = tuple[str, tuple[Mean | Blend, ...]]
"""A point to make and its alternatives. `=name` in an alternative is a point made before, else a source joint."""


def _mean(*joints: str, trust: float = 1.0) -> Mean:
    return Mean(joints, trust)


def _along(a: str, b: str, at: float, trust: float = 1.0) -> Blend:
    """The point at `at` on the way from a (0) to b (1), or beyond."""
    return Blend(((a, 1 - at), (b, at)), trust)


_LIMBS = tuple(s + n for s in ("r_", "l_") for n in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"))
_SAME: tuple[Step, ...] = tuple((n, (_mean(n),)) for n in _LIMBS)
_TORSO: tuple[Step, ...] = (
    ("pelvis", (_mean("l_hip", "r_hip"),)),
    ("thorax", (_mean("l_shoulder", "r_shoulder"),)),
)
# A spine from one end alone would lie on that end: it needs both, or the head to point the other way.
_SPINE: Step = ("spine", (_along("=pelvis", "=thorax", 0.5),))
_SPINE_HEAD: Step = (
    "spine",
    (*_SPINE[1], _along("=thorax", "=ears", -1.15, 0.2), _along("=thorax", "=eyes", -1.05, 0.15)),
)
_FACE: tuple[Step, ...] = (
    ("ears", (_mean("l_ear", "r_ear"),)),
    ("eyes", (_mean("l_eye", "r_eye"),)),
)
# nose and head_top from ears, else from the eyes (higher and further in front), else from the tip of the nose
_NOSE = (
    _along("=thorax", "=ears", 0.58, 0.9), _along("=thorax", "=eyes", 0.54, 0.6), _along("=thorax", "nose", 0.66, 0.5)
)  # fmt: skip
_HEAD_TOP = (
    _along("=thorax", "=ears", 1.20, 0.9), _along("=thorax", "=eyes", 1.12, 0.6), _along("=thorax", "nose", 1.36, 0.5),
    _mean("=ears", trust=0.3), _mean("=eyes", trust=0.3), _mean("nose", trust=0.2),
)  # fmt: skip

_COCO: tuple[Step, ...] = (*_SAME, *_TORSO, *_FACE, _SPINE_HEAD, ("nose", _NOSE), ("head_top", _HEAD_TOP))

# These detectors mark the middle of the hips and the base of the neck themselves; the hips and shoulders stand in.
_MIDDLES: tuple[Step, ...] = (
    ("pelvis", (_mean("pelvis"), _mean("l_hip", "r_hip", trust=0.9))),
    ("thorax", (_mean("l_shoulder", "r_shoulder"), _mean("neck", trust=0.9))),
)
_BODY25: tuple[Step, ...] = (*_SAME, *_MIDDLES, *_FACE, _SPINE_HEAD, ("nose", _NOSE), ("head_top", _HEAD_TOP))
# ERD's rule for this layout (Kang et al., BMVC 2020), so that its published data and weights fit: the neck for the
# thorax and the tip of the nose for `nose`; a middle needs both of its ends.
_BODY25B: tuple[Step, ...] = (
    *_SAME,
    ("pelvis", (_along("l_hip", "r_hip", 0.5),)),
    ("thorax", (_mean("neck"),)),
    _SPINE,
    ("nose", (_mean("nose"),)),
    ("head_top", (_mean("head_top"),)),
)
# Halpe's and MPII's head top is the crown, 1.65 times as far from the shoulders as the ears.
_FROM_CROWN = _along("=thorax", "head_top", 0.73, 0.8)
_HALPE26: tuple[Step, ...] = (
    *_SAME, *_MIDDLES, *_FACE, _SPINE_HEAD,
    ("nose", (_NOSE[0], _along("=thorax", "head_top", 0.35, 0.8), *_NOSE[1:])),
    ("head_top", (_HEAD_TOP[0], _FROM_CROWN, *_HEAD_TOP[1:], _mean("head_top", trust=0.4))),
)  # fmt: skip
# MPII marks the upper neck, where the Human3.6M layout has its nose.
_MPII16: tuple[Step, ...] = (
    *_SAME,
    ("pelvis", (_mean("pelvis"), _mean("l_hip", "r_hip", trust=0.9))),
    ("thorax", (_mean("thorax"), _mean("l_shoulder", "r_shoulder", trust=0.9))),
    _SPINE,
    ("nose", (_mean("neck"), _along("=thorax", "head_top", 0.35, 0.7))),
    ("head_top", (_along("neck", "head_top", 0.62, 0.9), _FROM_CROWN, _mean("head_top", trust=0.4))),
)  # fmt: skip

# MuPoTS and MuCo: their thorax is the base of the neck, their head joint lies between it and the crown.
_MUPOTS17: tuple[Step, ...] = (
    *_SAME,
    ("pelvis", (_mean("pelvis"), _mean("l_hip", "r_hip", trust=0.9))),
    ("thorax", (_mean("thorax"), _mean("l_shoulder", "r_shoulder", trust=0.9))),
    ("spine", (_mean("spine"), _along("=pelvis", "=thorax", 0.5))),
    ("nose", (_along("=thorax", "head_top", 0.35, 0.8), _mean("head", trust=0.6))),
    ("head_top", (_FROM_CROWN, _mean("head_top", trust=0.4))),
)
# SMPL's head joint is at the base of the skull, where the Human3.6M layout has its nose.
_SMPL24: tuple[Step, ...] = (
    *_SAME,
    ("pelvis", (_mean("pelvis"), _mean("l_hip", "r_hip", trust=0.9))),
    ("thorax", (_mean("l_shoulder", "r_shoulder"), _mean("neck", trust=0.8))),
    _SPINE,
    ("nose", (_mean("head", trust=0.9),)),
    ("head_top", (_along("=thorax", "head", 2.0, 0.75),)),
)
_COCO19: tuple[Step, ...] = (
    *_SAME,
    ("pelvis", (_mean("pelvis"), _mean("l_hip", "r_hip", trust=0.9))),
    ("thorax", (_mean("thorax"), _mean("l_shoulder", "r_shoulder", trust=0.9))),
    *_COCO[len(_SAME) + len(_TORSO) :],
)

_H36M16_JOINTS = (*_LIMBS, "pelvis", "spine", "thorax", "head_top")
_H36M16: tuple[Step, ...] = (
    *((n, (_mean(n),)) for n in _H36M16_JOINTS),
    ("nose", (_along("thorax", "head_top", 0.47, 0.8),)),
)

CONVERSIONS: dict[tuple[str, str], tuple[Step, ...]] = {
    ("h36m16", "h36m17"): _H36M16,
    ("coco17", "h36m17"): _COCO,
    ("mpii16", "h36m17"): _MPII16,
    ("halpe26", "h36m17"): _HALPE26,
    ("body25", "h36m17"): _BODY25,
    ("body25b", "h36m17"): _BODY25B,
    ("mediapipe33", "h36m17"): _COCO,
    ("wholebody23", "h36m17"): _COCO,
    ("coco19", "h36m17"): _COCO19,
    ("mupots17", "h36m17"): _MUPOTS17,
    ("muco21", "h36m17"): _MUPOTS17,
    ("smpl24", "h36m17"): _SMPL24,
    ("h36m17", "h36m16"): tuple((n, (_mean(n),)) for n in _H36M16_JOINTS),
}
"""(source, target): the points to make, in order."""


def _steps(src: Skeleton, dst: Skeleton) -> tuple[Step, ...]:
    found = CONVERSIONS.get((src.name, dst.name))
    if found is None:
        known = ", ".join(f"{a} to {b}" for a, b in sorted(CONVERSIONS))
        raise InputError(f"no conversion from {src.name} to {dst.name}; known: {known}", field="skeleton")
    return found


def convert_points(
    points: Float[np.ndarray, "t j d"],
    conf: Float[np.ndarray, "t j"],
    src: str | Skeleton,
    dst: str | Skeleton = "h36m17",
) -> tuple[Float[np.ndarray, "t k d"], Float[np.ndarray, "t k"]]:
    """Points (pixels or metres, any dimension) and confidence of skeleton `src` as those of `dst`.

    Missing joints (confidence 0) come out as 0 with confidence 0. Raises `InputError` for an unknown pair.
    """
    src = skeleton(src) if isinstance(src, str) else src
    dst = skeleton(dst) if isinstance(dst, str) else dst
    if points.ndim != 3 or points.shape[1] != len(src) or conf.shape != points.shape[:2]:
        raise InputError(
            field="keypoints", expected=f"(t, {len(src)}, d) and (t, {len(src)}) for {src.name}",
            found=f"{points.shape} and {conf.shape}",
        )  # fmt: skip
    if src.name == dst.name:
        return points, conf
    made: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    given = {n: (points[:, i], conf[:, i]) for i, n in enumerate(src.joints)}
    for name, alternatives in _steps(src, dst):
        made["=" + name] = _first(alternatives, {**given, **made}, points)
    return (
        np.stack([made["=" + n][0] for n in dst.joints], 1).astype(points.dtype, copy=False),
        np.stack([made["=" + n][1] for n in dst.joints], 1).astype(conf.dtype, copy=False),
    )


def _first(
    alternatives: tuple[Mean | Blend, ...], known: Mapping[str, tuple[np.ndarray, np.ndarray]], like: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Per frame the first alternative whose sources are there: its point (t, d) and confidence (t,)."""
    point = np.zeros((len(like), like.shape[2]), np.float64)
    trust = np.zeros(len(like), np.float64)
    for alternative in alternatives:
        p, c = (_of_mean if isinstance(alternative, Mean) else _of_blend)(alternative, known)  # type: ignore[arg-type]
        take = (trust == 0) & (c > 0)
        if take.all():
            return p, c
        point[take], trust[take] = p[take], c[take]
    return point, trust


def _of_mean(mean: Mean, known: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    points = np.stack([known[j][0] for j in mean.joints])
    conf = np.stack([known[j][1] for j in mean.joints])
    here = (conf > 0)[..., None]
    return np.where(here, points, 0).sum(0) / np.maximum(here.sum(0), 1), conf.mean(0) * mean.trust


def _of_blend(blend: Blend, known: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    point = sum(w * known[j][0] for j, w in blend.weights)
    return np.asarray(point), np.stack([known[j][1] for j, _ in blend.weights]).min(0) * blend.trust


def convert(clip: Clip, target: str = "h36m17") -> Clip:
    """The clip in another skeleton; 3D, where it has any, is taken along and set on the new root.

    Raises `InputError` for a pair of skeletons without a conversion.
    """
    dst = skeleton(target)
    if clip.skeleton.name == dst.name:
        return clip
    kp, conf = convert_points(clip.kp_img, clip.confidence, clip.skeleton, dst)
    p_root, root_cam = clip.p_root, clip.root_cam
    if p_root is not None:
        p_root, _ = convert_points(p_root, np.ones(p_root.shape[:2], np.float32), clip.skeleton, dst)
        moved = p_root[:, dst.root]
        p_root = p_root - moved[:, None]
        root_cam = None if root_cam is None else root_cam + moved
    return clip.replace(skeleton=dst, kp_img=kp, conf=conf, p_root=p_root, root_cam=root_cam)
