"""Who is who from frame to frame: tracking of people who cross, against plain alternatives.

    python benchmarks/tracking.py --data DIR [--split test] [--scenes 60] [--rates 25,30,60] [--detect-every 1,3,5]

Scenes of `data.crowds` from the performers of one split. Whoever is away for more than a second, or is there after a
cut, counts as somebody else. Every figure is over all scenes of a row.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from poselift.data.cmu17 import load_motions
from poselift.data.crowds import Crowd, crowd
from poselift.metrics import Identities, identities
from poselift.structures.recordings import resample
from poselift.structures.tracks import Tracker

AWAY_S = 1.0
SHORT_S = 0.2

Cost = Callable[[np.ndarray, np.ndarray], float]
"""Of two poses (j, 2) with NaN for missing joints; above 1 they are different people."""


def box(pose: np.ndarray) -> np.ndarray:
    return np.concatenate([np.nanmin(pose, 0), np.nanmax(pose, 0)])


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    """1 - IoU of the boxes; those that do not touch are different people."""
    p, q = box(a), box(b)
    inter = np.prod(np.maximum(np.minimum(p[2:], q[2:]) - np.maximum(p[:2], q[:2]), 0))
    union = np.prod(p[2:] - p[:2]) + np.prod(q[2:] - q[:2]) - inter
    return 1 - inter / max(union, 1e-9) if inter > 0 else 2.0


def box_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of the boxes' middles in sizes of the person."""
    p, q = box(a), box(b)
    return float(np.linalg.norm(p[:2] + p[2:] - q[:2] - q[2:]) / 2 / max((p[2:] - p[:2]).max(), 1))


def pose_alone(a: np.ndarray, b: np.ndarray) -> float:
    """How unlike the poses are wherever they stand: distance of joints about their mean, in units of 0.3 sizes."""
    common = np.isfinite(a).all(1) & np.isfinite(b).all(1)
    if common.sum() < 3:
        return 2.0
    p, q = (x[common] - x[common].mean(0) for x in (a, b))
    return float(np.linalg.norm(p - q, axis=1).mean() / max(np.ptp(a[common], 0).max(), 1) / 0.3)


