"""Explicit residual descent: Kang, Yao, Wang, Lu, Chen, Wu, "Explicit Residual Descent for 3D Human Pose Estimation
from 2D Joint Locations", BMVC 2020.

    for j in 1 … T:   q = project(p_root + root)          # where the current pose would be seen
                      p_root ← p_root + R_j(features of observed x and q)

R_j: Linear → BN → ReLU → Dropout; `blocks` times y = y + Dropout(Linear(y)); Linear. The increments are millimetres, as
published; poses and roots are metres. The regressors keep their published parameter names (`model.j.w1.0.weight` …).

What differs from the published code: missing joints, joints without an image and frames without a root are dealt with;
the root can be solved for at test time too, also anew before every step (there only the first one exists). Mean and
principal components are buffers.

MPJPE in mm on Human3.6M with the ground-truth root, lifter alone → refined, as published (release notes): from
ground-truth 2D 37.6 → 32.6 (linear), 39.1 → 35.4 (LCN), 40.7 → 37.4 (SemGCN); from detections 53.5 → 50.0, 53.4 → 50.2,
56.6 → 52.9, those without 12 sequences whose truth drifts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from poselift.geometry.projection import project
from poselift.models.components import WithComponents
from poselift.models.refiners.base import MIN_DEPTH
from poselift.models.refiners.staged import METRES, StagedDescent, StagedDescentConfig, finite

__all__ = ["Features", "ResidualDescent", "ResidualDescentConfig"]

Features = Literal["delta", "proj", "cat", "catproj", "ori"]


@dataclass(frozen=True, kw_only=True)
class ResidualDescentConfig(StagedDescentConfig):
    """The defaults are the published ones."""

    features: Features = "delta"
    """What a step sees, x observed and q projected keypoints, standardised: `delta` x - q, `proj` q, `ori` x,
    `cat` x and x - q, `catproj` x and q."""
    pca: int | float = 0
    """If positive, x and q are projected on that many principal components (published: 30), or, below 1, on as few as
    keep that fraction of the variance."""


class ResidualDescent(StagedDescent, WithComponents):
    """A `Refiner`: the chain of regressors, with the statistics of the keypoints (pixels, j 2) in buffers.

    Raises `InputError` for an unknown skeleton or numbers out of range (more components than numbers among them).
    """

    mean2d: Tensor
    std2d: Tensor

    def __init__(self, config: ResidualDescentConfig) -> None:
        super().__init__(config)
        j = len(self.skeleton)
        self.register_buffer("mean2d", torch.zeros(j, 2))
        self.register_buffer("std2d", torch.ones(j, 2))
        inputs = self.hold_components(2 * j) * (2 if config.features in ("cat", "catproj") else 1)
        self.make_regressors(inputs)

    def see(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        p_root: Float[Tensor, "b t j 3"],
        root_cam: Float[Tensor, "b t 3"],
        K: Float[Tensor, "b 3 3"],
    ) -> tuple[Float[Tensor, "n i"], Bool[Tensor, "b t"]]:
        """The features of one step, b · t rows, and which frames can be refined."""
        kp, p, at = kp_img, p_root, root_cam
        seen = (conf > 0) & finite(kp)
        known = seen.any(-1) & finite(p.flatten(-2))
        q = None
        if self.config.features != "ori":
            known = known & finite(at) & (at[..., 2] > MIN_DEPTH)
            p_cam = p + at[..., None, :]
            seen = seen & known[..., None] & (p_cam[..., 2] > MIN_DEPTH)
            ahead = p_cam.new_tensor((0.0, 0.0, 1.0))  # the others stand here: what is projected must not be NaN
            q = self._standardize(project(torch.where(seen[..., None], p_cam, ahead), K), seen)
        return self._features(self._standardize(kp, seen), q).flatten(0, 1), known

    def advance(
        self, p_root: Float[Tensor, "b t j 3"], y: Float[Tensor, "n o"], known: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t j 3"]:
        """The pose after a step, from what its regressor gave (b · t rows)."""
        moved = p_root + METRES * y.view_as(p_root)
        return torch.where(known[..., None, None], moved, p_root)

    def _standardize(self, kp: Tensor, seen: Tensor) -> Tensor:
        """Pixels → units of the training set's deviation; missing joints are 0."""
        return torch.where(seen[..., None], (kp - self.mean2d) / self.std2d, 0)

    def _features(self, x: Tensor, q: Tensor | None) -> Tensor:
        """What a regressor sees, flat: of joints x0 y0 (dx0 dy0) x1 …, of components those of x, then the others."""
        if self.config.pca:
            x = self.project(x.flatten(-2))
            q = None if q is None else self.project(q.flatten(-2))
        match self.config.features:
            case "delta" | "cat" if q is not None:
                f = x - q if self.config.features == "delta" else torch.cat((x, x - q), -1)
            case "proj" | "catproj" if q is not None:
                f = q if self.config.features == "proj" else torch.cat((x, q), -1)
            case _:
                f = x
        return f if self.config.pca else f.flatten(-2)

    def fit(self, kp_img: Float[Tensor, "n j 2"], conf: Float[Tensor, "n j"]) -> None:
        """Take statistics, and principal components where there are any, from the training set's keypoints, pixels."""
        seen = (conf > 0) & torch.isfinite(kp_img).all(-1)
        kp, n = torch.where(seen[..., None], kp_img, 0).double(), seen.sum(0).clamp_min(1)[:, None]
        mean = kp.sum(0) / n
        variance = torch.where(seen[..., None], kp - mean, 0).square().sum(0) / n
        self.set_statistics(mean2d=mean.float(), std2d=variance.sqrt().float())
        if self.config.pca:
            self.fit_pca(kp_img, conf)

    def set_statistics(self, *, mean2d: Float[Tensor, "j 2"], std2d: Float[Tensor, "j 2"]) -> None:
        """Take the training set's statistics of the keypoints, pixels. A coordinate that never varies is not scaled."""
        with torch.no_grad():
            self.mean2d.copy_(mean2d)
            self.std2d.copy_(torch.where(std2d > 0, std2d, 1))

    def fit_pca(self, kp_img: Float[Tensor, "n j 2"], conf: Float[Tensor, "n j"] | None = None) -> None:
        """Take the principal components of the training set's keypoints, after `set_statistics`; no whitening."""
        seen = torch.isfinite(kp_img).all(-1) if conf is None else (conf > 0) & torch.isfinite(kp_img).all(-1)
        self.take_components(self._standardize(kp_img.to(self.mean2d), seen).flatten(1))

    def resize_input(self, features: int) -> None:
        inputs = features * (2 if self.config.features in ("cat", "catproj") else 1)
        for regressor in self.model:
            regressor.w1[0] = nn.Linear(inputs, self.config.width).to(self.mean2d)  # type: ignore[index]
