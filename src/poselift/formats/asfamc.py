"""ASF/AMC, the files of the CMU motion-capture database: a skeleton (.asf) and its recordings (.amc).

Reads one .amc (with the .asf beside it), a folder of them (`subjects/02`) or a whole download (a folder that holds
`subjects/`). Joints are the 17 of Human3.6M at bone ends, in metres, z up (the files are y up); one length unit
is 0.0254 m divided by the `length` of the file's units. The files state no frame rate: CMU's 120 is assumed.

Format: http://research.cs.wisc.edu/graphics/Courses/cs-838-1999/Jeff/ASF-AMC.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from poselift.errors import InputError
from poselift.formats.asfamc_file import Asf, parse_amc, parse_asf
from poselift.formats.base import ReadOptions
from poselift.formats.kinematics import rotation
from poselift.structures import Motion, skeleton
from poselift.structures.recordings import clean

__all__ = ["CMU_FPS", "bone_ends", "find", "read", "read_raw", "sniff"]

CMU_FPS = 120.0

# Bone ends of each joint; several are averaged.
_ENDS: dict[str, tuple[str, ...]] = {
    "pelvis": ("lhipjoint", "rhipjoint"),
    "r_hip": ("rhipjoint",),
    "r_knee": ("rfemur",),
    "r_ankle": ("rtibia",),
    "l_hip": ("lhipjoint",),
    "l_knee": ("lfemur",),
    "l_ankle": ("ltibia",),
    "spine": ("lowerback",),
    "thorax": ("thorax",),
    "nose": ("lowerneck", "upperneck"),
    "head_top": ("head",),
    "l_shoulder": ("lclavicle",),
    "l_elbow": ("lhumerus",),
    "l_wrist": ("lradius",),
    "r_shoulder": ("rclavicle",),
    "r_elbow": ("rhumerus",),
    "r_wrist": ("rradius",),
}


def sniff(path: Path) -> bool:
    """True for an .amc file and for a folder that holds some, directly or in `subjects/NN`."""
    if path.suffix.lower() == ".amc":
        return path.is_file()
    return path.is_dir() and next(find(path), None) is not None


def find(path: Path) -> Iterator[Path]:
    """The .amc files of a folder, or of its `subjects/*` folders, in the order of their names."""
    folders = [path, *(sorted(p for p in (path / "subjects").glob("*") if p.is_dir()))]
    if path.name == "subjects":
        folders += sorted(p for p in path.glob("*") if p.is_dir())
    for folder in folders:
        yield from sorted(p for p in folder.glob("*") if p.suffix.lower() == ".amc" and p.is_file())


def read(path: Path, options: ReadOptions) -> list[Motion]:
    """The recordings as clean motion at their own rate: cut at glitches and put on the floor (`recordings.clean`).

    `recordings.resample(motion, 50)` of it gives the clip of the same name in the CMU-17 benchmark. Names are
    cmu/02/02_01 and subjects cmu02 where the skeleton's file has a number for its name. `options.fps`
    overrides the assumed 120. Raises `InputError` for files that do not fit the format or each other.
    """
    pieces = [piece for motion in read_raw(path, options) for piece in clean(motion)]
    if not pieces:
        raise InputError(file=path, expected="half a second without a glitch of the markers", found="none")
    return pieces


def read_raw(path: Path, options: ReadOptions) -> list[Motion]:
    """The recordings as they are: not cut, not moved to the floor."""
    path = Path(path)
    if path.suffix.lower() == ".asf":
        raise InputError("a skeleton without motion: name an .amc file or the folder", file=path)
    files = list(find(path)) if path.is_dir() else [path]
    if not files:
        raise InputError(file=path, expected="a folder with .amc files", found="none")
    parsed: dict[Path, Asf] = {}
    motions = []
    for file in files:
        asf_file = _skeleton_of(file)
        if asf_file not in parsed:
            parsed[asf_file] = parse_asf(asf_file)
            _check_bones(parsed[asf_file], asf_file)
        asf = parsed[asf_file]
        p = bone_ends(asf, parse_amc(file, asf))
        cmu = asf_file.stem.isdigit()
        motions.append(
            Motion(
                skeleton=skeleton("h36m17"),
                fps=options.fps or CMU_FPS,
                p_world=p,
                name=f"cmu/{asf_file.stem}/{file.stem}" if cmu else file.stem,
                subject=f"cmu{asf_file.stem}" if cmu else asf_file.stem,
                meta={} if options.fps else {"assumed_fps": True},
            )
        )
    return motions


def _check_bones(asf: Asf, file: Path) -> None:
    if missing := {b for ends in _ENDS.values() for b in ends} - {child for child, _ in asf.hierarchy}:
        raise InputError(
            file=file, field="hierarchy", expected=f"bones {', '.join(sorted(missing))}", found="none such"
        )


def _skeleton_of(amc: Path) -> Path:
    found = sorted(p for p in amc.parent.glob("*") if p.suffix.lower() == ".asf")
    named = [p for p in found if amc.stem == p.stem or amc.stem.startswith(p.stem + "_")] or found
    if len(named) != 1:
        want = "one .asf beside it (same name, or the part before the _)"
        raise InputError(file=amc, expected=want, found=", ".join(p.name for p in found) or "none")
    return named[0]


def bone_ends(asf: Asf, channels: dict[str, np.ndarray]) -> Float[np.ndarray, "t 17 3"]:
    """Forward kinematics over all frames: the 17 joints (t, 17, 3) in metres, z up.

    A bone's rotation is R = R_parent C M Cᵀ, with C its resting axes and M its channels, and its end lies at
    the end of its parent plus R · direction · length.
    """
    unit = np.pi / 180 if asf.degrees else 1.0

    def turn(name: str) -> np.ndarray:
        bone = asf.bones[name]
        c = rotation(np.array(bone.axis, dtype=np.float64), bone.order)
        if not bone.dof:
            return np.eye(3)
        angles = np.zeros((len(channels[name]), 3))
        for k, word in enumerate(bone.dof):
            if word[0] == "r":
                angles[:, "xyz".index(word[1])] = channels[name][:, k] * unit
        return c @ rotation(angles, bone.order) @ c.T

    root = asf.bones["root"].dof
    start = channels["root"][:, [root.index(a) for a in ("tx", "ty", "tz")]] + asf.position
    ends, turns = {"root": start}, {"root": turn("root")}
    for child, parent in asf.hierarchy:
        bone = asf.bones[child]
        turns[child] = turns[parent] @ turn(child)
        ends[child] = ends[parent] + turns[child] @ (np.array(bone.direction) * bone.length)
    p = np.stack([np.mean([ends[b] for b in _ENDS[j]], axis=0) for j in skeleton("h36m17").joints], axis=1)
    return np.stack([p[..., 0], -p[..., 2], p[..., 1]], axis=-1) * asf.metres
