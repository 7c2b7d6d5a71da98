"""RepNet: Wandt, Rosenhahn, "RepNet: Weakly Supervised Training of an Adversarial Reprojection Network for 3D Human
Pose Estimation", CVPR 2019. A lifter that is trained without pairs of 2D and 3D.

    x → Linear → RB, then two branches:   RB RB Linear Linear → pose (j, 3)        RB RB Linear → camera M (3, 2)
    RB(x) = act(x + W2 · act(W1 · x)), act a leaky ReLU;    reprojection  pose · M, weak perspective, no translation

A critic (`models.critics.repnet`) asks of the pose that it look like one of a person, the reprojection that it explain
the keypoints. `FLAVOURS` has the PyTorch adaptation ("variant") and the authors' Keras version ("original"); `net` has
the parameter names of the first.

What metres mean here: nobody told the network how large or how far the person is, and M takes up any scale. A pose is
in metres because the poses that the critic was shown were; its size is that of people like those in this pose,
not of this person. N-MPJPE and P-MPJPE do not ask for it. Where the root is in space, reprojection cannot tell
either: `geometry.roots` and root models are for that.
Axes: the variant's critic sees poses along camera axes, and so are the network's. The original's sees them turned to
one template, so that the network's are turned too; `forward` turns them back by the predicted camera.

What differs: image → input is part of the model, the root is joint 0 of what `forward` gives and exactly 0, a
joint that the network does not give is midway between its neighbours.
MPJPE in mm on Human3.6M, as published: 89.9 paper (50.9 from ground-truth 2D); 76.5 variant, whose mean counts
the root, where the error is 0 by construction (81.3 without it), and whose model was selected on the test set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from poselift.errors import InputError, unknown_name
from poselift.models.base import Lifter, LifterConfig, require
from poselift.models.input_frames import InputFrameName
from poselift.models.leaky import LeakyBlock, about_root
from poselift.structures.skeleton import Skeleton

__all__ = ["FLAVOURS", "ORIGINAL_JOINTS", "RepNet", "RepNetConfig", "RepNetNet", "camera_rotation"]

ORIGINAL_JOINTS = (
    "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "pelvis", "thorax", "nose", "head_top",
    "l_shoulder", "l_elbow", "l_wrist", "r_shoulder", "r_elbow", "r_wrist",
)  # fmt: skip
"""The authors' joints in their order; `nose` stands where MPII has the upper neck."""


@dataclass(frozen=True, kw_only=True)
class RepNetConfig(LifterConfig):
    """The defaults are the flavour `variant`."""

    input_frame: InputFrameName = "screen"
    """How image keypoints become network input."""
    confidence: bool = False
    """Give the network each joint's confidence as a third channel."""
    scale_feature: bool = False
    """Give the network the logarithm of the person's size on the image plane (only for `look_at`)."""
    width: int = 1000
    """Features of every hidden layer."""
    slope: float = 0.01
    """Slope of the leaky ReLU below 0."""
    joints: tuple[str, ...] | None = None
    """Joints that the network sees and gives, in its order; all but the root if not given."""
    normalization: Literal["root", "pose"] = "root"
    """`root`: keypoints minus the root's; `pose`: minus the mean, divided by the deviation in the pose, y upwards."""
    layout: Literal["joints", "coordinates"] = "joints"
    """Order of the flat numbers: x0 y0 x1 y1 …, or x0 x1 … y0 y1 …"""
    axes: Literal["camera", "template"] = "camera"
    """Axes of the network's pose: the camera's, or a template's, from which the predicted camera turns it back."""

    @staticmethod
    def flavour_of(name: str) -> RepNetConfig:
        """The published version of that name (`FLAVOURS`). Raises `InputError` for an unknown one."""
        if name not in FLAVOURS:
            raise unknown_name("flavour of RepNet", name, FLAVOURS)
        return FLAVOURS[name]


FLAVOURS: dict[str, RepNetConfig] = {
    "variant": RepNetConfig(),
    "original": RepNetConfig(
        joints=ORIGINAL_JOINTS, normalization="pose", layout="coordinates", axes="template", slope=0.3
    ),
}
"""The published versions: the PyTorch adaptation; the authors' (Keras)."""


