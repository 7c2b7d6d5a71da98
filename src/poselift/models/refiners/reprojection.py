"""The least-squares problem of `gauss_newton`: its cost, its normal equations, one damped step. Shapes as in `Problem`.

Unknown are corrections u (n, j, 3) of where the joints are, metres along look axes; d_j = u_j - u_root corrects the
pose. Keypoints, bones and a given root then fill only 3 x 3 blocks of the normal equations, and what the prior adds is
the same for every frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from poselift.geometry.bones import bone_directions, bone_lengths
from poselift.geometry.roots import root_least_squares
from poselift.models.base import to_camera, to_look
from poselift.models.refiners.base import MIN_DEPTH

__all__ = ["Problem", "absolute", "block_places"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """What stays the same in n frames. A missing joint has weight 0, a frame that cannot be refined `known` False.

    kp (n, j, 2) pixels, conf (n, j); weight (n, j): confidence by σ, 1/pixels. start (n, j, 3) metres, camera axes:
    where the joints are if u = 0. R (n, 3, 3) is R_look_cam, K (n, 3, 3). precision (3j, 3j), 1/m², of u. lengths,
    bone_weight (n, bones) metres and 1/metres, ends (2, bones) child and parent; places: see `block_places`.
    root_weight, 1/metres: how firmly u_root is 0; held: it stays as it is in a step. freedom: of Student-t noise, or 0.
    """

    kp: Tensor
    conf: Tensor
    weight: Tensor
    start: Tensor
    R: Tensor
    K: Tensor
    known: Tensor
    precision: Tensor
    lengths: Tensor
    bone_weight: Tensor
    ends: Tensor
    places: Tensor
    parents: Sequence[int]
    root: int
    freedom: float
    bones: bool
    root_weight: float
    held: bool

    @cached_property
    def start_look(self) -> Tensor:
        return to_look(self.start, self.R)

    def project(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals e (n, j, 2) in units of σ; the rays m (n, j, 2) and depths z (n, j, 1) that they come from."""
        x = self.start + to_camera(u, self.R)
        seen = (self.weight > 0)[..., None] & (x[..., 2:] > MIN_DEPTH)
        x = torch.where(seen, x, x.new_tensor((0.0, 0.0, 1.0)))  # what is projected must not be NaN
        m = x[..., :2] / x[..., 2:]
        q = m @ self.K[:, :2, :2].mT + self.K[:, None, :2, 2]
        return (q - self.kp) * self.weight[..., None], m, x[..., 2:]

    def jacobian(self, m: Tensor, z: Tensor) -> Tensor:
        """d e_j / d u_j (n, j, 2, 3): K [I | -m] / z / σ, turned into look axes."""
        rows = torch.cat((self.K[:, None, :2, :2].expand(*m.shape, 2), -(m @ self.K[:, :2, :2].mT)[..., None]), -1)
        return (rows * (self.weight[..., None] / z)[..., None]) @ self.R.mT[:, None]

    def cost(self, u: Tensor) -> Tensor:
        """E (n); infinite where a seen joint has gone behind the camera, 0 where nothing is to be refined."""
        e, nu, flat = self.project(u)[0], self.freedom, u.flatten(1)
        cost = ((nu + 1) * (e * e / nu).log1p() if nu else e * e).sum((-2, -1))
        cost = cost + ((flat @ self.precision) * flat).sum(-1)
        if self.bones:
            off = bone_lengths(self.start_look + u, self.parents) - self.lengths
            cost = cost + (off * self.bone_weight).square().sum(-1)
        if self.root_weight:
            cost = cost + (u[:, self.root] * self.root_weight).square().sum(-1)
        z = (self.start + to_camera(u, self.R))[..., 2]
        behind = ((self.weight > 0) & (z <= MIN_DEPTH)).any(-1)
        return torch.where(self.known, torch.where(behind, torch.inf, cost), 0)

    def normal_equations(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """A (n, 3j, 3j) on and below its diagonal, g (n, 3j): halves of Hessian (Gauss-Newton) and gradient of E."""
        (n, j, _), r = u.shape, self.root
        e, m, z = self.project(u)
        J = self.jacobian(m, z)
        w = (self.freedom + 1) / (self.freedom + e * e) if self.freedom else torch.ones_like(e)
        WJ = J * w[..., None]
        blocks, beside = WJ.mT @ J, J.new_zeros(n, 0, 3, 3)
        g = (WJ * e[..., None]).sum(-2) + (u.flatten(1) @ self.precision).unflatten(1, (j, 3))
        if self.bones:
            x, w2 = self.start_look + u, self.bone_weight.square()
            way, off = bone_directions(x, self.parents), bone_lengths(x, self.parents) - self.lengths
            child, parent = self.ends
            h = (w2[..., None] * way)[..., None] * way[..., None, :]  # n bones 3 3
            force = (w2 * off)[..., None] * way
            blocks = blocks.index_add(1, child, h).index_add(1, parent, h)
            g = g.index_add(1, child, force).index_add(1, parent, -force)
            beside = -h
        eye = torch.eye(3, dtype=u.dtype, device=u.device)
        if self.root_weight:
            blocks[:, r] += self.root_weight**2 * eye
            g[:, r] += self.root_weight**2 * u[:, r]
        filled = torch.cat((blocks, beside), 1).flatten(1)
        A = self.precision.repeat(n, 1, 1).view(n, -1).index_add_(1, self.places[: filled.shape[1]], filled)
        A = A.view(n, j, 3, j, 3)
        if self.held:
            A[:, r] = 0
            A[:, :, :, r] = 0
            A[:, r, :, r] = eye
            g[:, r] = 0
        return A.view(n, 3 * j, 3 * j), g.flatten(1)

    def step(self, u: Tensor, damping: Tensor) -> Tensor:
        """The step (n, j, 3) with damping (n) in units of A's diagonal; 0 where the equations cannot be solved."""
        A, g = self.normal_equations(u)
        A.diagonal(dim1=-2, dim2=-1).mul_(1 + damping[:, None])
        eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
        if not bool(self.known.all()):
            A = torch.where(self.known[:, None, None], A, eye)
        L, info = torch.linalg.cholesky_ex(A)
        good = info == 0
        if not bool(good.all()):  # once more without these, since their gradient would be NaN
            L, _ = torch.linalg.cholesky_ex(torch.where(good[:, None, None], A, eye))
            g = torch.where(good[:, None], g, 0)
        return -torch.cholesky_solve(g[..., None], L).view_as(u)

    def root_resolved(self, u: Tensor) -> Tensor:
        """The corrections (n, j, 3) with the root solved again by least squares for the pose as it is now."""
        x = self.start + to_camera(u, self.R)
        shift = root_least_squares(self.kp, x, self.K, torch.where(self.weight > 0, self.conf, 0))
        shift = torch.where(torch.isfinite(shift).all(-1, keepdim=True), shift, 0)
        return u + to_look(shift[:, None], self.R)


def absolute(precision: Tensor, root: int) -> Tensor:
    """The precision (3j, 3j) of u from that of d, whose rows of the root are 0: Sᵀ P S with S u = u - u_root."""
    P = precision.unflatten(1, (-1, 3)).unflatten(0, (-1, 3)).clone()
    P[:, :, root] -= P.sum(2)
    P[root] -= P.sum(0)
    return P.flatten(2).flatten(0, 1)


def block_places(joints: int, ends: Tensor) -> Tensor:
    """Where the 3 x 3 blocks stand in the flat normal equations: the joints' on the diagonal, the bones' below it."""
    own = torch.arange(joints).expand(2, joints)
    at = torch.cat((own, torch.stack((ends.amax(0), ends.amin(0)))), 1)
    row, column = (3 * at[..., None] + torch.arange(3)).unbind(0)
    return (3 * joints * row[..., None] + column[:, None]).flatten()
