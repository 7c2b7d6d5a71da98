"""When a foot stands: spans of frames in which it is low and slow, with hysteresis."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["contacts"]

LOW_M, HIGH_M = 0.08, 0.15
"""Height above its standing height below which a foot may begin to stand, and above which it has left the floor."""
SLOW_M_S, FAST_M_S = 0.5, 0.9
"""Speeds likewise: an ankle rolls over its standing foot, and lifted ones tremble."""
SHORTEST_S = 0.12
"""Contacts shorter than this are none; gaps half as long are filled."""


def contacts(
    height: Float[np.ndarray, " t"], speed: Float[np.ndarray, " t"], fps: float, *, sure: np.ndarray | None = None
) -> list[tuple[int, int]]:
    """Spans [a, b) of frames in which a foot stands.

    height (t,) metres above where the foot is when it stands; speed (t,) m/s; sure (t,) False where nothing is known of
    the foot: it does not stand there. A contact begins where the foot is low and slow and goes on, both ways in
    time, as long as it is neither high nor fast.
    """
    known = np.ones(len(height), bool) if sure is None else sure.astype(bool)
    begins = known & (height < LOW_M) & (speed < SLOW_M_S)
    holds = known & (height < HIGH_M) & (speed < FAST_M_S)
    spans = [(a, b) for a, b in _runs(holds) if begins[a:b].any()]
    joined: list[tuple[int, int]] = []
    for a, b in spans:
        if joined and a - joined[-1][1] <= SHORTEST_S / 2 * fps and known[joined[-1][1] : a].all():
            joined[-1] = (joined[-1][0], b)
        else:
            joined.append((a, b))
    return [(a, b) for a, b in joined if b - a >= max(2.0, SHORTEST_S * fps)]


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
