from __future__ import annotations

import numpy as np
import pytest

from poselift.structures import SKELETONS
from poselift.view import figure
from poselift.view.palette import side_of, track_colours
from view import scenes


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    w, u = q[..., :1], q[..., 1:]
    return v + 2 * np.cross(u, np.cross(u, v) + w * v)


def test_rods_reach_from_parent_to_child():
    p = np.random.default_rng(0).normal(size=(7, 17, 3))
    p[0, 1] = p[0, 0] - (0, 0, 0.4)  # straight down
    p[1, 1] = p[1, 0]  # no length
    start, q, scale = figure.bone_transforms(p, scenes.H36M, figure.rod_radii(scenes.H36M))
    child, parent = np.array(scenes.H36M.bones).T
    tip = start + rotate(q, np.array([0, 0, 1.0]) * scale[..., 2:])
    np.testing.assert_allclose(start, p[:, parent], atol=1e-12)
    np.testing.assert_allclose(tip, p[:, child], atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(q, axis=-1), 1, atol=1e-12)


@pytest.mark.parametrize("shape", ["ball", "rod"])
def test_meshes_face_outwards(shape):
    v, f = getattr(figure, shape)()
    a, b, c = (v[f[:, i]] for i in range(3))
    middle = (a + b + c) / 3 * ((1, 1, 0) if shape == "rod" else (1, 1, 1))
    assert ((np.cross(b - a, c - a) * middle).sum(-1) > 0).all()
    if shape == "ball":  # closed: each edge in both directions
        edges = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]]).tolist()
        assert {tuple(e) for e in edges} == {(j, i) for i, j in edges}
        np.testing.assert_allclose(np.linalg.norm(v, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", SKELETONS)
def test_every_skeleton_has_a_body(name):
    s = SKELETONS[name]
    bones, joints = figure.colours_of(s, track_colours(1)[0])
    assert bones.shape == (len(s.bones), 3)
    assert joints.shape == (len(s), 3)
    assert (figure.rod_radii(s) > 0).all()
    assert (figure.ball_sizes(s) > 0).all()
    left, right = side_of(s, s.left[0]), side_of(s, s.right[0])
    assert (left, right) == ("l", "r")
    assert (joints[s.left[0]] != joints[s.right[0]]).any()


def test_snapping_moves_nothing_that_anyone_sees():
    x = np.random.default_rng(0).normal(size=1000) * 20
    assert np.abs(figure.snap(x) - x).max() < 0.0003


def test_several_people_have_colours_of_their_own():
    colours = track_colours(8)
    assert len({c.trunk for c in colours}) == 8
    assert all(len({*c}) == 3 for c in colours)
    assert len(track_colours(100)) == 100
