"""Peak memory of a live run against its length, in one run.

    python benchmarks/memory_live.py [--frames 2000 20000 60000] [--formats npz,json] [--smooth none] [--quick]

A camera that is made up gives frames of 160 × 96 as fast as they are taken; a detector that costs nothing sees two
people in each of them, who are lifted with the default model. --quick: they are lifted at the end only, and need not
be told apart, which is all the same to memory. Each length is a process of its own: its peak resident size when the
camera has ended, and when the files have been written.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

FPS, SIZE = 25.0, (160, 96)


class MadeUp:
    """Takes the place of `video.live.LiveSource`."""

    still, assumed_fps, focal, count = False, False, None, None
    length = 0

    def __init__(self, address: str, **asked: Any) -> None:
        from poselift.video.capture import Capture

        self.capture = Capture(said=address, file=address)
        self.path, self.name, self.fps, self.rate, self.size_wh = Path(address), "live", FPS, FPS, SIZE
        self.age_s = self.seconds = 0.0
        self.most, self.notes, self.ended = None, [], "the stream ended"

    def frames(self) -> Iterator[Any]:
        from poselift.video import Frame

        image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        for i in range(self.length):
            self.seconds = i / FPS
            yield Frame(number=i, seconds=i / FPS, image=image)
        print(json.dumps({"running_mb": peak_mb()}))

    def stop(self) -> None:
        pass

    close = stop


class TwoPeople:
    """A detector that costs nothing."""

    name, notes = "two people", ("2D joints: made up.",)

    def __init__(self, *, quick: bool) -> None:
        from poselift.structures import skeleton

        self.quick = quick

        self.skeleton = skeleton("coco17")
        self.body = np.random.default_rng(0).uniform((-8, -20), (8, 20), (17, 2)).astype(np.float32)

    def detect(self, frames: Iterable[Any], *, still: bool = False) -> Iterator[list[Any]]:
        from poselift.detect import Person
        from poselift.detect.base import box_around

        conf = np.full(17, 0.9, np.float32)
        for frame in frames:
            kps = [self.body + np.array([x + 5 * np.sin(frame.seconds), 48], np.float32) for x in (40, 120)]
            yield [
                Person(kp_img=kp, conf=conf, box=box_around(kp, conf), identity=i if self.quick else None)
                for i, kp in enumerate(kps)
            ]

    def close(self) -> None:
        pass


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(frames: int, formats: str, smooth: str | None, quick: bool) -> None:
    """One live run; prints JSON lines."""
    from poselift.pipeline import live
    from poselift.pipeline.causal import LivePoses
    from poselift.pipeline.lift import lift
    from poselift.pipeline.watch import VideoOptions

    if quick:
        LivePoses.step = lambda self, seconds, clips: list(clips)  # type: ignore[method-assign]
    MadeUp.length, live.LiveSource = frames, MadeUp  # type: ignore[misc, assignment]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        lift(
            "rtsp://made.up", out=out, formats=formats.split(","), smooth=smooth,
            live=live.LiveOptions(view=False), video=VideoOptions(detector=TwoPeople(quick=quick)),
        )  # fmt: skip
        size = sum(f.stat().st_size for f in Path(out).iterdir()) / 1e6
    print(json.dumps({"peak_mb": peak_mb(), "seconds": time.perf_counter() - began, "files_mb": size}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="*", default=[2000, 20_000, 60_000])
    parser.add_argument("--formats", default="npz,json,csv,bvh")
    parser.add_argument("--smooth")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        child(args.child, args.formats, args.smooth, args.quick)
        return
    out: dict[int, Any] = {}
    table = Table("frames", "peak while it runs, MB", "peak at the end, MB", "files, MB", "s", title=args.formats)
    for n in args.frames:
        argv = [sys.executable, __file__, "--child", str(n), "--formats", args.formats]
        argv += [] if args.smooth is None else ["--smooth", args.smooth]
        argv += ["--quick"] if args.quick else []
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
        out[n] = found = {k: v for line in said if line.startswith("{") for k, v in json.loads(line).items()}
        cells = (f"{found[k]:.0f}" for k in ("running_mb", "peak_mb", "files_mb", "seconds"))
        table.add_row(f"{n:,}", *cells)
    Console().print(table)
    if args.json is not None:
        args.json.write_text(json.dumps(out))


if __name__ == "__main__":
    main()
