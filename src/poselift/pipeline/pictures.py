"""Whether pictures are like those that refiners were trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from poselift.errors import InputError
from poselift.geometry.projection import undistort
from poselift.models.base import Refiner
from poselift.pipeline.refine import Refining
from poselift.pipeline.stage import Track
from poselift.structures import Camera, Clip

__all__ = ["check_pictures"]

FAR, TOO_FAR = 4.0, 8.0
"""Deviations of the refiner's training keypoints from their mean: a note where a quarter of the keypoints lies further
out than FAR, an error where half of them lies further out than TOO_FAR."""


def check_pictures(refining: Refining, tracks: Sequence[tuple[Track, Camera]], *, batch: int = 1 << 16) -> None:
    """Whether people look as they did in the refiners' training pictures; one pass for each, in constant memory.

    Only for a refiner with the statistics `mean2d` and `std2d` (j, 2) of its keypoints, pixels: compares where the
    keypoints are, or, if it sees differences alone (ERD's `delta`), where they are about the middle of the person.
    Adds a note where many are far from there (`FAR`), raises `InputError` where most are too far (`TOO_FAR`).
    """
    for refinement, name in zip(refining.refinement.chain, refining.names, strict=True):
        refining.notes += _pictures(refinement.refiner, name, tracks, batch)


def _pictures(refiner: Refiner, name: str, tracks: Iterable[tuple[Track, Camera]], batch: int) -> list[str]:
    """`check_pictures` of one refiner: its notes."""
    mean, std = (getattr(refiner, n, None) for n in ("mean2d", "std2d"))
    if not (isinstance(mean, Tensor) and isinstance(std, Tensor)):
        return []
    mean, std = mean.double().cpu().numpy(), np.maximum(std.double().cpu().numpy(), 1e-6)
    anywhere = getattr(refiner.config, "features", None) == "delta"
    sums = np.zeros(7)  # keypoints, far, too far; frames, x, y and height of the person
    for track, camera in tracks:
        for a in range(0, len(track), batch):
            kp, seen = _straight(track[a : a + batch], camera)
            kp, seen = kp[seen.any(-1)], seen[seen.any(-1)]
            middle, height = _box(kp, seen)
            off = kp - mean
            if anywhere:
                off = off - np.where(seen[..., None], off, 0).sum(1, keepdims=True) / seen.sum(-1)[:, None, None]
            z = np.abs(off / std).max(-1)[seen]
            sums += (z.size, (z > FAR).sum(), (z > TOO_FAR).sum(), len(kp), *middle.sum(0), height.sum())
    n, far, too_far = sums[:3]
    if far <= n / 4:
        return []
    then = _box(mean[None], np.ones((1, len(mean)), bool))
    want, found = _people(then[0][0], then[1][0]), _people(sums[4:6] / sums[3], sums[6] / sums[3])
    if too_far > n / 2:
        raise InputError(
            field=f"refiner {name}",
            expected=f"pictures like those it was trained on, with {want}",
            found=found,
        )
    return [
        f"{name} was trained on pictures with {want}; here are {found}, {far / n:.0%} of the keypoints far "
        "from what it knows: it may make the poses worse."
    ]


def _straight(clip: Clip, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (t, j, 2) as a camera without distortion would have seen them, and which (t, j) there are."""
    kp = torch.from_numpy(clip.kp_img).double()
    if camera.dist is not None:
        kp = undistort(kp, torch.tensor(camera.K), torch.tensor(camera.dist))
    kp = kp.numpy()
    return kp, (clip.confidence > 0) & np.isfinite(kp).all(-1)


def _box(kp: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle (t, 2) and height (t,) of the boxes around the seen keypoints, pixels."""
    low, high = np.where(seen[..., None], kp, np.inf).min(1), np.where(seen[..., None], kp, -np.inf).max(1)
    return (low + high) / 2, (high - low)[:, 1]


def _people(middle: np.ndarray, height: float) -> str:
    return f"people about ({middle[0]:.0f}, {middle[1]:.0f}) px and {height:.0f} px high"
