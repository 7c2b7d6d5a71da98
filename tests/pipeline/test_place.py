"""The absolute root: exact where the pose fits, robust against wrong keypoints, never behind the camera."""

from __future__ import annotations

import torch

from poselift.geometry.projection import project
from poselift.pipeline.place import NEAREST_M, place_root

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
