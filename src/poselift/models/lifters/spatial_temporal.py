"""Spatial, then temporal: a single-frame lifter whose poses are corrected by what the frames around them show.

    q_t = spatial lifter of frame t, turned into the camera's axes            s_t = its input, q_t, where the person is
    x = W_in · s;   for filter i = 0 … n-1, dilation d_i = w0 … w_{i-1}:   x = x[middle frame] + W2 GELU(W1 [LN(x)]_w,d)
    a = softmax(W_k · LN(x)) over the taps k, for each joint by itself;   receptive field = w0 w1 … w_{n-1}
    p_t = Σ_k a_k q_{t+k} + W_out · LN(x), root subtracted

The two-stage plan of PoseFormer (Zheng et al., ICCV 2021) and SmoothNet (Zeng et al., ECCV 2022), with the dilated
filters of VideoPose3D (Pavllo et al., CVPR 2019) in the second stage, which predicts for each joint and frame how to
average the poses around (kernel prediction: Jia et al., "Dynamic filter networks", NeurIPS 2016) and what to add.
Averaging is what takes noise out. Each frame is looked at once, whatever the length, and poses meet in the camera's
axes, in which they change smoothly however the aim at the person jumps. The spatial network is taken from a trained
model and stays as it is (`train.encoded`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from poselift.errors import InputError
from poselift.models.base import Lifter, LifterConfig, require, to_camera
from poselift.models.lifters.residual_mlp import ResidualMLP, ResidualMLPConfig
from poselift.models.lifters.temporal_conv import Span, spans

__all__ = ["SpatialTemporal", "SpatialTemporalConfig"]


@dataclass(frozen=True, kw_only=True)
class SpatialTemporalConfig(LifterConfig):
    """The defaults see 81 frames, with 1.1 million parameters after the spatial network's 6.5. Layout and input frame
    are those of the spatial network and have to be said for both."""

    spatial: ResidualMLPConfig = field(default_factory=lambda: ResidualMLPConfig(dropout=0.0))
    """The single-frame network."""
    filter_widths: tuple[int, ...] = (3, 3, 3, 3)
    """Frames that each filter over time sees, odd numbers; their product is the receptive field."""
    channels: int = 256
    """Features of every frame in the temporal network."""
    taps: int = 27
    """Frames that a pose is an average of, an odd number."""
    causal: bool = False
    """See no frame after the one that the output stands for."""


class _Filter(nn.Module):
    """x[kept] + W2 · GELU(W1 · the w frames of LN(x))."""

    def __init__(self, span: Span, channels: int) -> None:
        super().__init__()
        self.span = span
        self.norm = nn.LayerNorm(channels)
        self.w1 = nn.Linear(span.width * channels, channels)
        self.w2 = nn.Linear(channels, channels)
        nn.init.normal_(self.w2.weight, std=0.5 / math.sqrt(channels))
        nn.init.zeros_(self.w2.bias)

    def forward(self, x: Float[Tensor, "b t c"]) -> Float[Tensor, "b t_out c"]:
        y, last = self.norm(x), x.shape[1] - (self.span.reach - 1)
        taps = [y[:, k * self.span.dilation : k * self.span.dilation + last] for k in range(self.span.width)]
        first = self.span.kept * self.span.dilation
        return x[:, first : first + last] + self.w2(F.gelu(self.w1(torch.cat(taps, -1))))


class SpatialTemporal(Lifter):
    """Temporal lifter on a frozen single-frame one; the root of what it gives is exactly 0.

    kp_norm (b, t, j, c): the spatial network's input, its pose in camera axes (3, metres) and the direction from the
    camera to the person (3, the same for all joints). Raises `InputError` for a spatial network of another layout.
    """

    config: SpatialTemporalConfig

    def __init__(self, config: SpatialTemporalConfig) -> None:
        super().__init__(config)
        require(config, channels=(1, 65_536), taps=(1, math.prod(config.filter_widths)))
        if config.taps % 2 == 0:
            raise InputError(field="model taps", expected="an odd number", found=config.taps)
        for name in ("skeleton", "input_frame", "confidence", "scale_feature"):
            of, own = getattr(config.spatial, name), getattr(config, name)
            if of != own:
                raise InputError(field=f"model spatial.{name}", expected=own, found=of)
        found = spans(config.filter_widths, causal=config.causal, dense=False)
        self.receptive_field, self.causal = math.prod(config.filter_widths), config.causal
        self.spatial = ResidualMLP(config.spatial).requires_grad_(False)
        seen = self.in_channels
        self.in_channels = seen + 6
        self.per_joint = seen - int(config.scale_feature)
        features = len(self.skeleton) * (self.per_joint + 3) + int(config.scale_feature) + 3
        self.w_in = nn.Linear(features, config.channels)
        self.filters = nn.ModuleList(_Filter(span, config.channels) for span in found)
        self.norm = nn.LayerNorm(config.channels)
        joints, taps = len(self.skeleton), config.taps
        self.w_k, self.w_out = nn.Linear(config.channels, joints * taps), nn.Linear(config.channels, 3 * joints)
        for layer in (self.w_k, self.w_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.here = taps - 1 if config.causal else taps // 2  # the tap of the frame that the output stands for
        begin = [max(-0.5 * ((k - self.here) / 1.5) ** 2, -8.0) for k in range(taps)]  # a Gaussian over a few frames
        with torch.no_grad():
            self.w_k.bias.copy_(torch.tensor(begin * joints))

    def encode(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        K: Float[Tensor, "b 3 3"],
        size_wh: Float[Tensor, "b 2"],
    ) -> tuple[Float[Tensor, "b t j c"], None]:
        """Pixels → (kp_norm, None): what the spatial network gives is turned into camera axes here."""
        x, R = self.spatial.encode(kp_img, conf, K, size_wh)
        p = self.spatial(x)
        if R is None:
            aim = p.new_tensor((0.0, 0.0, 1.0)).expand(*p.shape[:2], 3)
        else:
            p, aim = to_camera(p, R), R[..., 2, :]
        return torch.cat((x, p, aim[..., None, :].expand_as(p)), -1), None

    def forward(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t_out j 3"]:
        p, n = kp_norm[..., -6:-3], self.per_joint
        flat = torch.cat((kp_norm[..., :n], p), -1).flatten(-2)
        x = self.w_in(torch.cat((flat, kp_norm[..., 0, n:-6], kp_norm[..., 0, -3:]), -1))  # b t c
        for one in self.filters:
            x = one(x)
        x = self.norm(x)
        t, first = x.shape[1], (self.receptive_field - 1) // (1 if self.causal else 2) - self.here
        weight = self.w_k(x).unflatten(-1, (-1, self.config.taps)).to(p.dtype).softmax(-1)  # b t j k
        q, p = p, self.w_out(x).unflatten(-1, (-1, 3))
        for k in range(self.config.taps):
            p = p + weight[..., k, None] * q[:, first + k : first + k + t]
        root = self.skeleton.root
        return p - p[..., root : root + 1, :]

    def train(self, mode: bool = True) -> SpatialTemporal:
        """As of any module, but for the spatial network, which is never trained here."""
        super().train(mode)
        self.spatial.eval()
        return self

    def take_spatial(self, lifter: Lifter) -> None:
        """Take the weights of a trained single-frame network. Raises `InputError` for one of another config."""
        if not isinstance(lifter, ResidualMLP) or lifter.config != self.config.spatial:
            raise InputError(field="objective.spatial", expected=self.config.spatial, found=lifter.config)
        self.spatial.load_state_dict(lifter.state_dict())
