"""Rotations: unit quaternions (w, x, y, z), matrices, six numbers, axis times angle; all on leading batch axes.

A rotation acts on column vectors: v' = R v, and `quat_mul(a, b)` turns by b first, as R_a R_b does. Angles in radians.
What needs care near 0 and pi (logarithms, matrix to quaternion) is roma's (Brégier, 3DV 2021), whose quaternions end
with w; the two orders meet in this file only.
"""

from __future__ import annotations

import roma
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "axis_angle_to_matrix", "axis_angle_to_quat", "matrix_to_6d", "matrix_to_axis_angle", "matrix_to_quat", "quat_conj",
    "quat_mul", "quat_rotate", "quat_to_axis_angle", "quat_to_matrix", "random_matrix", "random_quat", "rotation_angle",
    "sixd_to_matrix", "slerp",
]  # fmt: skip


def quat_mul(a: Float[Tensor, "*#b 4"], b: Float[Tensor, "*#b 4"]) -> Float[Tensor, "*_ 4"]:
    """Hamilton product: the rotation b, then a."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        (
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ),
        -1,
    )


def quat_conj(q: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """Conjugate (w, -x, -y, -z): the inverse of a unit quaternion."""
    return torch.cat((q[..., :1], -q[..., 1:]), -1)


def quat_rotate(q: Float[Tensor, "*#b 4"], v: Float[Tensor, "*#b 3"]) -> Float[Tensor, "*_ 3"]:
    """v turned by the unit quaternion q = (w, u): v + 2 (w u×v + u×(u×v)). Source: VideoPose3D, `qrot`."""
    u, v = torch.broadcast_tensors(q[..., 1:], v)
    uv = torch.linalg.cross(u, v)
    return v + 2 * (q[..., :1] * uv + torch.linalg.cross(u, uv))


def quat_to_matrix(q: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3 3"]:
    """Matrix of a unit quaternion."""
    return roma.unitquat_to_rotmat(roma.quat_wxyz_to_xyzw(q))


def matrix_to_quat(R: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 4"]:
    """Unit quaternion of a rotation matrix, of the two the one with w >= 0."""
    q = roma.quat_xyzw_to_wxyz(roma.rotmat_to_unitquat(R))
    return torch.where(q[..., :1] < 0, -q, q)


def matrix_to_6d(R: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 6"]:
    """The first two columns of R, one after the other: a continuous description. Source: Zhou et al., CVPR 2019."""
    return R[..., :2].mT.flatten(-2)


def sixd_to_matrix(d6: Float[Tensor, "*b 6"]) -> Float[Tensor, "*b 3 3"]:
    """Rotation matrix of six numbers by Gram-Schmidt. NaN for parallel halves. Source: Zhou et al., CVPR 2019."""
    return roma.special_gramschmidt(d6.unflatten(-1, (2, 3)).mT)


def axis_angle_to_matrix(r: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Matrix of a rotation by |r| radians about r (Rodrigues)."""
    return roma.rotvec_to_rotmat(r)


def matrix_to_axis_angle(R: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """Axis times angle of a rotation matrix, the angle from 0 to pi."""
    return roma.rotmat_to_rotvec(R)


def axis_angle_to_quat(r: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 4"]:
    """Unit quaternion of a rotation by |r| radians about r."""
    return roma.quat_xyzw_to_wxyz(roma.rotvec_to_unitquat(r))


def quat_to_axis_angle(q: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3"]:
    """Axis times angle of a unit quaternion, the angle from 0 to pi (q and -q are the same rotation)."""
    return roma.unitquat_to_rotvec(roma.quat_wxyz_to_xyzw(q))


def slerp(
    a: Float[Tensor, "*b 4"], b: Float[Tensor, "*b 4"], t: Float[Tensor, "*b"] | float | int
) -> Float[Tensor, "*b 4"]:
    """Spherical interpolation from a (t = 0) to b (t = 1) along the shorter arc; t may differ from one to the next."""
    step = torch.as_tensor(t, dtype=a.dtype, device=a.device)[..., None]
    return quat_mul(a, axis_angle_to_quat(step * quat_to_axis_angle(quat_mul(quat_conj(a), b))))


def rotation_angle(a: Float[Tensor, "*#b 3 3"], b: Float[Tensor, "*#b 3 3"]) -> Float[Tensor, "*_"]:
    """Angle in radians, 0 to pi, of the rotation that leads from one matrix to the other."""
    return roma.rotmat_geodesic_distance(a, b)


def random_quat(
    *shape: int,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Float[Tensor, "*b 4"]:
    """Uniformly distributed unit quaternions (*shape, 4), made of normal deviates."""
    q = torch.randn(*shape, 4, generator=generator, dtype=dtype, device=device)
    return torch.nn.functional.normalize(q, dim=-1)


def random_matrix(
    *shape: int,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Float[Tensor, "*b 3 3"]:
    """Uniformly distributed rotation matrices (*shape, 3, 3)."""
    return quat_to_matrix(random_quat(*shape, generator=generator, dtype=dtype, device=device))
