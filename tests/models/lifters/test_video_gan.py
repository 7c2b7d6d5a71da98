"""The temporal GAN's networks: parity of pose and root, and of the whole path from pixels to the loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from parity_vectors import fill_as_published, vectors
from poselift.geometry.projection import screen_intrinsics
from poselift.losses_adversarial import depth_weighted_reprojection
from poselift.models.leaky import TemporalNet
from poselift.models.lifters.video_gan import VideoGAN, VideoGANConfig
from poselift.models.roots.video_gan import VideoGANRoot, VideoGANRootConfig


def filled(model: Any, name: str) -> Any:
    fill_as_published(model.net, name)
    return model.eval()


@pytest.fixture(scope="module")
def pose() -> Any:
    return filled(VideoGAN(VideoGANConfig()), "video_gan_pose")


@pytest.fixture(scope="module")
def root() -> Any:
    return filled(VideoGANRoot(VideoGANRootConfig()), "video_gan_root")


@pytest.mark.parametrize("which", ["pose", "root"])
@torch.no_grad()
def test_parity_of_the_networks(which: str, request: pytest.FixtureRequest):
    net: nn.Module = request.getfixturevalue(which).net
    arrays = vectors(f"video_gan_{which}")
    x, y = arrays["x0"], arrays["y0"][:, None]
    assert_close(net(x), y, rtol=0, atol=2e-5)
    assert_close(net(x[:1])[0, 0], arrays["y1"], rtol=0, atol=2e-5)
    net.train()
    strided = net(x)
    net.eval()
    assert_close(strided, y, rtol=0, atol=2e-5)


@torch.no_grad()
def test_a_clip_gives_what_its_windows_give():
    torch.manual_seed(0)
    net = TemporalNet(features_in=8, features_out=3, channels=16, slope=0.01)
    x = torch.randn(2, 34, 8)
    windows = torch.stack([net(x[:, i : i + 27])[:, 0] for i in range(8)], 1)  # in training mode: strided
    assert_close(net.eval()(x), windows, rtol=0, atol=1e-5)


@torch.no_grad()
def test_parity_from_pixels_to_the_loss(pose: VideoGAN, root: VideoGANRoot):
    v = vectors("video_gan_full")
    fx, fy, cx, cy = v["x1"].float().unbind(-1)
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    K = torch.stack((fx, zero, cx, zero, fy, cy, zero, zero, one), -1).reshape(4, 3, 3)
    size, conf = torch.full((4, 2), 1000.0), torch.ones(4, 27, 17)
    K_norm = screen_intrinsics(K, size)
    seen = torch.stack((K_norm[:, 0, 0], K_norm[:, 1, 1], K_norm[:, 0, 2], K_norm[:, 1, 2]), -1)
    assert_close(seen, v["y1"], rtol=0, atol=1e-6)
    kp_norm, _ = pose.encode(v["x0"], conf, K, size)
    assert_close(kp_norm[:, :, 0], v["y0"][..., :2], rtol=0, atol=1e-6)
    p = pose.lift(v["x0"], conf, K, size)
    assert_close(p[:, 0, 1:], v["y2"], rtol=0, atol=2e-5)
    assert (p[:, 0, 0] == 0).all()
    at = root(v["x0"], conf, K)
    assert_close(at, v["y3"], rtol=0, atol=2e-5)
    absolute = (p + at[:, :, None])[:, 0]
    assert_close(absolute, v["y4"], rtol=0, atol=2e-5)
    assert_close((absolute @ K_norm.mT)[..., :2], v["y5"], rtol=0, atol=5e-5)
    middle = kp_norm[:, 13]
    assert_close(middle * absolute[..., 2:], v["y6"], rtol=0, atol=5e-5)
    assert 100 * float(depth_weighted_reprojection(absolute, middle, K_norm)) == pytest.approx(float(v["y7"]), rel=1e-5)


@torch.no_grad()
def test_a_root_for_every_frame_with_the_ends_repeated(root: VideoGANRoot):
    kp, K = 300 + 300 * torch.rand(2, 5, 17, 2), torch.eye(3).repeat(2, 1, 1)
    conf, p = torch.ones(2, 5, 17), torch.zeros(2, 5, 17, 3)
    found = root.locate(kp, conf, p, K)
    padded = torch.cat((kp[:, :1].expand(-1, 13, -1, -1), kp, kp[:, -1:].expand(-1, 13, -1, -1)), 1)
    assert_close(found, root.net((padded / 500 - 1).flatten(-2)), rtol=0, atol=1e-5)


@torch.no_grad()
def test_rays_do_not_ask_for_the_resolution_and_the_mean_is_added():
    torch.manual_seed(0)
    root = VideoGANRoot(VideoGANRootConfig(coordinates="rays", channels=16)).eval()
    kp, conf, p = 300 + 300 * torch.rand(2, 3, 17, 2), torch.ones(2, 3, 17), torch.zeros(2, 3, 17, 3)
    K = torch.tensor([[1100.0, 0, 480], [0, 1090, 410], [0, 0, 1]]).repeat(2, 1, 1)
    found: Tensor = root.locate(kp, conf, p, K)
    twice = K * torch.tensor([[2.0], [2.0], [1.0]])
    assert_close(root.locate(kp * 2, conf, p, twice), found, rtol=0, atol=1e-5)
    root.set_statistics(mean_root=torch.tensor((0.1, -0.4, 5.0)))
    assert_close(root.locate(kp, conf, p, K) - found, torch.tensor((0.1, -0.4, 5.0)).expand(2, 3, 3))
