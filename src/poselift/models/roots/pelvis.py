"""A network for the root alone, from the keypoints: part of the code of Kang et al. (ERD, BMVC 2020), unused there.

    x (N, 2 j) → Linear → BN → ReLU → Dropout;  blocks times  y = y + D(ReLU(BN(W2 · D(ReLU(BN(W1 · y))))));  Linear → 3

`net` has the published parameter names. Nobody has published figures. It sees pixels and not the intrinsics: depth
is right only for cameras like those of its training set; `geometry.roots` has solvers that know the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from poselift.models.base import require
from poselift.structures.skeleton import Skeleton, skeleton

__all__ = ["PelvisNet", "PelvisRegressor", "PelvisRegressorConfig"]


@dataclass(frozen=True, kw_only=True)
class PelvisRegressorConfig:
    """The defaults are the published ones."""

    skeleton: str = "h36m17"
    """Layout of the joints."""
    width: int = 1024
    """Features of every hidden layer."""
    blocks: int = 1
    """Residual blocks of two layers each."""
    dropout: float = 0.5
    """Probability that a feature is dropped in training."""


class _Block(nn.Module):
    def __init__(self, *, width: int, dropout: float) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, width)
        self.batch_norm1 = nn.BatchNorm1d(width)
        self.w2 = nn.Linear(width, width)
        self.batch_norm2 = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "n w"]) -> Float[Tensor, "n w"]:
        y = self.dropout(F.relu(self.batch_norm1(self.w1(x))))
        return x + self.dropout(F.relu(self.batch_norm2(self.w2(y))))


class PelvisNet(nn.Module):
    """The network, flat in, under the published parameter names."""

    def __init__(self, *, in_features: int, width: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.w1 = nn.Sequential(
            nn.Linear(in_features, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)
        )  # fmt: skip
        self.blocks = nn.ModuleList(_Block(width=width, dropout=dropout) for _ in range(blocks))
        self.w2 = nn.Linear(width, 3)

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n 3"]:
        y = self.w1(x)
        for block in self.blocks:
            y = block(y)
        return self.w2(y)


class PelvisRegressor(nn.Module):
    """A `RootModel` around `PelvisNet`; statistics of keypoints (pixels) and roots (metres) in buffers.

    Raises `InputError` for an unknown skeleton or numbers out of range.
    """

    mean2d: Tensor
    std2d: Tensor
    mean_root: Tensor
    std_root: Tensor

    def __init__(self, config: PelvisRegressorConfig) -> None:
        super().__init__()
        require(config, width=(1, 65_536), blocks=(0, 1000), dropout=(0, 0.999))
        self.config = config
        self.skeleton: Skeleton = skeleton(config.skeleton)
        j = len(self.skeleton)
        self.register_buffer("mean2d", torch.zeros(j, 2))
        self.register_buffer("std2d", torch.ones(j, 2))
        self.register_buffer("mean_root", torch.zeros(3))
        self.register_buffer("std_root", torch.ones(3))
        self.net = PelvisNet(in_features=2 * j, width=config.width, blocks=config.blocks, dropout=config.dropout)

    def locate(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        p_root: Float[Tensor, "b t j 3"],
        K: Float[Tensor, "b 3 3"],
    ) -> Float[Tensor, "b t 3"]:
        """root_cam, metres, camera axes; NaN where no joint is seen. Takes no notice of p_root and K."""
        seen = (conf > 0) & torch.isfinite(kp_img).all(-1)
        kp = torch.where(seen[..., None], kp_img.to(self.mean2d.dtype), 0)
        x = torch.where(seen[..., None], (kp - self.mean2d) / self.std2d, 0)
        y = self.net(x.flatten(-2).flatten(0, 1)).unflatten(0, x.shape[:2])
        return torch.where(seen.any(-1, keepdim=True), y * self.std_root + self.mean_root, torch.nan)

    def set_statistics(
        self,
        *,
        mean2d: Float[Tensor, "j 2"],
        std2d: Float[Tensor, "j 2"],
        mean_root: Float[Tensor, 3],
        std_root: Float[Tensor, 3],
    ) -> None:
        """Take the training set's statistics: keypoints in pixels, roots in metres. Deviations of 0 are taken as 1."""
        with torch.no_grad():
            self.mean2d.copy_(mean2d)
            self.std2d.copy_(torch.where(std2d > 0, std2d, 1))
            self.mean_root.copy_(mean_root)
            self.std_root.copy_(torch.where(std_root > 0, std_root, 1))
