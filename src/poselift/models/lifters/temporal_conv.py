"""Dilated temporal convolutions: Pavllo, Feichtenhofer, Grangier, Auli, "3D human pose estimation in video with
temporal convolutions and semi-supervised training", CVPR 2019 (VideoPose3D).

    x (b, t, j c) → y = B(x; width w0)                                       B = D(ReLU(BN(Conv(·))))
    for i = 1 … n-1, dilation d_i = w0 … w_{i-1}:   y = y[middle frame] + B(B(y; width w_i, dilation d_i); width 1)
    → Conv(channels, 3 j);   receptive field = w0 w1 … w_{n-1};   t_out = t - receptive field + 1

causal: the residual path takes the last frame of each filter in place of its middle, so that an output stands for the
last frame that it sees. dense: filters as long as the dilated ones reach, without holes (an ablation).
Strided form, for exactly one receptive field: strides w_i in place of dilations, the same weights and result, and only
what the one output frame needs is computed; in training batch norm then counts only that, as the authors' does.
`net` has the published parameter names, and agrees with the published networks in all these forms.
What differs: image → input is part of the model (`models.base`), and in `eval` mode the root comes out as exactly 0,
where the authors keep what the network gives for it (its target is 0).

MPJPE in mm on Human3.6M with 243 frames, mean of 15 actions, as published: 46.8 from CPN, 37.2 from ground-truth 2D.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from poselift.errors import InputError
from poselift.models.base import Lifter, LifterConfig, require
from poselift.models.input_frames import InputFrameName

__all__ = ["FoldedNet", "Span", "TemporalConv", "TemporalConvConfig", "TemporalConvNet", "spans"]

MAX_FIELD = 20_000
"""Frames of the longest receptive field, and taps of the longest dense filter: above it lies only a mistake."""


@dataclass(frozen=True, kw_only=True)
class TemporalConvConfig(LifterConfig):
    """The defaults are the published ones: 27 frames, 8.6 million parameters; widths 3 3 3 3 3 see 243."""

    input_frame: InputFrameName = "screen"
    """How image keypoints become network input."""
    confidence: bool = False
    """Give the network each joint's confidence as a third channel."""
    scale_feature: bool = False
    """Give the network the logarithm of the person's size on the image plane (only for `look_at`)."""
    filter_widths: tuple[int, ...] = (3, 3, 3)
    """Frames that each filter sees, odd numbers; their product is the receptive field."""
    channels: int = 1024
    """Features of every frame."""
    dropout: float = 0.25
    """Probability that a feature is dropped in training."""
    causal: bool = False
    """See no frame after the one that the output stands for."""
    dense: bool = False
    """Filters without holes, as long as the dilated ones reach."""


@dataclass(frozen=True)
class Span:
    """What one filter over time sees: `width` frames, `dilation` apart, of which the residual path takes number `kept`.

    stride: how far the strided form moves on.
    """

    width: int
    dilation: int
    stride: int
    kept: int

    @property
    def reach(self) -> int:
        """Frames from the first to the last that it sees, between them included."""
        return (self.width - 1) * self.dilation + 1

    def residual(self, x: Float[Tensor, "b c t"], *, strided: bool) -> Float[Tensor, "b c t_out"]:
        """The frames that its outputs stand for."""
        if strided:
            return x[..., self.kept :: self.stride]
        first = self.kept * self.dilation
        return x[..., first : x.shape[-1] - (self.reach - 1 - first)]


def spans(filter_widths: Sequence[int], *, causal: bool, dense: bool) -> list[Span]:
    """The filters over time, first to last. Raises `InputError` for even widths and for a field above `MAX_FIELD`."""
    if not filter_widths or any(w < 1 or w % 2 == 0 for w in filter_widths) or len(filter_widths) > 100:
        raise InputError(field="model filter_widths", expected="odd numbers", found=tuple(filter_widths))
    if math.prod(filter_widths) > MAX_FIELD:
        raise InputError(
            field="model filter_widths", expected=f"a product of at most {MAX_FIELD:,}", found=math.prod(filter_widths)
        )
    found, dilation = [], 1
    for i, w in enumerate(filter_widths):
        taps = (w - 1) * dilation + 1 if dense and i else w
        found.append(Span(taps, 1 if taps > w else dilation, w, taps - 1 if causal else taps // 2))
        dilation *= w
    return found


class _Net(nn.Module):
    """What the network and its folded form have in common: the way through the layers."""

    shrink: nn.Conv1d

    def __init__(self, found: list[Span]) -> None:
        super().__init__()
        self.spans = found

    def layer(self, k: int, x: Tensor, *, stride: int = 1, dilation: int = 1) -> Tensor:
        """Convolution k with all that follows it: 0 the first, then two for each further filter, of widths w and 1."""
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "b t i"], *, strided: bool = False) -> Float[Tensor, "b t_out j 3"]:
        """strided: x is exactly one receptive field, or several side by side; not for dense filters."""

        def over_time(k: int, span: Span, y: Tensor) -> Tensor:
            return self.layer(k, y, stride=span.stride) if strided else self.layer(k, y, dilation=span.dilation)

        y = over_time(0, self.spans[0], x.mT)
        for i, span in enumerate(self.spans[1:]):
            y = span.residual(y, strided=strided) + self.layer(2 * i + 2, over_time(2 * i + 1, span, y))
        return self.shrink(y).mT.unflatten(-1, (-1, 3))


