"""What the default lifter does with worse input than the benchmark's: the det test clips, changed in one way at a time.

    python benchmarks/robustness.py --data DIR [--model default] [--every 10] [--out FILE.json]

MPJPE in mm over all joints, and over the joints that the input still shows; means over frames.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from poselift.data.cmu17 import add_detector_noise, load_motions
from poselift.data.datasets import DataConfig, dataset_clips
from poselift.data.noise import PARTS
from poselift.metrics import mpjpe_mm
from poselift.models.weights import load_model
from poselift.structures import Camera, Clip, Motion, skeleton
from poselift.train.evaluate import predictions

H36M = skeleton("h36m17")
Change = Callable[[Clip], Clip]


def without(*joints: str) -> Change:
    """Joints that the detector does not see."""
    index = H36M.indices(*joints)

    def change(clip: Clip) -> Clip:
        conf = clip.confidence.copy()
        conf[:, index] = 0
        return clip.replace(conf=conf)

    return change


def some_lost(share: float) -> Change:
    """Each joint lost in each frame with this probability."""

    def change(clip: Clip) -> Clip:
        rng = np.random.default_rng(len(clip))
        conf = clip.confidence * (rng.random(clip.confidence.shape) > share)
        keep = (conf > 0).sum(1) >= 4
        return clip.replace(conf=np.where(keep[:, None], conf, clip.confidence))

    return change


def told_focal(factor: float) -> Change:
    """The model is told a focal length that is wrong by a factor."""

    def change(clip: Clip) -> Clip:
        assert clip.camera is not None
        K = clip.camera.K.copy()
        K[[0, 1], [0, 1]] *= factor
        return clip.replace(camera=replace(clip.camera, K=K))

    return change


def seen_from(height: float, fov_deg: float, distance: float, every: int) -> Callable[[Motion, int], Clip]:
    """Another camera than the benchmark's: height above the floor, field of view, distance from the mean root."""

    def view(motion: Motion, i: int) -> Clip:
        centre = motion.p_world[:, 0].mean(0).astype(float)
        reach = np.linalg.norm((motion.p_world[:, 0] - centre)[:, :2], axis=1).max()
        a = np.deg2rad(45 + 90 * i)
        eye = np.array([*(centre[:2] + (distance + reach) * np.array([np.cos(a), np.sin(a)])), height])
        base = np.eye(4)
        base[:3, 3] = -eye
        camera = Camera.from_fov(size_wh=(1920, 1080), fov_deg=fov_deg, T_cam_world=base).looking_at(centre)
        return add_detector_noise(motion.seen_by(camera), f"{motion.name}/{i}")[::every]

    return view


CHANGES: dict[str, Change] = {
    "as it is": lambda c: c,
    "ankles not seen": without("l_ankle", "r_ankle"),
    "below the hips nothing seen": without("l_knee", "l_ankle", "r_knee", "r_ankle"),
    "below the waist nothing seen": without(*next(p for p in PARTS if "spine" in p and "l_ankle" in p)),
    "one side not seen": without("l_shoulder", "l_elbow", "l_wrist", "l_hip", "l_knee", "l_ankle"),
    "no spine, thorax, nose, head top": without("spine", "thorax", "nose", "head_top"),
    "10 % of joints lost": some_lost(0.1),
    "30 % of joints lost": some_lost(0.3),
    "focal length told 20 % too short": told_focal(0.8),
    "focal length told 25 % too long": told_focal(1.25),
}
CAMERAS = {
    "camera on the floor (0.2 m)": (0.2, 60.0, 3.5),
    "camera at the ceiling (3 m)": (3.0, 75.0, 3.0),
    "wide and near (90°, 2 m)": (1.5, 90.0, 2.0),
    "tele and far (20°, 10 m)": (1.5, 20.0, 10.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="default")
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    lifter = load_model(args.model)
    clips = dataset_clips(DataConfig(path=args.data, input="det"), "test", args.every)
    cases = {name: [change(c) for c in clips] for name, change in CHANGES.items()}
    motions = load_motions(args.data, "test")
    for name, (height, fov, distance) in CAMERAS.items():
        view = seen_from(height, fov, distance, args.every)
        cases[name] = [view(m, i) for m in motions for i in range(4)]
    rows = {}
    for name, changed in cases.items():
        everything, seen = [], []
        for clip, pred in zip(changed, predictions(lifter, changed), strict=True):
            assert clip.p_root is not None
            truth = torch.from_numpy(clip.p_root)
            everything.append(mpjpe_mm(pred, truth))
            seen.append(mpjpe_mm(pred, truth, torch.from_numpy(clip.confidence > 0)))
        rows[name] = {"all_mm": float(torch.cat(everything).mean()), "seen_mm": float(torch.cat(seen).nanmean())}
    print("| input | MPJPE, all joints | MPJPE, joints seen |")
    print("|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row['all_mm']:.1f} | {row['seen_mm']:.1f} |")
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
