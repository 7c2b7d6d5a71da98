"""Blocks over the joints of a skeleton and over time; joints come first, then persons, frames, features (j b t c)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from poselift.models.partitions import GraphConv, Partitions

__all__ = ["Block", "FoldedBlock", "FoldedGraph", "FoldedNorm", "affine", "norm", "over_time", "upsample", "weights"]

FEW = 1 << 18
"""Up to so many numbers, frames laid out stay in a core's cache, and a product is faster than conv2d."""


class Block(nn.Module):
    """S: graph convolution, then five frames; over every `stride`-th frame."""

    def __init__(
        self, c_in: int, c_out: int, count: int, *, dropout: float, stride: int = 1, residual: bool = True
    ) -> None:
        super().__init__()
        self.stride = stride
        self.gcn = GraphConv(c_in=c_in, c_out=c_out, count=count)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(c_out), nn.ReLU(), nn.Conv2d(c_out, c_out, (5, 1), (stride, 1), (2, 0)),
            nn.BatchNorm2d(c_out), nn.Dropout(dropout),
        )  # fmt: skip
        self.residual: nn.Sequential | None = None
        self.identity = residual and stride == 1 and c_in == c_out
        if residual and not self.identity:
            self.residual = nn.Sequential(nn.Conv2d(c_in, c_out, 1, (stride, 1)), nn.BatchNorm2d(c_out))

    def forward(self, x: Float[Tensor, "j b t i"], graph: Partitions) -> Float[Tensor, "j b t_out o"]:
        y = F.relu(norm(self.tcn[0], self.gcn(x, graph)), inplace=True)
        weight, bias = weights(self.tcn[2])
        y = self.tcn[4](norm(self.tcn[3], over_time(y, weight.mT, bias, self.stride)))
        if self.identity:
            y = y + x
        elif self.residual is not None:
            weight, bias = weights(self.residual[0])
            y = y + norm(self.residual[1], F.linear(x[:, :, :: self.stride], weight.flatten(1), bias))
        return F.relu(y, inplace=True)


class FoldedGraph(nn.Module):
    """A graph convolution and the batch norm after it as one, for inference."""

    weight: Tensor
    offset: Tensor

    def __init__(self, conv: GraphConv, after: nn.Module, graph: Partitions) -> None:
        super().__init__()
        weight, offset = conv.matrices(graph)
        factor, shift = affine(after)
        self.register_buffer("weight", (weight * factor).contiguous())
        self.register_buffer("offset", offset * factor + shift)

    def forward(self, x: Float[Tensor, "j b t i"], graph: Partitions) -> Float[Tensor, "j b t o"]:
        return graph(x, self.weight).add_(self.offset)


class FoldedBlock(nn.Module):
    """A `Block` with its normalisations inside the products before them, for inference."""

    kernel: Tensor
    matrix: Tensor
    bias: Tensor
    skip: Tensor | None

    def __init__(self, block: Block, graph: Partitions) -> None:
        super().__init__()
        self.stride, self.identity = block.stride, block.identity
        self.gcn = FoldedGraph(block.gcn, block.tcn[0], graph)
        kernel, bias = weights(block.tcn[2])
        factor, shift = affine(block.tcn[3])
        kernel = (kernel * factor[:, None, None, None]).mT.contiguous(memory_format=torch.channels_last)
        self.register_buffer("kernel", kernel)  # as it is needed, so that it is not laid out anew every time
        self.register_buffer("matrix", kernel.permute(3, 2, 1, 0).flatten(0, 2).contiguous())
        bias, skip = bias * factor + shift, None
        if block.residual is not None:
            skip, more = weights(block.residual[0])
            factor, shift = affine(block.residual[1])
            skip, bias = (skip.flatten(1) * factor[:, None]).mT.contiguous(), bias + more * factor + shift
        self.register_buffer("bias", bias)
        self.register_buffer("skip", skip)

    def forward(self, x: Float[Tensor, "j b t i"], graph: Partitions) -> Float[Tensor, "j b t_out o"]:
        y = graph(x, self.gcn.weight)
        j, b, t, c = y.shape
        if j * b * t * c * 5 // self.stride <= FEW:
            padded = y.new_zeros(j, b, t + 4, c)
            torch.add(y, self.gcn.offset, out=padded[:, :, 2:-2])
            y = padded.relu_().unfold(2, 5, self.stride).mT.reshape(-1, 5 * c) @ self.matrix
            y = y.add_(self.bias).view(j, b, -1, c)
        else:
            y = over_time(y.add_(self.gcn.offset).relu_(), self.kernel, self.bias, self.stride)
        if self.identity:
            y += x
        elif self.skip is not None:
            y.view(-1, y.shape[3]).addmm_(x[:, :, :: self.stride].reshape(-1, x.shape[3]), self.skip)
        return y.relu_()


class FoldedNorm(nn.Module):
    """A batch norm that nothing stands before: a factor and a shift."""

    factor: Tensor
    shift: Tensor

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        for name, value in zip(("factor", "shift"), affine(layer), strict=True):
            self.register_buffer(name, value)

    def forward(self, x: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        return torch.addcmul(self.shift, x, self.factor)


def over_time(
    x: Float[Tensor, "j b t i"], weight: Float[Tensor, "o i 1 n"], bias: Tensor, stride: int = 1
) -> Float[Tensor, "j b t_out o"]:
    """A convolution of odd width over the frames of every joint, zeros beyond the ends.

    Frames lie where an image has its columns and features are last, which is the fastest order.
    """
    image = x.flatten(0, 1).permute(0, 2, 1)[:, :, None]  # j·b i 1 t
    y = F.conv2d(image, weight, bias, stride=(1, stride), padding=(0, weight.shape[3] // 2))
    return y[:, :, 0].permute(0, 2, 1).contiguous().unflatten(0, x.shape[:2])


def upsample(
    x: Float[Tensor, "j b t c"], factor: int, *, start: int = 0, total: int = 0
) -> Float[Tensor, "j b t_out c"]:
    """`factor` frames of every one, linear between frames, the first and last of the sequence on its first and last.

    x may be frames start … of a sequence of `total` frames (0: x is all of it): the result is then that part of the
    upsampled sequence, as far as it can be known from x. Places are reckoned in whole numbers, so that length costs no
    precision.
    """
    t = x.shape[2]
    total = total or t
    at = torch.arange(factor * start, factor * (start + t), device=x.device) * (total - 1)
    steps = factor * total - 1
    before = (at // steps - start).clamp(0, t - 1)
    part = ((at % steps) / steps).to(x.dtype)[:, None]
    return torch.lerp(x.index_select(2, before), x.index_select(2, (before + 1).clamp(max=t - 1)), part)


def norm(layer: nn.Module, x: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
    """Batch norm of the last axis."""
    return layer(x.flatten(0, -2)[:, :, None, None]).view(x.shape)


def weights(convolution: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution."""
    return convolution.get_parameter("weight"), convolution.get_parameter("bias")


def affine(layer: nn.Module) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """Factor and shift that a batch norm is in `eval` mode."""
    assert isinstance(layer, nn.modules.batchnorm._BatchNorm)
    assert layer.running_var is not None
    assert layer.running_mean is not None
    factor = layer.weight / (layer.running_var + layer.eps).sqrt()
    return factor, layer.bias - factor * layer.running_mean
