from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from poselift.errors import InputError
from poselift.models.base import Lifter, LifterConfig, to_camera, to_look
from poselift.models.input_frames import INPUT_FRAMES, input_frame
from poselift.structures import SKELETONS

J = 17


def person(n: int = 4, t: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keypoints (n, t, 17, 2) of people here and there in a 1920 x 1080 picture, conf, K, size."""
    g = torch.Generator().manual_seed(seed)
    kp = torch.tensor((960.0, 540.0)) + 300 * torch.randn(n, t, 1, 2, generator=g)
    kp = kp + 60 * torch.randn(n, t, J, 2, generator=g)
    conf = 0.3 + 0.7 * torch.rand(n, t, J, generator=g)
    K = torch.tensor([[1400.0, 0, 959.5], [0, 1400, 539.5], [0, 0, 1]]).repeat(n, 1, 1)
    return kp, conf, K, torch.tensor((1920.0, 1080.0)).repeat(n, 1)


@pytest.mark.parametrize("name", INPUT_FRAMES)
@pytest.mark.parametrize("confidence", [False, True])
def test_channels_and_missing_joints(name: str, confidence: bool):
    frame = input_frame(name, joints=J, confidence=confidence)
    kp, conf, K, size = person()
    conf[0, 0, 3] = 0
    kp[0, 0, 3] = float("nan")
    conf[1, 1] = 0
    kp_norm, R = frame(kp, conf, K, size)
    assert kp_norm.shape == (4, 3, J, frame.channels) == (4, 3, J, 2 + confidence)
    assert torch.isfinite(kp_norm).all()
    assert (kp_norm[0, 0, 3] == 0).all()
    assert (kp_norm[1, 1] == 0).all()
    if confidence:
        assert torch.equal(kp_norm[..., 2], conf)
    assert (R is None) == (name != "look_at")


@pytest.mark.parametrize("name", INPUT_FRAMES)
def test_mirrored_picture_has_mirrored_input(name: str):
    frame = input_frame(name, joints=J)
    frame.set_statistics(torch.tensor((959.5, 500.0)).repeat(J, 1), torch.tensor((200.0, 180.0)).repeat(J, 1))
    kp, conf, K, size = person()
    a, _ = frame(kp, conf, K, size)
    b, _ = frame(frame.mirror(kp, K, size), conf, K, size)
    assert torch.allclose(b, a * torch.tensor((-1.0, 1.0)), atol=2e-5)


def test_pixels_are_standardised():
    frame = input_frame("pixels", joints=J)
    kp, conf, K, size = person(200, 1)
    flat = kp.flatten(0, 1)
    frame.set_statistics(flat.mean(0), flat.std(0, correction=0))
    out, _ = frame(kp, conf, K, size)
    assert out.mean((0, 1)).abs().max() < 1e-5
    assert torch.allclose(out.flatten(0, 1).std(0, correction=0), torch.ones(J, 2), atol=1e-5)


def test_screen_maps_the_width():
    kp = torch.zeros(1, 1, J, 2)
    kp[0, 0, 1] = torch.tensor((1920.0, 1080.0))
    out, _ = input_frame("screen", joints=J)(kp, torch.ones(1, 1, J), *person(1)[2:])
    assert torch.allclose(out[0, 0, :2], torch.tensor([[-1.0, -0.5625], [1.0, 0.5625]]))


def test_look_at_aims_at_the_box_and_fills_it():
    kp, conf, K, size = person()
    conf[:, :, 5] = 0
    kp[:, :, 5] = 1e6
    kp_norm, R = input_frame("look_at", joints=J)(kp, conf, K, size)
    assert R is not None
    seen = kp_norm[:, :, [j for j in range(J) if j != 5]]
    low, high = seen.amin(2), seen.amax(2)
    assert (low + high).abs().max() < 1e-5
    assert torch.allclose((high - low).amax(-1), torch.full((4, 3), 2.0), atol=1e-5)
    ray = (kp[:, :, [j for j in range(J) if j != 5]] - K[:, None, None, :2, 2]) / 1400
    middle = (ray.amin(2) + ray.amax(2)) / 2
    aimed = (R @ torch.cat((middle, torch.ones(4, 3, 1)), -1)[..., None])[..., 0]
    assert aimed[..., :2].abs().max() < 1e-6
    assert (aimed[..., 2] > 0).all()
    assert R[..., 0, 1].abs().max() < 1e-6, "x of the look camera must stay level in the camera"


def test_look_at_sees_rays_not_pixels():
    kp, conf, K, size = person()
    frame = input_frame("look_at", joints=J, scale_feature=True)
    zoomed = K.clone()
    zoomed[:, :2] *= 2.5
    a, b = frame(kp, conf, K, size)[0], frame(kp * 2.5, conf, zoomed, size)[0]
    assert torch.allclose(a, b, atol=1e-5)
    assert not torch.allclose(a, frame(kp, conf, zoomed, size)[0], atol=1e-3), "K must matter"


def test_look_at_hardly_cares_where_a_small_person_stands():
    """A pose rotated around the camera's vertical axis gives the same input and the same root-relative target."""
    frame = input_frame("look_at", joints=J)
    _, conf, K, size = person(1, 1)
    p = torch.randn(1, 1, J, 3, generator=torch.Generator().manual_seed(1)) * 0.15 + torch.tensor((0.0, 0.3, 12.0))
    c, s = math.cos(0.5), math.sin(0.5)
    yaw = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])

    def seen(p: Tensor) -> tuple[Tensor, Tensor]:
        kp = p[..., :2] / p[..., 2:] * 1400 + K[0, :2, 2]
        kp_norm, R = frame(kp, conf, K, size)
        assert R is not None
        return kp_norm, to_look(p - p[..., :1, :], R)

    (kp_a, p_a), (kp_b, p_b) = seen(p), seen(p @ yaw.mT)
    assert (kp_a - kp_b).abs().max() < 0.03
    assert (p_a - p_b).abs().max() < 0.003
    assert (p @ yaw.mT - p).abs().max() > 1


