"""Rotations: group axioms over kinds and batch axes, parity with scipy and VideoPose3D, behaviour at 0 and pi."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from parity_vectors import vectors
from poselift.geometry import rotations as rot

F64 = torch.float64


def quats(*shape: int) -> torch.Tensor:
    return rot.random_quat(*shape, generator=torch.Generator().manual_seed(3), dtype=F64)


def test_parity_with_videopose3d():
    v = vectors("cameras")
    assert_close(rot.quat_rotate(v["x_q"], v["x_v"]), v["y_qrot"], rtol=0, atol=1e-12)
    assert_close(rot.quat_conj(v["x_q"]), v["y_qinverse"])
    assert_close(rot.quat_rotate(rot.quat_conj(v["x_q"]), v["x_v"]), v["y_qrot_inverse"], rtol=0, atol=1e-12)
    for i in range(4):
        q, t = v["x_orientation"][i], v["x_translation"][i]
        cam = rot.quat_rotate(rot.quat_conj(q).expand(10, 17, 4), v["x_world"] - t)
        assert_close(cam, v[f"y_cam{i}"], rtol=0, atol=2e-6)
        assert_close(rot.quat_rotate(q.expand(10, 17, 4), cam) + t, v[f"y_world{i}"], rtol=0, atol=2e-6)


def test_everything_against_scipy():
    q = quats(64)
    theirs = Rotation.from_quat(q.numpy(), scalar_first=True)
    matrix = rot.quat_to_matrix(q)
    assert_close(matrix, torch.from_numpy(theirs.as_matrix()))
    assert_close(rot.quat_to_axis_angle(q), torch.from_numpy(theirs.as_rotvec()))
    assert_close(rot.matrix_to_axis_angle(matrix), torch.from_numpy(theirs.as_rotvec()))
    product = theirs * Rotation.from_quat(q.flip(0).numpy(), scalar_first=True)
    assert_close(rot.quat_to_matrix(rot.quat_mul(q, q.flip(0))), torch.from_numpy(product.as_matrix()))
    assert_close(rot.rotation_angle(matrix, matrix.flip(0)), torch.from_numpy(
        (theirs.inv() * Rotation.from_matrix(matrix.flip(0).numpy())).magnitude()
    ))  # fmt: skip


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_round_trips_and_axioms(shape: tuple[int, ...]):
    q = quats(*shape)
    R = rot.quat_to_matrix(q)
    one = torch.eye(3, dtype=F64).expand(*shape, 3, 3)
    assert_close(R @ R.mT, one)
    assert_close(torch.linalg.det(R), torch.ones(shape, dtype=F64))
    assert_close(rot.quat_to_matrix(rot.matrix_to_quat(R)), R)
    assert (rot.matrix_to_quat(R)[..., 0] >= 0).all()
    assert_close(rot.sixd_to_matrix(rot.matrix_to_6d(R)), R)
    assert_close(rot.axis_angle_to_matrix(rot.matrix_to_axis_angle(R)), R)
    assert_close(rot.quat_to_matrix(rot.axis_angle_to_quat(rot.quat_to_axis_angle(q))), R)
    assert_close(rot.quat_to_matrix(rot.quat_mul(q, rot.quat_conj(q))), one)
    v = torch.randn(*shape, 3, dtype=F64)
    assert_close(rot.quat_rotate(q, v), (R @ v[..., None])[..., 0])


def test_six_numbers_are_two_columns_and_need_not_be_orthonormal():
    R = rot.random_matrix(7, dtype=F64)
    six = rot.matrix_to_6d(R)
    assert_close(six[:, :3], R[:, :, 0])
    assert_close(six[:, 3:], R[:, :, 1])
    stretched = torch.cat((2 * six[:, :3], 3 * six[:, 3:] + 0.7 * six[:, :3]), -1)
    assert_close(rot.sixd_to_matrix(stretched), R)


def test_half_a_turn_and_none():
    for axis in torch.eye(3, dtype=F64):
        R = rot.axis_angle_to_matrix(axis * math.pi)
        assert_close(R, 2 * axis[:, None] * axis - torch.eye(3, dtype=F64))
        assert_close(rot.matrix_to_axis_angle(R).abs(), axis * math.pi)
    zero = torch.zeros(4, 3, dtype=F64, requires_grad=True)
    back = rot.matrix_to_axis_angle(rot.axis_angle_to_matrix(zero))
    assert_close(back, torch.zeros(4, 3, dtype=F64))
    back.sum().backward()
    assert zero.grad is not None
    assert torch.isfinite(zero.grad).all()


def test_slerp_is_even_shortest_and_takes_a_time_each():
    a, b = quats(20), -quats(20).flip(0)
    t = torch.linspace(0, 1, 20, dtype=F64)
    whole = rot.rotation_angle(rot.quat_to_matrix(a), rot.quat_to_matrix(b))
    part = rot.rotation_angle(rot.quat_to_matrix(a), rot.quat_to_matrix(rot.slerp(a, b, t)))
    assert_close(part, whole * t, rtol=0, atol=1e-7)
    assert_close(rot.slerp(a, b, 0.0), a)
    assert_close(rot.quat_to_matrix(rot.slerp(a, b, 1.0)), rot.quat_to_matrix(b))
    assert_close(rot.slerp(a, a, 0.3), a)


def test_random_rotations_are_uniform_and_repeatable():
    R = rot.random_matrix(20000, generator=torch.Generator().manual_seed(0))
    assert_close(R.mean(0), torch.zeros(3, 3), rtol=0, atol=0.02)  # Haar measure: every entry has mean 0 …
    assert_close(R.square().mean(0), torch.full((3, 3), 1 / 3), rtol=0, atol=0.02)  # … and variance 1/3
    assert torch.equal(R, rot.random_matrix(20000, generator=torch.Generator().manual_seed(0)))
    angle = rot.rotation_angle(R, torch.eye(3).expand_as(R)).numpy()
    assert np.mean(angle) == pytest.approx(math.pi / 2 + 2 / math.pi, abs=0.02)
