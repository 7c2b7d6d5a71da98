"""RepNet's critic: Wandt & Rosenhahn, CVPR 2019. It sees a pose twice, as coordinates and in kinematic chain space.

    pose (3 k) → Linear → RB → Linear ─┐
                                       ├→ Linear → Linear → value
    Ψ = KCS(pose) → Linear → RB ───────┘        RB(x) = act(x + W2 · act(W1 · x)), act a leaky ReLU

Ψ has lengths and angles of bones in the open; sums of coordinates do not. `FLAVOURS` has the PyTorch adaptation, whose
15 "bones" have the sum of the hips for their distance, and the authors' Keras version; `chain="tree"` takes every bone
of any skeleton. `net` has the published parameter names (of the first).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from poselift.errors import InputError, unknown_name
from poselift.geometry.kcs import chain_matrix, kcs
from poselift.models.base import require
from poselift.models.critics.base import Critic, CriticConfig
from poselift.models.leaky import LeakyBlock
from poselift.structures.skeleton import Skeleton

__all__ = ["FLAVOURS", "RepNetCritic", "RepNetCriticConfig", "RepNetCriticNet", "repnet_chain"]

_LIMBS = (
    ("r_hip", "r_knee"), ("r_knee", "r_ankle"), ("l_hip", "l_knee"), ("l_knee", "l_ankle"), ("trunk", "thorax"),
    ("thorax", "nose"), ("nose", "head_top"), ("thorax", "l_shoulder"), ("l_shoulder", "l_elbow"),
    ("l_elbow", "l_wrist"), ("thorax", "r_shoulder"), ("r_shoulder", "r_elbow"), ("r_elbow", "r_wrist"),
    ("r_hip", "l_hip"), ("r_hip", "trunk"),
)  # fmt: skip
"""RepNet's bones; the trunk's lower joint is the spine, or the pelvis where the spine is left out."""

Chain = Literal["difference", "sum", "tree"]


@dataclass(frozen=True, kw_only=True)
class RepNetCriticConfig(CriticConfig):
    """The defaults are the flavour `variant`."""

    joints: tuple[str, ...] | None = None
    """Joints that the critic sees, in its order; all but the root if not given."""
    layout: Literal["joints", "coordinates"] = "joints"
    """Order of the flat pose: x0 y0 z0 x1 …, or x0 x1 … y0 y1 …"""
    chain: Chain = "sum"
    """RepNet's 15 bones with the distance of the hips (`difference`) or their `sum`; or all bones of the `tree`."""
    width: int = 100
    """Features of the pose path, and of the layer that joins the two."""
    chain_width: int = 1000
    """Features of the KCS path."""
    slope: float = 0.01
    """Slope of the leaky ReLU below 0."""
    chain_end: bool = True
    """An activation after the last sum of the KCS path."""

    @staticmethod
    def flavour_of(name: str) -> RepNetCriticConfig:
        """The published version of that name (`FLAVOURS`). Raises `InputError` for an unknown one."""
        if name not in FLAVOURS:
            raise unknown_name("flavour of RepNet's critic", name, FLAVOURS)
        return FLAVOURS[name]


FLAVOURS: dict[str, RepNetCriticConfig] = {
    "variant": RepNetCriticConfig(),
    "original": RepNetCriticConfig(
        joints=(
            "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle", "pelvis", "thorax", "nose", "head_top",
            "l_shoulder", "l_elbow", "l_wrist", "r_shoulder", "r_elbow", "r_wrist",
        ),
        layout="coordinates", chain="difference", slope=0.3, chain_end=False,
    ),
}  # fmt: skip
"""The published versions: the PyTorch adaptation (which the temporal GAN has too); the authors' (Keras)."""


class RepNetCriticNet(nn.Module):
    """The network, under the published parameter names. chain: C (k, bones) over its k joints."""

    chain: Tensor

    def __init__(self, *, chain: Float[Tensor, "k bones"], config: RepNetCriticConfig) -> None:
        super().__init__()
        joints, bones = chain.shape
        self.register_buffer("chain", chain, persistent=False)
        self.w11 = nn.Linear(3 * joints, config.width)
        self.linear_stage1 = LeakyBlock(width=config.width, slope=config.slope)
        self.w12 = nn.Linear(config.width, config.width)
        self.w2 = nn.Linear(bones * bones, config.chain_width)
        self.linear_stage2 = LeakyBlock(width=config.chain_width, slope=config.slope, end=config.chain_end)
        self.w3 = nn.Linear(config.width + config.chain_width, config.width)
        self.w4 = nn.Linear(config.width, 1)
        self.config = config

    def forward(self, pose: Float[Tensor, "n k 3"]) -> Float[Tensor, "n 1"]:
        flat = (pose if self.config.layout == "joints" else pose.mT).flatten(1)
        a = self.w12(self.linear_stage1(self._act(self.w11(flat))))
        b = self.linear_stage2(self._act(self.w2(kcs(pose, self.chain).flatten(1))))
        return self.w4(self._act(self.w3(torch.cat((a, b), -1))))

    def _act(self, y: Tensor) -> Tensor:
        return F.leaky_relu(y, self.config.slope)


class RepNetCritic(Critic):
    """Critic of single poses. Raises `InputError` for joints that the skeleton or the chain does not have."""

    config: RepNetCriticConfig
    joints: Tensor

    def __init__(self, config: RepNetCriticConfig) -> None:
        super().__init__(config)
        require(config, width=(1, 65_536), chain_width=(1, 65_536), slope=(0, 1))
        names = config.joints or tuple(n for j, n in enumerate(self.skeleton.joints) if j != self.skeleton.root)
        if len(set(names)) != len(names):
            raise InputError(field="joints", expected="different joints", found=", ".join(names))
        self.register_buffer("joints", torch.tensor(self.skeleton.indices(*names)), persistent=False)
        chain = repnet_chain(self.skeleton, names, config.chain)
        self.net = RepNetCriticNet(chain=chain, config=config)

    def forward(self, p_root: Float[Tensor, "b t j 3"]) -> Float[Tensor, "b t"]:
        pose = p_root.index_select(-2, self.joints)
        return self.net(pose.flatten(0, 1)).view(p_root.shape[:2])


def repnet_chain(skeleton: Skeleton, names: tuple[str, ...], chain: Chain) -> Float[Tensor, "k bones"]:
    """C over the joints `names`. A root that is not among them is the origin: its bones have one joint only.

    Raises `InputError` where RepNet's bones need a joint that is not there.
    """
    if chain == "tree":
        rows = torch.zeros(len(names), len(skeleton.bones))
        tree = torch.from_numpy(skeleton.chain_matrix)
        for r, j in enumerate(skeleton.indices(*names)):
            rows[r] = tree[j]
        whole = [b for b, bone in enumerate(skeleton.bones) if all(_known(skeleton, names, j) for j in bone)]
        return rows[:, whole]
    trunk = "spine" if "spine" in names else "pelvis"
    bones = [tuple(trunk if n == "trunk" else n for n in bone) for bone in _LIMBS]
    missing = sorted({n for bone in bones for n in bone} - set(names))
    if missing:
        raise InputError(field="chain", expected=f"tree, as there is no {', '.join(missing)}", found=chain)
    pairs = [(names.index(a), names.index(b)) for a, b in bones]
    return chain_matrix(pairs, len(names), sums=[_LIMBS.index(("r_hip", "l_hip"))] if chain == "sum" else [])


def _known(skeleton: Skeleton, names: tuple[str, ...], j: int) -> bool:
    return j == skeleton.root or skeleton.joints[j] in names
