"""Graph convolution over the joints of a skeleton, its links divided into partitions with weights of their own.

    y[w] = Σ_k Σ_v A[k, v, w] (W_k x[v] + b_k),   An = A D⁻¹ (links, each joint with itself; columns sum to 1)

`spatial` (Yan, Xiong, Lin, ST-GCN, AAAI 2018): a joint itself; links from joints as far from the root or farther; links
from nearer ones. `distance`: partition k has the joints that are k links away.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from poselift.structures.skeleton import Skeleton

__all__ = ["GraphConv", "Partitions", "hops", "partitions"]


def hops(skeleton: Skeleton) -> Int[np.ndarray, "j j"]:
    """Links on the way between two joints; -1 where there is none (skeletons with several roots)."""
    near = skeleton.adjacency + np.eye(len(skeleton)) > 0
    reached = np.eye(len(skeleton), dtype=bool)
    found = np.where(reached, 0, -1)
    for n in range(1, len(skeleton)):
        reached = reached.astype(int) @ near > 0
        found[reached & (found < 0)] = n
    return found


def partitions(skeleton: Skeleton, kind: Literal["spatial", "distance"], *, reach: int) -> Float[np.ndarray, "k j j"]:
    """A[k, v, w], how much joint w takes from joint v; joints up to `reach` links apart are linked.

    The published `spatial` code counts distances to the root up to `reach` only, and takes all beyond as equally far.
    With `reach` 1 only the root and its neighbours are therefore known to be nearer than others: farther out, links in
    both directions are in the partition of "as far or farther". Weights depend on it, so it is kept.
    """
    apart = hops(skeleton)
    linked = (apart >= 0) & (apart <= reach)
    share = linked / linked.sum(0)  # An: every column sums to 1
    if kind == "distance":
        return np.stack([share * (apart == k) for k in range(reach + 1)]).astype(np.float32)
    away = np.where(linked[:, skeleton.root], apart[:, skeleton.root], np.inf)
    nearer = away[:, None] < away[None]  # v nearer to the root than w
    itself = np.eye(len(skeleton), dtype=bool)
    return np.stack([share * itself, share * (~nearer & ~itself), share * nearer]).astype(np.float32)


class Partitions(nn.Module):
    """A taken apart for speed. Joints come first, so that mixing them is one matrix product for all frames.

    Partition 0 is diagonal: a factor per joint. Of the others only rows of joints that take anything are computed.
    """

    own: Tensor
    mix: Tensor
    sums: Tensor

    def __init__(self, A: Float[np.ndarray, "k j j"]) -> None:
        super().__init__()
        if not (A[0] == np.diag(A[0].diagonal())).all():
            raise ValueError("partition 0 must link every joint with itself only")
        takers = [np.flatnonzero(a.any(0)) for a in A[1:]]
        self.counts = [len(w) for w in takers]
        for k, w in enumerate(takers, 1):
            self.register_buffer(f"takers{k}", torch.tensor(w), persistent=False)
        mix = np.concatenate([a.T[w] for a, w in zip(A[1:], takers, strict=True)])
        for name, value in (("own", A[0].diagonal()[:, None, None]), ("mix", mix), ("sums", A.sum(1).T)):
            self.register_buffer(name, torch.tensor(value), persistent=False)

    def forward(
        self, x: Float[Tensor, "j b t i"], weight: Float[Tensor, "k o i"], offset: Float[Tensor, "j o"]
    ) -> Float[Tensor, "j b t o"]:
        """Σ_k W_k Σ_v A[k, v] x[v] + offset: joints are mixed before features, which there are more of afterwards."""
        joints, places = len(x), x.shape[1:3]
        x = x.flatten(1, 2)  # j n i
        y = torch.baddbmm(offset[:, None], x * self.own, weight[0].mT.expand(joints, -1, -1))
        mixed = (self.mix @ x.flatten(1)).unflatten(1, x.shape[1:]).to(y.dtype)
        weight = weight.to(y.dtype)  # under autocast y is narrower than the weights
        for k, part in enumerate(mixed.split(self.counts), 1):
            if len(part) == joints:
                y.flatten(0, 1).addmm_(part.flatten(0, 1), weight[k].mT)
            else:
                y.index_add_(0, self.get_buffer(f"takers{k}"), part @ weight[k].mT)
        return y.unflatten(1, places)

    def offset(self, bias: Float[Tensor, "k o"]) -> Float[Tensor, "j o"]:
        """What the biases add to each joint: Σ_k b_k Σ_v A[k, v, w]."""
        return self.sums @ bias


class GraphConv(nn.Module):
    """Weights of a graph convolution under their published name: a 1 × 1 convolution, partition-major in its output."""

    def __init__(self, *, c_in: int, c_out: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.conv = nn.Conv2d(c_in, count * c_out, 1)

    def matrices(self, graph: Partitions) -> tuple[Float[Tensor, "k o i"], Float[Tensor, "j o"]]:
        """Weight and offset as `Partitions` takes them."""
        assert self.conv.bias is not None
        weight = self.conv.weight.flatten(1).unflatten(0, (self.count, -1))
        return weight, graph.offset(self.conv.bias.view(self.count, -1))

    def forward(self, x: Float[Tensor, "j b t i"], graph: Partitions) -> Float[Tensor, "j b t o"]:
        return graph(x, *self.matrices(graph))
