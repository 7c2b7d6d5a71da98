"""How much of training on rendered people is waiting for pictures: RootNet as `benchmarks/rendered.py` trains it.

    python benchmarks/speed_pictures.py [--data DIR] [--steps 97]

Seconds are those of the processor, not of the clock. Crops are rendered by the process that trains; with --data.reuse n
each is learned from n times on average. The steps that fill the memory at the beginning are not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from poselift.train import loop
from poselift.train.journal import Journal
from rendered import plan, settings


def seconds(data: str | None, reuse: int, steps: int) -> tuple[float, float]:
    """Processor seconds of the batches and of the training steps."""
    given = settings().parse_args([*(["--data", data] if data else []), "--reuse", str(reuse)])
    recipe = plan("rootnet", given, None)
    held = 8 * recipe.schedule.batch * reuse  # new crops come in portions: of so many, in every eighth step
    recipe = replace(recipe, data=replace(recipe.data, held=held))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        options = loop.TrainOptions(quiet=True, tensorboard=False, device="cpu", precision="bf16-mixed")
        journal = Journal(out, recipe, resume=False, tensorboard=False, quiet=True)
        fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
        run = loop._Run(recipe, out, options, fabric, journal)
        run.train_step(run.batch(0))
        waits = learns = 0.0
        for step in range(1, steps + 1):
            start = time.process_time()
            batch = run.batch(step)
            between = time.process_time()
            run.train_step(batch)
            waits, learns = waits + between - start, learns + time.process_time() - between
    return waits, learns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with cmu.npz and cmu_dance.npz; the packaged subset if not given")
    parser.add_argument("--steps", type=int, default=97)
    args = parser.parse_args()
    torch.set_num_threads(1)
    batch = plan("rootnet", settings().parse_args([]), None).schedule.batch
    print("| a crop is learned from | crops per second | of that waiting for pictures |\n|---|---|---|")
    for reuse in (1, 2, 3, 4):
        waits, learns = seconds(args.data, reuse, args.steps)
        rate = batch * args.steps / (waits + learns)
        print(f"| {reuse} times | {rate:.0f} | {100 * waits / (waits + learns):.1f} % |", flush=True)


if __name__ == "__main__":
    main()
