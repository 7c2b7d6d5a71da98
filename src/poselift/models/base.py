"""What every lifter is: an `nn.Module` that is complete by itself, from image keypoints to metric root-relative 3D.

    p_root = lifter.lift(kp_img, conf, K, size_wh)                        # b t j 3, metres, camera axes
           = to_camera(forward(kp_norm), R),  kp_norm, R = encode(kp_img, conf, K, size_wh)

A lifter holds its input frame (`models.input_frames`) and its statistics in buffers, so a checkpoint
needs nothing beside it. `Refiner` and `RootModel` are the protocols of the stages after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poselift.errors import InputError
from poselift.models.input_frames import InputFrame, InputFrameName, input_frame
from poselift.structures.skeleton import Skeleton, skeleton

__all__ = [
    "Lifter", "LifterConfig", "Refiner", "RefinerConfig", "RootModel", "RootSource", "Stretch", "require", "to_camera",
    "to_look",
]  # fmt: skip

RootSource = Literal["given", "least_squares", "resolved"]
"""Where a refiner has the root from: `given` with the pose (the truth, a root model, …), solved by `least_squares` once
before the first step, or `resolved`: solved so before every step from the pose as it is then."""


@dataclass(frozen=True, kw_only=True)
class LifterConfig:
    """What the config of every lifter says."""

    skeleton: str = "h36m17"
    """Layout of the joints, in and out."""
    input_frame: InputFrameName = "look_at"
    """How image keypoints become network input: `pixels` standardised by statistics of the training set, `screen`
    scaled by the image width (VideoPose3D), `look_at` seen by a camera that is aimed at the person."""
    confidence: bool = True
    """Give the network each joint's confidence as a third channel."""
    scale_feature: bool = True
    """Give the network the logarithm of the person's size on the image plane (only for `look_at`)."""


