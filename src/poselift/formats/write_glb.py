"""GLB, glTF 2.0 in one binary file: all people of a scene as skinned figures with one animation.

Metres, y up (`upright`), seconds. Each person is a node trackN over the joints of `rig` (names, constant bones and
resting pose as in our BVH) and a mesh with an octahedron per bone, bound to its joint; left bones are blue, right ones
orange. Rotations of all joints and the place of the hips are keyed at time = frame number / fps, in the frames in which
the person was seen; players interpolate between them. The root stays at the origin where its place is not known.
Units, axes, frame rate and skeleton are stated in asset.extras.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from poselift.errors import InputError
from poselift.formats.glb_file import FLOAT, UBYTE, GlbFile
from poselift.formats.rig import NODES, REST, bone_lengths, node_turns
from poselift.formats.scene import check_lifted, facts
from poselift.formats.upright import Upright, upright
from poselift.structures import Clip, skeleton

__all__ = ["write"]

_CHUNK = 4096
_NAMES = [n.name for n in NODES]
_PARENT = [_NAMES.index(n.parent) if n.parent != "-" else -1 for n in NODES]
_COLOURS = {"L": (0.12, 0.32, 0.75), "R": (0.85, 0.38, 0.08), "-": (0.45, 0.47, 0.5)}


def write(clips: Sequence[Clip], path: str | Path) -> list[Path]:
    """Write a scene of clips in h36m17. Raises `InputError` for other clips, `OutputError`."""
    known = facts(clips)
    if clips[0].skeleton != skeleton("h36m17"):
        raise InputError(field="skeleton", expected="h36m17, of which GLB is made", found=clips[0].skeleton.name)
    axes = upright(clips[0].camera, "y", absolute=clips[0].root_cam is not None)
    said = {"units": "metres, seconds", "axes": axes.axes, "time": "frame number / fps"}
    glb = GlbFile(extras=said | {k: known[k] for k in ("fps", "skeleton", "meta")})
    glb.root["materials"] = [
        {"name": "bones", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.8}, "doubleSided": True}
    ]
    channels: list[dict[str, Any]] = []
    samplers: list[dict[str, Any]] = []
    for clip in clips:
        check_lifted(clip)
        _person(glb, clip, axes, channels, samplers)
    glb.root["animations"] = [{"name": "poses", "channels": channels, "samplers": samplers}]
    return glb.save(path)


def _person(glb: GlbFile, clip: Clip, axes: Upright, channels: list[Any], samplers: list[Any]) -> None:
    """Nodes, skin, mesh and animation of one clip."""
    tips = _tips(bone_lengths(clip))
    offsets = np.stack([tips[parent] * (parent >= 0) for parent in _PARENT])
    seen = np.flatnonzero(clip.seen) if clip.seen.any() else np.arange(len(clip))
    time = (clip.frame_numbers[seen] / clip.fps).astype(np.float32)
    if time[0] < 0 or (np.diff(time) <= 0).any():
        want = "frame numbers from 0, small enough that their times differ in 32 bits"
        raise InputError(field=f"track {clip.track_id} frames", expected=want, found=int(clip.frame_numbers[-1]))
    turns, place = _keys(clip, axes, seen)
    first = len(glb.nodes)
    for k, node in enumerate(NODES):
        own: dict[str, Any] = {"name": node.name, "rotation": turns[0, k].tolist()}
        own["translation"] = (place[0] if k == 0 else offsets[k]).tolist()
        if children := [first + i for i, parent in enumerate(_PARENT) if parent == k]:
            own["children"] = children
        glb.nodes.append(own)
    glb.nodes.append({"name": f"track{clip.track_id}", "children": [first]})
    binding = np.tile(np.eye(4, dtype=np.float32), (len(NODES), 1, 1))
    binding[:, 3, :3] = -_rest(offsets)  # column-major: the translation is the last row
    skin = {
        "inverseBindMatrices": glb.accessor(binding.reshape(-1, 16), "MAT4", FLOAT),
        "joints": list(range(first, first + len(NODES))),
        "skeleton": len(glb.nodes) - 1,
    }
    glb.root.setdefault("skins", []).append(skin)
    glb.nodes.append(
        {
            "name": f"track{clip.track_id}_bones",
            "mesh": _mesh(glb, _rest(offsets), tips),
            "skin": len(glb.root["skins"]) - 1,
        }
    )
    glb.root["scenes"][0]["nodes"] += [len(glb.nodes) - 2, len(glb.nodes) - 1]
    at = glb.accessor(time[:, None], "SCALAR", FLOAT, bounds=True)

    def key(node: int, path: str, values: np.ndarray, kind: str) -> None:
        channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
        samplers.append({"input": at, "interpolation": "LINEAR", "output": glb.accessor(values, kind, FLOAT)})

    key(first, "translation", place, "VEC3")
    for k, node in enumerate(NODES):
        if node.bone != "-" or k in _PARENT:
            key(first + k, "rotation", turns[:, k], "VEC4")


def _keys(
    clip: Clip, axes: Upright, seen: np.ndarray
) -> tuple[Float[np.ndarray, "n nodes 4"], Float[np.ndarray, "n 3"]]:
    """Local rotations as quaternions (x, y, z, w), each on the side of the one before, and the place of the hips."""
    from scipy.spatial.transform import Rotation

    assert clip.p_root is not None
    out = np.empty((len(seen), len(NODES), 4), np.float32)
    for a in range(0, len(seen), _CHUNK):
        world = node_turns(axes.turned(clip.p_root[seen[a : a + _CHUNK]]), clip.skeleton)
        for k, node in enumerate(NODES):
            local = world[node.name]
            if node.parent in world:
                local = world[node.parent].transpose(0, 2, 1) @ local
            out[a : a + _CHUNK, k] = Rotation.from_matrix(local).as_quat()
    flips = np.where(np.sum(out[1:] * out[:-1], axis=-1) < 0, -1, 1).cumprod(axis=0)
    out[1:] *= flips[..., None]
    return out, axes.p(clip)[seen, clip.skeleton.root].astype(np.float32)


def _tips(lengths: np.ndarray) -> np.ndarray:
    """(nodes, 3) metres: the bone of each node at rest; zeros for a node without one."""
    body = skeleton("h36m17")
    tips = [REST[n.rest] * (0.0 if n.bone == "-" else lengths[body.index(n.bone)]) for n in NODES]
    return np.array(tips, dtype=np.float32)


def _rest(offsets: np.ndarray) -> np.ndarray:
    """(nodes, 3) places in the resting pose, hips at the origin."""
    out = np.zeros_like(offsets)
    for k, parent in enumerate(_PARENT):
        if parent >= 0:
            out[k] = out[parent] + offsets[k]
    return out


def _mesh(glb: GlbFile, rest: np.ndarray, tips: np.ndarray) -> int:
    """Index of a mesh with an octahedron along every bone in its resting place, flat shaded."""
    corners, joints, colours = [np.zeros((0, 3))], [], []
    for k, tip in enumerate(tips):
        if np.linalg.norm(tip) < 1e-6:
            continue
        faces = rest[k] + _octahedron(tip)
        side = NODES[k].name[0] if NODES[k].name.startswith(("Left", "LHip", "Right", "RHip")) else "-"
        corners.append(faces)
        joints += [k] * len(faces)
        colours += [_COLOURS[side]] * len(faces)
    p = np.concatenate(corners).astype(np.float32)
    tri = p.reshape(-1, 3, 3)
    normal = np.cross(tri[:, 1] - tri[:, 0], tri[:, 2] - tri[:, 0])
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    normal = np.where(length > 1e-12, normal / np.maximum(length, 1e-12), (0.0, 1.0, 0.0))
    bound = np.zeros((len(p), 4), np.uint8)
    bound[:, 0] = joints
    attributes = {
        "POSITION": glb.accessor(p, "VEC3", FLOAT, bounds=True, vertices=True),
        "NORMAL": glb.accessor(normal.repeat(3, axis=0), "VEC3", FLOAT, vertices=True),
        "COLOR_0": glb.accessor(np.array(colours), "VEC3", FLOAT, vertices=True),
        "JOINTS_0": glb.accessor(bound, "VEC4", UBYTE, vertices=True),
        "WEIGHTS_0": glb.accessor(np.tile([1.0, 0, 0, 0], (len(p), 1)), "VEC4", FLOAT, vertices=True),
    }
    meshes = glb.root.setdefault("meshes", [])
    meshes.append({"name": "bones", "primitives": [{"attributes": attributes, "material": 0}]})
    return len(meshes) - 1


def _octahedron(tip: np.ndarray) -> np.ndarray:
    """(24, 3) corners of eight outward triangles from the origin to `tip`, widest at a fifth of the way."""
    length = float(np.linalg.norm(tip))
    along = tip / length
    side = np.roll(along, 1)
    other = np.cross(along, side)
    width, belt = min(max(0.12 * length, 0.015), 0.045), along * 0.2 * length
    ring = [belt + width * v for v in (side, other, -side, -other)]
    faces = []
    for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
        faces += [np.zeros(3), b, a, tip, a, b]
    return np.array(faces)
