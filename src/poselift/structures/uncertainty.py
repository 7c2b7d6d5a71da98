"""How far from the truth the absolute root may be, by what was assumed: the focal length and the body's size.

One camera sees the product focal length × body size / depth and none of the three. In logarithms the depth's error is
the sum of the two guesses' errors; sideways and up, x = z (u - c) / f, the focal length cancels and that of the body's
size stays. Both are relative standard deviations, small-angle and first-order: ±σ holds about 68 % of the truth.
`benchmarks/depth_uncertainty.py` compares it with virtual cameras.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from poselift.structures.camera import DEFAULT_FOV_DEG
from poselift.structures.clip import Clip

__all__ = ["FOCAL_SD", "SIZE_SD", "RootError", "root_sd"]

SIZE_SD = 0.07
"""Log-size of the body: grown-ups' stature differs by 5 to 6 % (4 % within one sex), the rest is the lifter's guess of
pose and proportions from keypoints with errors."""

_FOV_DEG = (35.0, 90.0)
"""Fields of view across the larger side that cameras of users have: zoomed, telephones, action cameras."""


def _focal_sd() -> float:
    half = np.radians(np.linspace(*_FOV_DEG, 1001)) / 2
    return float(np.sqrt(np.mean(np.log(math.tan(math.radians(DEFAULT_FOV_DEG) / 2) / np.tan(half)) ** 2)))


FOCAL_SD = _focal_sd()
"""Root mean square of log(true / assumed focal length), fields of view from 35° to 90° being equally likely: 0.35."""


@dataclass(frozen=True, kw_only=True)
class RootError:
    """Relative standard deviations of a root: `size` of the body, `focal` of the focal length (0 where it is known)."""

    size: float = SIZE_SD
    focal: float = 0.0

    @property
    def depth(self) -> float:
        """Of the distance along the camera's axis."""
        return math.hypot(self.size, self.focal)

    def to_meta(self) -> dict[str, float]:
        """What a clip's meta says of it, and its files after it."""
        return {"size_sd": self.size, "focal_sd": self.focal}

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> RootError | None:
        """What a clip's meta states; None where it states nothing that makes sense."""
        size, focal = meta.get("size_sd"), meta.get("focal_sd")
        if not all(isinstance(v, (int, float)) and 0 <= v < 10 for v in (size, focal)):
            return None
        return cls(size=float(size), focal=float(focal))  # type: ignore[arg-type]


def root_sd(clip: Clip) -> Float[np.ndarray, "t 3"] | None:
    """Standard deviations (t, 3) of `root_cam`, metres along x, y and z; None where nothing is stated about it."""
    error = RootError.of(clip.meta)
    if error is None or clip.root_cam is None:
        return None
    return np.abs(clip.root_cam) * np.array([error.size, error.size, error.depth], clip.root_cam.dtype)
