"""Smoothing over time, for after lifting. `SMOOTHERS` is the table.

Curves are x (t, n, d): t frames of n points. weight (t, n) says how far a value is to be trusted; one with weight 0, or
that is not a number, moves no other and stays as it is. So a gap is never filled, and frames beyond one count by their
true distance in time. Cut-offs are in Hz (where the amplitude falls to 0.71), whatever the frame rate is; those of
`savgol` as near as windows of whole frames come to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from poselift.errors import InputError, unknown_name

__all__ = ["SMOOTHERS", "OneEuro", "Smoother", "gaussian", "gaussian_half", "one_euro", "savgol", "smooth", "smoother"]

SPEED_HZ = 1.0
"""One euro: cut-off of the speed, as in the paper."""
HZ_PER_SPEED = 4.0
"""One euro: what a speed of 1 m/s adds to the cut-off."""
RESTART_S = 0.5
"""One euro: after a longer gap it begins anew."""

_CHUNK = 4_000_000
_MAX_HALF = 1 << 14
"""Frames on either side that a window may have."""


def one_euro(
    x: Float[np.ndarray, "t n d"], weight: Float[np.ndarray, "t n"], fps: float, hz: float
) -> Float[np.ndarray, "t n d"]:
    """One euro filter: a low-pass whose cut-off rises with the speed. Causal: it lags, and needs no future frame.

    Cut-off `hz` + 4 Hz per m/s of the point's speed. A weight w below 1 holds a value back: α becomes 1 - (1 - α)^w.
    Source: Casiez, Roussel, Vogel, "1 € filter", CHI 2012, algorithms 1 and 2, with the speed as a vector's length.
    """
    out, filter = x.copy(), OneEuro(fps=fps, hz=hz)
    for k in range(len(x)):
        out[k] = filter.step(x[k], weight[k])
    return out


class OneEuro:
    """`one_euro` frame by frame, for live use: the same values, whatever was before in constant memory."""

    def __init__(self, *, fps: float, hz: float) -> None:
        self.fps, self.hz = fps, hz
        self._value: np.ndarray | None = None

    def step(
        self, x: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"], frames: float = 1.0
    ) -> Float[np.ndarray, "n d"]:
        """The next frame, `frames` after the one before (a fraction, where they come at uneven times)."""
        if self._value is None:
            self._value, self._speed = np.zeros(x.shape), np.zeros(x.shape)
            self._since = np.full(len(x), np.inf)  # frames since the last good value
        value, speed = self._value, self._speed
        good = weight > 0
        self._since = since = self._since + frames
        fresh = good & (since > max(frames, RESTART_S * self.fps))
        dt = np.where(np.isfinite(since), since, 1.0) / self.fps
        now = np.where(good[:, None], x, value)
        new = np.where(fresh[:, None], 0.0, (now - value) / dt[:, None])
        a = _alpha(SPEED_HZ, dt)[:, None]
        speed_now = np.where(fresh[:, None], 0.0, speed + a * (new - speed))
        cut = self.hz + HZ_PER_SPEED * np.linalg.norm(speed_now, axis=-1)
        a = 1 - (1 - _alpha(cut, dt)) ** np.minimum(weight, 1)
        moved = np.where(fresh[:, None], now, value + a[:, None] * (now - value))
        self._value = np.where(good[:, None], moved, value)
        self._speed = np.where(good[:, None], speed_now, speed)
        self._since = np.where(good, 0.0, since)
        return np.where(good[:, None], self._value, x)


def _alpha(hz: float | np.ndarray, dt: np.ndarray) -> np.ndarray:
    """Part of the new value in a first-order low-pass."""
    return 1 / (1 + 1 / (2 * math.pi * np.asarray(hz) * dt))


def gaussian(
    x: Float[np.ndarray, "t n d"], weight: Float[np.ndarray, "t n"], fps: float, hz: float
) -> Float[np.ndarray, "t n d"]:
    """Gaussian kernel, as a line fitted to the frames about each: no lag, and none at the ends or beside a gap either.

    With equal weights, away from the ends, it is the plain Gaussian filter of standard deviation √(ln 2) / (2π hz).
    """
    sigma, half = _sigma(fps, hz), gaussian_half(fps, hz)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    return _local_fit(x, weight, kernel, degree=1, inside=False)


def gaussian_half(fps: float, hz: float) -> int:
    """Frames on either side that `gaussian` looks at: four standard deviations."""
    if 4 * _sigma(fps, hz) > _MAX_HALF:
        raise _too_slow(hz)
    return max(1, math.ceil(4 * _sigma(fps, hz)))


def _sigma(fps: float, hz: float) -> float:
    """Standard deviation in frames."""
    return max(math.sqrt(math.log(2)) / (2 * math.pi * hz) * fps, 1e-3)


def savgol(
    x: Float[np.ndarray, "t n d"], weight: Float[np.ndarray, "t n"], fps: float, hz: float
) -> Float[np.ndarray, "t n d"]:
    """Savitzky-Golay: a parabola fitted to the frames about each, which keeps the height of short movements. No lag.

    The window is the odd one whose cut-off is nearest (of 6 Hz it makes 6.1 at 50 fps, 7.1 at 30 fps); with equal
    weights it is scipy's filter, its ends included.
    Source: Savitzky and Golay, Analytical Chemistry 36, 1964.
    """
    half = _savgol_half(fps, hz)
    return x.copy() if half < 2 else _local_fit(x, weight, np.ones(2 * half + 1), degree=2, inside=True)


def _savgol_half(fps: float, hz: float) -> int:
    """Frames on either side, so that the amplitude at `hz` is as near to 0.71 as whole frames allow.

    1 (three frames, which a parabola goes through) where the frame rate is too low.
    """
    if hz >= fps / 2:
        return 1
    before = 1.0  # what a half of 1 lets through
    for half in range(2, _MAX_HALF):
        k = np.arange(-half, half + 1, dtype=np.float64)
        s2, s4 = (k**2).sum(), (k**4).sum()
        taps = (s4 - s2 * k**2) / ((2 * half + 1) * s4 - s2**2)
        gain = float((taps * np.cos(2 * math.pi * hz / fps * k)).sum())
        if gain <= math.sqrt(0.5):
            return half - (before - math.sqrt(0.5) < math.sqrt(0.5) - gain)
        before = gain
    raise _too_slow(hz)


def _too_slow(hz: float) -> InputError:
    return InputError(field="smooth_hz", expected="a cut-off nearer to the frame rate", found=hz)


def _local_fit(x: np.ndarray, weight: np.ndarray, kernel: np.ndarray, *, degree: int, inside: bool) -> np.ndarray:
    """Value of a polynomial fitted to the frames about each one, by weighted least squares.

    kernel (w,) odd: weight by distance. inside: a window at an end is moved to lie within the curve, and else cut off.
    Where too few values are in reach, the degree is lower; a lone one stays.
    """
    t, n, d = x.shape
    half, out = len(kernel) // 2, x.copy()
    if t == 0:
        return out
    clean = np.where(weight[..., None] > 0, x, 0.0)
    step = max(1, _CHUNK // (len(kernel) * n * d))
    for a in range(0, t, step):
        at = np.arange(a, min(a + step, t))
        start = at - half
        if inside:
            start = np.clip(start, 0, max(0, t - len(kernel)))
        index = start[:, None] + np.arange(len(kernel))
        there = (index >= 0) & (index < t)
        index = index.clip(0, t - 1)
        u = (index - at[:, None]) / half
        w = weight[index] * (kernel * there)[..., None]  # c w n
        powers = [u**k for k in range(2 * degree + 1)]
        s = np.stack([np.einsum("cw,cwn->cn", p, w) for p in powers], -1)
        b = np.stack([np.einsum("cw,cwn,cwnd->cnd", p, w, clean[index]) for p in powers[: degree + 1]], -2)
        count = (w > 1e-9 * w.max(1, keepdims=True).clip(1e-300)).sum(1)
        wanted = np.where(weight[at] > 0, np.minimum(count - 1, degree), -1)
        for g in range(1, degree + 1):
            rows, points = np.nonzero(wanted == g)
            if len(rows):
                moments = s[rows, points]
                matrix = moments[:, np.add.outer(np.arange(g + 1), np.arange(g + 1))]
                out[at[rows], points] = np.linalg.solve(matrix, b[rows, points, : g + 1])[:, 0]
    return out


@dataclass(frozen=True)
class Smoother:
    """An entry of `SMOOTHERS`; hz is the cut-off where none is given."""

    summary: str
    smooth: Callable[[np.ndarray, np.ndarray, float, float], np.ndarray]
    hz: float
    causal: bool = False


SMOOTHERS: dict[str, Smoother] = {
    "one_euro": Smoother("causal, for live use: firm at rest, quick in movement, with some lag", one_euro, 1.5, True),
    "savgol": Smoother("fitted parabolas, no lag: keeps the height of quick movements", savgol, 6.0),
    "gaussian": Smoother("Gaussian kernel, no lag: the smoothest", gaussian, 6.0),
}


def smoother(name: str) -> Smoother:
    """The entry of that name. Raises `InputError` with the nearest name for an unknown one."""
    if name not in SMOOTHERS:
        raise unknown_name("smoother", name, SMOOTHERS)
    return SMOOTHERS[name]


def smooth(
    name: str,
    x: Float[np.ndarray, "t n d"],
    *,
    fps: float,
    weight: Float[np.ndarray, "t n"] | None = None,
    hz: float | None = None,
) -> Float[np.ndarray, "t n d"]:
    """x smoothed over time by the smoother of that name, in x's own type.

    x (t, n, d): t frames at a constant rate, metres for `one_euro`; weight (t, n) 0 or more, None for 1 throughout;
    hz: cut-off. Raises `InputError` for an unknown name, and a cut-off that is not positive or so low that a window
    would have more than 32768 frames.
    """
    entry = smoother(name)
    hz = entry.hz if hz is None else hz
    if not (math.isfinite(hz) and hz > 0):
        raise InputError(field="smooth_hz", expected="a positive number", found=hz)
    trust = np.ones(x.shape[:2]) if weight is None else weight.astype(np.float64)
    trust = np.where(np.isfinite(x).all(-1) & (trust > 0), trust, 0.0)
    return entry.smooth(x.astype(np.float64), trust, fps, hz).astype(x.dtype)
