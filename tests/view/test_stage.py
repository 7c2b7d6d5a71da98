from __future__ import annotations

import numpy as np
import pytest

from poselift.view.ground import fit_floor, foot_points, level
from poselift.view.stage import Stage
from view import scenes


def test_a_posed_camera_gives_the_world():
    c = scenes.clip(posed=True)
    stage = Stage.of([c])
    assert stage.gravity_known
    assert stage.ground == 0
    np.testing.assert_allclose(stage.figures[0], scenes.walker().p_world, atol=1e-4)
    np.testing.assert_allclose(stage.T_view_cam[:3, 3], (0, -5, 2), atol=1e-6)


def test_without_gravity_the_feet_tell_where_up_is():
    stage = Stage.of([scenes.clip(120)])
    assert not stage.gravity_known
    assert np.degrees(stage.tilt) == pytest.approx(scenes.PITCH_DEG, abs=1.0)
    p = stage.figures[0]
    soles = foot_points(p, scenes.H36M)[:, 2]
    assert np.abs(soles - stage.ground).max() < 0.03
    head, foot = scenes.H36M.indices("head_top", "r_hip")
    assert (p[:, head, 2] > p[:, foot, 2] + 0.6).all()
    assert stage.T_view_cam[2, 2] == pytest.approx(-np.sin(stage.tilt), abs=0.02)  # the camera looks down


def test_a_jump_does_not_tilt_the_floor():
    p = np.random.default_rng(0).normal(size=(300, 3)) * (1, 1, 0.01)
    p[100:140, 2] += 0.5
    a, b, c = fit_floor([p], 30, tilted=True)
    assert np.hypot(a, b) < 0.01
    assert c == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.15, -0.1), (-0.3, 0.0)])
def test_level_makes_a_slope_level(slope):
    a, b = slope
    r = level(a, b)
    xy = np.random.default_rng(1).normal(size=(50, 2))
    plane = np.column_stack([xy, xy @ slope]) @ r.T
    assert np.ptp(plane[:, 2]) < 1e-9
    np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(r) == pytest.approx(1)


def test_a_wild_slope_is_not_believed():
    xy = np.random.default_rng(2).normal(size=(300, 2)) * 3
    assert fit_floor([np.column_stack([xy, xy[:, 0]])], 30, tilted=True)[:2] == (0.0, 0.0)


def test_people_without_a_root_stand_side_by_side():
    clips = [scenes.clip(20).replace(root_cam=None, track_id=i) for i in range(3)]
    stage = Stage.of(clips)
    roots = np.array([p[0, 0] for p in stage.figures])
    assert stage.placed
    assert np.diff(roots[:, 0]).min() > 1
    np.testing.assert_allclose(stage.figures[0][:, 0], np.tile(roots[0], (20, 1)), atol=1e-6)


def test_truth_stands_where_the_clips_stand():
    c = scenes.clip(90)
    stage = Stage.of([c])
    np.testing.assert_allclose(stage.of_truth([c], [c])[0], stage.figures[0], atol=1e-9)
    lonely = c.replace(root_cam=None)
    stage = Stage.of([lonely])
    np.testing.assert_allclose(stage.of_truth([c], [lonely])[0][0], stage.figures[0][0], atol=1e-6)


@pytest.mark.parametrize("start", [(0.0, 0.0), (-4.0, 9.0)])
def test_the_viewpoint_sees_everybody(start):
    clips = [scenes.clip(60, start=start), scenes.clip(60, start=(1.5, 0.0))]
    stage = Stage.of(clips)
    eye, target = stage.viewpoint(clips, fov_deg=40, aspect=1.1)
    look = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(look, (0, 0, 1))
    right /= np.linalg.norm(right)
    v = np.concatenate([p.reshape(-1, 3) for p in stage.figures]) - eye
    z, tan = v @ look, np.tan(np.radians(20))
    inside = (np.abs(v @ right) < z * tan * 1.1) & (np.abs(v @ np.cross(right, look)) < z * tan)
    assert inside.mean() > 0.995
    assert eye[2] > stage.ground


def test_a_clip_in_which_nobody_is_seen_still_has_a_stage():
    stage = Stage.of([scenes.hide(scenes.clip(10), 0, 10)])
    assert np.isfinite(stage.ground)


def test_a_guessed_foot_is_no_floor():
    """Legs that nobody saw do not say where the floor is: those of another person do, and without any there is none."""
    whole = scenes.clip(40)
    conf = whole.confidence.copy()
    conf[:, scenes.H36M.indices("l_ankle", "r_ankle")] = 0
    assert whole.p_root is not None
    p = whole.p_root.copy()
    p[:, scenes.H36M.indices("l_ankle", "r_ankle"), 1] += 0.4  # guessed much too low
    half = whole.replace(conf=conf, p_root=p, track_id=1)
    assert not Stage.of([half]).feet_seen
    both, alone = Stage.of([whole, half]), Stage.of([whole])
    assert both.feet_seen
    assert both.ground == pytest.approx(alone.ground, abs=0.01)
    assert both.tilt == pytest.approx(alone.tilt, abs=0.01)


def test_only_the_foot_that_was_seen_counts():
    p = scenes.walker(3).p_world.astype(float)
    left, right = scenes.H36M.indices("l_ankle", "r_ankle")
    p[:, right, 2] -= 0.5
    seen = np.ones(p.shape[:2], bool)
    assert foot_points(p, scenes.H36M, seen)[:, 2] == pytest.approx(p[:, right, 2] - 0.08)
    seen[:, right] = False
    seen[2, left] = False
    assert foot_points(p, scenes.H36M, seen)[:, 2] == pytest.approx(p[:2, left, 2] - 0.08)
