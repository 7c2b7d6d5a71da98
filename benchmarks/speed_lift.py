"""Lifting from npz to npz against the bare network, and peak memory against length, in one run.

    python benchmarks/speed_lift.py [--poses 500000] [--model default] [--json out.json]

Two files of random keypoints, of `poses` frames and of a quarter of that, go through `poselift.lift(formats=["npz"])`,
each in a process of its own. The bare network is the lifter's `forward` on one resident batch of the same size,
timed in the same process right before and after. The ratio is poses per second of the whole path (read, checks,
network, root, write) over those of the bare network; memory is the peak resident size of the process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

BATCH = 4096


def write_keypoints(path: Path, poses: int) -> None:
    """One person walking about in front of the camera, with noise."""
    from poselift.storage.npz_writer import npz_writer

    rng = np.random.default_rng(0)
    body = rng.uniform((-60, -200), (60, 200), (17, 2)).astype(np.float32)
    with npz_writer(path) as out:
        for name, value in (("skeleton", "h36m17"), ("fps", 50.0), ("size_wh", [1920, 1080])):
            out.put(name, np.asarray(value))
        for start in range(0, poses, 50_000):
            n = min(50_000, poses - start)
            frame = np.arange(start, start + n)
            centre = np.stack([960 + 500 * np.sin(frame / 300), 540 + 100 * np.cos(frame / 170)], -1)
            kp = body + centre[:, None] + rng.normal(0, 3, (n, 17, 2))
            out.append(
                kp_img=kp.astype(np.float32),
                conf=np.ones((n, 17), np.float32),
                track_id=np.zeros(n, np.int32),
                frame=frame,
            )


def child(file: Path, model: str) -> None:
    """Time one file; prints one JSON line."""
    import resource

    import torch

    from poselift.models.base import Lifter
    from poselift.models.weights import load_model
    from poselift.pipeline.lift import lift

    lifter: Lifter = load_model(model).eval()
    kp_norm = torch.randn(BATCH, lifter.receptive_field, len(lifter.skeleton), lifter.in_channels)

    @torch.inference_mode()
    def bare(seconds: float = 4.0) -> float:
        lifter(kp_norm)
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            lifter(kp_norm)
            count += BATCH
        return count / (time.perf_counter() - began)

    rates = [bare()]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=file.parent) as out:
        found = lift(file, out=out, model=lifter, formats=["npz"], batch=BATCH)
    seconds = time.perf_counter() - began
    rates.append(bare())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "stages": found.seconds, "bare": rates, "peak_mb": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=int, default=500_000)
    parser.add_argument("--model", default="default")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        child(args.child, args.model)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for poses in (args.poses // 4, args.poses):
            file = Path(folder) / f"{poses}.npz"
            write_keypoints(file, poses)
            argv = [sys.executable, __file__, "--child", str(file), "--model", args.model]
            line = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            row = {"poses": poses, **json.loads(line)}
            row["ratio"] = poses / row["seconds"] / (sum(row["bare"]) / 2)
            rows.append(row)
    table = Table("poses", "lift, poses/s", "bare network, poses/s", "ratio", "peak memory, MB")
    for r in rows:
        bare = " … ".join(f"{v:,.0f}" for v in r["bare"])
        table.add_row(
            f"{r['poses']:,}", f"{r['poses'] / r['seconds']:,.0f}", bare, f"{r['ratio']:.2f}", f"{r['peak_mb']:.0f}"
        )
    Console().print(table)
    print(f"stages of the longer one: {', '.join(f'{k} {v:.1f} s' for k, v in rows[-1]['stages'].items())}")
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
