"""BVH for Blender and other animation programs: one file per person, `poses_track0.bvh`, `poses_track1.bvh`, …

Centimetres, y up (`upright`): the world's axes where the camera states its place, and else the camera's, turned by 180°
about x: (x, -y, -z). The root moves where it stands if `root_cam` is known, and stays at the origin if not. Bones,
names, resting pose and twist: `rig`.

Frames in which the person was not seen, or that are missing between two frame numbers, are interpolated; before the
first and after the last one seen the pose is held.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from poselift.errors import InputError
from poselift.formats.rig import NODES, REST, Node, bone_lengths, filled, frame_grid, node_turns
from poselift.formats.scene import one_file_each, shared_skeleton
from poselift.formats.upright import upright
from poselift.storage.atomic import write_aside
from poselift.structures import Clip, Skeleton, skeleton

__all__ = ["write"]

_CHUNK = 4096
_FOOT_CM, _HAND_CM = np.array([0.0, 0.0, 12.0]), 8.0


def write(clips: Sequence[Clip], path: str | Path) -> list[Path]:
    """Write one file per clip, named after `path` and the track: poses.bvh gives poses_track0.bvh, …

    Clips are in h36m17 and lifted. Returns the files' paths. Raises `InputError` for other clips, `OutputError`.
    """
    body = skeleton("h36m17")
    if shared_skeleton(clips) != body:
        raise InputError(field="skeleton", expected="h36m17, of which BVH is made", found=clips[0].skeleton.name)
    jobs = one_file_each(clips, Path(path))
    for target, clip in jobs.items():
        _write_one(clip, body, target)
    return list(jobs)


def _write_one(clip: Clip, body: Skeleton, path: Path) -> None:
    lengths, grid = bone_lengths(clip), frame_grid(clip)
    with write_aside(path) as part, part.open("w", encoding="ascii", newline="\n") as out:
        out.write("HIERARCHY\n" + "".join(_hierarchy(lengths * 100, body)))
        out.write(f"MOTION\nFrames: {len(grid)}\nFrame Time: {1 / clip.fps:.9f}\n")
        for rows in _channels(clip, lengths, grid):
            form = " ".join(["%.5f"] * rows.shape[1]) + "\n"
            out.write((form * len(rows)) % tuple(rows.ravel().tolist()))


def _hierarchy(cm: np.ndarray, body: Skeleton) -> Iterator[str]:
    """The text of the joint tree; `cm` (17,) are the bones' lengths in centimetres."""

    def offset(values: np.ndarray, indent: str) -> str:
        return f"{indent}OFFSET " + " ".join(f"{v + 0.0:.6f}" for v in values) + "\n"

    def text(node: Node, depth: int, start: np.ndarray) -> Iterator[str]:
        t, kind = "\t" * depth, "JOINT" if depth else "ROOT"
        turn = " ".join(f"{axis}rotation" for axis in node.order)
        channels = f"CHANNELS 3 {turn}" if depth else f"CHANNELS 6 Xposition Yposition Zposition {turn}"
        yield f"{t}{kind} {node.name}\n{t}{{\n" + offset(start, t + "\t") + f"{t}\t{channels}\n"
        tip = np.zeros(3) if node.bone == "-" else REST[node.rest] * cm[body.index(node.bone)]
        children = [n for n in NODES if n.parent == node.name]
        for child in children:
            yield from text(child, depth + 1, tip)
        if not children:
            end = _FOOT_CM if "Foot" in node.name else REST[node.rest] * _HAND_CM if "Hand" in node.name else tip
            yield f"{t}\tEnd Site\n{t}\t{{\n" + offset(end, t + "\t\t") + f"{t}\t}}\n"
        yield f"{t}}}\n"

    return text(NODES[0], 0, np.zeros(3))


def _channels(clip: Clip, lengths: np.ndarray, grid: np.ndarray) -> Iterator[np.ndarray]:
    """Blocks (n, channels): root position in centimetres, then Euler angles in degrees, continuous over time."""
    from scipy.spatial.transform import Rotation

    axes = upright(clip.camera, "y", absolute=clip.root_cam is not None)
    last: np.ndarray | None = None
    for start in range(0, len(grid), _CHUNK):
        p, root = filled(clip, grid[start : start + _CHUNK])
        turns = node_turns(axes.turned(p), clip.skeleton)
        angles = []
        for node in NODES:
            local = turns[node.name]
            if node.parent in turns:
                local = turns[node.parent].transpose(0, 2, 1) @ local
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # gimbal lock: one of many equal answers is fine
                angles.append(Rotation.from_matrix(local).as_euler(node.order, degrees=True))
        block = np.concatenate(angles, axis=1)
        block = np.unwrap(block if last is None else np.concatenate([last, block]), period=360, axis=0)
        block = block if last is None else block[1:]
        last = block[-1:]
        yield np.concatenate([100 * axes.placed(root + p[:, clip.skeleton.root]), block], axis=1) + 0.0
