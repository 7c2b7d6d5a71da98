"""What smoothing does to lifted detections: errors of pose, speed, acceleration and root, one row for each smoother.

    python benchmarks/smoothing.py --data DIR [--model default-sequence]

Validation motions of cmu17 with detector noise, each through one of its four cameras in turn, cameras known.
"""

from __future__ import annotations

import argparse

import numpy as np

from poselift.data import cmu17
from poselift.models.weights import load_model
from poselift.pipeline.lift import lift
from poselift.structures import Clip
from poselift.structures.smoothing import SMOOTHERS


def errors_mm(found: Clip, true: Clip) -> np.ndarray:
    """(5,) means over frames and joints: pose, its first and second difference (mm per frame), root, its first."""
    if found.p_root is None or true.p_root is None or found.root_cam is None or true.root_cam is None:
        raise ValueError("clips without poses")
    off = found.p_root - true.p_root
    root = found.root_cam - true.root_cam
    each = (off, np.diff(off, axis=0), np.diff(off, 2, axis=0), root, np.diff(root, axis=0))
    return np.array([np.linalg.norm(x, axis=-1).mean() for x in each]) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the CMU data; the packaged sample where nothing is said")
    parser.add_argument("--model", default="default")
    parser.add_argument("--every", type=int, default=1, help="take each so-many-th motion")
    args = parser.parse_args()
    motions = cmu17.load_motions(args.data, "validation")[:: args.every]
    clips = [cmu17.views([motion], noise=True)[i % 4] for i, motion in enumerate(motions)]
    clips = [clip for clip in clips if len(clip) > 2]
    lengths = np.array([len(clip) for clip in clips])
    model = load_model(args.model)
    print(f"{len(clips)} clips, {lengths.sum():,} frames")
    print("| | MPJPE | MPJVE | acceleration | root | root, per frame |\n|---|---|---|---|---|---|")
    for name in (None, *SMOOTHERS):
        rows = [errors_mm(lift(c, model=model, camera=c.camera, smooth=name).clips[0], c) for c in clips]
        title = "as lifted" if name is None else f"`{name}`, {SMOOTHERS[name].hz:g} Hz"
        figures = np.average(rows, axis=0, weights=lengths)
        print(f"| {title} | " + " | ".join(f"{v:.1f}" for v in figures) + " |", flush=True)


if __name__ == "__main__":
    main()