def require(config: object, **limits: tuple[float | int, float | int]) -> None:
    """Raises `InputError` unless each named number of the config lies within its limits."""
    for name, (low, high) in limits.items():
        value = getattr(config, name)
        if not low <= value <= high:
            raise InputError(field=f"model {name}", expected=f"{low} to {high}", found=value)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Where some frames lie: the first is frame `start` of a sequence of `total` frames."""

    start: int
    total: int


class Lifter(nn.Module):
    """2D keypoints of one person → root-relative 3D in metres.

    Subclasses implement `forward` and set `receptive_field` (frames that one output frame needs).
    A lifter of whole sequences sets `sequence`: it has receptive field 1, takes any number of frames and gives as many
    poses, each of which depends on the frames up to `context` before and after it, and on where the sequence ends.
    Frames that are only part of a sequence (`needs` says which) go through `lift` and `forward` with their `Stretch`,
    which begins on a multiple of `grid`; poses `context` from where they are cut are then those of the whole sequence.
    config: the frozen dataclass it was built from; skeleton: layout in and out; in_channels: c of `kp_norm`;
    frame: the input frame; mean3d, std3d (j, 3) metres: statistics of the target in the input frame.
    Raises `InputError` for a config that names an unknown skeleton or an impossible input frame.
    """

    mean3d: Tensor
    std3d: Tensor
    flip: Tensor
    receptive_field: int = 1
    causal: bool = False
    sequence: bool = False
    context: int = 0
    grid: int = 1
    only_in_losses: tuple[str, ...] = ()
    """Beginnings of the names of parameters that `forward` does not use: a branch that a loss alone needs."""

    def __init__(self, config: LifterConfig) -> None:
        super().__init__()
        self.config = config
        self.skeleton: Skeleton = skeleton(config.skeleton)
        self.frame: InputFrame = input_frame(
            config.input_frame,
            joints=len(self.skeleton),
            confidence=config.confidence,
            scale_feature=config.scale_feature,
        )
        self.in_channels = self.frame.channels
        self.register_buffer("mean3d", torch.zeros(len(self.skeleton), 3))
        self.register_buffer("std3d", torch.ones(len(self.skeleton), 3))
        self.register_buffer("flip", torch.tensor(self.skeleton.flip), persistent=False)

    def forward(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t_out j 3"]:
        """Network input → p_root in metres, in the axes of the input frame. t_out = t - receptive_field + 1."""
        raise NotImplementedError

    def encode(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        K: Float[Tensor, "b 3 3"],
        size_wh: Float[Tensor, "b 2"],
    ) -> tuple[Float[Tensor, "b t j c"], Float[Tensor, "b t 3 3"] | None]:
        """Pixels → (kp_norm, R_look_cam); R is None where the input frame keeps the camera's axes.

        Coordinates of joints with conf = 0 have no influence, whatever they are.
        """
        return self.frame(kp_img, conf, K, size_wh)

    def lift(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        K: Float[Tensor, "b 3 3"],
        size_wh: Float[Tensor, "b 2"],
        *,
        flip_average: bool = False,
        of: Stretch | None = None,
    ) -> Float[Tensor, "b t_out j 3"]:
        """Pixels → p_root in metres along the camera's own axes.

        flip_average: the mean of this and of what the mirrored person gives, mirrored back.
        of: for lifters of sequences; where these frames lie in theirs (None: they are all of it).
        """
        p = self._lift(kp_img, conf, K, size_wh, of)
        if flip_average:
            x = self.frame.mirror(kp_img, K, size_wh)
            flipped = self._lift(x.index_select(-2, self.flip), conf.index_select(-1, self.flip), K, size_wh, of)
            p = (p + self.flip_pose(flipped)) / 2
        return p

    def _lift(self, kp_img: Tensor, conf: Tensor, K: Tensor, size_wh: Tensor, of: Stretch | None) -> Tensor:
        kp_norm, R = self.encode(kp_img, conf, K, size_wh)
        p = self(kp_norm) if of is None else self(kp_norm, of)
        return p if R is None else to_camera(p, self.output_frames(R))

    @property
    def single_frame(self) -> bool:
        """Every pose depends on its own frame only, so that any frames make a batch."""
        return self.receptive_field == 1 and not self.sequence

    def needs(self, a: int, b: int, total: int) -> tuple[int, int]:
        """First and end of the frames, of a sequence of `total`, that the poses of frames a to b depend on."""
        if self.sequence:
            first = max(0, a - self.context)
            return first - first % self.grid, min(b + self.context, total)
        before = self.receptive_field - 1 if self.causal else (self.receptive_field - 1) // 2
        return max(0, a - before), min(b + self.receptive_field - 1 - before, total)

    def fold(self) -> Lifter:
        """The same function for inference only, as fast as it gets: whatever can be multiplied out beforehand is."""
        return self

    def output_frames(self, x: Tensor) -> Tensor:
        """(b, t, ...) of the input frames → (b, t_out, ...) of the frames that `forward` gives poses for."""
        before = self.receptive_field - 1 if self.causal else (self.receptive_field - 1) // 2
        return x[:, before : x.shape[1] - (self.receptive_field - 1 - before)]

    def flip_pose(self, p: Float[Tensor, "*b j 3"]) -> Float[Tensor, "*b j 3"]:
        """Mirror a pose: x changes its sign, left and right change places."""
        return p.index_select(-2, self.flip) * p.new_tensor((-1.0, 1.0, 1.0))

    def set_statistics(
        self,
        *,
        mean3d: Float[Tensor, "j 3"],
        std3d: Float[Tensor, "j 3"],
        mean2d: Float[Tensor, "j 2"] | None = None,
        std2d: Float[Tensor, "j 2"] | None = None,
    ) -> None:
        """Take the training set's statistics: the target's in metres (in the axes of the input frame), the
        keypoints' in pixels (only the `pixels` frame has any).

        A coordinate that never varies (std 0: the root) comes out as its mean, exactly.
        """
        with torch.no_grad():
            self.mean3d.copy_(mean3d)
            self.std3d.copy_(std3d)
            self.frame.set_statistics(mean2d, std2d)

    def standardize(self, p_root: Float[Tensor, "*b j 3"]) -> Float[Tensor, "*b j 3"]:
        """Metres → units of the target's standard deviation, in which the baselines' losses are written."""
        return (p_root - self.mean3d) / self.std3d.clamp_min(1e-6)


def to_camera(p_look: Float[Tensor, "*b j 3"], R_look_cam: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b j 3"]:
    """Rotate a pose from look axes into camera axes: R_look_camᵀ p, for row vectors p R_look_cam."""
    return p_look @ R_look_cam


def to_look(p_cam: Float[Tensor, "*b j 3"], R_look_cam: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b j 3"]:
    """Rotate a pose from camera axes into look axes: the target of a lifter whose `encode` gave R_look_cam."""
    return p_cam @ R_look_cam.mT


@dataclass(frozen=True, kw_only=True)
class RefinerConfig:
    """What the config of every refiner says."""

    skeleton: str = "h36m17"
    """Layout of the joints."""
    root: RootSource = "given"
    """Where the root came from in training, and comes from where nothing else is said."""


@runtime_checkable
class Refiner(Protocol):
    """A network that corrects a root-relative pose and knows nothing of the lifter that made it."""

    skeleton: Skeleton

    @property
    def config(self) -> RefinerConfig: ...

    def refine(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        p_root: Float[Tensor, "b t j 3"],
        root_cam: Float[Tensor, "b t 3"] | None,
        K: Float[Tensor, "b 3 3"],
        *,
        root: RootSource | None = None,
    ) -> Float[Tensor, "b t j 3"]:
        """Better p_root, metres, camera axes. root: None is the source it was trained with (`config.root`); root_cam is
        read only where the source is `given`."""
        ...


@runtime_checkable
class RootModel(Protocol):
    """Finds where the root is: from 2D and root-relative 3D to its absolute position."""

    def locate(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        p_root: Float[Tensor, "b t j 3"],
        K: Float[Tensor, "b 3 3"],
    ) -> Float[Tensor, "b t 3"]:
        """root_cam, metres, camera axes."""
        ...
