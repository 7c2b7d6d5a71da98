"""BVH motion of anybody's making, as far as its joints carry names in common use.

Known are the names of CMU (cgspeed), Mixamo and MotionBuilder, 3ds Max Biped, Daz and Poser, Unreal, VRM and Blender's
rigs, MVN and SMPL, and of the files that poselift writes. BVH states no unit: the one that gives legs of human
length is assumed and stated in `meta`. World axes: file y up becomes z up, (x, -z, y).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.bvh_file import BvhFile, forward, parse_bvh
from poselift.structures import Motion, Skeleton, skeleton

__all__ = ["BVH_NAMES", "find_joints", "read", "read_bvh", "sniff"]

# Every joint of h36m17 in the files that poselift writes (write_bvh).
BVH_NAMES: dict[str, str] = {
    "pelvis": "Hips", "r_hip": "RightUpLeg", "r_knee": "RightLeg", "r_ankle": "RightFoot", "l_hip": "LeftUpLeg",
    "l_knee": "LeftLeg", "l_ankle": "LeftFoot", "spine": "Spine", "thorax": "Spine1", "nose": "Head",
    "head_top": "HeadTop", "l_shoulder": "LeftArm", "l_elbow": "LeftForeArm", "l_wrist": "LeftHand",
    "r_shoulder": "RightArm", "r_elbow": "RightForeArm", "r_wrist": "RightHand",
}  # fmt: skip

# Names of the node at a joint, without side and separators; the first that a file has counts.
_LIMBS: dict[str, tuple[str, ...]] = {
    "hip": ("upleg", "thigh", "thighbend", "upperleg", "femur", "hip"),
    "knee": ("leg", "shin", "calf", "lowerleg", "lowleg", "loleg", "knee", "tibia"),
    "ankle": ("foot", "ankle"),
    "shoulder": ("arm", "upperarm", "uparm", "shldr", "shldrbend", "humerus", "shoulder"),
    "elbow": ("forearm", "forearmbend", "lowerarm", "lowarm", "loarm", "elbow", "radius"),
    "wrist": ("wrist", "hand"),
}
_NECK = ("neck", "neck0", "neck01", "necklower", "lowerneck", "neckbase")
_NECK_2 = ("neck1", "neck02", "neckupper", "upperneck", "neck2")
_HEAD = ("head", "skull")
_HEAD_TOP = ("headtop", "headtopend", "headend", "headnub", "headsite", "headtip")
_PREFIX = re.compile(
    r"^(mixamorig\d*|bip0*\d*|character\d*|j_bip|def|org|valvebiped)([\s_\-.:]+c(?=[\s_\-.:]))?[\s_\-.:]+",
    re.IGNORECASE,
)
_UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "CMU length": 0.0254 / 0.45}
_LEG_M = 0.82


def sniff(path: Path) -> bool:
    """True for a file that starts with HIERARCHY."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as handle:
            return handle.read(256).lstrip(b"\xef\xbb\xbf \t\r\n").upper().startswith(b"HIERARCHY")
    except OSError:
        return False


def read(path: Path, options: ReadOptions) -> list[Motion]:
    """The motion of a file, in the 17 joints of Human3.6M. Raises `InputError`, naming joints it cannot find."""
    return [read_bvh(path, fps=options.fps)]


def read_bvh(path: str | Path, *, unit_m: float | None = None, fps: float | None = None) -> Motion:
    """One BVH file as Motion: metres, z up, at the file's rate.

    `unit_m` is the length of the file's unit in metres; None takes the one of m, cm, mm, inch and CMU's
    (0.0564 m) that makes the legs nearest to human ones, and says so in `meta["assumed_unit_m"]`. `fps` overrides
    the file's. Raises `InputError`.
    """
    path = Path(path)
    bvh = parse_bvh(path)
    h36m = skeleton("h36m17")
    weights, ours = find_joints(bvh, h36m, file=path)
    p = np.einsum("jn,tnc->tjc", weights, forward(bvh))
    meta: dict[str, float] = {}
    if unit_m is None:
        unit_m = 0.01 if ours else _guess_unit(p, h36m, path)
        meta = {} if ours else {"assumed_unit_m": unit_m}
    p = np.stack([p[..., 0], -p[..., 2], p[..., 1]], axis=-1) * unit_m
    return Motion(skeleton=h36m, fps=fps or bvh.fps, p_world=p, name=path.stem, subject=path.stem, meta=meta)


def _guess_unit(p: np.ndarray, h36m: Skeleton, path: Path) -> float:
    leg = 0.0
    for side in "lr":
        chain = p[:, h36m.indices(f"{side}_hip", f"{side}_knee", f"{side}_ankle")]
        leg += float(np.median(np.linalg.norm(np.diff(chain, axis=1), axis=-1), axis=0).sum()) / 2
    if not leg > 0:
        raise InputError(file=path, field="legs", expected="bones longer than nothing", found="zero length")
    return min(_UNITS.values(), key=lambda u: abs(np.log(leg * u / _LEG_M)))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _sides(name: str) -> set[tuple[str, str]]:
    """All (side, plain name) readings of a node's name, such as ("l", "upleg") of mixamorig:LeftUpLeg."""
    name = _PREFIX.sub("", name.rsplit(":", 1)[-1].strip())
    words = [w for w in re.split(r"[\s_\-.]+", name.lower()) if w]
    readings = set()
    for k, word in enumerate(words):
        if word in ("l", "left", "r", "right"):
            readings.add((word[0], _plain("".join(words[:k] + words[k + 1 :]))))
    plain = _plain(name)
    for long in ("left", "right"):
        if plain.startswith(long):
            readings.add((long[0], plain[len(long) :]))
        if plain.endswith(long):
            readings.add((long[0], plain[: -len(long)]))
    if plain[:1] in ("l", "r"):
        readings.add((plain[0], plain[1:]))
    return readings


