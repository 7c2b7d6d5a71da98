"""Throughput of the training step (virtual cameras, augmentation, loss, optimiser) against a bare loop on one batch.

    python benchmarks/speed_training.py [--input wild] [--batch 1024] [--steps 30] [--out FILE.json]

The bare loop is forward, backward and Adam on one resident, already encoded batch. Both loops take turns, step by step,
in one process, so that a slow moment of the machine hits both. Medians after a warm-up.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from poselift.models.base import Lifter
from poselift.train import loop
from poselift.train.journal import Journal
from poselift.train.recipes import recipe
from timing import medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="linear-erd")
    parser.add_argument("--input", default="det", choices=("gt", "det", "wild"))
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    plan = recipe(args.recipe)
    plan = replace(
        plan,
        data=replace(plan.data, input=args.input, flip=True, validation_every=400),
        schedule=replace(plan.schedule, batch=args.batch),
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        options = loop.TrainOptions(quiet=True, tensorboard=False, device="cpu")
        journal = Journal(out, plan, resume=False, tensorboard=False, quiet=True)
        run = loop._Run(plan, out, options, Fabric(accelerator="cpu", devices=1), journal)
        lifter = run.model.train()
        assert isinstance(lifter, Lifter)
        batch: Any = run.batch(0)
        with torch.no_grad():
            kp_norm, _ = lifter.encode(batch.kp_img, batch.conf, batch.K, batch.size_wh)
            target = lifter.standardize(batch.p_root)

        def ours() -> None:
            run.train_step(run.batch(run.step))
            run.step += 1

        def bare() -> None:
            run.optimizer.zero_grad(set_to_none=True)
            loss = (lifter.standardize(run.network(kp_norm)) - target)[:, :, 1:].square().mean()
            loss.backward()
            run.optimizer.step()

        middle = medians({"ours": ours, "bare": bare}, args.steps, warm_up=5, clock=time.perf_counter)
    result = {
        "recipe": args.recipe, "input": args.input, "batch": args.batch, "threads": torch.get_num_threads(),
        "ours_ms": round(1000 * middle["ours"], 2), "bare_ms": round(1000 * middle["bare"], 2),
        "throughput_ratio": round(middle["bare"] / middle["ours"], 3),
    }  # fmt: skip
    print("| input | batch | threads | our step | bare step | throughput of the bare loop |")
    print("|---|---|---|---|---|---|")
    print(
        f"| {args.input} | {args.batch} | {result['threads']} | {result['ours_ms']} ms | {result['bare_ms']} ms "
        f"| {100 * middle['bare'] / middle['ours']:.0f} % |"
    )
    if args.out:
        args.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
