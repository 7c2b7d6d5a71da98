"""A short keypoint file to all files: wall time of `poselift lift`, and where it goes.

    python benchmarks/speed_small.py [--frames 300] [--model default] [--json out.json]

The command runs as a user runs it, in a fresh process (several times, medians); a second process says how long the
imports and each stage take.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

STAGES = """
import json, sys, time
a = time.perf_counter()
import torch
b = time.perf_counter()
from poselift.pipeline.lift import lift
c = time.perf_counter()
found = lift(sys.argv[1], out=sys.argv[2], model=sys.argv[3])
print(json.dumps({"import torch": b - a, "other imports": c - b, **found.seconds}))
"""


def write_keypoints(path: Path, frames: int) -> None:
    """A COCO-17 results file of one person."""
    rng = np.random.default_rng(0)
    body = rng.uniform((400, 200), (560, 600), (17, 2))
    people = []
    for t in range(frames):
        kp = rng.normal(body + np.array((2.0 * t, 0.0)), 2)
        flat = np.concatenate([kp, np.full((17, 1), 0.9)], 1).round(2).ravel().tolist()
        people.append({"image_id": t, "category_id": 1, "keypoints": flat, "score": 0.9})
    path.write_text(json.dumps(people))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", default="default")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "keypoints.json", Path(folder) / "out"
        write_keypoints(file, args.frames)
        walls, stages = [], []
        for _ in range(args.repeats):
            began = time.perf_counter()
            argv = ["-m", "poselift", "lift", str(file), "-o", str(out), "--model", args.model]
            subprocess.run([sys.executable, *argv], check=True, capture_output=True)
            walls.append(time.perf_counter() - began)
            argv = ["-c", STAGES, str(file), str(out), args.model]
            line = subprocess.run([sys.executable, *argv], check=True, capture_output=True, text=True).stdout
            stages.append(json.loads(line.splitlines()[-1]))
    result = {"frames": args.frames, "seconds": statistics.median(walls)}
    result["stages"] = {k: statistics.median(s[k] for s in stages) for k in stages[0]}
    print(f"poselift lift, {args.frames} frames to all files: {result['seconds']:.2f} s")
    for name, value in result["stages"].items():
        print(f"  {name:<14} {value:6.2f} s  {100 * value / sum(result['stages'].values()):3.0f} %")
    if args.json is not None:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
