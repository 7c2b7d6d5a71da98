"""Where a recording was cut: a frame looks nothing like the one before it, while frames looked alike until then."""

from __future__ import annotations

from collections import deque

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

__all__ = ["Cuts"]

_SIDE = 32
"""Pixels along the larger side of the small pictures that are compared."""
_ALIKE = 0.5
"""Below this correlation, of brightness and of edges, two pictures show different things, whatever the light is."""
_LEAST = 0.05
"""And so much must have changed, on average, of the range of brightness."""
_FLAT = 0.03
"""A frame whose brightness varies less is black or white: the one before it is compared with the one after."""
_MORE = 4.0
"""And so many times what changed lately: fast camera movements change a lot from each frame to the next."""
_LATELY = 12


class Cuts:
    """Looks at the frames of a recording one after the other. Fades, and cuts within one view, are not seen."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._lately: deque[float] = deque(maxlen=_LATELY)

    def look(self, image: UInt8[ndarray, "h w 3"]) -> bool:
        """True if there is a cut between the last frame and this one."""
        step = max(1, max(image.shape[:2]) // _SIDE)
        small = image[step // 2 :: step, step // 2 :: step].astype(np.float32) / 255
        if small.std() < _FLAT:
            return False
        last, self._last = self._last, small
        if last is None or last.shape != small.shape:
            return False
        change = float(np.abs(small - last).mean())
        alike = max(_correlation(small, last), _correlation(_edges(small), _edges(last)))
        usual = float(np.median(self._lately)) if self._lately else 0.0
        self._lately.append(change)
        return alike < _ALIKE and change > max(_LEAST, _MORE * usual)


def _edges(image: np.ndarray) -> np.ndarray:
    """How much brightness changes from pixel to pixel, across and down."""
    grey = image.mean(-1)
    return np.abs(np.diff(grey, axis=0))[:, :-1] + np.abs(np.diff(grey, axis=1))[:-1]


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    a, b = x - x.mean() if x.size else x, y - y.mean() if y.size else y
    return float((a * b).sum()) / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-9)
