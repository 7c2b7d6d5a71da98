"""From a video to files: where the time goes beside detection, and peak memory against length, in one run.

    python benchmarks/speed_video.py [--seconds 20] [--minutes 1 5 10] [--detector mediapipe] [--json out.json]

A photograph (NASA's portrait of Eileen Collins, as scikit-image has it) moves about in a video of 1280 × 720 at 30
frames per second. `poselift.lift` makes all usual files of it; the detector alone is timed on the same frames, decoded
beforehand. Stages are wall time as the report of `lift` has them: `decode` is what detection waits for the decoder's
thread, `start` and `model` load libraries and weights once. The longer videos repeat the first one without encoding
anew and have a detector that costs nothing; each is lifted in a process of its own, whose peak resident size counts.
"""

from __future__ import annotations

import argparse
import json
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

FPS, SIZE = 30, (1280, 720)
ONCE = ("start", "model")
"""Stages that cost the same for every length."""


def write_moving(path: Path, seconds: float) -> None:
    """The photograph, moving."""
    import av
    from PIL import Image

    from poselift.pipeline.demo_photo import photo_path

    w, h = SIZE
    photo = np.asarray(Image.open(photo_path()).convert("RGB").resize((h, h)))
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "g": str(FPS)})
        stream.width, stream.height, stream.pix_fmt = w, h, "yuv420p"
        for i in range(round(seconds * FPS)):
            image = np.full((h, w, 3), 90, np.uint8)
            x, y = round((w - h) / 2 + 150 * np.sin(i / 40)), round(25 * np.sin(i / 23))
            shown = photo[max(0, -y) : h - max(0, y)]
            image[max(0, y) : max(0, y) + len(shown), x : x + h] = shown
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def repeat(source: Path, path: Path, times: int) -> None:
    """The video several times over, its packets as they are."""
    import av

    with av.open(str(path), "w") as out:
        stream: Any = None
        offset = 0
        for _ in range(times):
            with av.open(str(source)) as container:
                video = container.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                end = 0
                for packet in container.demux(video):
                    if packet.dts is None or packet.pts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                    out.mux(packet)
                offset += end


class Nothing:
    """A detector that costs nothing: one person who walks to and fro."""

    name, notes = "nothing", ()

    def __init__(self) -> None:
        from poselift.structures import skeleton

        self.skeleton = skeleton("coco17")
        self.body = np.random.default_rng(0).uniform((-60, -200), (60, 200), (17, 2)).astype(np.float32)

    def detect(self, frames: Iterable[Any], *, still: bool = False) -> Iterator[list[Any]]:
        from poselift.detect import Person

        conf = np.ones(17, np.float32)
        for frame in frames:
            kp = self.body + np.array([640 + 300 * np.sin(frame.number / 90), 360], np.float32)
            yield [Person(kp_img=kp, conf=conf, box=np.concatenate([kp.min(0), kp.max(0)]))]

    def close(self) -> None:
        pass


def bare_ms(video: Path, name: str, most: int = 150) -> float:
    """Milliseconds a frame that the detector itself takes, the first ten left out."""
    from itertools import islice

    from poselift.detect import DetectorOptions, build_detector
    from poselift.video import open_frames

    frames = list(islice(open_frames(video)[0].frames(), most))
    detector = build_detector(name, DetectorOptions())
    took: list[float] = []

    def timed() -> Iterator[Any]:
        for frame in frames:
            began = time.perf_counter()
            yield frame
            took.append(time.perf_counter() - began)

    for _ in detector.detect(timed()):
        pass
    detector.close()
    return 1000 * float(np.mean(took[10:]))


def child(video: Path, detector: str, formats: str) -> None:
    """Lift one video; prints one JSON line."""
    import resource

    from poselift.pipeline.lift import lift
    from poselift.pipeline.watch import VideoOptions

    chosen = Nothing() if detector == "nothing" else detector
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=video.parent) as out:
        names = tuple(formats.split(",")) if formats else None
        found = lift(video, out=out, formats=names, video=VideoOptions(detector=chosen))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "stages": found.seconds, "frames": len(found.clips[0]), "peak_mb": peak}))


def lifted(video: Path, detector: str, formats: str = "") -> dict[str, Any]:
    argv = [sys.executable, __file__, "--child", str(video), "--detector", detector, "--formats", formats]
    return json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--minutes", type=float, nargs="*", default=[1, 5, 10])
    parser.add_argument("--detector", default="mediapipe")
    parser.add_argument("--formats", default="", help="of the long videos; all usual ones where nothing is said")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        child(args.child, args.detector, args.formats)
        return
    console, out = Console(), dict[str, Any]()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        video = folder / "moving.mp4"
        write_moving(video, args.seconds)
        if args.detector != "nothing":
            bare = bare_ms(video, args.detector)
            run = lifted(video, args.detector)
            out |= {"bare_ms": bare, "run": run}
            n, spent = run["frames"], run["stages"]
            table = Table("stage", "s", "ms a frame", "of detection", title=f"{args.detector}, {n} frames")
            for name, s in sorted(spent.items(), key=lambda item: -item[1]):
                table.add_row(name, f"{s:.2f}", f"{1000 * s / n:.2f}", f"{s / spent['detect']:.1%}")
            console.print(table)
            rest = sum(s for name, s in spent.items() if name not in ("detect", "overlay", *ONCE))
            said = f"{rest / spent['detect']:.1%} of detection, {1000 * rest / n / bare:.1%} of the bare detector"
            console.print(f"the bare detector: {bare:.1f} ms a frame; all but detection, overlay and loading: {said}")
        if args.minutes:
            table = Table(
                "minutes", "frames", "s", "peak memory, MB", title="memory, with a detector that costs nothing"
            )
            for minutes in args.minutes:
                long = folder / f"{minutes:g}.mp4"
                repeat(video, long, max(1, round(60 * minutes / args.seconds)))
                run = lifted(long, "nothing", args.formats)
                out.setdefault("long", []).append({"minutes": minutes, **run})
                table.add_row(f"{minutes:g}", f"{run['frames']:,}", f"{run['seconds']:.0f}", f"{run['peak_mb']:.0f}")
                long.unlink()
            console.print(table)
    if args.json is not None:
        args.json.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
