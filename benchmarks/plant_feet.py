"""What planted feet do to lifted detections: how far feet slide while they stand, and the errors against the truth.

    python benchmarks/plant_feet.py [--data DIR] [--model auto] [--split validation] [--subject cmu08]

Each motion (cmu08: walking) with detector noise through one of its four cameras in turn, cameras known. Feet stand, in
the truth, where the ankle is slower than 0.3 m/s and within 4 cm of its lowest; slide is the way of the ankle along
the floor, mm per frame (50 a second). MPJPE about the root, and absolute; mean over frames.
"""

from __future__ import annotations

import argparse

import numpy as np

from poselift.data import cmu17
from poselift.pipeline.lift import lift
from poselift.structures import Clip


def standing(true: Clip) -> np.ndarray:
    """(t - 1, 2) True where an ankle stands from one frame to the next."""
    p = true.p_world
    assert p is not None
    ankles = p[:, true.skeleton.indices("l_ankle", "r_ankle")]
    low = ankles[..., 2] < np.percentile(ankles[..., 2], 2, axis=0) + 0.04
    slow = np.linalg.norm(np.diff(ankles, axis=0), axis=-1) * true.fps < 0.3
    return low[1:] & low[:-1] & slow


def figures(found: Clip, true: Clip) -> np.ndarray:
    """(4,) slide in mm per frame; MPJPE, root and absolute error in mm."""
    p, q = found.p_world, true.p_world
    if p is None or q is None or found.p_root is None or true.p_root is None:
        raise ValueError("clips without poses")
    ankles = p[:, true.skeleton.indices("l_ankle", "r_ankle"), :2]
    slide = np.linalg.norm(np.diff(ankles, axis=0), axis=-1)[standing(true)].mean()
    root = true.skeleton.root
    errors = (
        np.linalg.norm(a - b, axis=-1).mean()
        for a, b in ((found.p_root, true.p_root), (p[:, root], q[:, root]), (p, q))
    )
    return np.array([slide, *errors]) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the CMU data; the packaged sample where nothing is said")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--subject", default="cmu08")
    parser.add_argument("--every", type=int, default=1, help="take each so-many-th motion")
    args = parser.parse_args()
    motions = [m for m in cmu17.load_motions(args.data, args.split) if m.subject == args.subject][:: args.every]
    clips = [cmu17.views([motion], noise=True)[i % 4] for i, motion in enumerate(motions)]
    clips = [clip for clip in clips if standing(clip).any()]
    lengths = np.array([len(clip) for clip in clips])
    print(f"{len(clips)} clips, {lengths.sum():,} frames; slide in the truth: ", end="")
    print(f"{np.average([figures(c, c)[0] for c in clips], weights=lengths):.1f} mm per frame")
    print("| | slide | MPJPE | root | absolute |\n|---|---|---|---|---|")
    for smooth in (None, "savgol", "gaussian"):
        for plant in (False, True):
            rows = [
                figures(lift(c, model=args.model, camera=c.camera, smooth=smooth, plant_feet=plant).clips[0], c)
                for c in clips
            ]
            title = (f"`{smooth}`" if smooth else "as lifted") + (", planted" if plant else "")
            print(
                f"| {title} | " + " | ".join(f"{v:.1f}" for v in np.average(rows, axis=0, weights=lengths)) + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
