"""The temporal network of 243 frames: whole sequences and streams against one strided window per frame.

    python benchmarks/speed_temporal.py [--channels 1024] [--frames 1000] [--widths 3 3 3 3 3] [--json FILE]

Causal, batch norms folded, one thread, network and input frame included. Windows are computed one by one, as a person
who has no stream would, and many at a time. All take turns in one process; seconds are those of the processor, so that
other jobs change little; medians. The program fails where results differ by more than 1e-5 of the largest coordinate.
The ratio of multiply-adds is what the times would give if all ways used the processor equally well.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from poselift.models.lifters.temporal_conv import TemporalConv, TemporalConvConfig
from poselift.models.predict import lift_frames
from poselift.models.streaming import CausalLifter
from poselift.train.steps import set_bn_momentum
from timing import medians

WINDOWS = 16
"""How many windows are timed one by one, and how many make a batch."""
STEPS = 32
"""How many steps of a stream make one timing."""
K = torch.tensor([[1000.0, 0, 500], [0, 1000, 500], [0, 0, 1]])
SIZE = torch.tensor((1000.0, 1000.0))


def prepared(widths: tuple[int, ...], channels: int) -> TemporalConv:
    """An untrained lifter, as it would be for use, with running statistics that are not those of an empty network."""
    torch.manual_seed(0)
    lifter = TemporalConv(TemporalConvConfig(filter_widths=widths, channels=channels, causal=True))
    set_bn_momentum(lifter, 1.0)
    with torch.no_grad():
        lifter.train()(torch.randn(1, lifter.receptive_field + 63, 17, 2))
    return lifter.eval()


def multiply_adds(lifter: TemporalConv) -> tuple[int, int]:
    """Of one output frame: in a sequence (or stream), and in a strided window by itself."""
    c, field = lifter.config.channels, lifter.receptive_field
    first, last = 34 * c * lifter.config.filter_widths[0], 51 * c
    per_frame, window, rows = first + last, last, field
    for i, w in enumerate(lifter.config.filter_widths):
        rows //= w
        layer = first if i == 0 else (w + 1) * c * c
        window += rows * layer
        per_frame += layer if i else 0
    return per_frame, window


def equal(what: str, got: Tensor, want: Tensor) -> float:
    """The largest difference in metres for coordinates of at most a metre; stops where it is above 1e-5."""
    difference = float((got - want).abs().max() / want.abs().max().clamp_min(1))
    if not difference <= 1e-5:
        raise SystemExit(f"{what}: the results differ by {difference:.1e}")
    return difference


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=1024)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--widths", nargs="+", type=int, default=[3, 3, 3, 3, 3])
    parser.add_argument("--people", type=int, default=16, help="of the second stream")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    torch.set_num_threads(1)
    lifter = prepared(tuple(args.widths), args.channels)
    folded, field, n = lifter.fold(), lifter.receptive_field, args.frames
    kp = 500 + 100 * torch.randn(n, 17, 2, generator=torch.Generator().manual_seed(0))
    conf = torch.ones(n, 17)
    index = torch.arange(n)[:, None] + torch.arange(1 - field, 1)  # n field
    at = torch.linspace(0, n - 1, WINDOWS).long()
    windows, seen = kp[index.clamp_min(0)[at]], torch.ones(WINDOWS, field, 17)
    many = (K.expand(WINDOWS, 3, 3), SIZE.expand(WINDOWS, 2))
    one, crowd = CausalLifter(lifter), CausalLifter(lifter)
    crowd_kp, crowd_conf = kp[: args.people].clone(), conf[: args.people].clone()

    def one_by_one() -> Tensor:
        return torch.cat([folded.lift(windows[i, None], seen[:1], K[None], SIZE[None]) for i in range(WINDOWS)])[:, 0]

    def sequence(lifter: TemporalConv) -> Tensor:
        return lift_frames(lifter, kp, conf, K[None], SIZE[None])

    whole = sequence(folded)
    stream = CausalLifter(lifter)
    worst = {
        "batch norm folded": equal("folded", whole, sequence(lifter)),
        "windows": equal("windows", one_by_one(), whole[at]),
        "stream": equal("stream", torch.stack([stream.step(kp[i], conf[i], K, SIZE) for i in range(n)]), whole),
    }
    seconds = medians(
        {
            "windows": one_by_one,
            "batch of windows": lambda: folded.lift(windows, seen, *many),
            "sequence": lambda: sequence(folded),
            "sequence, not folded": lambda: sequence(lifter),
            "stream": lambda: [one.step(kp[i], conf[i], K, SIZE) for i in range(STEPS)],
            "stream of many": lambda: [crowd.step(crowd_kp, crowd_conf, K[None], SIZE[None]) for _ in range(STEPS)],
        },
        args.repeats,
        warm_up=1,
    )
    counts = {"windows": WINDOWS, "batch of windows": WINDOWS, "stream": STEPS, "stream of many": STEPS * args.people}
    ms = {k: 1000 * v / counts.get(k, n) for k, v in seconds.items()}
    per_frame, window = multiply_adds(lifter)
    work = window / per_frame
    print(f"{field} frames, {args.channels} channels; per pose {per_frame / 1e6:.1f} M multiply-adds in a sequence or")
    print(f"stream, {window / 1e6:.1f} M in a window: {work:.1f} times as many\n")
    print("| per pose | ms | windows one by one / this | batch of windows / this |\n|---|---|---|---|")
    for name, value in ms.items():
        label = f"stream of {args.people} people" if name == "stream of many" else name
        print(f"| {label} | {value:.3f} | {ms['windows'] / value:.1f} | {ms['batch of windows'] / value:.1f} |")
    print("\nlargest differences, metres: " + ", ".join(f"{k} {v:.1e}" for k, v in worst.items()))
    if args.json is not None:
        row = {"field": field, "channels": args.channels, "multiply_adds": work, "ms": ms, "differences": worst}
        args.json.write_text(json.dumps(row, indent=1) + "\n")


if __name__ == "__main__":
    main()
