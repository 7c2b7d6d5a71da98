"""RepNet's lifter: parity of generator, camera and reprojection; both published forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from parity_vectors import fill_as_published, vectors
from poselift.errors import InputError
from poselift.geometry.projection import weak_perspective
from poselift.geometry.rotations import random_matrix
from poselift.losses_adversarial import camera_loss
from poselift.models.lifters.repnet import FLAVOURS, ORIGINAL_JOINTS, RepNet, RepNetConfig, camera_rotation

SMALL = RepNetConfig(width=16)


def seen_from(relative: torch.Tensor) -> torch.Tensor:
    """kp_norm (b, 1, 17, 2) of people whose joints stand so relative to the pelvis, itself somewhere in the image."""
    pelvis = torch.tensor((0.25, -0.125))
    return torch.cat((pelvis.expand(len(relative), 1, 2), relative + pelvis), 1)[:, None]


def test_parity():
    """Names, shapes, size, outputs of both branches and reprojection, through the network and through the lifter."""
    arrays, camera = vectors("repnet_generator"), vectors("repnet_camera")
    lifter = RepNet(RepNetConfig()).eval()
    net = lifter.net
    fill_as_published(net, "repnet_generator")
    with torch.no_grad():
        y = net(arrays["x0"])
        assert_close(y, arrays["y0"], rtol=0, atol=5e-5)
        assert_close(net(camera["x0"])[:, 48:], camera["y0"], rtol=0, atol=5e-5)
        assert_close(camera_loss(net(camera["x0"])[:, 48:].view(-1, 3, 2)), camera["y1"], rtol=0, atol=1e-5)

        kp_norm = seen_from(arrays["x0"].view(-1, 16, 2))
        seen, pose, M = lifter.pose_and_camera(kp_norm)
        assert_close(seen[:, 0], arrays["x0"].view(-1, 16, 2), rtol=0, atol=1e-6)
        assert_close(pose[:, 0].flatten(1), arrays["y0"][:, :48], rtol=0, atol=5e-5)
        reprojected = weak_perspective(pose, M)[:, 0].flatten(1)
        assert_close(reprojected, arrays["y1"], rtol=1e-5, atol=2e-4)
        p = lifter(kp_norm)[:, 0]
        assert torch.equal(p[:, 1:], pose[:, 0])
        assert (p[:, 0] == 0).all()


def test_the_published_normalisation():
    """Pixel / 1000 · 2 - 1, minus the pelvis."""
    lifter = RepNet(SMALL)
    kp = 300 + 400 * torch.rand(2, 1, 17, 2)
    size = torch.full((2, 2), 1000.0)
    kp_norm, _ = lifter.encode(kp, torch.ones(2, 1, 17), torch.eye(3).repeat(2, 1, 1), size)
    want = kp / 1000 * 2 - 1
    assert_close(lifter.relative(kp_norm), (want - want[:, :, :1])[:, :, 1:], rtol=0, atol=1e-6)


def test_missing_joints_are_at_the_root_and_a_missing_root_is_the_middle():
    lifter, kp_norm = RepNet(SMALL), torch.rand(2, 1, 17, 2) + 0.1
    kp_norm[0, 0, 5], kp_norm[1, 0, 0] = 0, 0
    x = lifter.relative(kp_norm)
    assert (x[0, 0, 4] == 0).all()
    assert_close(x[0, 0, 0], kp_norm[0, 0, 1] - kp_norm[0, 0, 0])
    assert_close(x[1, 0], kp_norm[1, 0, 1:] - kp_norm[1, 0, 1:].mean(0))


def test_the_originals_normalisation_and_layout():
    """Minus the mean, divided by the deviation of all 32 numbers of the pose, y upwards, x1 … x16 y1 … y16."""
    lifter = RepNet(replace(FLAVOURS["original"], width=16))
    kp_norm = torch.rand(3, 1, 17, 2) + 0.1
    x = kp_norm[:, 0, [lifter.skeleton.index(n) for n in ORIGINAL_JOINTS]]
    x = x - x.mean(1, keepdim=True)
    x = x / x.flatten(1).std(1, correction=0)[:, None, None]
    want = torch.cat((x[..., 0], -x[..., 1]), -1)
    assert_close(lifter.flat(lifter.relative(kp_norm))[:, 0], want, rtol=1e-5, atol=1e-6)
    _, pose, _ = lifter.pose_and_camera(kp_norm)
    assert_close(lifter.net(want)[:, :48].view(3, 3, 16).mT, pose[:, 0])


def test_the_original_gives_the_pose_along_camera_axes():
    """Whatever template axes the network has: a pose turned, and the camera with it, gives the same."""
    R = random_matrix(5, generator=torch.Generator().manual_seed(1))
    M = (
        R[:, :2].mT * torch.tensor([0.7, 0.9, 1.0, 1.3, 2.0])[:, None, None]
    )  # pose · M: the first two rows of R, scaled
    assert_close(camera_rotation(M, y_up=False), R)
    turned = camera_rotation(M * torch.tensor((1.0, -1.0)), y_up=True)
    assert_close(turned, R)
    skewed = camera_rotation(torch.randn(64, 3, 2, generator=torch.Generator().manual_seed(2)), y_up=True)
    assert_close(skewed @ skewed.mT, torch.eye(3).expand(64, 3, 3), rtol=0, atol=1e-4)
    assert (torch.linalg.det(skewed) > 0).all()

    lifter = RepNet(replace(FLAVOURS["original"], width=16)).eval()
    kp_norm = torch.rand(4, 2, 17, 2) + 0.1
    with torch.no_grad():
        _, pose, M = lifter.pose_and_camera(kp_norm)
        p = lifter(kp_norm)
    x_y = weak_perspective(pose - pose[..., 6:7, :], torch.nn.functional.normalize(M, dim=-2))
    s = lifter.skeleton
    exact = camera_rotation(M, y_up=True)
    for n in ("r_knee", "head_top", "l_wrist"):
        k = ORIGINAL_JOINTS.index(n)
        assert_close(p[..., s.index(n), :], ((pose[..., k, :] - pose[..., 6, :])[..., None, :] @ exact.mT)[..., 0, :])
    assert x_y.shape == (4, 2, 16, 2)
    spine = (p[..., s.index("pelvis"), :] + p[..., s.index("thorax"), :]) / 2
    assert_close(p[..., s.index("spine"), :], spine)
    assert not lifter.only_in_losses


def test_configs_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="flavour of RepNet"):
        RepNetConfig.flavour_of("keras")
    for config in (
        replace(SMALL, joints=("r_hip", "r_hip")),
        replace(SMALL, joints=("neck",)),
        replace(SMALL, width=0),
    ):
        with pytest.raises(InputError):
            RepNet(config)
