"""What refiners of small regressors one after the other have in common: the loop, the root, the parts of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from poselift.geometry.roots import root_solver
from poselift.models.base import RefinerConfig, RootSource, require
from poselift.models.refiners.base import check_input
from poselift.structures.skeleton import Skeleton, skeleton

__all__ = ["METRES", "StagedDescent", "StagedDescentConfig", "finite"]

METRES = 1e-3
"""Metres in the unit of the increments."""


def finite(x: Float[Tensor, "*n c"]) -> Bool[Tensor, "*n"]:
    """Which rows have nothing but finite numbers."""
    return (0 * x.detach()).sum(-1) == 0


@dataclass(frozen=True, kw_only=True)
class StagedDescentConfig(RefinerConfig):
    """The defaults are those of Kang et al., BMVC 2020."""

    steps: int = 10
    """Regressors, one after the other."""
    width: int = 256
    """Features of every hidden layer."""
    blocks: int = 2
    """Residual linear layers of each regressor."""
    dropout: float = 0.25
    """Probability that a feature is dropped in training."""


class _Regressor(nn.Module):
    """One R_j, flat in and flat out, under the published parameter names."""

    def __init__(self, *, in_features: int, out_features: int, config: StagedDescentConfig) -> None:
        super().__init__()
        w, drop = config.width, config.dropout
        self.w1 = nn.Sequential(nn.Linear(in_features, w), nn.BatchNorm1d(w), nn.ReLU(), nn.Dropout(drop))
        self.increment = nn.ModuleList(nn.Sequential(nn.Linear(w, w), nn.Dropout(drop)) for _ in range(config.blocks))
        self.w2 = nn.Linear(w, out_features)

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        if not self.training and len(x) > self.w2.out_features:
            return self._multiplied_out(x)
        y = self.w1(x)
        for layer in self.increment:
            y = y + layer(y)
        return self.w2(y)

    def _multiplied_out(self, x: Tensor) -> Tensor:
        """The same without dropout. What follows the ReLU is linear: w2 (I + W_2) (I + W_1) y, one small matrix. Its
        product costs less than it saves from `out_features` rows on, so that it is made anew each time, never stored.
        """
        linear, norm = self.w1[0], self.w1[1]
        assert isinstance(linear, nn.Linear)
        assert isinstance(norm, nn.BatchNorm1d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        gain = norm.weight * (norm.running_var + norm.eps).rsqrt()
        y = F.linear(x, linear.weight * gain[:, None], (linear.bias - norm.running_mean) * gain + norm.bias).relu_()
        weight, bias = self.w2.weight, self.w2.bias
        for layer in reversed(self.increment):
            bias = bias + weight @ layer[0].bias  # type: ignore[index]
            weight = weight + weight @ layer[0].weight  # type: ignore[index]
        return F.linear(y, weight, bias)


class StagedDescent(nn.Module):
    """A `Refiner` of regressors that are trained one after the other; subclasses have `see` and `advance`.

    Raises `InputError` for an unknown skeleton or numbers out of range.
    """

    config: Any

    def __init__(self, config: StagedDescentConfig) -> None:
        super().__init__()
        self.config = config
        self.skeleton: Skeleton = skeleton(config.skeleton)
        require(config, steps=(1, 1000), width=(1, 65_536), blocks=(0, 1000), dropout=(0, 0.999))

    def make_regressors(self, inputs: int) -> None:
        """Regressors from so many features to three numbers per joint."""
        out = 3 * len(self.skeleton)
        self.model = nn.ModuleList(
            _Regressor(in_features=inputs, out_features=out, config=self.config) for _ in range(self.config.steps)
        )

    def see(self, kp_img: Tensor, conf: Tensor, p_root: Tensor, root_cam: Tensor, K: Tensor) -> tuple[Tensor, Any]:
        """The features of one step, b · t rows, and what `advance` needs to know."""
        raise NotImplementedError

    def advance(self, p_root: Tensor, y: Tensor, known: Any) -> Tensor:
        """The pose after a step, from what its regressor gave (b · t rows)."""
        raise NotImplementedError

    def fit(self, kp_img: Float[Tensor, "n j 2"], conf: Float[Tensor, "n j"]) -> None:
        """Take statistics from the training set's keypoints, pixels, where there are any."""

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
        """Better p_root, metres, camera axes: the last pose of `descend`."""
        return self.descend(kp_img, conf, p_root, root_cam, K, root=root)[-1]

    def descend(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        p_root: Float[Tensor, "b t j 3"],
        root_cam: Float[Tensor, "b t 3"] | None,
        K: Float[Tensor, "b 3 3"],
        *,
        root: RootSource | None = None,
        first: int = 0,
        last: int | None = None,
    ) -> list[Float[Tensor, "b t j 3"]]:
        """Every pose on the way, metres: p_root itself, then one after each of the regressors [first, last).

        root: see `RootSource`; None is the one of the config. A joint with conf 0 has no influence on the other joints.
        A frame in which nothing is seen, or whose root is not known or not in front of the camera, keeps its pose.
        Raises `InputError` for poses of another skeleton, or for `root="given"` without root_cam.
        """
        root = root or self.config.root
        check_input(self.skeleton, p_root, root_cam, root)
        dtype = next(self.parameters()).dtype
        kp, conf, p, K = kp_img.to(dtype), conf.to(dtype), p_root.to(dtype), K.to(dtype)
        seen = (conf > 0) & finite(kp)
        kp, conf = torch.where(seen[..., None], kp, 0), torch.where(seen, conf, 0)
        solve = None if root == "given" else self._root_solver(kp, conf, p, K)
        at, poses = root_cam if solve is None else solve(p), [p]
        assert at is not None
        at = at.to(dtype)
        for number, regressor in enumerate(self.model[first:last]):
            if root == "resolved" and number and solve is not None:
                at = solve(p)
            f, known = self.see(kp, conf, p, at, K)
            poses.append(p := self.advance(p, regressor(f), known))
        return poses

    # ------------------------------------------------------------------ one step in its parts, for training
    @property
    def stages(self) -> nn.ModuleList:
        """The regressors in their order: what is trained one after the other."""
        return self.model

    def solve_root(self, kp: Tensor, conf: Tensor, p: Tensor, K: Tensor) -> Tensor:
        """The root by least squares, weighted by confidence; the root joint itself is at 0, as published."""
        return self._root_solver(kp, conf, p, K)(p)

    def _root_solver(self, kp: Tensor, conf: Tensor, p: Tensor, K: Tensor) -> Callable[[Tensor], Tensor]:
        """`solve_root` for p and the poses that come of it."""
        at_root = torch.tensor([self.skeleton.root], device=p.device)
        solve = root_solver(kp, K, torch.where(finite(p.index_fill(-2, at_root, 0)), conf, 0))
        return lambda pose: solve(pose.index_fill(-2, at_root, 0))

    def first_steps(self, steps: int) -> StagedDescent:
        """A copy of the refiner that stops after the first so many regressors."""
        short = type(self)(replace(self.config, steps=steps))
        short.load_state_dict({k: v for k, v in self.state_dict().items() if k in short.state_dict()})
        return short.train(self.training).to(next(self.parameters()).device)
