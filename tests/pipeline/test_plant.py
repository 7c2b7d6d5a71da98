"""Planted feet: a real walk whose feet are made to slide, and what `lift(..., plant_feet=True)` gives."""

from __future__ import annotations

import numpy as np
import pytest

from flat_lifter import Flat, walking_clip
from poselift.data import cmu17
from poselift.pipeline.lift import lift
from poselift.pipeline.plant import PLANTED, PlantFeet
from poselift.structures import Clip

ANKLES = ("l_ankle", "r_ankle")


@pytest.fixture(scope="module")
def true() -> Clip:
    """Walking, 50 frames a second, through a camera whose place is known."""
    motion = next(m for m in cmu17.load_motions(None, "validation") if m.subject == "cmu08")
    return cmu17.views([motion], noise=False)[0]


def sliding(true: Clip, mm: float = 40.0) -> Clip:
    """The walk with a root that wanders and legs that tremble slowly."""
    rng, t = np.random.default_rng(0), np.arange(len(true))
    wander = sum(np.sin(t[:, None] / 50 * f + rng.uniform(0, 6, 3)) * mm / 1000 / 2 for f in (3, 7, 11))
    assert true.p_root is not None
    assert true.root_cam is not None
    legs = np.zeros_like(true.p_root)
    for k, joint in enumerate(ANKLES):
        legs[:, true.skeleton.index(joint)] = 0.01 * np.sin(t[:, None] / 50 * 12 + k + np.arange(3))
    return true.replace(root_cam=true.root_cam + wander, p_root=true.p_root + legs)


def slide(clip: Clip, true: Clip) -> float:
    """Millimetres per frame along the floor while the true ankle moves less than 6 mm per frame near the floor."""
    p, q = clip.p_world, true.p_world
    assert p is not None
    assert q is not None
    at = true.skeleton.indices(*ANKLES)
    still = np.linalg.norm(np.diff(q[:, at], axis=0), axis=-1) < 0.006
    assert still.sum() > 20
    return float(np.linalg.norm(np.diff(p[:, at, :2], axis=0), axis=-1)[still].mean() * 1000)


def bones(clip: Clip) -> np.ndarray:
    assert clip.p_root is not None
    child, parent = np.array(clip.skeleton.bones).T
    return np.linalg.norm(clip.p_root[:, child] - clip.p_root[:, parent], axis=-1)


def test_feet_stop_sliding_and_bones_keep_their_lengths(true: Clip) -> None:
    before = sliding(true)
    (after,) = PlantFeet()([before])
    assert after.meta[PLANTED] >= 2
    assert slide(after, true) < 0.5 * slide(before, true)
    np.testing.assert_allclose(bones(after), bones(before), atol=2e-5)
    assert after.p_cam is not None
    assert before.p_cam is not None
    assert true.p_cam is not None
    assert (
        np.linalg.norm(after.p_cam - true.p_cam, axis=-1).mean()
        < np.linalg.norm(before.p_cam - true.p_cam, axis=-1).mean()
    )
    assert (after.p_root[:, after.skeleton.root] == 0).all()  # type: ignore[index]
    upper = [k for k, n in enumerate(true.skeleton.joints) if not n.endswith(("knee", "ankle"))]
    np.testing.assert_allclose(after.p_root[:, upper], before.p_root[:, upper], atol=1e-5)  # type: ignore[index]
    np.testing.assert_array_equal(after.kp_img, before.kp_img)
    jumps = np.abs(np.diff(after.p_cam, 2, axis=0)).max()
    assert jumps < 2 * np.abs(np.diff(before.p_cam, 2, axis=0)).max() + 0.02, "it blends in and out"


def test_good_motion_hardly_changes_and_the_camera_need_not_know_its_place(true: Clip) -> None:
    for clip in (true, true.replace(camera=None)):
        (after,) = PlantFeet()([clip])
        assert after.p_cam is not None
        assert true.p_cam is not None
        assert np.linalg.norm(after.p_cam - true.p_cam, axis=-1).mean() < 0.02


def test_frames_nobody_saw_are_no_contacts_and_nothing_to_do_is_nothing_done(true: Clip) -> None:
    conf = np.zeros_like(true.confidence)
    conf[0] = 1
    for clip in (true.replace(conf=conf), true[:2]):
        (after,) = PlantFeet()([clip])
        np.testing.assert_allclose(after.p_cam, clip.p_cam, atol=1e-6)  # type: ignore[arg-type]
    rootless, unlifted = true.replace(root_cam=None), true.replace(p_root=None, root_cam=None)
    assert PlantFeet()([rootless, unlifted]) == [rootless, unlifted]


def test_lift_plants_after_smoothing_and_says_so() -> None:
    plain = lift(walking_clip(40), model=Flat(), smooth="savgol")
    lifted = lift(walking_clip(40), model=Flat(), smooth="savgol", plant_feet=True)
    assert PLANTED in lifted.clips[0].meta
    assert PLANTED not in plain.clips[0].meta
    assert any("planted" in note for note in lifted.notes)
    assert any("smoothed" in note for note in lifted.notes)
    (again,) = lift(lifted.clips[0], model=Flat()).clips
    assert PLANTED not in again.meta