class TemporalConvNet(_Net):
    """The network under the published parameter names."""

    def __init__(self, *, in_features: int, joints: int, found: list[Span], channels: int, dropout: float) -> None:
        super().__init__(found)
        self.drop = nn.Dropout(dropout)
        self.expand_bn = nn.BatchNorm1d(channels)
        self.shrink = nn.Conv1d(channels, 3 * joints, 1)
        self.expand_conv = nn.Conv1d(in_features, channels, found[0].width, bias=False)
        widths = [w for span in found[1:] for w in (span.width, 1)]
        self.layers_conv = nn.ModuleList(nn.Conv1d(channels, channels, w, bias=False) for w in widths)
        self.layers_bn = nn.ModuleList(nn.BatchNorm1d(channels) for _ in widths)

    @property
    def convolutions(self) -> list[tuple[nn.Module, nn.Module]]:
        """(convolution, its batch norm) in the order of `layer`."""
        return [(self.expand_conv, self.expand_bn), *zip(self.layers_conv, self.layers_bn, strict=True)]

    def layer(self, k: int, x: Tensor, *, stride: int = 1, dilation: int = 1) -> Tensor:
        conv, bn = (self.layers_conv[k - 1], self.layers_bn[k - 1]) if k else (self.expand_conv, self.expand_bn)
        weight = conv.get_parameter("weight")
        return self.drop(F.relu(bn(F.conv1d(x, weight, stride=stride, dilation=dilation)), inplace=True))

    def fold(self) -> FoldedNet:
        """The network of `eval` mode with every batch norm inside its convolution."""
        return FoldedNet(self)


class FoldedNet(_Net):
    """Inference only: W' = g W, b' = β - g μ with g = γ / √(σ² + ε), so that each layer is ReLU(W' x + b').

    weights[k] (o, i, w) and biases[k] (o) in the order of `layer`; equal to the network in `eval` mode to 1e-5.
    """

    def __init__(self, net: TemporalConvNet) -> None:
        super().__init__(net.spans)
        self.shrink = copy.deepcopy(net.shrink).requires_grad_(False)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for conv, bn in net.convolutions:
            weight, (gain, offset) = conv.get_parameter("weight"), (bn.get_parameter(n) for n in ("weight", "bias"))
            mean, var = (bn.get_buffer(f"running_{n}").double() for n in ("mean", "var"))
            g = gain.detach().double() / torch.sqrt(var + bn.eps)  # type: ignore[operator]
            folded = (weight.detach() * g[:, None, None], offset.detach() - g * mean)
            for parameters, value in zip((self.weights, self.biases), folded, strict=True):
                parameters.append(nn.Parameter(value.to(weight.dtype), requires_grad=False))

    def layer(self, k: int, x: Tensor, *, stride: int = 1, dilation: int = 1) -> Tensor:
        return F.relu(F.conv1d(x, self.weights[k], self.biases[k], stride=stride, dilation=dilation), inplace=True)


class TemporalConv(Lifter):
    """Temporal lifter around `TemporalConvNet`; metres.

    Given exactly `receptive_field` frames it computes the strided form (but for dense filters).
    """

    config: TemporalConvConfig
    net: TemporalConvNet | FoldedNet

    def __init__(self, config: TemporalConvConfig) -> None:
        super().__init__(config)
        require(config, channels=(1, 65_536), dropout=(0, 0.999))
        found = spans(config.filter_widths, causal=config.causal, dense=config.dense)
        self.receptive_field, self.causal = math.prod(config.filter_widths), config.causal
        self.net = TemporalConvNet(
            in_features=len(self.skeleton) * self.in_channels, joints=len(self.skeleton), found=found,
            channels=config.channels, dropout=config.dropout,
        )  # fmt: skip

    def forward(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t_out j 3"]:
        alone = not torch.compiler.is_compiling() and kp_norm.shape[1] == self.receptive_field
        return self.rooted(self.net(kp_norm.flatten(-2), strided=alone and not self.config.dense))

    def rooted(self, p: Float[Tensor, "*b j 3"]) -> Float[Tensor, "*b j 3"]:
        """What the network gives as it is handed out: in `eval` mode with the root at exactly 0."""
        if self.training:
            return p
        others = torch.arange(len(self.skeleton), device=p.device) != self.skeleton.root
        return p * others[:, None]

    def fold(self) -> TemporalConv:
        """A copy for inference, equal to 1e-5, with the batch norms inside the convolutions: neither to be trained
        nor saved."""
        again = copy.deepcopy(self).eval()
        if isinstance(again.net, TemporalConvNet):
            again.net = again.net.fold()
        return again
