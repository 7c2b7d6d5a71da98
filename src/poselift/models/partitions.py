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

    mix: (k w) × v, a row for every joint w that takes anything in partition k; gather: w × (k v), all of A.
    """

    mix: Tensor
    gather: Tensor
    sums: Tensor

    def __init__(self, A: Float[np.ndarray, "k j j"]) -> None:
        super().__init__()
        takers = [np.flatnonzero(a.any(0)) for a in A]
        if len(takers[0]) < len(A[0]):
            raise ValueError("in partition 0 every joint must take something")
        self.counts = [len(w) for w in takers]
        for k, w in enumerate(takers):
            self.register_buffer(f"takers{k}", torch.tensor(w), persistent=False)
        mix = np.concatenate([a.T[w] for a, w in zip(A, takers, strict=True)])
        for name, value in (("mix", mix), ("gather", np.concatenate(A).T.copy()), ("sums", A.sum(1).T)):
            self.register_buffer(name, torch.tensor(value), persistent=False)

    def forward(self, x: Float[Tensor, "j b t i"], weight: Float[Tensor, "k i o"]) -> Float[Tensor, "j b t o"]:
        """Σ_k Σ_v A[k, v] x[v] W_k: joints are mixed where there are fewer features, before or after W."""
        joints, (parts, c_in, c_out) = len(x), weight.shape
        if c_out < c_in:
            y = x.reshape(1, -1, c_in).expand(parts, -1, -1) @ weight  # k (j b t) o
            y = self.gather.to(y.dtype) @ y.view(parts * joints, -1)
            return y.view(*x.shape[:3], c_out)
        rows = (self.mix @ x.flatten(1)).view(-1, c_in).split([n * x[0, ..., 0].numel() for n in self.counts])
        y = rows[0] @ weight[0]
        for k, part in enumerate(rows[1:], 1):
            if len(part) == len(rows[0]):
                y.addmm_(part.to(y.dtype), weight[k].to(y.dtype))  # under autocast y is narrower than the weights
            else:
                more = part @ weight[k]
                y.view(joints, -1).index_add_(0, self.get_buffer(f"takers{k}"), more.view(self.counts[k], -1))
        return y.view(*x.shape[:3], c_out)

    def offset(self, bias: Float[Tensor, "k o"]) -> Float[Tensor, "j o"]:
        """What the biases add to each joint: Σ_k b_k Σ_v A[k, v, w]."""
        return self.sums @ bias


class GraphConv(nn.Module):
    """Weights of a graph convolution under their published name: a 1 × 1 convolution, partition-major in its output."""

    def __init__(self, *, c_in: int, c_out: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.conv = nn.Conv2d(c_in, count * c_out, 1)

    def matrices(self, graph: Partitions) -> tuple[Float[Tensor, "k i o"], Float[Tensor, "j 1 1 o"]]:
        """Weight as `Partitions` takes it, and what is to be added to the result."""
        assert self.conv.bias is not None
        weight = self.conv.weight.flatten(1).unflatten(0, (self.count, -1))
        return weight.mT, graph.offset(self.conv.bias.view(self.count, -1))[:, None, None]

    def forward(self, x: Float[Tensor, "j b t i"], graph: Partitions) -> Float[Tensor, "j b t o"]:
        weight, offset = self.matrices(graph)
        return graph(x, weight).add_(offset)
