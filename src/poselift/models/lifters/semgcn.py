"""SemGCN: Zhao, Peng, Tian, Kapadia, Metaxas, "Semantic Graph Convolutional Networks for 3D Human Pose Regression",
CVPR 2019.

Every joint carries `channels` features; a layer mixes them along the bones, with a learned weight for every bone.

    conv(x) = diag(S) x W0 + (S without its diagonal) x W1 + b,  S = row-wise softmax of e over a joint's links
    GC(x) = D(ReLU(BN(conv(x))))
    x → GC [→ non-local] → blocks times  y = y + GC(GC(y)) [→ non-local] → conv(channels, 3)

`FLAVOURS` holds the published versions, and `net` has their parameter names:
the authors' (16 joints without nose, screen coordinates to metres, one number per link; their non-local block looks at
pairs of joints, pooled) and ERD's (Kang et al., BMVC 2020: 17 joints, standardised, e a full matrix of which only the
links count, non-local over all joints). Weights of one do not fit the other.
What differs from both: image → input and network → metres are part of the model (`models.base`), and the links come
from the skeleton, whichever it is. The channel-wise e and ERD's learned mask, both never turned on, are left out.
Inside, joints come before samples: a layer's two products, over joints and over features, and its batch norm then all
read the same memory as it lies.

MPJPE in mm on Human3.6M from ground-truth 2D, mean of 15 actions, as published: 42.1 authors, 40.8 with non-local
blocks (61.2 from a fine-tuned stacked hourglass); 40.7 ERD's version (56.6 from CPN).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from poselift.errors import unknown_name
from poselift.models.base import Lifter, LifterConfig, require
from poselift.models.input_frames import InputFrameName
from poselift.structures.skeleton import Skeleton

__all__ = ["FLAVOURS", "NonLocal", "SemGCN", "SemGCNConfig", "SemGCNNet", "SemGraphConv"]

EdgeWeights = Literal["links", "matrix"]
PAIRS = (
    ("r_knee", "r_ankle"), ("l_knee", "l_ankle"), ("r_hip", "l_hip"), ("pelvis", "spine"), ("thorax", "head_top"),
    ("r_elbow", "r_wrist"), ("l_elbow", "l_wrist"), ("l_shoulder", "r_shoulder"),
)  # fmt: skip
"""What the authors' non-local blocks pool; joints without a partner here or in the skeleton stand alone."""


@dataclass(frozen=True, kw_only=True)
class SemGCNConfig(LifterConfig):
    """The defaults are the flavour `erd`."""

    input_frame: InputFrameName = "pixels"
    """How image keypoints become network input."""
    confidence: bool = False
    """Give the network each joint's confidence as a third channel."""
    scale_feature: bool = False
    """Give the network the logarithm of the person's size on the image plane (only for `look_at`)."""
    channels: int = 128
    """Features per joint."""
    blocks: int = 4
    """Residual blocks of two graph convolutions each."""
    dropout: float = 0.0
    """Probability that a feature is dropped in training."""
    edge_weights: EdgeWeights = "matrix"
    """`links`: one weight per link; `matrix`: one per pair of joints, of which only those of links have an effect."""
    non_local: Literal["none", "pairs", "all"] = "all"
    """Blocks in which every joint sees the whole body: none, over pairs of joints, or over all of them."""
    output: Literal["standardized", "metres"] = "standardized"
    """What the network gives: units of the target's deviation, or metres (whose root `eval` mode subtracts)."""

    @staticmethod
    def flavour_of(name: str) -> SemGCNConfig:
        """The published version of that name (`FLAVOURS`). Raises `InputError` for an unknown one."""
        if name not in FLAVOURS:
            raise unknown_name("flavour of SemGCN", name, FLAVOURS)
        return FLAVOURS[name]


FLAVOURS: dict[str, SemGCNConfig] = {
    "erd": SemGCNConfig(),
    "original": SemGCNConfig(
        skeleton="h36m16", input_frame="screen", edge_weights="links", non_local="none", output="metres"
    ),
    "original-nonlocal": SemGCNConfig(
        skeleton="h36m16", input_frame="screen", edge_weights="links", non_local="pairs", output="metres"
    ),
}
"""The published versions: Kang et al. (ERD, BMVC 2020); Zhao et al. without and with non-local blocks."""


