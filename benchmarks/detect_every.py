"""What `--detect-every` costs in keypoints and saves in time, on motion whose 2D is known.

    python benchmarks/detect_every.py [--every 1 2 5 10 25] [--box-ms 40] [--pose-ms 15]

The way from frame to frame is that of detectors in two stages (`detect.top_down`), on test performers' motion in the
package seen by the benchmark's cameras, at its own frame rate. The networks are played: the search gives the true box
with 2 % noise; the joints are the truth with detector-like noise (Student-t, scale 0.8 % of the larger side of the box
that was looked at), on the grid of RTMPose's output (192 × 256 input, two steps a pixel), and a joint outside the
padded box lands on its border, as it does there. Times are those stated, per search and per person;
errors are measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from poselift.data.cmu17 import load_motions, views
from poselift.detect import Person
from poselift.detect.top_down import TopDown, people_in_boxes
from poselift.structures import Clip
from poselift.video import Frame

PADDING, W, H = 1.25, 192, 256
JUMP = 0.1
"""A joint that is off by more than this part of the person counts as lost."""


class Played:
    """First stage: the true boxes, a little off; counts its calls."""

    name = "played"

    def __init__(self, clip: Clip, rng: np.random.Generator) -> None:
        self.clip, self.rng, self.calls = clip, rng, 0

    def of(self, frame: Frame) -> np.ndarray:
        self.calls += 1
        kp = self.clip.kp_img[frame.number].astype(np.float64)
        low, high = kp.min(0), kp.max(0)
        box = np.concatenate([low, high]) + self.rng.normal(0, 0.02, 4) * (high - low).max()
        return np.append(box, 0.9)[None]

    def end(self) -> None:
        pass


class Network(TopDown):
    """Second stage: the truth as a network of joints would give it in a box."""

    name, notes = "played", ()

    def __init__(self, clip: Clip, every: int, rng: np.random.Generator) -> None:
        self.search = Played(clip, rng)
        super().__init__(self.search, clip.skeleton, detect_every=every)
        self.clip, self.rng, self.number = clip, rng, 0

    def frames(self) -> Sequence[Frame]:
        assert self.clip.camera is not None
        w, h = self.clip.camera.size_wh
        blank = np.zeros((h, w, 3), np.uint8)
        return [Frame(number=i, seconds=i / self.clip.fps, image=blank) for i in range(len(self.clip))]

    def poses(self, image: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> list[Person]:
        middle, wide = (boxes[:, :2] + boxes[:, 2:]) / 2, PADDING * np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
        wide[:, 0] = np.maximum(wide[:, 0], wide[:, 1] * W / H)
        scale = (wide[:, 0] / W)[:, None, None]
        corner = middle[:, None] - scale * np.array([W / 2, H / 2])
        truth = self.clip.kp_img[self.number].astype(np.float64)
        noise = 0.008 * wide.max(1)[:, None, None] / PADDING * self.rng.standard_t(3, (len(boxes), *truth.shape))
        at = np.clip(np.round((truth + noise - corner) / scale * 2) / 2, 0, [W - 0.5, H - 0.5])
        kp = (at * scale + corner).astype(np.float32)
        return people_in_boxes(kp, np.full(kp.shape[:2], 0.8, np.float32), scores, image)


def measure(clips: Sequence[Clip], every: int) -> tuple[float, float, float]:
    """(searches per frame, mean error in % of the person's larger side, % of the joints lost)."""
    errors, calls = [], 0
    for k, clip in enumerate(clips):
        network = Network(clip, every, np.random.default_rng(k))
        for i, people in enumerate(network.detect(_counted(network))):
            size = float(np.ptp(clip.kp_img[i], axis=0).max())
            inside = (clip.kp_img[i] > 0).all(-1)
            found = people[0].kp_img if people else np.full_like(clip.kp_img[i], np.inf)
            errors.append(np.linalg.norm(found - clip.kp_img[i], axis=-1)[inside] / size)
        calls += network.search.calls
    error = np.concatenate(errors)
    return calls / sum(map(len, clips)), 100 * float(np.minimum(error, 1).mean()), 100 * float((error > JUMP).mean())


def _counted(network: Network):
    for frame in network.frames():
        network.number = frame.number
        yield frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, nargs="*", default=[1, 2, 5, 10, 25])
    parser.add_argument("--box-ms", type=float, default=40.0, help="of one search for people")
    parser.add_argument("--pose-ms", type=float, default=15.0, help="of the joints of one person")
    args = parser.parse_args()
    clips = [v for m in load_motions(None, "test")[:6] for v in views([m], noise=False)[:2]]
    table = Table("--detect-every", "searches a frame", "ms a frame", "time saved", "error, % of person", "joints lost")
    console = Console()
    console.print(f"{len(clips)} clips, {sum(map(len, clips)):,} frames at {clips[0].fps:g} per second")
    whole = args.box_ms + args.pose_ms
    for every in args.every:
        searches, error, lost = measure(clips, every)
        ms = searches * args.box_ms + args.pose_ms
        saved = f"{1 - ms / whole:.0%}"
        table.add_row(str(every), f"{searches:.2f}", f"{ms:.0f}", saved, f"{error:.2f}", f"{lost:.2f} %")
    console.print(table)


if __name__ == "__main__":
    main()
