"""U-shaped graph convolution network: Wang, Yan, Xiong, Lin, "Motion Guided 3D Pose Estimation from Videos", ECCV 2020.

    d0 = S(2→16)(BN(x)),  d_i = S(S(d_i-1; stride 2)), 32 64 128 256 features          down to every 16th frame
    u4 = S(256→128)(d4),  u_i = S((d_i + up2(u_i+1)) / 2), 64 32 16 features           up again
    m_i = up(S(u_i)), i = 2 3 4;   h = G(((u0 + d0)/2 + (m2 + m3 + m4)/3)/2), u0 = up2(u1);   y = Conv(ReLU(BN(h)))
    S(x) = ReLU(D(BN(Conv5(ReLU(BN(G(x)))))) + BN(Conv1(x)))

G is a graph convolution (`models.partitions`), Conv5 sees five frames, up is linear in time. The authors published no
code. `net` has names, shapes and results of the public unofficial implementation, which went through `REVISIONS` with
weights that do not fit each other; this is the last one. The motion loss of the paper is `losses.motion`.

The whole sequence goes in and as many poses come out. It is padded at its end with the last frame, to a multiple of 16.
Where an upsampled frame lies between two coarse ones depends on the length (the ends are aligned), so the middle of a
96-frame window is not what the whole sequence gives there; a part of a sequence is therefore told its place, and then
gives exactly the poses of the whole.
What differs from the implementation: image → input is part of the model (`models.base`); in `eval` mode the root comes
out as exactly 0, as it is set in its test. Inside, joints come first, then persons, frames and features.

MPJPE in mm on Human3.6M from CPN, mean of 15 actions: 45.6 in the paper. The implementation states the same figure, and
has stated it since before its network was what it is.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poselift.models.base import Lifter, LifterConfig, Stretch, require
from poselift.models.graph_time import Block, FoldedBlock, FoldedGraph, FoldedNorm, norm, over_time, upsample, weights
from poselift.models.input_frames import InputFrameName
from poselift.models.partitions import GraphConv, Partitions, partitions
from poselift.structures.skeleton import Skeleton

__all__ = ["REVISIONS", "UGCN", "Revision", "UGCNConfig", "UGCNNet"]

GRID = 16
"""Frames that are one at the bottom of the U."""
DOWN, UP, MERGED = (16, 32, 64, 128, 256), (16, 16, 32, 64, 128), 16
"""Features of d0 … d4, of u1 … u4 (by index), and of what is merged."""


@dataclass(frozen=True)
class Revision:
    """What the public versions differ in. averaged: sums are means; merge: what becomes of u0, d0 and m_i."""

    partitions: Literal["spatial", "distance"]
    reach: int
    averaged: bool
    merge: Literal["graph", "block", "block_before"]
    head: Literal["conv", "joint", "all_joints"]


REVISIONS: dict[str, Revision] = {
    "latest": Revision("spatial", 1, averaged=True, merge="graph", head="conv"),
    "2022-02-23": Revision("spatial", 1, averaged=False, merge="block", head="all_joints"),
    "2022-02-17": Revision("distance", 6, averaged=False, merge="block_before", head="joint"),
}
"""merge: a graph convolution of the sum, a block S of it, or a block of u0 + d0 to which m_i are added. head: five
frames of one joint after norm and ReLU, one frame of a joint, or one frame of all joints."""


@dataclass(frozen=True, kw_only=True)
class UGCNConfig(LifterConfig):
    """The defaults are the last revision."""

    input_frame: InputFrameName = "screen"
    """How image keypoints become network input."""
    confidence: bool = False
    """Give the network each joint's confidence as a third channel."""
    scale_feature: bool = False
    """Give the network the logarithm of the person's size on the image plane (only for `look_at`)."""
    revision: Literal["latest", "2022-02-23", "2022-02-17"] = "latest"
    """Public version of the network, by the day of its last change."""
    dropout: float = 0.5
    """Probability that a feature is dropped in training."""


