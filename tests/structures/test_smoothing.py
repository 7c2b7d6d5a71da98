"""What every entry of `SMOOTHERS` promises, and each against its reference: scipy, or the formula frame by frame."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from scipy.signal import savgol_filter

from poselift.errors import InputError
from poselift.structures.smoothing import SMOOTHERS, _savgol_half, one_euro, smooth

FPS = 50.0
WITHOUT_LAG = sorted(n for n, s in SMOOTHERS.items() if not s.causal)


@pytest.fixture(params=sorted(SMOOTHERS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def walk(t: int = 200, n: int = 3, seed: int = 0) -> np.ndarray:
    """Movement at 0.5 to 1 Hz, metres."""
    phase = np.random.default_rng(seed).uniform(0, 6, (n, 3))
    return 0.3 * np.sin(2 * np.pi * np.linspace(0.5, 1, n)[:, None] * np.arange(t)[:, None, None] / FPS + phase)


def noisy(x: np.ndarray, sd: float = 0.02, seed: int = 1) -> np.ndarray:
    return x + np.random.default_rng(seed).normal(0, sd, x.shape)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).mean()))


# ---------------------------------------------------------------------- every smoother
def test_a_constant_stays(name: str):
    x = np.full((60, 2, 3), 0.7)
    weight = np.random.default_rng(0).uniform(0, 1, (60, 2))
    assert smooth(name, x, fps=FPS, weight=weight) == pytest.approx(x, abs=1e-9)


def test_noise_falls_and_movement_stays(name: str):
    x = np.zeros((200, 3, 3)) if SMOOTHERS[name].causal else walk()  # a causal one pays for its lag in movement
    before, after = noisy(x) - x, smooth(name, noisy(x), fps=FPS) - x
    assert rms(after[5:-5]) < 0.75 * rms(before)
    assert rms(smooth(name, walk(), fps=FPS) - walk()) < 0.02
    shaking = [rms(np.diff(v, 2, axis=0)) for v in (before, after)]
    assert shaking[1] < 0.5 * shaking[0]


def test_less_hz_is_smoother(name: str):
    still = noisy(np.zeros((400, 1, 3)))
    sizes = [rms(smooth(name, still, fps=FPS, hz=hz)) for hz in (8.0, 4.0, 2.0, 1.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.75 * sizes[0]


def test_the_cut_off_is_in_hz_at_any_frame_rate(name: str):
    """The same movement recorded at twice the rate comes out the same."""
    x = noisy(walk(100), 0.05)
    seconds = np.arange(100) / FPS

    def at(fps: float) -> np.ndarray:
        fine = np.arange(0, seconds[-1], 1 / fps)
        spline = np.stack([np.interp(fine, seconds, v) for v in x.reshape(100, -1).T], -1).reshape(len(fine), 3, 3)
        return smooth(name, spline, fps=fps, hz=3.0)[:: round(fps / FPS)][10:90]

    assert rms(at(200) - at(100)) < 0.012 < rms(x[10:90] - at(100))


def test_unseen_values_move_no_others_and_stay(name: str):
    x, weight = walk(80), np.ones((80, 3))
    weight[30:34, 1], weight[50:70] = 0, 0
    wild = x.copy()
    wild[weight == 0] = np.nan
    wild[52] = 1e6
    out = smooth(name, wild, fps=FPS, weight=weight)
    assert np.array_equal(out[weight == 0], wild[weight == 0], equal_nan=True)
    assert np.isfinite(out[weight > 0]).all()
    assert rms((out - x)[weight > 0]) < 0.08
    assert np.array_equal(smooth(name, wild, fps=FPS)[30:34, 1], wild[30:34, 1], equal_nan=True), "without being told"


def test_what_is_trusted_less_moves_less(name: str):
    x, weight = np.zeros((61, 1, 3)), np.ones((61, 1))
    x[30] = 1
    heavy = smooth(name, x, fps=FPS, weight=weight)
    weight[30] = 0.1
    light = smooth(name, x, fps=FPS, weight=weight)
    assert 0 < np.abs(light[30:]).max() < 0.5 * np.abs(heavy[30:]).max()


def test_joints_do_not_touch_and_the_type_stays(name: str):
    x = noisy(walk()).astype(np.float32)
    weight = np.random.default_rng(3).uniform(0.2, 1, x.shape[:2]).astype(np.float32)
    whole = smooth(name, x, fps=FPS, weight=weight)
    assert whole.dtype == np.float32
    assert smooth(name, x[:, [1]], fps=FPS, weight=weight[:, [1]]) == pytest.approx(whole[:, [1]], abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(t=st.integers(0, 40), seed=st.integers(0, 99), fps=st.sampled_from([5.0, 24.0, 120.0]), gaps=st.floats(0, 1))
def test_any_length_rate_and_gaps_give_numbers(t: int, seed: int, fps: float, gaps: float):
    random = np.random.default_rng(seed)
    x, weight = random.normal(size=(t, 2, 3)), (random.uniform(size=(t, 2)) >= gaps) * random.uniform(0.01, 1, (t, 2))
    for name in SMOOTHERS:
        out = smooth(name, x, fps=fps, weight=weight)
        assert out.shape == x.shape
        assert np.isfinite(out).all()
        assert np.abs(out).max(initial=0) < 10 * max(1, np.abs(x).max(initial=0))


def test_unknown_names_and_cut_offs_are_refused():
    with pytest.raises(InputError, match="savgol"):
        smooth("savgoll", walk(), fps=FPS)
    for hz in (0.0, -1.0, math.nan):
        with pytest.raises(InputError, match="smooth_hz: expected a positive number"):
            smooth("savgol", walk(), fps=FPS, hz=hz)
    for name in WITHOUT_LAG:
        with pytest.raises(InputError, match="smooth_hz: expected a cut-off nearer to the frame rate"):
            smooth(name, walk(), fps=FPS, hz=1e-9)


# ---------------------------------------------------------------------- without lag
@pytest.mark.parametrize("name", WITHOUT_LAG)
def test_a_ramp_is_kept_at_its_ends_and_beside_gaps(name: str):
    x = np.arange(60.0)[:, None, None] * np.array([0.1, -0.2, 0.0])
    weight = np.random.default_rng(0).uniform(0.2, 1, (60, 1))
    weight[20:26] = 0
    assert smooth(name, x, fps=FPS, weight=weight) == pytest.approx(x, abs=1e-9)


@pytest.mark.parametrize("name", WITHOUT_LAG)
def test_backwards_in_time_is_the_same(name: str):
    x = noisy(walk())
    assert smooth(name, x[::-1], fps=FPS)[::-1] == pytest.approx(smooth(name, x, fps=FPS), abs=1e-9)


@pytest.mark.parametrize("name", WITHOUT_LAG)
@pytest.mark.parametrize("hz", [1.0, 3.0, 6.0])
def test_at_the_cut_off_the_amplitude_is_a_root_of_a_half(name: str, hz: float):
    x = np.sin(2 * np.pi * hz * np.arange(2000) / 200)[:, None, None]
    out = smooth(name, x, fps=200, hz=hz)
    middle = slice(500, 1500)
    assert rms(out[middle]) / rms(x[middle]) == pytest.approx(math.sqrt(0.5), abs=0.05)  # windows are whole frames


@pytest.mark.parametrize("fps", [24, 25, 30, 50, 60, 100])
@pytest.mark.parametrize("hz", [3.0, 6.0])
def test_savgols_window_is_the_one_with_the_nearest_cut_off(fps: int, hz: float):
    """No neighbouring window lets an amplitude through that is nearer to a root of a half."""

    def gain(half: int) -> float:
        wave = np.cos(2 * np.pi * hz / fps * np.arange(-half, half + 1))
        return float(savgol_filter(wave, 2 * half + 1, 2, mode="interp")[half])

    half = _savgol_half(fps, hz)
    off = [abs(gain(h) - math.sqrt(0.5)) for h in (half - 1, half, half + 1)]
    assert off[1] == min(off)
    assert off[1] < 0.15


def test_gaussian_is_scipys_away_from_the_ends():
    x = noisy(walk(300))
    sigma = math.sqrt(math.log(2)) / (2 * math.pi * 2.0) * FPS
    reference = gaussian_filter1d(x, sigma, axis=0, truncate=math.ceil(4 * sigma) / sigma)
    assert smooth("gaussian", x, fps=FPS, hz=2.0)[40:-40] == pytest.approx(reference[40:-40], abs=1e-9)


@pytest.mark.parametrize("hz", [2.0, 6.0])
def test_savgol_is_scipys_ends_included(hz: float):
    x = noisy(walk(300))
    width = 2 * _savgol_half(FPS, hz) + 1
    assert width > 3
    reference = savgol_filter(x, width, 2, axis=0, mode="interp")
    assert smooth("savgol", x, fps=FPS, hz=hz) == pytest.approx(reference, abs=1e-9)


def test_long_curves_are_smoothed_in_parts_without_seams(monkeypatch: pytest.MonkeyPatch):
    x = noisy(walk(500))
    whole = {name: smooth(name, x, fps=FPS) for name in SMOOTHERS}
    monkeypatch.setattr("poselift.structures.smoothing._CHUNK", 1)
    for name, expected in whole.items():
        assert smooth(name, x, fps=FPS) == pytest.approx(expected, abs=1e-12)


# ---------------------------------------------------------------------- one euro
def test_one_euro_is_the_papers_frame_by_frame():
    x = noisy(walk(120, n=1))
    rate, hz, beta, speed_hz = FPS, 1.2, 4.0, 1.0

    def alpha(cut: float) -> float:
        tau, te = 1 / (2 * math.pi * cut), 1 / rate
        return 1 / (1 + tau / te)

    value, speed, expected = x[0, 0], np.zeros(3), [x[0, 0]]
    for now in x[1:, 0]:
        speed = alpha(speed_hz) * (now - value) * rate + (1 - alpha(speed_hz)) * speed
        a = alpha(hz + beta * float(np.linalg.norm(speed)))
        value = a * now + (1 - a) * value
        expected.append(value)
    assert one_euro(x, np.ones((120, 1)), rate, hz)[:, 0] == pytest.approx(np.stack(expected), abs=1e-12)


def test_one_euro_knows_no_future_and_begins_anew_after_a_long_gap():
    x, weight = noisy(walk(200)), np.ones((200, 3))
    whole = smooth("one_euro", x, fps=FPS)
    assert np.array_equal(smooth("one_euro", x[:77], fps=FPS), whole[:77])
    weight[100:140] = 0  # 0.8 s
    after = smooth("one_euro", x, fps=FPS, weight=weight)[140:]
    assert after == pytest.approx(smooth("one_euro", x[140:], fps=FPS), abs=1e-12)
