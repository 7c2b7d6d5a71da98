"""Skeletons: named joints and the tree that they form. Everything else is derived from the names.

Joint names start with `l_` / `r_` where the body has two of them. A skeleton is found by its name in
`SKELETONS`, never guessed from a number of joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from poselift.errors import InputError, unknown_name

__all__ = ["SKELETONS", "Skeleton", "skeleton"]


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A joint tree. `parents[j]` is the index of the parent of joint j, -1 for a root.

    Detector layouts may have several roots (a face without a neck); the lifting layouts have one.
    Raises `InputError` when names repeat, sizes differ or the parents hold a cycle.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(set(self.joints)) != len(self.joints):
            raise InputError(field=f"skeleton {self.name}", expected="distinct joint names", found=self.joints)
        if len(self.parents) != len(self.joints):
            raise InputError(
                field=f"skeleton {self.name} parents", expected=f"{len(self.joints)} indices", found=len(self.parents)
            )
        for j in range(len(self.joints)):
            seen, k = set(), j
            while k != -1:
                if k in seen or not -1 <= k < len(self.joints):
                    raise InputError(field=f"skeleton {self.name} parents", expected="a tree", found=self.parents)
                seen.add(k)
                k = self.parents[k]
        for name in self.joints:
            twin = self._twin(name)
            if twin is not None and twin not in self.joints:
                expected = f"joint '{twin}' beside '{name}'"
                raise InputError(field=f"skeleton {self.name}", expected=expected, found="none")

    @staticmethod
    def _twin(name: str) -> str | None:
        return {"l_": "r_", "r_": "l_"}[name[:2]] + name[2:] if name[:2] in ("l_", "r_") else None

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Index of a joint by name. Raises `InputError` for an unknown one."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise unknown_name(f"joint of {self.name}", joint, self.joints) from None

    def indices(self, *joints: str) -> list[int]:
        """Indices of several joints by name."""
        return [self.index(j) for j in joints]

    @property
    def root(self) -> int:
        """Index of the first root."""
        return self.parents.index(-1)

    @cached_property
    def flip(self) -> tuple[int, ...]:
        """Permutation (j,) that swaps left and right: `x_flipped = x[..., flip, :]`, its own inverse."""
        return tuple(self.index(self._twin(n) or n) for n in self.joints)

    @cached_property
    def left(self) -> tuple[int, ...]:
        return tuple(i for i, n in enumerate(self.joints) if n.startswith("l_"))

    @cached_property
    def right(self) -> tuple[int, ...]:
        return tuple(self.flip[i] for i in self.left)

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) pairs, one for every joint that has a parent, in joint order."""
        return tuple((j, p) for j, p in enumerate(self.parents) if p >= 0)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Joint indices with every parent before its children."""
        done: list[int] = []
        while len(done) < len(self):
            done += [j for j, p in enumerate(self.parents) if j not in done and (p == -1 or p in done)]
        return tuple(done)

    @cached_property
    def adjacency(self) -> np.ndarray:
        """Symmetric (j, j) 0/1 matrix of the bones, without self-loops."""
        a = np.zeros((len(self), len(self)), dtype=np.float32)
        for c, p in self.bones:
            a[c, p] = a[p, c] = 1
        return a

    @cached_property
    def chain_matrix(self) -> np.ndarray:
        """Kinematic-chain matrix C (j, b): bone vectors B = Xᵀ C (parent minus child), X (j, 3).

        Wandt & Rosenhahn, RepNet, CVPR 2019, eq. 3-5.
        """
        c = np.zeros((len(self), len(self.bones)), dtype=np.float32)
        for b, (child, parent) in enumerate(self.bones):
            c[child, b], c[parent, b] = -1, 1
        return c


def _tree(name: str, text: str) -> Skeleton:
    """Skeleton from `joint:parent` words in joint order (`joint` alone is a root)."""
    words = [w.partition(":") for w in text.split()]
    joints = tuple(w[0] for w in words)
    return Skeleton(name=name, joints=joints, parents=tuple(joints.index(w[2]) if w[2] else -1 for w in words))


_H36M17 = """pelvis r_hip:pelvis r_knee:r_hip r_ankle:r_knee l_hip:pelvis l_knee:l_hip l_ankle:l_knee
    spine:pelvis thorax:spine nose:thorax head_top:nose l_shoulder:thorax l_elbow:l_shoulder l_wrist:l_elbow
    r_shoulder:thorax r_elbow:r_shoulder r_wrist:r_elbow"""
_H36M16 = _H36M17.replace("nose:thorax head_top:nose", "head_top:thorax")
_BODY17 = """nose l_eye:nose r_eye:nose l_ear:l_eye r_ear:r_eye l_shoulder:nose r_shoulder:nose
    l_elbow:l_shoulder r_elbow:r_shoulder l_wrist:l_elbow r_wrist:r_elbow l_hip:l_shoulder r_hip:r_shoulder
    l_knee:l_hip r_knee:r_hip l_ankle:l_knee r_ankle:r_knee"""
_FEET = """l_big_toe:l_ankle l_small_toe:l_ankle l_heel:l_ankle r_big_toe:r_ankle r_small_toe:r_ankle r_heel:r_ankle"""
_HALPE26 = (
    _BODY17.replace("l_shoulder:nose r_shoulder:nose", "l_shoulder:neck r_shoulder:neck")
    .replace("l_hip:l_shoulder r_hip:r_shoulder", "l_hip:pelvis r_hip:pelvis")
    .replace("nose ", "nose:neck ", 1)
    + """ head_top:neck neck:pelvis pelvis l_big_toe:l_ankle r_big_toe:r_ankle l_small_toe:l_ankle
    r_small_toe:r_ankle l_heel:l_ankle r_heel:r_ankle"""
)
_MPII16 = """r_ankle:r_knee r_knee:r_hip r_hip:pelvis l_hip:pelvis l_knee:l_hip l_ankle:l_knee pelvis thorax:pelvis
    neck:thorax head_top:neck r_wrist:r_elbow r_elbow:r_shoulder r_shoulder:thorax l_shoulder:thorax
    l_elbow:l_shoulder l_wrist:l_elbow"""
_BODY25 = """nose:neck neck:pelvis r_shoulder:neck r_elbow:r_shoulder r_wrist:r_elbow l_shoulder:neck
    l_elbow:l_shoulder l_wrist:l_elbow pelvis r_hip:pelvis r_knee:r_hip r_ankle:r_knee l_hip:pelvis l_knee:l_hip
    l_ankle:l_knee r_eye:nose l_eye:nose r_ear:r_eye l_ear:l_eye l_big_toe:l_ankle l_small_toe:l_ankle
    l_heel:l_ankle r_big_toe:r_ankle r_small_toe:r_ankle r_heel:r_ankle"""
# OpenPose's other model with 25 points: other numbers, no pelvis, the upper neck and the crown marked
_BODY25B = (
    _BODY17.replace("l_shoulder:nose r_shoulder:nose", "l_shoulder:neck r_shoulder:neck").replace(
        "nose ", "nose:neck ", 1
    )
    + " neck head_top:neck "
    + _FEET
)
_MEDIAPIPE33 = """nose l_eye_inner:nose l_eye:l_eye_inner l_eye_outer:l_eye r_eye_inner:nose r_eye:r_eye_inner
    r_eye_outer:r_eye l_ear:l_eye_outer r_ear:r_eye_outer l_mouth:nose r_mouth:nose l_shoulder:nose r_shoulder:nose
    l_elbow:l_shoulder r_elbow:r_shoulder l_wrist:l_elbow r_wrist:r_elbow l_pinky:l_wrist r_pinky:r_wrist
    l_index:l_wrist r_index:r_wrist l_thumb:l_wrist r_thumb:r_wrist l_hip:l_shoulder r_hip:r_shoulder l_knee:l_hip
    r_knee:r_hip l_ankle:l_knee r_ankle:r_knee l_heel:l_ankle r_heel:r_ankle l_foot_index:l_heel r_foot_index:r_heel"""
# Layouts of the data sets of pictures of several people, as RootNet's annotation files have them
_COCO19 = (
    _BODY17.replace("l_shoulder:nose r_shoulder:nose", "l_shoulder:thorax r_shoulder:thorax")
    .replace("l_hip:l_shoulder r_hip:r_shoulder", "l_hip:pelvis r_hip:pelvis")
    .replace("nose ", "nose:thorax ", 1)
    + " thorax:pelvis pelvis"
)
_MUPOTS17 = """head_top:head thorax:spine r_shoulder:thorax r_elbow:r_shoulder r_wrist:r_elbow l_shoulder:thorax
    l_elbow:l_shoulder l_wrist:l_elbow r_hip:pelvis r_knee:r_hip r_ankle:r_knee l_hip:pelvis l_knee:l_hip
    l_ankle:l_knee pelvis spine:pelvis head:thorax"""
_MUCO21 = _MUPOTS17 + " r_hand:r_wrist l_hand:l_wrist r_toe:r_ankle l_toe:l_ankle"
_SMPL24 = """pelvis l_hip:pelvis r_hip:pelvis torso:pelvis l_knee:l_hip r_knee:r_hip spine:torso l_ankle:l_knee
    r_ankle:r_knee chest:spine l_toe:l_ankle r_toe:r_ankle neck:chest l_thorax:chest r_thorax:chest head:neck
    l_shoulder:l_thorax r_shoulder:r_thorax l_elbow:l_shoulder r_elbow:r_shoulder l_wrist:l_elbow r_wrist:r_elbow
    l_hand:l_wrist r_hand:r_wrist"""

SKELETONS: dict[str, Skeleton] = {
    s.name: s
    for s in (
        _tree("h36m17", _H36M17),
        _tree("h36m16", _H36M16),
        _tree("coco17", _BODY17),
        _tree("mpii16", _MPII16),
        _tree("halpe26", _HALPE26),
        _tree("body25", _BODY25),
        _tree("body25b", _BODY25B),
        _tree("mediapipe33", _MEDIAPIPE33),
        _tree("wholebody23", _BODY17 + " " + _FEET),
        _tree("coco19", _COCO19),
        _tree("mupots17", _MUPOTS17),
        _tree("muco21", _MUCO21),
        _tree("smpl24", _SMPL24),
    )
}


def skeleton(name: str) -> Skeleton:
    """The skeleton of that name. Raises `InputError` with the nearest name for an unknown one."""
    if name not in SKELETONS:
        raise unknown_name("skeleton", name, SKELETONS)
    return SKELETONS[name]
