"""Reprojection optimised: the most probable pose given the keypoints, the lifted pose and how far lifted poses err.

Per frame, with d the correction of the lifted pose p and t the root, Levenberg-Marquardt lowers

    E(d, t) = Σ_j ρ(c_j (project(p_j + d_j + t) - kp_j) / σ)     keypoints; c confidence, σ the detector's noise
            + dᵀ P d / s²                                        P precision of the lifter's error, s = `prior_scale`
            + Σ_bones ((|b| - l) / `bone_sd`)²                   l what is expected of the person, see below
            + |t - t_given|² / `root_sd`²                        only where the root is given and may be wrong

ρ(e) = e², or for `freedom` ν > 0 the Student-t (ν + 1) log(1 + e²/ν) by reweighting. P belongs to the axes of a camera
that is aimed at the person, whose z is depth: there lifters err most, and the errors of a limb go together. l is the
regression of a person's bone lengths on those of the lifted pose; before a fit, the mean of its left and right.

Nothing is trained: `fit` takes P and the regression from poses of the lifter, and neither depends on the camera.
Levenberg 1944, Marquardt 1963; the Student-t by Lange, Little, Taylor, JASA 1989. `reprojection.py` has the equations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poselift.errors import InputError
from poselift.geometry.bones import bone_lengths
from poselift.geometry.cameras import look_at_rotation
from poselift.geometry.roots import root_least_squares
from poselift.models.base import RefinerConfig, RootSource, require, to_camera, to_look
from poselift.models.refiners.base import MIN_DEPTH, check_input
from poselift.models.refiners.reprojection import Problem, absolute, block_places
from poselift.structures.skeleton import Skeleton, skeleton

__all__ = ["GaussNewton", "GaussNewtonConfig"]

_SD = (0.03, 0.03, 0.06)
"""Metres; a lifter's error per coordinate, x y z of the look axes, until `fit` knows better."""
_UNKNOWN = 1e4
"""Variance of a bone's length over that of the lifter's error of it, until `fit` knows better: only that left and right
are alike is known."""
_EASE, _TIGHTEN, _LEAST = 0.1, 10.0, 1e-7
"""Damping after a step that was taken, after one that was not, and its floor."""


@dataclass(frozen=True, kw_only=True)
class GaussNewtonConfig(RefinerConfig):
    """The defaults were chosen on the validation performers of cmu17 (docs/methods.md)."""

    steps: int = 3
    """Iterations of Levenberg-Marquardt."""
    root: RootSource = "least_squares"
    """`given`: the root is held (see `root_sd`); `least_squares`: it starts there and is an unknown like the rest;
    `resolved`: it is held in a step and solved again by least squares after it."""
    noise: float = 0.012
    """Deviation σ of the keypoints along each axis, as a fraction of the larger side of the person's box."""
    noise_px: float = 0.1
    """Least deviation of the keypoints, pixels."""
    freedom: float = 3.0
    """Degrees of freedom of Student-t noise; 0 is Gaussian."""
    prior_scale: float = 1.0
    """How many times larger the lifter's errors are taken than those the prior was fitted to."""
    bone_sd: float = 0.01
    """Metres that a bone may deviate from the length it is taken to have; 0 leaves lengths to the prior."""
    root_sd: float = 0.0
    """Metres along each axis that a given root may be wrong by; 0 holds it."""
    damping: float = 1e-3
    """First damping, in units of the normal equations' diagonal."""


