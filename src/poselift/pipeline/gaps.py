"""Gaps. Frames in which nobody was seen keep confidence 0 and get a pose between those of their neighbours; joints that
are missing for a while are bridged for lifters of several frames.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from poselift.structures import Skeleton

__all__ = ["BRIDGE", "between", "bridge", "neighbours"]

BRIDGE = 64
"""Frames on either side within which a missing joint's neighbours in time are looked for."""


def bridge(
    kp_img: Float[np.ndarray, "t j 2"], conf: Float[np.ndarray, "t j"]
) -> tuple[Float[np.ndarray, "t j 2"], Float[np.ndarray, "t j"]]:
    """Each missing joint (conf 0) on the straight line between where it was seen last and is seen next.

    Looks `BRIDGE` frames back and ahead; with the joint seen on one side only it stays where it was seen there, with
    none it stays missing. A bridged joint has the smaller confidence of the two, or the only one.
    """
    t, seen, joint = np.arange(len(conf))[:, None], conf > 0, np.arange(conf.shape[1])
    before = np.maximum.accumulate(np.where(seen, t, -BRIDGE - 1), 0)
    after = np.minimum.accumulate(np.where(seen, t, len(conf) + BRIDGE)[::-1], 0)[::-1]
    back, ahead = t - before <= BRIDGE, after - t <= BRIDGE
    first, last = np.where(back, before, after), np.where(ahead, after, before)
    first, last = (np.clip(x, 0, len(conf) - 1) for x in (first, last))
    w = np.where(back & ahead, (t - before) / np.maximum(after - before, 1), 0)[..., None].astype(kp_img.dtype)
    kp = (1 - w) * kp_img[first, joint] + w * kp_img[last, joint]
    filled = ~seen & (back | ahead)
    told = np.minimum(conf[first, joint], conf[last, joint])
    return np.where(filled[..., None], kp, kp_img), np.where(filled, told, conf)


def neighbours(seen: Bool[np.ndarray, " t"]) -> tuple[Int[np.ndarray, " t"], Int[np.ndarray, " t"]]:
    """For every frame the last seen one up to it and the next seen one from it.

    Before the first seen frame both are the first, after the last both are the last. Needs one seen frame.
    """
    at = np.flatnonzero(seen)
    k = np.searchsorted(at, np.arange(len(seen)), side="right")
    before = at[np.maximum(k - 1, 0)]
    after = at[np.minimum(np.where(seen, k - 1, k), len(at) - 1)]
    return np.where(k == 0, after, before), after


def between(
    first: Float[np.ndarray, "g j 3"], last: Float[np.ndarray, "g j 3"], at: Float[np.ndarray, " g"], skeleton: Skeleton
) -> Float[np.ndarray, "g j 3"]:
    """Poses p_root at the fractions `at` (0 to 1) of the way between two: bone by bone, so that no limb shrinks.

    Bone directions go along the chord of the shorter arc, bone lengths linearly; opposite directions switch half-way.
    """
    out = np.zeros_like(first)
    w = at[:, None].astype(first.dtype)
    for joint in skeleton.order:
        parent = skeleton.parents[joint]
        if parent < 0:
            out[:, joint] = (1 - w) * first[:, joint] + w * last[:, joint]
            continue
        a, b = first[:, joint] - first[:, parent], last[:, joint] - last[:, parent]
        la, lb = (np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b))
        direction = (1 - w) * a / np.maximum(la, 1e-9) + w * b / np.maximum(lb, 1e-9)
        norm = np.linalg.norm(direction, axis=-1, keepdims=True)
        nearer = np.where(w < 0.5, a / np.maximum(la, 1e-9), b / np.maximum(lb, 1e-9))
        direction = np.where(norm > 1e-3, direction / np.maximum(norm, 1e-9), nearer)
        out[:, joint] = out[:, parent] + direction * ((1 - w) * la + w * lb)
    return out
