"""Rendered people per second on one core: crops of two sizes, and whole pictures of several people.

    python benchmarks/speed_rendered.py [--batch 32]

Seconds are those of the processor, not of the clock, so that a busy machine gives nearly the same figures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

from poselift.data.rendered import rendered_source


def rate(draw: Callable[[int, torch.Generator], Any], b: int, rounds: int = 3) -> float:
    """Pictures per processor second: the best of some rounds, after one that does not count."""
    gen = torch.Generator().manual_seed(0)
    best = 0.0
    for k in range(rounds + 1):
        start = time.process_time()
        draw(b, gen)
        best = max(best, b / (time.process_time() - start)) if k else best
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    b = parser.parse_args().batch
    torch.set_num_threads(1)
    print("| | pictures per second |\n|---|---|")
    for size in (128, 256):
        source = rendered_source(None, "train", crop=size)
        print(f"| crops {size} x {size} | {rate(source.batch, b):.0f} |", flush=True)
    source = rendered_source(None, "train")
    frames = rate(lambda n, gen: source.frames(n, gen), max(1, b // 4))
    print(f"| whole pictures 512 x 512 | {frames:.0f} |")


if __name__ == "__main__":
    main()