class UGCNNet(nn.Module):
    """The network under the published parameter names, and, by `fold`, for inference without normalisations."""

    A: Tensor

    def __init__(self, *, skeleton: Skeleton, c_in: int, config: UGCNConfig) -> None:
        super().__init__()
        self.revision = kind = REVISIONS[config.revision]
        A = partitions(skeleton, kind.partitions, reach=kind.reach)
        joints, count = len(skeleton), len(A)

        def block(i: int, o: int, stride: int = 1, *, stem: bool = False) -> Block:
            dropout = 0.0 if stem and config.revision == "2022-02-17" else config.dropout
            return Block(i, o, count, dropout=dropout, stride=stride, residual=not stem)

        self.register_buffer("A", torch.tensor(A))
        self.graph = Partitions(A)
        self.data_bn = nn.BatchNorm1d(joints * c_in)
        self.down_stage = nn.ModuleList([block(c_in, DOWN[0], stem=True)])
        for i, o in pairwise(DOWN):
            self.down_stage.append(nn.ModuleList([block(i, o, 2), block(o, o)]))
        self.up_stage, self.merge_stage = nn.ModuleList([nn.Identity()]), nn.ModuleList()
        for i in range(1, 5):
            self.up_stage.append(nn.ModuleList([block(UP[i + 1] if i < 4 else DOWN[4], UP[i])]))
        merge = GraphConv(c_in=MERGED, c_out=MERGED, count=count) if kind.merge == "graph" else block(MERGED, MERGED)
        self.merge_stage.extend([merge, nn.Identity()])
        self.merge_stage.extend(nn.ModuleList([block(UP[i], MERGED)]) for i in (2, 3, 4))
        if kind.head == "conv":
            self.head = nn.Sequential(nn.BatchNorm2d(MERGED), nn.ReLU(), nn.Conv2d(MERGED, 3, (5, 1), padding=(2, 0)))
        elif kind.head == "joint":
            self.head = nn.Conv2d(MERGED, 3, 1)
        else:
            self.head = nn.Conv1d(MERGED * joints, 3 * joints, 1)

    def forward(self, kp_norm: Float[Tensor, "b t j c"], *, start: int = 0, total: int = 0) -> Float[Tensor, "b t j 3"]:
        """Metres. Frames start … of a sequence of `total` (0: all of it), each of the three a multiple of 16."""
        d = [self.down_stage[0](self.normed(kp_norm).permute(2, 0, 1, 3).contiguous(), self.graph)]
        for first, second in self.down_stage[1:]:  # type: ignore[misc]
            d.append(second(first(d[-1], self.graph), self.graph))

        def up(x: Tensor, level: int, factor: int = 2) -> Tensor:
            return upsample(x, factor, start=start >> level, total=total >> level)

        u, mean = {4: self.block(self.up_stage[4], d[4])}, self.revision.averaged
        for i in (3, 2, 1):
            joined = d[i] + up(u[i + 1], i + 1)
            u[i] = self.block(self.up_stage[i], joined / 2 if mean else joined)
        h = up(u[1], 1) + d[0]
        merged = sum(up(self.block(self.merge_stage[i], u[i]), i, 1 << i) for i in (2, 3, 4))
        if mean:
            h, merged = h / 2, merged / 3
        if self.revision.merge == "block_before":
            h = self.merge_stage[0](h, self.graph) + merged
        else:
            h = self.merge_stage[0]((h + merged) / 2 if mean else h + merged, self.graph)
        return self.poses(h)

    def block(self, stage: nn.Module, x: Tensor) -> Tensor:
        """The only block of a stage."""
        return stage.get_submodule("0")(x, self.graph)

    def normed(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t j c"]:
        """Batch norm of every joint's every coordinate."""
        return self.data_bn(kp_norm.flatten(0, 1).flatten(1)).view(kp_norm.shape)

    def poses(self, h: Float[Tensor, "j b t c"]) -> Float[Tensor, "b t j 3"]:
        """The head."""
        if isinstance(self.head, nn.Sequential):
            weight, bias = weights(self.head[2])
            y = over_time(torch.relu(norm(self.head[0], h)), weight.mT, bias)
        elif isinstance(self.head, nn.Conv2d):
            y = nn.functional.linear(h, self.head.weight.flatten(1), self.head.bias)
        else:  # features before joints in, coordinates before joints out
            y = nn.functional.linear(h.permute(1, 2, 3, 0).flatten(2), self.head.weight.flatten(1), self.head.bias)
            return y.unflatten(2, (3, -1)).mT
        return y.permute(1, 2, 0, 3)

    @torch.no_grad()
    def fold(self) -> UGCNNet:
        """A copy for inference, in which every normalisation is part of the product before it."""
        again = copy.deepcopy(self).eval()
        if isinstance(self.data_bn, FoldedNorm):
            return again
        again.data_bn = FoldedNorm(self.data_bn)
        for name, module in self.named_modules():
            if isinstance(module, Block):
                again.set_submodule(name, FoldedBlock(module, self.graph))
        if isinstance(self.head, nn.Sequential) and isinstance(again.head, nn.Sequential):
            merge = self.merge_stage[0]
            assert isinstance(merge, GraphConv)
            again.merge_stage[0], again.head[0] = FoldedGraph(merge, self.head[0], self.graph), nn.Identity()
        return again

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        stored = state_dict.get(prefix + "A")
        same = stored is None or stored.shape != self.A.shape or torch.allclose(stored.to(self.A), self.A, atol=1e-3)
        if not same:  # more than 16 bits take away
            rest[-1].append("A is the graph of another skeleton")  # which `graph` would not take over
        super()._load_from_state_dict(state_dict, prefix, *rest)


class UGCN(Lifter):
    """Lifter of whole sequences around `UGCNNet`; metres."""

    config: UGCNConfig
    sequence = True
    context = 208
    grid = GRID

    def __init__(self, config: UGCNConfig) -> None:
        super().__init__(config)
        require(config, dropout=(0, 0.999))
        self.net = UGCNNet(skeleton=self.skeleton, c_in=self.in_channels, config=config)

    def forward(self, kp_norm: Float[Tensor, "b t j c"], of: Stretch | None = None) -> Float[Tensor, "b t j 3"]:
        t = kp_norm.shape[1]
        whole = of or Stretch(start=0, total=t)
        index = torch.arange(t + -t % GRID, device=kp_norm.device).clamp(max=t - 1)
        y = self.net(kp_norm[:, index], start=whole.start, total=whole.total + -whole.total % GRID)[:, :t]
        if self.training:
            return y
        others = torch.arange(len(self.skeleton), device=y.device) != self.skeleton.root
        return y * others[:, None]

    def fold(self) -> UGCN:
        """A copy for inference, equal to 1e-5: neither to be trained nor saved."""
        again = copy.copy(self)
        again._modules = {**self._modules, "net": self.net.fold()}
        return again.eval()
