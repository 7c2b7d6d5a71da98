"""Smoothing after lifting: what a user gets by `lift(..., smooth=...)`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flat_lifter import CAMERA, Flat, root, save_keypoints, walking_clip, with_gap
from poselift.errors import InputError
from poselift.formats import read
from poselift.pipeline import spool
from poselift.pipeline.lift import lift
from poselift.pipeline.smooth import SMOOTHED, Smoothing
from poselift.structures import Clip
from poselift.structures.smoothing import SMOOTHERS


def shaky(t: int = 60) -> Clip:
    clip = walking_clip(t)
    return clip.replace(kp_img=clip.kp_img + np.random.default_rng(0).normal(0, 3, clip.kp_img.shape))


def jerk(clip: Clip) -> float:
    assert clip.p_cam is not None
    return float(np.abs(np.diff(clip.p_cam, 2, axis=0)).mean())


@pytest.mark.parametrize("name", sorted(SMOOTHERS))
def test_lift_smooths_poses_and_roots_and_says_so(name: str):
    (plain,) = lift(shaky(), model=Flat()).clips
    lifted = lift(shaky(), model=Flat(), smooth=name)
    (clip,) = lifted.clips
    assert jerk(clip) < 0.6 * jerk(plain)
    assert np.array_equal(clip.kp_img, plain.kp_img)
    assert clip.p_root is not None
    assert (clip.p_root[:, clip.skeleton.root] == 0).all()
    assert clip.meta[SMOOTHED] == f"{name} {SMOOTHERS[name].hz:g} Hz"
    assert any(f"smoothed over time ({name}" in note for note in lifted.notes)
    assert SMOOTHED not in plain.meta
    (again,) = lift(clip, model=Flat()).clips
    assert SMOOTHED not in again.meta, "lifted anew, and not smoothed"
    assert jerk(lift(shaky(), model=Flat(), smooth=name, smooth_hz=0.8).clips[0]) < jerk(clip)


def test_nothing_is_smoothed_across_a_gap_and_its_poses_lead_from_end_to_end():
    gap = slice(25, 35)
    clip = with_gap(shaky(), gap.start, gap.stop)
    (plain,) = lift(clip, model=Flat(), camera=CAMERA).clips
    (clip,) = lift(clip, model=Flat(), camera=CAMERA, smooth="gaussian").clips
    (alone,) = lift(shaky()[: gap.start], model=Flat(), camera=CAMERA, smooth="gaussian").clips
    assert root(clip)[: gap.start] == pytest.approx(root(alone), abs=1e-4)
    assert (clip.confidence[gap] == 0).all()
    ends = root(clip)[[gap.start - 1, gap.stop]]
    led = ends[0] + (ends[1] - ends[0]) * (np.arange(1, 11) / 11)[:, None]
    assert root(clip)[gap] == pytest.approx(led, abs=1e-6)
    assert np.abs(root(plain)[gap] - led).max() > 1e-5, "the ends have moved, and the gap with them"


def test_files_hold_the_smoothed_poses_of_large_inputs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spool, "LARGE_BYTES", 0)
    file = save_keypoints(tmp_path / "people.npz", [shaky()])
    lifted = lift(file, model=Flat(), out=tmp_path / "out", formats=["npz"], smooth="savgol", batch=11)
    (memory,) = lift(file, model=Flat(), smooth="savgol").clips
    (written,) = read(lifted.files["npz"][0])
    assert written.p_cam is not None
    assert memory.p_cam is not None
    assert written.p_cam == pytest.approx(memory.p_cam, abs=1e-4)


def test_unknown_smoothers_and_cut_offs_are_refused(tmp_path: Path):
    def refused(message: str, **options: object) -> None:
        with pytest.raises(InputError, match=message):
            lift(walking_clip(5), model=Flat(), out=tmp_path / "out", **options)  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()

    refused("savgol", smooth="savgoll")
    refused("smooth_hz: expected a positive number, found 0", smooth="savgol", smooth_hz=0.0)
    refused("smooth_hz: expected none without a smoother", smooth_hz=3.0)


def test_a_clip_that_was_not_lifted_stays_as_it_is():
    clip = walking_clip(5)
    assert Smoothing("savgol")(clip) is clip
