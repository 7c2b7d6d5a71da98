"""The absolute root: exact where the pose fits, robust against wrong keypoints, never behind the camera."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poselift.geometry.projection import project
from poselift.pipeline.place import NEAREST_M, place_root, steady_reach, steady_root

K = torch.tensor([[1000.0, 0, 640], [0, 1000, 360], [0, 0, 1]])


def scene(t: int = 200, seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    p = torch.randn(t, 17, 3, generator=g) * 0.4
    p[:, 0] = 0
    low = torch.tensor([-1.0, -1.0, 3.0])
    root = low + torch.rand(t, 3, generator=g) * torch.tensor([2.0, 2.0, 6.0])
    kp = project(p + root[:, None], K)
    return kp, torch.ones(t, 17), p, root


def test_exact_for_a_pose_that_fits():
    kp, conf, p, root = scene()
    found = place_root(kp, conf, p, K.expand(len(kp), 3, 3))
    assert (found - root).norm(dim=-1).max() < 2e-3  # metres, float32 pixels


def test_missing_joints_have_no_say():
    kp, conf, p, root = scene()
    conf[:, 5:12] = 0
    kp[:, 5:12] = 1e6
    found = place_root(kp, conf, p, K.expand(len(kp), 3, 3))
    assert (found - root).norm(dim=-1).max() < 5e-3


def test_one_wrong_keypoint_does_not_pull():
    from poselift.geometry.roots import root_least_squares

    kp, conf, p, root = scene()
    kp = kp + torch.randn(kp.shape, generator=torch.Generator().manual_seed(1)) * 1.0
    kp[:, 4] += torch.tensor([150.0, -80.0])
    plain = (root_least_squares(kp, p, K, conf) - root).norm(dim=-1).median()
    robust = (place_root(kp, conf, p, K.expand(len(kp), 3, 3)) - root).norm(dim=-1).median()
    assert robust < 0.15
    assert robust < plain / 5


def test_always_in_front_of_the_camera_and_finite():
    kp, conf, p, _ = scene()
    wild = torch.cat(
        (p * torch.tensor([-1.0, -1.0, 1.0]), p * 0)
    )  # mirrored through the root: least squares puts it behind
    kp, conf = kp.repeat(2, 1, 1), conf.repeat(2, 1)
    conf[7] = 0  # nobody
    conf[8, 1:] = 0  # one joint
    kp[9] = kp[9, :1]  # all joints in one place
    found = place_root(kp, conf, wild, K.expand(len(kp), 3, 3))
    assert torch.isfinite(found).all()
    assert ((wild[..., 2] + found[:, None, 2]).amin(-1) > NEAREST_M * 0.99).all()


def test_distance_scales_with_the_focal_length():
    kp, conf, p, _ = scene(20)
    p = p * torch.tensor([1.0, 1.0, 0.0])  # flat: weak perspective is exact
    far = K.clone()
    far[0, 0] = far[1, 1] = 2000
    near = place_root(kp, conf, p, K.expand(20, 3, 3))
    assert torch.allclose(place_root(kp, conf, p, far.expand(20, 3, 3))[:, 2], 2 * near[:, 2], rtol=0.05)


def trembling(t: int = 200, sd: float = 0.08) -> tuple[np.ndarray, np.ndarray]:
    """Somebody who walks away to the right, and the same with a depth that trembles along the ray."""
    rng = np.random.default_rng(0)
    s = np.linspace(0, 4, t)[:, None]
    true = np.concatenate([0.8 * s - 1, 0.1 + 0 * s, 4 + 0.5 * s], 1)
    return true.astype(np.float32), (true * (1 + sd * rng.normal(size=(t, 1)))).astype(np.float32)


def test_steady_roots_do_not_tremble_and_go_where_the_person_goes():
    true, noisy = trembling()
    steady = steady_root(noisy, np.ones(200, bool), 50.0)
    before, after = (np.linalg.norm(np.diff(x - true, axis=0), axis=-1).mean() for x in (noisy, steady))
    assert after < 0.06 * before
    assert np.abs(steady - true).max() < 0.5 * np.abs(noisy - true).max()
    ray = steady[:, :2] / steady[:, 2:]
    assert np.allclose(ray[10:-10], (true[:, :2] / true[:, 2:])[10:-10], atol=1e-3)
    assert np.allclose(steady_root(true, np.ones(200, bool), 50.0), true, atol=5e-3)


def test_unseen_frames_pull_no_other_and_stay():
    _, noisy = trembling()
    seen = np.ones(200, bool)
    seen[80:90] = False
    wrong = noisy.copy()
    wrong[80:90] = (np.nan, 50, -3)
    a, b = (steady_root(x, seen, 50.0) for x in (noisy, wrong))
    assert np.array_equal(a[seen], b[seen])
    assert np.array_equal(b[80:90], wrong[80:90], equal_nan=True)


@pytest.mark.parametrize("fps", [1.0, 24.0, 240.0])
def test_steady_roots_look_no_further_than_they_say(fps: float):
    _, noisy = trembling(500)
    reach, seen = steady_reach(fps), np.ones(500, bool)
    moved = noisy.copy()
    moved[: 250 - reach] += 1
    a, b = (steady_root(x, seen, fps) for x in (noisy, moved))
    assert np.allclose(a[250:], b[250:], atol=1e-6)
    if fps > 1:
        assert not np.allclose(a[250 - reach :], b[250 - reach :], atol=1e-6)
