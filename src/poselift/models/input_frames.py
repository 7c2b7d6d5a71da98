"""How keypoints in pixels become network input. One class per input frame; `INPUT_FRAMES` is the table.

| frame | kp_norm | axes of the 3D output |
|---|---|---|
| `pixels` | (kp - mean) / std per coordinate over the training set (Martinez et al., ICCV 2017) | the camera's |
| `screen` | image width onto [-1, 1], aspect kept (Pavllo et al., CVPR 2019) | the camera's |
| `look_at` | seen by a camera without roll that is aimed at the person; the person fills [-1, 1] | of that camera |

With `look_at` neither the focal length, nor the distance, nor the place in the image change what the
network sees of a pose (but for true perspective), so it carries over to cameras it was not trained on.
Channels are x, y, then confidence and the scale feature if asked for. A joint with confidence 0 is 0.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poselift.errors import InputError, unknown_name
from poselift.geometry.cameras import look_at_rotation
from poselift.geometry.projection import normalize_screen, rays

__all__ = ["INPUT_FRAMES", "InputFrame", "InputFrameName", "LookAt", "Pixels", "Screen", "input_frame"]

InputFrameName = Literal["pixels", "screen", "look_at"]

MIN_SIZE = 1e-3
"""Smallest size of a person on the plane z = 1 (one pixel at f = 1000): below it there is only one joint."""
MIN_DEPTH = 0.05
"""Rays that stand at nearly a right angle to the aim, or behind it, are taken at this depth."""


class InputFrame(nn.Module):
    """Base: pixels → (kp_norm, R_look_cam or None). `channels` is the size of the last axis of kp_norm."""

    has_scale = False

    def __init__(self, *, joints: int, confidence: bool = False, scale_feature: bool = False) -> None:
        super().__init__()
        if scale_feature and not self.has_scale:
            raise InputError(field="scale_feature", expected="False with this input frame (only look_at has it)")
        self.joints, self.confidence, self.scale_feature = joints, confidence, scale_feature
        self.channels = 2 + confidence + scale_feature

    def forward(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        K: Float[Tensor, "b 3 3"],
        size_wh: Float[Tensor, "b 2"],
    ) -> tuple[Float[Tensor, "b t j c"], Float[Tensor, "b t 3 3"] | None]:
        raise NotImplementedError

    def mirror(
        self, kp_img: Float[Tensor, "b t j 2"], K: Float[Tensor, "b 3 3"], size_wh: Float[Tensor, "b 2"]
    ) -> Float[Tensor, "b t j 2"]:
        """The picture mirrored about the principal point, so that K stays true (joints keep their places)."""
        return torch.stack((2 * K[:, None, None, 0, 2] - kp_img[..., 0], kp_img[..., 1]), -1)

    def set_statistics(self, mean2d: Float[Tensor, "j 2"] | None, std2d: Float[Tensor, "j 2"] | None) -> None:
        """Only the `pixels` frame has statistics; the others take no notice."""

    def _channels(self, xy: Tensor, conf: Tensor, log_size: Tensor | None = None) -> Tensor:
        """xy (b, t, j, 2), conf (b, t, j), log_size (b, t) → kp_norm; here missing joints become 0."""
        seen = conf > 0
        parts = [torch.where(seen[..., None], xy, 0.0)]
        if self.confidence:
            parts.append(torch.where(seen, conf, 0.0)[..., None])
        if self.scale_feature and log_size is not None:
            parts.append(log_size[..., None, None].expand(*conf.shape, 1))
        return torch.cat(parts, -1) if len(parts) > 1 else parts[0]


class Pixels(InputFrame):
    """Standardised pixels, per joint and coordinate; buffers mean, std (j, 2) pixels."""

    mean: Tensor
    std: Tensor

    def __init__(self, *, joints: int, confidence: bool = False, scale_feature: bool = False) -> None:
        super().__init__(joints=joints, confidence=confidence, scale_feature=scale_feature)
        self.register_buffer("mean", torch.zeros(joints, 2))
        self.register_buffer("std", torch.ones(joints, 2))

    def forward(self, kp_img: Tensor, conf: Tensor, K: Tensor, size_wh: Tensor) -> tuple[Tensor, None]:
        return self._channels((kp_img - self.mean) / self.std.clamp_min(1e-6), conf), None

    def set_statistics(self, mean2d: Tensor | None, std2d: Tensor | None) -> None:
        if mean2d is not None:
            self.mean.copy_(mean2d)
        if std2d is not None:
            self.std.copy_(std2d)


class Screen(InputFrame):
    """Image width onto [-1, 1]: x / w · 2 - 1, y / w · 2 - h / w."""

    def forward(self, kp_img: Tensor, conf: Tensor, K: Tensor, size_wh: Tensor) -> tuple[Tensor, None]:
        return self._channels(normalize_screen(kp_img, size_wh), conf), None

    def mirror(self, kp_img: Tensor, K: Tensor, size_wh: Tensor) -> Tensor:
        """x → w - x, which is kp_norm x → -x, as VideoPose3D does."""
        return torch.stack((size_wh[:, None, None, 0] - kp_img[..., 0], kp_img[..., 1]), -1)


class LookAt(InputFrame):
    """Seen by a camera aimed at the middle of the person's box.

    rays = K⁻¹ kp; R_look_cam turns the middle of the box of the seen joints onto the optical axis without
    rolling; in the turned plane z = 1 the box is moved to the origin and its larger side s scaled to 2.
    The scale feature is log s, 0 in a frame with nobody.
    """

    has_scale = True

    def forward(self, kp_img: Tensor, conf: Tensor, K: Tensor, size_wh: Tensor) -> tuple[Tensor, Tensor]:
        seen = (conf > 0)[..., None]
        ray = rays(torch.where(seen, kp_img, 0.0), K)  # b t j 2
        middle, _ = _box(ray, seen)
        R = look_at_rotation(middle)  # b t 3 3
        turned = torch.cat((ray, torch.ones_like(ray[..., :1])), -1) @ R.mT
        xy = turned[..., :2] / turned[..., 2:].clamp_min(MIN_DEPTH)
        middle, size = _box(xy, seen)
        xy = (xy - middle[..., None, :]) * (2 / size[..., None, None])
        return self._channels(xy, conf, torch.where(seen.any(-2)[..., 0], size.log(), 0.0)), R


def _box(xy: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Middle (b, t, 2) and larger side (b, t) of the box of the seen joints; with nobody 0 and MIN_SIZE."""
    low = torch.where(seen, xy, torch.inf).amin(-2)
    high = torch.where(seen, xy, -torch.inf).amax(-2)
    someone = seen.any(-2)
    size = torch.where(someone, high - low, 0.0).amax(-1).clamp_min(MIN_SIZE)
    return torch.where(someone, (low + high) / 2, 0.0), size


INPUT_FRAMES: dict[str, type[InputFrame]] = {"pixels": Pixels, "screen": Screen, "look_at": LookAt}
assert tuple(INPUT_FRAMES) == get_args(InputFrameName)


def input_frame(name: str, *, joints: int, confidence: bool = False, scale_feature: bool = False) -> InputFrame:
    """The input frame of that name, built. Raises `InputError` for an unknown name."""
    if name not in INPUT_FRAMES:
        raise unknown_name("input frame", name, INPUT_FRAMES)
    return INPUT_FRAMES[name](joints=joints, confidence=confidence, scale_feature=scale_feature)
