"""What RepNet and the temporal GAN are built of: layers with leaky ReLU and biases, without batch norm and dropout."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LeakyBlock", "TemporalNet", "about_root"]


class LeakyBlock(nn.Module):
    """act(x + W2 · act(W1 · x)), act the leaky ReLU; `end`: with the activation after the sum or without it."""

    def __init__(self, *, width: int, slope: float, end: bool = True) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, width)
        self.w2 = nn.Linear(width, width)
        self.slope, self.end = slope, end

    def forward(self, x: Float[Tensor, "n w"]) -> Float[Tensor, "n w"]:
        y = x + self.w2(F.leaky_relu(self.w1(x), self.slope))
        return F.leaky_relu(y, self.slope) if self.end else y


class TemporalNet(nn.Module):
    """27 frames → the one in their middle, in three steps of three frames, under the published parameter names.

    y1 = act(conv3(x));  y2 = act(y1' + conv1(act(conv3(y1))));  y3 = act(y2' + conv1(act(conv3(y2))));  conv1(y3)
    with y' the middle frames of y. The published form has stride 3 and one output; this one has dilation 1, 3, 9 and
    an output for every frame, with the same weights and numbers. On one window in training the strides save work.
    """

    receptive_field = 27

    def __init__(self, *, features_in: int, features_out: int, channels: int, slope: float) -> None:
        super().__init__()
        self.w1 = nn.Conv1d(features_in, channels, 3)
        self.w21 = nn.Conv1d(channels, channels, 3)
        self.w22 = nn.Conv1d(channels, channels, 1)
        self.w31 = nn.Conv1d(channels, channels, 3)
        self.w32 = nn.Conv1d(channels, channels, 1)
        self.w4 = nn.Conv1d(channels, features_out, 1)
        self.slope = slope

    def forward(self, x: Float[Tensor, "b t i"]) -> Float[Tensor, "b t_out o"]:
        """t_out = t - 26."""
        one = self.training and x.shape[1] == self.receptive_field
        y = x.mT
        y = self._act(_conv3(self.w1, y, dilation=1, stride=3 if one else 1))
        z = self._act(_conv3(self.w21, y, dilation=1 if one else 3, stride=3 if one else 1))
        y = self._act(self.w22(z) + (y[..., 1::3] if one else y[..., 3:-3]))
        z = self._act(_conv3(self.w31, y, dilation=1 if one else 9, stride=1))
        y = self._act(self.w32(z) + (y[..., 1:-1] if one else y[..., 9:-9]))
        return self.w4(y).mT

    def _act(self, y: Tensor) -> Tensor:
        return F.leaky_relu(y, self.slope)


def _conv3(layer: nn.Conv1d, x: Tensor, *, dilation: int, stride: int) -> Tensor:
    return F.conv1d(x, layer.weight, layer.bias, stride=stride, dilation=dilation)


def about_root(kp_norm: Float[Tensor, "*b j c"], root: int) -> Float[Tensor, "*b j c"]:
    """x and y minus those of the root joint; of the middle of the seen joints where the root is missing.

    A joint at exactly 0 is a missing one (`models.input_frames`) and stays there; further channels stay as they are.
    """
    xy = kp_norm[..., :2]
    seen = (xy != 0).any(-1, keepdim=True)
    count = seen.to(xy.dtype).sum(-2, keepdim=True).clamp_min(1)
    middle = xy.sum(-2, keepdim=True) / count
    origin = torch.where(seen[..., root : root + 1, :], xy[..., root : root + 1, :], middle)
    return torch.cat((torch.where(seen, xy - origin, 0.0), kp_norm[..., 2:]), -1)