class SemGraphConv(nn.Module):
    """y_i = S_ii x_i W0 + Σ_k≠i S_ik x_k W1 + b; S has a row for each joint that sums to 1 over its links.

    W (2, c_in, c_out); e (1, links) in row-major order of the links, or (j, j); bias (c_out).
    """

    linked: Tensor
    places: Tensor

    def __init__(self, *, linked: Bool[np.ndarray, "j j"], c_in: int, c_out: int, edges: EdgeWeights) -> None:
        super().__init__()
        self.per_link = edges == "links"
        self.register_buffer("linked", torch.tensor(linked), persistent=False)
        self.register_buffer("places", torch.tensor(np.flatnonzero(linked)), persistent=False)
        self.W = nn.Parameter(torch.empty(2, c_in, c_out))
        self.e = nn.Parameter(torch.ones(1, len(self.places)) if self.per_link else torch.ones(linked.shape))
        self.bias = nn.Parameter(torch.empty(c_out))
        nn.init.xavier_uniform_(self.W, gain=1.414)
        nn.init.uniform_(self.bias, -1 / math.sqrt(c_out), 1 / math.sqrt(c_out))

    @property
    def attention(self) -> Float[Tensor, "j j"]:
        """S: how much each joint (row) takes from each (column)."""
        if self.per_link:
            nothing = self.e.new_full((self.linked.numel(),), -torch.inf)
            return nothing.scatter(0, self.places, self.e[0]).view(self.linked.shape).softmax(1)
        return self.e.masked_fill(~self.linked, -torch.inf).softmax(1)

    def forward(self, x: Float[Tensor, "j n i"]) -> Float[Tensor, "j n o"]:
        s = self.attention
        own = s.diagonal()
        others = ((s - torch.diag(own)) @ x.flatten(1)).view(-1, x.shape[2])  # j·n i
        y = torch.addmm(self.bias, others, self.W[1]).view(*x.shape[:2], -1)
        return torch.baddbmm(y, x, own[:, None, None] * self.W[0])


class _GraphBlock(nn.Module):
    """D(ReLU(BN(conv(x)))), batch norm per feature over batch and joints."""

    def __init__(self, *, linked: np.ndarray, c_in: int, config: SemGCNConfig) -> None:
        super().__init__()
        self.gconv = SemGraphConv(linked=linked, c_in=c_in, c_out=config.channels, edges=config.edge_weights)
        self.bn = nn.BatchNorm1d(config.channels)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "j n i"]) -> Float[Tensor, "j n o"]:
        y = self.bn(self.gconv(x).flatten(0, 1))
        return self.dropout(F.relu(y, inplace=True)).unflatten(0, x.shape[:2])


class _Residual(nn.Module):
    def __init__(self, *, linked: np.ndarray, config: SemGCNConfig) -> None:
        super().__init__()
        self.gconv1 = _GraphBlock(linked=linked, c_in=config.channels, config=config)
        self.gconv2 = _GraphBlock(linked=linked, c_in=config.channels, config=config)

    def forward(self, x: Float[Tensor, "j n c"]) -> Float[Tensor, "j n c"]:
        return x + self.gconv2(self.gconv1(x))