def test_scale_feature():
    frame = input_frame("look_at", joints=J, confidence=True, scale_feature=True)
    kp, conf, K, size = person(1, 2)
    kp[0, 0] = torch.tensor((959.5, 539.5))
    kp[0, 0, 1] += torch.tensor((140.0, 0.0))
    kp[0, 0, 2] += torch.tensor((-140.0, 7.0))
    conf[0, 1] = 0
    out = frame(kp, conf, K, size)[0]
    assert out.shape[-1] == 4
    assert torch.allclose(out[0, 0, :, 3], torch.full((J,), math.log(0.2)), atol=1e-4)
    assert (out[0, 1] == 0).all()


def test_one_joint_and_rays_far_aside_are_finite():
    frame = input_frame("look_at", joints=J, confidence=True, scale_feature=True)
    kp, conf, K, size = person(2, 1)
    conf[0, 0, 1:] = 0
    kp[1, 0, 0] = torch.tensor((1e6, -1e6))
    kp.requires_grad_()
    out, R = frame(kp, conf, K, size)
    assert torch.isfinite(out).all()
    assert R is not None
    assert torch.isfinite(R).all()
    out.sum().backward()
    assert kp.grad is not None
    assert torch.isfinite(kp.grad).all()


def test_what_cannot_be_built():
    with pytest.raises(InputError, match="did you mean 'look_at'"):
        input_frame("lookat", joints=J)
    with pytest.raises(InputError, match="only look_at"):
        input_frame("pixels", joints=J, scale_feature=True)


class Constant(Lifter):
    """Gives the same pose in look axes for every frame, two frames fewer than it gets."""

    receptive_field = 3

    def __init__(self, pose: Tensor, *, causal: bool) -> None:
        super().__init__(LifterConfig())
        self.pose, self.causal = pose, causal

    def forward(self, kp_norm: Tensor) -> Tensor:
        return self.pose.expand(kp_norm.shape[0], kp_norm.shape[1] - 2, J, 3)


@pytest.mark.parametrize("causal", [False, True])
def test_lift_turns_each_output_frame_by_its_own_rotation(causal: bool):
    pose = torch.randn(J, 3, generator=torch.Generator().manual_seed(2))
    lifter = Constant(pose, causal=causal)
    kp, conf, K, size = person(2, 5)
    _, R = lifter.encode(kp, conf, K, size)
    assert R is not None
    p = lifter.lift(kp, conf, K, size)
    first = 2 if causal else 1
    assert p.shape == (2, 3, J, 3)
    for i in range(3):
        for b in range(2):
            want = (R[b, first + i].T @ pose.T).T
            assert torch.allclose(p[b, i], want, atol=1e-6)
    assert torch.allclose(to_look(to_camera(p, R[:, :3]), R[:, :3]), p, atol=1e-6)


def test_flip_pose_swaps_sides_by_name():
    lifter = Constant(torch.zeros(J, 3), causal=False)
    s = SKELETONS["h36m17"]
    p = torch.arange(J * 3.0).reshape(J, 3)
    flipped = lifter.flip_pose(p)
    assert torch.equal(flipped[s.index("l_wrist")], p[s.index("r_wrist")] * torch.tensor((-1.0, 1, 1)))
    assert torch.equal(lifter.flip_pose(flipped), p)
