"""Cuts in a recording: found between different views, and not where light, noise or a pan change the picture."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from poselift.video.cuts import Cuts


def view(seed: int, size: tuple[int, int] = (180, 640)) -> np.ndarray:
    """Something like a scene: soft shapes of all sizes and colours, (h, w, 3) from 0 to 1."""
    rng = np.random.default_rng(seed)
    scene = np.sum([gaussian_filter(rng.normal(size=(*size, 3)), (s, s, 0)) * s for s in (4, 12, 40)], 0)
    scene = scene - scene.min()
    return scene / scene.max()


def as_frame(scene: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.02, scene.shape)
    return (255 * np.clip(scene + noise, 0, 1)).astype(np.uint8)


def cuts(frames: list[np.ndarray]) -> list[int]:
    look = Cuts()
    return [i for i, frame in enumerate(frames) if look.look(frame)]


@pytest.mark.parametrize("seed", range(6))
def test_every_change_of_view_is_a_cut(seed: int):
    """Also the first frame that could be one, and two in a row."""
    order = [0, 1, 1, 1, 1, 2, 3, 3, 3, 3, 0, 0]
    frames = [as_frame(view(10 * seed + k)[:, :320], i) for i, k in enumerate(order)]
    assert cuts(frames) == [1, 5, 6, 10]


def test_light_and_noise_are_no_cuts():
    scene = view(1)[:, :320]
    light = [1, 1, 1, 0.4, 0.4, 1, 1, 0.7, 0.2, 1]  # a lamp that flickers
    assert cuts([as_frame(scene * k, i) for i, k in enumerate(light)]) == []


@pytest.mark.parametrize("speed", [3, 10, 40])
def test_a_pan_is_no_cut(speed: int):
    """Up to an eighth of the picture's width from one frame to the next, which at first may look like a cut."""
    scene = view(2, (180, 2400))
    found = cuts([as_frame(scene[:, a : a + 320], a) for a in range(0, 2000, speed)])
    assert found == [1] if speed == 40 else not found


def test_black_frames_and_sizes():
    black = np.zeros((90, 160, 3), np.uint8)
    a, b = (as_frame(view(k)[:, :320]) for k in (5, 6))
    dark = np.zeros_like(a)
    assert cuts([a, a, dark, dark, a, a]) == []  # a flash
    assert cuts([a, a, dark, dark, b, b]) == [4]
    assert cuts([black, black, black]) == []
    assert cuts([np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8), black]) == []