class RepNetNet(nn.Module):
    """The network, flat in and flat out: pose numbers, then the camera's six (row by row of M)."""

    def __init__(self, *, features_in: int, features_out: int, width: int, slope: float) -> None:
        super().__init__()
        self.w1 = nn.Linear(features_in, width)
        self.linear_stage = LeakyBlock(width=width, slope=slope)
        self.pose3d_stages1 = LeakyBlock(width=width, slope=slope)
        self.pose3d_stages2 = LeakyBlock(width=width, slope=slope)
        self.w21 = nn.Linear(width, width)
        self.w22 = nn.Linear(width, features_out)
        self.camera_stages1 = LeakyBlock(width=width, slope=slope)
        self.camera_stages2 = LeakyBlock(width=width, slope=slope)
        self.w3 = nn.Linear(width, 6)
        self.slope = slope

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        y = self.shared(x)
        return torch.cat((self.pose(y), self.camera(y)), -1)

    def shared(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n w"]:
        """The layers before the branches."""
        return self.linear_stage(F.leaky_relu(self.w1(x), self.slope))

    def pose(self, y: Float[Tensor, "n w"]) -> Float[Tensor, "n o"]:
        """The pose branch."""
        return self.w22(F.leaky_relu(self.w21(self.pose3d_stages2(self.pose3d_stages1(y))), self.slope))

    def camera(self, y: Float[Tensor, "n w"]) -> Float[Tensor, "n 6"]:
        """The camera branch."""
        return self.w3(self.camera_stages2(self.camera_stages1(y)))


class RepNet(Lifter):
    """Single-frame lifter around `RepNetNet`. k below are the network's joints (`config.joints`)."""

    config: RepNetConfig
    joints: Tensor
    place: Tensor

    def __init__(self, config: RepNetConfig) -> None:
        super().__init__(config)
        require(config, width=(1, 65_536), slope=(0, 1))
        names = config.joints or tuple(n for j, n in enumerate(self.skeleton.joints) if j != self.skeleton.root)
        if len(set(names)) != len(names):
            raise InputError(field="joints", expected="different joints", found=", ".join(names))
        self.register_buffer("joints", torch.tensor(self.skeleton.indices(*names)), persistent=False)
        self.register_buffer("place", torch.tensor(_places(self.skeleton, names)), persistent=False)
        scale = int(config.scale_feature)
        features = len(names) * (self.in_channels - scale) + scale
        self.net = RepNetNet(
            features_in=features, features_out=3 * len(names), width=config.width, slope=config.slope
        )  # fmt: skip
        if config.axes == "camera":
            self.only_in_losses = ("net.camera_stages1.", "net.camera_stages2.", "net.w3.")

    def forward(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t j 3"]:
        y = self.net.shared(self.flat(self.relative(kp_norm)).flatten(0, 1))
        pose = self._joints(self.net.pose(y), 3)  # n k 3
        if self.config.axes == "template":
            pose = pose @ camera_rotation(self.net.camera(y).unflatten(-1, (3, 2)), y_up=self._y_up).mT
        return self.whole(pose).unflatten(0, kp_norm.shape[:2])

    def pose_and_camera(
        self, kp_norm: Float[Tensor, "b t j c"]
    ) -> tuple[Float[Tensor, "b t k 2"], Float[Tensor, "b t k 3"], Float[Tensor, "b t 3 2"]]:
        """What the losses are of: the network's keypoints, its pose in metres along its own axes, its camera M.

        Reprojection is `geometry.projection.weak_perspective(pose, M)`, to be compared with the keypoints.
        """
        x = self.relative(kp_norm)
        y = self.net.shared(self.flat(x).flatten(0, 1))
        pose, camera = self._joints(self.net.pose(y), 3), self.net.camera(y).unflatten(-1, (3, 2))
        b = kp_norm.shape[:2]
        return x[..., :2], pose.unflatten(0, b), camera.unflatten(0, b)

    def pose_of(self, x: Float[Tensor, "b t k 2"]) -> Float[Tensor, "b t k 3"]:
        """The network's pose, in metres along its own axes, of keypoints that are normalised already (`relative`)."""
        x = torch.cat((x, x.new_ones(*x.shape[:-1], self.in_channels - 2)), -1)  # whoever has a confidence is sure
        y = self.net.shared(self.flat(x).flatten(0, 1))
        return self._joints(self.net.pose(y), 3).unflatten(0, x.shape[:2])

    def relative(self, kp_norm: Float[Tensor, "b t j c"]) -> Float[Tensor, "b t k c"]:
        """The network's joints, normalised as the config says; a missing joint is 0."""
        if self.config.normalization == "root":
            return about_root(kp_norm, self.skeleton.root).index_select(-2, self.joints)
        x = kp_norm.index_select(-2, self.joints)
        xy = x[..., :2]
        seen = (xy != 0).any(-1, keepdim=True)
        count = seen.to(xy.dtype).sum(-2, keepdim=True).clamp_min(1)
        xy = torch.where(seen, xy - xy.sum(-2, keepdim=True) / count, 0.0)
        variance = xy.square().sum((-2, -1), keepdim=True) / (2 * count)
        xy = xy * variance.clamp_min(1e-12).rsqrt() * xy.new_tensor((1.0, -1.0))
        return torch.cat((xy, x[..., 2:]), -1)

    def flat(self, x: Float[Tensor, "b t k c"]) -> Float[Tensor, "b t i"]:
        """In the order of `config.layout`; the scale feature, the same for all joints, once at the end."""
        scale = int(self.config.scale_feature)
        own = x[..., : x.shape[-1] - scale]
        y = (own if self.config.layout == "joints" else own.mT).flatten(-2)
        return torch.cat((y, x[..., 0, -1:]), -1) if scale else y

    def whole(self, pose: Float[Tensor, "n k 3"]) -> Float[Tensor, "n j 3"]:
        """All joints of the skeleton, relative to the root."""
        p = F.pad(pose, (0, 0, 0, 1))
        p = (p.index_select(-2, self.place[0]) + p.index_select(-2, self.place[1])) / 2
        root = self.skeleton.root
        return p - p[..., root : root + 1, :]

    @property
    def _y_up(self) -> bool:
        return self.config.normalization == "pose"

    def _joints(self, flat: Tensor, d: int) -> Tensor:
        if self.config.layout == "joints":
            return flat.unflatten(-1, (-1, d))
        return flat.unflatten(-1, (d, -1)).mT


def camera_rotation(M: Float[Tensor, "*b 3 2"], *, y_up: bool) -> Float[Tensor, "*b 3 3"]:
    """The rotation R_cam_template that is nearest to a weak-perspective camera: its first two rows, but for the scale,
    are the columns of M (the second one turned about where M's y points upwards)."""
    a, b = (F.normalize(c, dim=-1) for c in M.unbind(-1))
    s, d = F.normalize(a + b, dim=-1), F.normalize(a - b, dim=-1)  # at a right angle, as a and b have one length
    x, y = (s + d) * 0.5**0.5, (s - d) * 0.5**0.5
    y = -y if y_up else y
    return torch.stack((x, y, torch.linalg.cross(x, y)), -2)


def _places(skeleton: Skeleton, names: tuple[str, ...]) -> list[list[int]]:
    """For every joint the two rows of (pose, 0) whose mean it is: one row twice, or two neighbours in the tree."""
    row = {skeleton.index(n): r for r, n in enumerate(names)}
    row.setdefault(skeleton.root, len(names))
    pairs = []
    for j in range(len(skeleton)):
        near = [row[k] for k in (skeleton.parents[j], *(c for c, p in skeleton.bones if p == j)) if k in row]
        pairs.append([row[j]] * 2 if j in row else (near or [len(names)])[:2] * (2 if len(near) < 2 else 1))
    return [[pair[0] for pair in pairs], [pair[1] for pair in pairs]]
