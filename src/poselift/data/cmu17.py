"""`cmu17`: the open benchmark. CMU motion in the H36M-17 layout, split by performer, seen by virtual cameras.

The motion was obtained from mocap.cs.cmu.edu; the database was created with funding from NSF EIA-0196217. It is
free for research and may be included in commercial products; it may not be resold directly, also not converted.

Everything about the protocol (split, cameras, noise) is in this file and in `views.PROTOCOL_CAMERA`.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from poselift.data.views import PROTOCOL_CAMERA
from poselift.errors import InputError
from poselift.formats import read_motion
from poselift.geometry.cameras import look_at_matrix
from poselift.structures import Camera, Clip, Motion
from poselift.structures.recordings import resample

__all__ = ["NOISE_SCALE", "SPLITS", "add_detector_noise", "load_motions", "protocol_cameras", "split_of", "views"]

TEST = ("cmu05", "cmu09", "cmu14", "cmu-martial")
VALIDATION = ("cmu08", "cmu13", "cmu-salsaB")
SPLITS = ("train", "validation", "test")
FPS = 50.0
"""Frame rate of the benchmark; CMU records at 120."""

NOISE_SCALE = 0.008
"""Scale of the Student-t noise (3 degrees of freedom) as a fraction of the person's larger box side."""


DANCERS = {
    "cmu60": ("cmu-salsaA", "cmu-salsa", 0),
    "cmu61": ("cmu-salsaB", "cmu-salsa", 15),
    "cmu94": ("cmu-indian", "cmu-indian", 0),
    "cmu135": ("cmu-martial", "cmu-martial", 0),
}
"""CMU's numbers of the performers that the benchmark knows by name: performer, group, number before the first one.

Told from the recordings' titles and counts; the named recordings themselves could not be compared frame by frame.
"""


def split_of(subject: str) -> str:
    """Split of a performer, by the benchmark's name or by CMU's number: `test`, `validation` or `train`."""
    subject = DANCERS[subject][0] if subject in DANCERS else subject
    return "test" if subject in TEST else "validation" if subject in VALIDATION else "train"


@cache
def recordings() -> frozenset[str]:
    """The benchmark's recordings by name; a clip is one of them, or a clean piece of one (`NAME#k`)."""
    return frozenset((Path(__file__).parent / "cmu17_recordings.txt").read_text().split())


def of_benchmark(motion: Motion) -> Motion | None:
    """A motion of a CMU download under the benchmark's name and at its rate; None for one that is not part of it."""
    name, subject = motion.name, motion.subject
    if subject in DANCERS:
        subject, group, before = DANCERS[subject]
        recording, piece, k = name.rpartition("_")[2].partition("#")
        name = f"{group}/{int(recording) + before:02d}{piece}{k}" if recording.isdigit() else name
    if name.partition("#")[0] not in recordings():
        return None
    return resample(replace(motion, name=name, subject=subject), FPS)


def load_motions(path: str | Path | None, split: str | None = None) -> list[Motion]:
    """Motions of a split (all of them for None) from a folder of `cmu*.npz` files, one such file, or a CMU download.

    `path` None gives the subset that comes with the package. Raises `InputError` when nothing is found.
    """
    if split is not None and split not in SPLITS:
        raise InputError(field="split", expected=f"one of {', '.join(SPLITS)}", found=split)
    motions: list[Motion] = []
    for file in _files(path):
        found = read_motion(file, "motion-npz" if file.suffix == ".npz" else None)
        motions += found if file.suffix == ".npz" else [m for m in map(of_benchmark, found) if m is not None]
    chosen = [m for m in motions if split is None or split_of(m.subject) == split]
    if not chosen:
        raise InputError(file=path, field=f"{split} performers", expected="at least one motion", found="none")
    return chosen


def _files(path: str | Path | None) -> Iterable[Path]:
    if path is None:
        from poselift.data.sample import SAMPLE

        return [SAMPLE]
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder", file=path)
    if path.is_dir():
        return sorted(path.glob("cmu*.npz")) or [path]
    return [path]


def protocol_cameras(motion: Motion) -> list[Camera]:
    """The four cameras of a clip: 45, 135, 225, 315 degrees around the mean root, 1.6 m high, looking at it.

    Their distance is 4.5 m plus the largest horizontal distance of the root from its mean.
    """
    cam = PROTOCOL_CAMERA
    root = motion.p_world[:, motion.skeleton.root].astype(np.float64)
    centre = root.mean(0)
    radius = cam.radius + np.linalg.norm((root - centre)[:, :2], axis=1).max()
    out = []
    for azimuth in cam.azimuths_deg:
        a = math.radians(azimuth)
        eye = np.array([centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a), cam.height])
        out.append(Camera(K=cam.K().numpy(), size_wh=cam.size_wh, T_cam_world=look_at_matrix(eye, centre)))
    return out


def add_detector_noise(clip: Clip, seed: str, scale: float = NOISE_SCALE) -> Clip:
    """The clip with Student-t noise (3 degrees of freedom) per axis, `scale` times the person's larger box side.

    Seeded by the CRC-32 of `seed`, so that the same clip gets the same noise everywhere.
    """
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(seed.encode())))
    kp = clip.kp_img.astype(np.float64)
    side = (kp.max(1) - kp.min(1)).max(-1)
    noise = rng.standard_t(3, size=kp.shape) * (scale * side)[:, None, None]
    return clip.replace(kp_img=(kp + noise).astype(np.float32))


def views(motions: Sequence[Motion], *, noise: bool, every: int = 1) -> list[Clip]:
    """Every motion through its four protocol cameras, with exact (`gt`) or noisy (`det`) 2D and the truth.

    `every` keeps each so-many-th frame (cameras and noise are those of the whole clip).
    """
    out = []
    for motion in motions:
        for i, camera in enumerate(protocol_cameras(motion)):
            clip = motion.seen_by(camera)
            if noise:
                clip = add_detector_noise(clip, f"{motion.name}/{i}")
            if every > 1:
                clip = clip[::every]
            meta = {
                "name": f"{motion.name}.{i}",
                "subject": motion.subject,
                "action": action_of(motion.name),
                "camera": i,
            }
            out.append(clip.replace(meta=meta))
    return out


def action_of(name: str) -> str:
    """The recording's group, used as action: `cmu/05/05_02#1` gives `cmu/05`, `cmu-salsa/04#3` gives `cmu-salsa`."""
    return name.rpartition("/")[0] or name
