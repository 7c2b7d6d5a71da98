"""The rig of animation files (BVH, GLB): nodes that turn bones of constant length, and their rotations.

Bones have constant lengths: the median over the clip, the same left and right; the resting pose has its legs down and
its arms out, y up, facing +z. Node names are CMU's, as in most free motion. Twist comes from the hips' and shoulders'
lines for the trunk and neck; limbs turn the shortest way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from poselift.errors import InputError
from poselift.formats.kinematics import frame_of, shortest
from poselift.structures import Clip, Skeleton

__all__ = ["NODES", "REST", "Node", "bone_lengths", "constant_bones", "filled", "frame_grid", "node_turns"]

_MAX_FILLED = 1_000_000
_X, _Y = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])


class Node(NamedTuple):
    """A joint of the BVH tree: stands at `joint`, turns the bone to `bone` ("-": none), which rests along `rest`."""

    name: str
    parent: str
    joint: str
    bone: str
    rest: str

    @property
    def order(self) -> str:
        """Euler order. The middle angle is the one that must not reach 90°: the twist of a limb."""
        return "YXZ" if self.parent == "-" else "ZXY" if self.rest[1] == "x" else "XYZ"


# Depth first, as the file lists them. Joints that several bones leave have one node per bone in the same place.
NODES = [
    Node(*line.split())
    for line in """
    Hips           -              pelvis      -           +y
    LHipJoint      Hips           pelvis      l_hip       +x
    LeftUpLeg      LHipJoint      l_hip       l_knee      -y
    LeftLeg        LeftUpLeg      l_knee      l_ankle     -y
    LeftFoot       LeftLeg        l_ankle     -           -y
    RHipJoint      Hips           pelvis      r_hip       -x
    RightUpLeg     RHipJoint      r_hip       r_knee      -y
    RightLeg       RightUpLeg     r_knee      r_ankle     -y
    RightFoot      RightLeg       r_ankle     -           -y
    LowerBack      Hips           pelvis      spine       +y
    Spine          LowerBack      spine       thorax      +y
    Spine1         Spine          thorax      -           +y
    Neck           Spine1         thorax      nose        +y
    Head           Neck           nose        head_top    +y
    LeftShoulder   Spine1         thorax      l_shoulder  +x
    LeftArm        LeftShoulder   l_shoulder  l_elbow     +x
    LeftForeArm    LeftArm        l_elbow     l_wrist     +x
    LeftHand       LeftForeArm    l_wrist     -           +x
    RightShoulder  Spine1         thorax      r_shoulder  -x
    RightArm       RightShoulder  r_shoulder  r_elbow     -x
    RightForeArm   RightArm       r_elbow     r_wrist     -x
    RightHand      RightForeArm   r_wrist     -           -x
    """.strip().splitlines()
]
REST = {"+x": _X, "-x": -_X, "+y": _Y, "-y": -_Y}
"""The letters of `Node.rest` as directions."""


def bone_lengths(clip: Clip) -> Float[np.ndarray, " j"]:
    """(17,) metres from each joint's parent: median over the frames seen, the same left and right; 0 for the root."""
    assert clip.p_root is not None
    body = clip.skeleton
    p = clip.p_root[clip.seen] if clip.seen.any() else clip.p_root
    parents = np.array(body.parents)
    lengths = np.median(np.linalg.norm((p - p[:, parents]).astype(np.float64), axis=-1), axis=0)
    lengths[parents < 0] = 0
    return (lengths + lengths[list(body.flip)]) / 2


def constant_bones(
    p: Float[np.ndarray, "t j 3"], lengths: Float[np.ndarray, " j"], body: Skeleton
) -> Float[np.ndarray, "t j 3"]:
    """(t, j, 3): the bones of `p` in their directions with other lengths, from the same root."""
    out = p.astype(np.float64)
    for j in body.order:
        if (parent := body.parents[j]) >= 0:
            bone = (p[:, j] - p[:, parent]).astype(np.float64)
            length = np.linalg.norm(bone, axis=-1, keepdims=True)
            out[:, j] = out[:, parent] + bone / np.where(length > 1e-9, length, np.inf) * lengths[j]
    return out


def frame_grid(clip: Clip) -> Int[np.ndarray, " n"]:
    """All frame numbers from the clip's first to its last. Raises `InputError` for gaps beyond any sense."""
    first, last = int(clip.frame_numbers[0]), int(clip.frame_numbers[-1])
    limit = max(_MAX_FILLED, 10 * len(clip))
    if last - first >= limit:
        field = f"track {clip.track_id} frame numbers"
        raise InputError(field=field, expected=f"at most {limit:,} frames from first to last", found=last - first + 1)
    return np.arange(first, last + 1)


def filled(clip: Clip, grid: Int[np.ndarray, " n"]) -> tuple[Float[np.ndarray, "n j 3"], Float[np.ndarray, "n 3"]]:
    """p_root (n, j, 3) and root_cam (n, 3; zeros where unknown) at frame numbers `grid`, interpolated."""
    assert clip.p_root is not None
    seen = np.flatnonzero(clip.seen) if clip.seen.any() else np.arange(len(clip))
    numbers = clip.frame_numbers[seen]
    high = np.clip(np.searchsorted(numbers, grid), 0, len(seen) - 1)
    low = np.where(numbers[high] > grid, np.maximum(high - 1, 0), high)
    weight = np.clip((grid - numbers[low]) / np.maximum(numbers[high] - numbers[low], 1), 0, 1)
    root = np.zeros((len(clip), 3)) if clip.root_cam is None else clip.root_cam

    def at(values: np.ndarray) -> np.ndarray:
        values = values[seen].astype(np.float64)
        w = weight.reshape(-1, *[1] * (values.ndim - 1))
        return values[low] * (1 - w) + values[high] * w

    return at(clip.p_root), at(root)


def node_turns(p: Float[np.ndarray, "t j 3"], body: Skeleton) -> dict[str, np.ndarray]:
    """World rotations (t, 3, 3) of all nodes for poses p (t, 17, 3) in y-up axes."""

    def line(a: str, b: str) -> np.ndarray:
        return p[:, body.index(b)] - p[:, body.index(a)]

    def unit(v: np.ndarray) -> np.ndarray:
        return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)

    upright = np.broadcast_to(np.eye(3), (len(p), 3, 3))
    hips, shoulders = unit(line("r_hip", "l_hip")), unit(line("r_shoulder", "l_shoulder"))
    across = {"Hips": hips, "LowerBack": hips, "Spine": hips + shoulders, "Spine1": shoulders, "Neck": shoulders}
    # The two nodes that turn no bone of their own show the plane of the hips and that of the shoulders.
    planes = {"Hips": line("pelvis", "spine"), "Spine1": line("spine", "thorax")}
    turns: dict[str, np.ndarray] = {}
    for node in NODES:
        before = turns.get(node.parent, upright)
        along = planes.get(node.name) if node.bone == "-" else line(node.joint, node.bone)
        if along is None:
            turns[node.name] = before
        elif node.name in across:
            turns[node.name] = frame_of(along, across[node.name], before)
        else:
            turns[node.name] = shortest(before, REST[node.rest], along)
    return turns