def pose_and_place(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of the joints where they are, in units of 0.6 sizes: the product's first tracker without motion."""
    common = np.isfinite(a).all(1) & np.isfinite(b).all(1)
    if not common.any():
        return box_distance(a, b)
    return float(np.linalg.norm(a - b, axis=1)[common].mean() / max(np.ptp(box(a).reshape(2, 2), 0).max(), 1) / 0.6)


def plain(cost: Cost) -> Callable[[Crowd], np.ndarray]:
    """A tracker that compares with where everybody was last (within a second), best pairs at once."""

    def follow(scene: Crowd) -> np.ndarray:
        ids = np.full(len(scene.frame), -1)
        last: dict[int, tuple[int, np.ndarray]] = {}
        poses = np.where((scene.conf > 0)[..., None], scene.kp_img, np.nan)
        count = 0
        for number in np.unique(scene.frame).tolist():
            rows = np.flatnonzero(scene.frame == number)
            last = {i: x for i, x in last.items() if number - x[0] <= AWAY_S * scene.fps}
            names = list(last)
            table = np.array([[cost(poses[r], last[i][1]) for i in names] for r in rows]).reshape(len(rows), -1)
            table = np.where(table <= 1, table, 1e6)
            for i, k in zip(*linear_sum_assignment(table), strict=True):
                if table[i, k] < 1e6:
                    ids[rows[i]] = names[k]
            for r in rows:
                if ids[r] < 0:
                    ids[r], count = count, count + 1
                last[int(ids[r])] = (number, poses[r])
        return ids

    return follow


def product(*, told: bool) -> Callable[[Crowd], np.ndarray]:
    """What `poselift lift` does with a video; told: somebody has seen the cut in the pictures."""

    def follow(scene: Crowd) -> np.ndarray:
        tracker = Tracker(fps=scene.fps)
        ids = np.full(len(scene.frame), -1)
        cut = scene.cut if told else None
        for number in np.unique(scene.frame).tolist():
            if cut is not None and number >= cut:
                tracker.end()
                cut = None
            rows = np.flatnonzero(scene.frame == number)
            ids[rows] = tracker.see(number, scene.kp_img[rows], scene.conf[rows])
        return ids

    return follow


TRACKERS: dict[str, Callable[[Crowd], np.ndarray]] = {
    "poselift": product(told=False),
    "poselift, told of the cut": product(told=True),
    "nearest box (IoU)": plain(box_iou),
    "pose alone": plain(pose_alone),
    "pose and place, no motion": plain(pose_and_place),
}


def true_ids(scene: Crowd) -> np.ndarray:
    """The person of each detection, anew after a cut and after more than a second away."""
    ids, count = np.zeros(len(scene.frame), np.int64), 0
    for who in np.unique(scene.person):
        rows = np.flatnonzero(scene.person == who)
        rows = rows[np.argsort(scene.frame[rows])]
        frames = scene.frame[rows]
        new = np.diff(frames, prepend=frames[0]) > AWAY_S * scene.fps
        if scene.cut is not None:
            new |= (frames >= scene.cut) & (np.concatenate([[-1], frames[:-1]]) < scene.cut)
        new[0] = True
        ids[rows] = count + np.cumsum(new) - 1
        count += int(new.sum())
    return ids


def back_again(scene: Crowd, true: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(2,) times that a person was away for 0.2 to 1 s, and how often he kept his id."""
    out = np.zeros(2)
    for who in np.unique(true):
        rows = np.flatnonzero(true == who)
        rows = rows[np.argsort(scene.frame[rows])]
        gap = np.diff(scene.frame[rows]) > SHORT_S * scene.fps
        out += gap.sum(), (gap & (given[rows][1:] == given[rows][:-1])).sum()
    return out


def across_cuts(scene: Crowd, given: np.ndarray) -> np.ndarray:
    """(2,) tracks that were there in the second before the cut, and those of them that went on after it."""
    if scene.cut is None:
        return np.zeros(2)
    before = (scene.frame < scene.cut) & (scene.frame >= scene.cut - AWAY_S * scene.fps)
    old = np.unique(given[before])
    return np.array([len(old), np.isin(old, given[scene.frame >= scene.cut]).sum()])


def measured(scenes: Sequence[Crowd], track: Callable[[Crowd], np.ndarray]) -> dict[str, float]:
    """The figures of a row."""
    total, back, cuts, frames, minutes = Identities(), np.zeros(2), np.zeros(2), 0, 0.0
    began = time.process_time()
    given = [track(scene) for scene in scenes]
    spent = time.process_time() - began
    for scene, ids in zip(scenes, given, strict=True):
        true = true_ids(scene)
        total += identities(scene.frame, true, ids)
        back += back_again(scene, true, ids)
        cuts += across_cuts(scene, ids)
        frames += len(np.unique(scene.frame))
        minutes += (scene.frame.max() + 1) / scene.fps / 60
    return {
        "idf1": 100 * total.idf1, "mixed": 100 * total.mixed / total.detections, "switches": total.switches / minutes,
        "stolen": total.stolen / minutes, "fragments": total.tracks / total.people, "back": 100 * back[1] / back[0],
        "across": 100 * cuts[1] / max(cuts[0], 1), "ms": 1000 * spent / frames,
    }  # fmt: skip


HEAD = (
    "| fps | detect every | tracker | IDF1 | in another's track | switches / min | to another's | tracks / person "
    "| back within 1 s, same | on after a cut | ms / frame |\n|" + "---|" * 11
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the CMU data")
    parser.add_argument("--split", default="test")
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--rates", default="25,30,60")
    parser.add_argument("--detect-every", default="1,3,5")
    parser.add_argument("--trackers", default="", help="only those with this in their name")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    motions = load_motions(args.data, args.split)
    rows = []
    print(HEAD)
    for fps in (float(x) for x in args.rates.split(",")):
        at_rate = [resample(m, fps) for m in motions]
        for every in (int(x) for x in args.detect_every.split(",")):
            scenes = [crowd(at_rate, fps, seed, detect_every=every) for seed in range(args.scenes)]
            for name, track in TRACKERS.items():
                if args.trackers not in name:
                    continue
                row = {"fps": fps, "detect_every": every, "tracker": name, **measured(scenes, track)}
                rows.append(row)
                print(
                    f"| {fps:g} | {every} | {name} | {row['idf1']:.1f} | {row['mixed']:.1f} % | {row['switches']:.1f} "
                    f"| {row['stolen']:.1f} | {row['fragments']:.2f} | {row['back']:.0f} % | {row['across']:.0f} % "
                    f"| {row['ms']:.2f} |",
                    flush=True,
                )
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