def find_joints(bvh: BvhFile, h36m: Skeleton, *, file: Path | None = None) -> tuple[Float[np.ndarray, "17 n"], bool]:
    """Weights (17, n) that make the joints from the nodes, and whether the file is one of poselift's own.

    Limb joints and the thorax (the base of the neck) are nodes; pelvis = middle of the hips; spine = the node between
    root and neck nearest to half-way; nose/neck = middle of the two upper neck nodes, or three quarters of the
    way from neck to head; head top = end of the head. Raises `InputError` listing what was not found.
    """
    nodes = {name: k for k, name in reversed(list(enumerate(bvh.names)))}
    names = {**BVH_NAMES, "head_top": "Head_end"}
    if all(n in nodes for n in names.values()) and {"RHipJoint", "LHipJoint", "LowerBack", "Neck"} <= set(nodes):
        return np.eye(len(bvh.names))[[nodes[names[j]] for j in h36m.joints]], True
    found: dict[str, dict[int, float]] = {}
    sided: dict[tuple[str, str], int] = {}
    plain: dict[str, int] = {}
    for k, name in enumerate(bvh.names):
        plain.setdefault(_plain(_PREFIX.sub("", name.rsplit(":", 1)[-1].strip())), k)
        for reading in _sides(name):
            sided.setdefault(reading, k)
    for side in "lr":
        for joint, aliases in _LIMBS.items():
            if (k := _first(sided, [(side, a) for a in aliases])) is not None:
                found[f"{side}_{joint}"] = {k: 1.0}
    if "l_hip" in found and "r_hip" in found:
        found["pelvis"] = _mean(found["l_hip"], found["r_hip"])
    neck, neck_2, head = _first(plain, _NECK), _first(plain, _NECK_2), _first(plain, _HEAD)
    neck = neck_2 if neck is None else neck
    if neck is not None:
        found["thorax"] = {neck: 1.0}
    elif "l_shoulder" in found and "r_shoulder" in found:
        found["thorax"] = _mean(found["l_shoulder"], found["r_shoulder"])
    if head is not None and "thorax" in found:
        between = neck_2 is not None and neck_2 != neck
        found["nose"] = _mean({neck_2: 1.0} if between else found["thorax"], {head: 1.0}, 0.5 if between else 0.75)
        found["head_top"] = {_head_top(bvh, plain, head): 1.0}
    if "pelvis" in found and "thorax" in found:
        found["spine"] = _spine(bvh, found["pelvis"], found["thorax"])
    if missing := [j for j in h36m.joints if j not in found]:
        have = ", ".join(n for n in bvh.names if not n.endswith("_end"))
        raise InputError(file=file, field="joints", expected=f"nodes for {', '.join(missing)}", found=f"only {have}")
    weights = np.zeros((len(h36m), len(bvh.names)))
    for j, joint in enumerate(h36m.joints):
        for k, w in found[joint].items():
            weights[j, k] = w
    return weights, False


def _first(table: dict, keys: list | tuple) -> int | None:
    return next((table[k] for k in keys if k in table), None)


def _mean(a: dict, b: dict, share_of_b: float = 0.5) -> dict[int, float]:
    return {k: a.get(k, 0.0) * (1 - share_of_b) + b.get(k, 0.0) * share_of_b for k in {**a, **b}}


def _head_top(bvh: BvhFile, plain: dict[str, int], head: int) -> int:
    """The named top, else the node under the head that is farthest along the line from the head's parent."""
    if (named := _first(plain, _HEAD_TOP)) is not None and named != head:
        return named
    rest, below = bvh.rest, [head]
    for k in range(head + 1, len(bvh.names)):
        if bvh.parents[k] in below:
            below.append(k)
    up = rest[head] - rest[bvh.parents[head]] if bvh.parents[head] >= 0 else np.array([0.0, 1.0, 0.0])
    return max(below, key=lambda k: float((rest[k] - rest[head]) @ up))


def _spine(bvh: BvhFile, pelvis: dict[int, float], thorax: dict[int, float]) -> dict[int, float]:
    rest = bvh.rest
    low, high = (sum(w * rest[k] for k, w in joint.items()) for joint in (pelvis, thorax))
    k, chain = max(thorax, key=lambda n: thorax[n]), []
    while (k := bvh.parents[k]) > 0:
        chain.append(k)
    length = float(np.linalg.norm(high - low)) or 1.0
    share = {n: float((rest[n] - low) @ (high - low)) / length**2 for n in chain}
    best = min(chain, key=lambda n: abs(share[n] - 0.5), default=None)
    if best is None or not 0.2 < share[best] < 0.8:
        return _mean(pelvis, thorax)
    return {best: 1.0}