class GaussNewton(nn.Module):
    """A `Refiner` without weights. Buffers: `precision` P (3j, 3j), 1/m², joint-major with x y z of the look axes, rows
    of the root 0; of bone lengths in metres, means (2, bones) of lifted and true ones, covariances (bones, bones) of
    the lifted ones and of true with lifted ones.

    Raises `InputError` for an unknown skeleton or numbers out of range.
    """

    precision: Tensor
    length_mean: Tensor
    length_lifted: Tensor
    length_cross: Tensor
    ends: Tensor
    places: Tensor

    def __init__(self, config: GaussNewtonConfig) -> None:
        super().__init__()
        self.config = config
        self.skeleton: Skeleton = skeleton(config.skeleton)
        positive, any_ = (1e-6, 1e6), (0, 1e6)
        require(
            config, steps=(1, 1000), noise=any_, noise_px=positive, freedom=any_, prior_scale=positive,
            bone_sd=any_, root_sd=any_, damping=(0, 1e6),
        )  # fmt: skip
        j = len(self.skeleton)
        moves = (torch.arange(j) != self.skeleton.root).float()
        self.register_buffer("precision", (moves[:, None] / torch.tensor(_SD) ** 2).flatten().diag())
        bones = len(self.skeleton.bones)
        ends = torch.tensor(self.skeleton.bones).mT
        mirror = (torch.tensor(self.skeleton.flip)[ends[0]][:, None] == ends[0]).float()
        alike = mirror.maximum(torch.eye(bones))
        self.register_buffer("length_mean", torch.zeros(2, bones))
        self.register_buffer("length_lifted", _UNKNOWN * alike + torch.eye(bones))
        self.register_buffer("length_cross", _UNKNOWN * alike)
        self.register_buffer("ends", ends, persistent=False)
        self.register_buffer("places", block_places(j, ends), persistent=False)

    def refine(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        p_root: Float[Tensor, "b t j 3"],
        root_cam: Float[Tensor, "b t 3"] | None,
        K: Float[Tensor, "b 3 3"],
        *,
        root: RootSource | None = None,
    ) -> Float[Tensor, "b t j 3"]:
        """Better p_root, metres, camera axes: the pose of `solve`."""
        return self.solve(kp_img, conf, p_root, root_cam, K, root=root)[0]

    def solve(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        p_root: Float[Tensor, "b t j 3"],
        root_cam: Float[Tensor, "b t 3"] | None,
        K: Float[Tensor, "b 3 3"],
        *,
        root: RootSource | None = None,
        steps: int | None = None,
    ) -> tuple[Float[Tensor, "b t j 3"], Float[Tensor, "b t 3"], Float[Tensor, "b t"]]:
        """The pose and the root that explain the keypoints (metres, camera axes), and their cost E.

        root, steps: None is what the config says. The root joint keeps its place in the pose. A joint with conf 0, or
        not in front of the camera, follows the others by the prior; its place in image and pose has no influence. A
        frame in which nothing is seen, or whose root is not known or not in front of the camera, keeps its pose, with
        cost 0. Raises `InputError` for poses of another skeleton, or for `root="given"` without root_cam.
        """
        root = root or self.config.root
        b, t = p_root.shape[:2]
        check_input(self.skeleton, p_root, root_cam, root)
        kp, conf, p = (x.to(self.precision).flatten(0, 1) for x in (kp_img, conf, p_root))
        K = K.to(self.precision)[:, None].expand(b, t, 3, 3).flatten(0, 1)
        given = None if root != "given" or root_cam is None else root_cam.to(self.precision).flatten(0, 1)
        problem, at = self._problem(kp, conf, p, given, K, held=root == "resolved")
        u = torch.zeros_like(p)
        damping = torch.full_like(at[:, 0], self.config.damping)
        cost = problem.cost(u)
        for _ in range(self.config.steps if steps is None else steps):
            trial = u + problem.step(u, damping)
            if root == "resolved":
                trial = problem.root_resolved(trial)
            after = problem.cost(trial)
            taken = problem.known & (after < cost)  # never where it is NaN
            u, cost = torch.where(taken[:, None, None], trial, u), torch.where(taken, after, cost)
            damping = (damping * torch.where(taken, _EASE, _TIGHTEN)).clamp_min(_LEAST)
        move = to_camera(u, problem.R)
        rest = move[:, self.skeleton.root]
        pose = torch.where(problem.known[:, None, None], p + (move - rest[:, None]), p)
        at = torch.where(problem.known[:, None], at + rest, at)
        return pose.unflatten(0, (b, t)), at.unflatten(0, (b, t)), cost.unflatten(0, (b, t))

    def _problem(
        self, kp: Tensor, conf: Tensor, p: Tensor, given: Tensor | None, K: Tensor, *, held: bool = False
    ) -> tuple[Problem, Tensor]:
        """Everything made safe to compute with, and the root (n, 3) that is started from."""
        cfg = self.config
        seen = (conf > 0) & torch.isfinite(kp).all(-1)
        kp, conf = torch.where(seen[..., None], kp, 0), torch.where(seen, conf, 0)
        at = root_least_squares(kp, p, K, conf) if given is None else given
        known = torch.isfinite(p).all((-2, -1)) & torch.isfinite(at).all(-1) & (at[:, 2] > MIN_DEPTH)
        p = torch.where(known[:, None, None], p, 0)
        place = torch.where(known[:, None], at, at.new_tensor((0.0, 0.0, 1.0)))
        start = p + place[:, None]
        seen = seen & known[:, None] & (start[..., 2] > MIN_DEPTH)
        known = known & seen.any(-1)
        low = torch.where(seen[..., None], kp, torch.inf).amin(-2)
        high = torch.where(seen[..., None], kp, -torch.inf).amax(-2)
        side = torch.where(known[:, None], high - low, 0).amax(-1)
        sigma = (cfg.noise * side).clamp_min(cfg.noise_px)
        both = seen[:, self.ends[0]] & seen[:, self.ends[1]]
        return Problem(
            kp=kp, conf=conf, weight=torch.where(seen, conf, 0) / sigma[:, None], start=start,
            R=look_at_rotation(place[:, :2] / place[:, 2:]), K=K, known=known,
            precision=absolute(self.precision, self.skeleton.root) / cfg.prior_scale**2,
            lengths=self._lengths(p, both), bone_weight=both / (cfg.bone_sd or torch.inf), bones=cfg.bone_sd > 0,
            ends=self.ends, places=self.places, parents=self.skeleton.parents, root=self.skeleton.root,
            freedom=cfg.freedom, root_weight=1 / cfg.root_sd if given is not None and cfg.root_sd else 0.0,
            held=held or (given is not None and not cfg.root_sd),
        ), at  # fmt: skip

    def _lengths(self, p: Tensor, seen: Tensor) -> Tensor:
        """The bone lengths (n, bones) that are expected of the person, given those of the lifted pose that are seen."""
        mask = seen.double()
        off = (bone_lengths(p, self.skeleton.parents) - self.length_mean[0]) * mask
        C = self.length_lifted * mask[:, None] * mask[..., None] + torch.diag_embed(1 - mask)
        x = torch.cholesky_solve(off[..., None], torch.linalg.cholesky_ex(C)[0])[..., 0] * mask
        return (self.length_mean[1] + x @ self.length_cross.double().mT).to(p.dtype)

    def fit(
        self,
        samples: Iterable[tuple[Float[Tensor, "b t j 3"], Float[Tensor, "b t j 3"], Float[Tensor, "b t 3"]]],
        *,
        shrinkage: float = 0.05,
    ) -> None:
        """Take prior and lengths from (lifted p_root, true p_root, true root_cam) of a training set, in camera axes.

        shrinkage: see `fit_prior`; for both. Raises `InputError` as that does.
        """
        errors, lifted, true = [], [], []
        for p, truth, at in samples:
            off = truth - p
            R = look_at_rotation(at[..., :2] / at[..., 2:])
            errors.append(to_look(off - off[..., self.skeleton.root, :][..., None, :], R).flatten(0, 1))
            lifted.append(bone_lengths(p, self.skeleton.parents).flatten(0, 1).double())
            true.append(bone_lengths(truth, self.skeleton.parents).flatten(0, 1).double())
        self.fit_prior(torch.cat(errors), shrinkage=shrinkage)
        x, y = torch.cat(lifted), torch.cat(true)
        mean = torch.stack((x.mean(0), y.mean(0)))
        x, y = x - mean[0], y - mean[1]
        C = x.mT @ x / len(x)
        with torch.no_grad():
            self.length_mean.copy_(mean)
            self.length_lifted.copy_((1 - shrinkage) * C + shrinkage * C.diag().diag())
            self.length_cross.copy_(y.mT @ x / len(x))

    def fit_prior(self, error: Float[Tensor, "n j 3"], *, shrinkage: float = 0.05) -> None:
        """Take the prior from errors, truth minus lifted, metres, look axes: the inverse of their second moments.

        shrinkage: how far these are drawn towards their own diagonal, 0 to 1. The root counts as exact.
        Raises `InputError` for errors that leave a coordinate without a deviation.
        """
        others = [i for i in range(len(self.skeleton)) if i != self.skeleton.root]
        x = error[:, others].flatten(1).double()
        C = x.mT @ x / max(len(x), 1)
        C = (1 - shrinkage) * C + shrinkage * C.diag().diag()
        L, info = torch.linalg.cholesky_ex(C)
        if bool(info > 0) or not bool(torch.isfinite(C).all()):
            raise InputError(field="errors of the lifter", expected="finite ones of full rank", found=f"{len(x)} poses")
        j = len(self.skeleton)
        P = torch.zeros(j, 3, j, 3, dtype=x.dtype, device=x.device)
        grid = torch.tensor(others, device=x.device)
        small = torch.cholesky_inverse(L).view(len(others), 3, len(others), 3)
        P[grid[:, None, None, None], torch.arange(3)[:, None, None], grid[:, None], torch.arange(3)] = small
        with torch.no_grad():
            self.precision.copy_(P.view(3 * j, 3 * j))