class NonLocal(nn.Module):
    """x + BN(Conv(y)),  y_i = Σ_k f_ik g_k,  f_ik = ReLU(w · [θ_i, φ_k]) / K; the identity before training.

    groups (k, m): joints whose φ and g are pooled to their maximum first (K = k); None: every joint stands alone.
    """

    groups: Tensor | None

    def __init__(self, *, channels: int, groups: Tensor | None) -> None:
        super().__init__()
        inner = max(1, channels // 2)
        self.register_buffer("groups", groups, persistent=False)

        def pooled() -> nn.Module:  # where the authors pool, their convolution is the first of a sequence
            return nn.Conv1d(channels, inner, 1) if groups is None else nn.Sequential(nn.Conv1d(channels, inner, 1))

        self.g = pooled()
        self.theta = nn.Conv1d(channels, inner, 1)
        self.phi = pooled()
        self.concat_project = nn.Sequential(nn.Conv2d(2 * inner, 1, 1, bias=False))
        self.W = nn.Sequential(nn.Conv1d(inner, channels, 1), nn.BatchNorm1d(channels))
        for p in self.parameters():  # convolutions' weights have three axes; the others are biases and batch norm
            nn.init.kaiming_normal_(p) if p.ndim > 1 else nn.init.zeros_(p)

    def forward(self, x: Float[Tensor, "j n c"]) -> Float[Tensor, "j n c"]:
        theta, phi, g = map(_linear, (self.theta, self.phi, self.g))
        w_theta, w_phi = self.concat_project.get_parameter("0.weight").flatten().chunk(2)
        values = F.linear(x, *g)  # j n inner
        if self.groups is None:
            keys = _project(w_phi, x, *phi)
        else:
            values = _pooled(values, self.groups)  # k n inner
            keys = _pooled(F.linear(x, *phi), self.groups) @ w_phi
        f = F.relu(_project(w_theta, x, *theta).mT[:, :, None] + keys.mT[:, None, :]) / len(keys)  # n j k
        y = (f @ values.transpose(0, 1)).transpose(0, 1).flatten(0, 1)  # j·n inner
        return x + self.W[1](F.linear(y, *_linear(self.W))).view(x.shape)


def _linear(convolution: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight (o, i) and bias (o) of a convolution that sees one place at a time, alone or first of a sequence."""
    name = "0." if isinstance(convolution, nn.Sequential) else ""
    return convolution.get_parameter(f"{name}weight")[..., 0], convolution.get_parameter(f"{name}bias")


def _pooled(x: Float[Tensor, "j n c"], groups: Tensor) -> Float[Tensor, "k n c"]:
    """The maximum over each group of joints (k, m)."""
    return x.index_select(0, groups.flatten()).unflatten(0, groups.shape).amax(1)


def _project(w: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """w · (weight x + bias) for every row of x, without the vectors in between."""
    return x @ (w @ weight) + w @ bias


class _NonLocalStage(nn.Module):
    """A `NonLocal` under its published name: `nonlocal` in the authors' weights, which is a keyword of Python."""

    def __init__(self, *, skeleton: Skeleton, config: SemGCNConfig) -> None:
        super().__init__()
        pairs = config.non_local == "pairs"
        self.nonlocal_ = NonLocal(channels=config.channels, groups=_groups(skeleton) if pairs else None)
        if pairs:  # renamed in state dicts only: code that torch generates, for ONNX, spells the attribute out
            own, published = "nonlocal_.", "nonlocal."
            self.register_state_dict_post_hook(lambda _, s, p, __: _rename(s, p + own, p + published))
            self.register_load_state_dict_pre_hook(lambda _, s, p, *__: _rename(s, p + published, p + own))

    def forward(self, x: Float[Tensor, "j n c"]) -> Float[Tensor, "j n c"]:
        return self.nonlocal_(x)


def _rename(state: dict[str, Tensor], old: str, new: str) -> None:
    """Other beginnings for the keys that start with `old`; all keys stay in their order."""
    items = [(new + k.removeprefix(old) if k.startswith(old) else k, v) for k, v in state.items()]
    state.clear()
    state.update(items)


def _groups(skeleton: Skeleton) -> Tensor:
    """(k, 2) indices of `PAIRS`, then the other joints, each paired with itself."""
    pairs = [p for p in PAIRS if set(p) <= set(skeleton.joints)]
    alone = [(n, n) for n in skeleton.joints if not any(n in p for p in pairs)]
    return torch.tensor([skeleton.indices(*p) for p in (*pairs, *alone)])


class SemGCNNet(nn.Module):
    """The network under the published parameter names."""

    def __init__(self, *, skeleton: Skeleton, c_in: int, config: SemGCNConfig) -> None:
        super().__init__()
        linked = skeleton.adjacency + np.eye(len(skeleton)) > 0

        def look_around() -> list[nn.Module]:
            return [] if config.non_local == "none" else [_NonLocalStage(skeleton=skeleton, config=config)]

        stages = []
        self.gconv_input = nn.Sequential(_GraphBlock(linked=linked, c_in=c_in, config=config), *look_around())
        for _ in range(config.blocks):
            stages += [_Residual(linked=linked, config=config), *look_around()]
        self.gconv_layers = nn.Sequential(*stages)
        self.gconv_output = SemGraphConv(linked=linked, c_in=config.channels, c_out=3, edges=config.edge_weights)

    def forward(self, x: Float[Tensor, "n j c"]) -> Float[Tensor, "n j 3"]:
        y = self.gconv_layers(self.gconv_input(x.transpose(0, 1).contiguous()))
        return self.gconv_output(y).transpose(0, 1)


class SemGCN(Lifter):
    """Single-frame lifter around `SemGCNNet`."""

    config: SemGCNConfig

    def __init__(self, config: SemGCNConfig) -> None:
        super().__init__(config)
        require(config, channels=(1, 65_536), blocks=(0, 1000), dropout=(0, 0.999))
        self.net = SemGCNNet(skeleton=self.skeleton, c_in=self.in_channels, config=config)

    def forward(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t j 3"]:
        y = self.net(kp_norm.flatten(0, 1)).unflatten(0, kp_norm.shape[:2])
        if self.config.output == "standardized":
            return y * self.std3d + self.mean3d
        root = self.skeleton.root  # published: learned like any joint, its target 0, and subtracted in the test only
        return y if self.training else y - y[..., root : root + 1, :]
