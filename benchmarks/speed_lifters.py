"""Training step of LCN and SemGCN against a plain dense network with as many multiply-adds.

    python benchmarks/speed_lifters.py [--models SemGCN LCN] [--batch 200 1024] [--steps 15] [--autocast]

A step is forward, backward and Adam on one resident batch, on one thread. The dense network is Linear, BatchNorm, ReLU
(and Dropout where the lifter has it) at a width near 1024. SemGCN's multiply-adds are those that it does, counted by
torch. LCN has two counts: of the weights that it has, and of the whole matrix that it multiplies by (zeros included).
All take turns, step by step, in one process; seconds are those of the processor, so that other jobs change little.
Medians after a warm-up.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from poselift.models.lifters.lcn import LCN, LCNConfig, LocallyConnected
from poselift.models.lifters.semgcn import FLAVOURS, SemGCN, SemGCNConfig
from timing import medians

LIFTERS: dict[str, LCNConfig | SemGCNConfig] = {
    "SemGCN": FLAVOURS["erd"],
    "SemGCN original": FLAVOURS["original"],
    "SemGCN original-nonlocal": FLAVOURS["original-nonlocal"],
    "LCN": LCNConfig(),
    "LCN tiled": LCNConfig(mask_layout="tiled"),
}


def multiply_adds(net: nn.Module, x: Tensor) -> int:
    """Of the matrix products of one sample's forward pass."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x)
    return counter.get_total_flops() // 2 // len(x)


def dense(count: int, *, inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """Linear layers with `count` multiply-adds per sample to 1 %, their width a multiple of 32: others are slower."""
    sizes = [(n, w) for n in range(1, 12) for w in range(768, 1312, 32)]
    found = {(n, w): abs(n * w**2 + (inputs + outputs) * w - count) for n, w in sizes}
    hidden, width = min(found, key=found.__getitem__)
    if found[hidden, width] > 0.01 * count:
        raise SystemExit(f"no dense network has {count} multiply-adds")
    layers: list[nn.Module] = []
    for fan in (inputs, *[width] * hidden):
        layers += [nn.Linear(fan, width), nn.BatchNorm1d(width), nn.ReLU(), *[nn.Dropout(dropout)] * (dropout > 0)]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def training_step(net: nn.Module, x: Tensor, target: Tensor, *, autocast: bool) -> Callable[[], object]:
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y = net(x)
        (y - target).square().mean().backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["SemGCN", "LCN"], choices=LIFTERS)
    parser.add_argument("--batch", nargs="+", type=int, default=[200, 1024])
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--autocast", action="store_true", help="bfloat16 autocast")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    torch.set_num_threads(1)
    rows = []
    print("| lifter | batch | precision | step | dense network with | multiply-adds | its step | our throughput |")
    print("|---|---|---|---|---|---|---|---|")
    for name in args.models:
        for batch in args.batch:
            torch.manual_seed(0)
            config = LIFTERS[name]
            lifter = LCN(config) if isinstance(config, LCNConfig) else SemGCN(config)
            joints = len(lifter.skeleton)
            x, target = torch.randn(batch, joints, 2), torch.randn(batch, joints, 3)
            counts = {"as many multiply-adds": multiply_adds(lifter.net, x)}
            if isinstance(lifter, LCN):
                kept = sum(m.weight.numel() for m in lifter.modules() if isinstance(m, LocallyConnected))
                counts = {"its kept weights": kept, "its whole matrices": counts.popitem()[1]}
            steps = {"ours": training_step(lifter.net, x, target, autocast=args.autocast)}
            for what, count in counts.items():
                net = dense(count, inputs=joints * 2, outputs=joints * 3, dropout=config.dropout)
                steps[what] = training_step(net, x.flatten(1), target.flatten(1), autocast=args.autocast)
            middle = {k: 1000 * s for k, s in medians(steps, args.steps, warm_up=3).items()}
            for what, count in counts.items():
                precision, ours, theirs = "bf16" if args.autocast else "fp32", middle["ours"], middle[what]
                row = {"lifter": name, "batch": batch, "precision": precision, "ours_ms": round(ours, 1), "with": what}
                rows.append(row | {"multiply_adds": count, "dense_ms": round(theirs, 1), "ratio": theirs / ours})
                print(
                    f"| {name} | {batch} | {precision} | {ours:.0f} ms | {what} | {count / 1e6:.2f} M "
                    f"| {theirs:.0f} ms | {100 * theirs / ours:.0f} % |",
                    flush=True,
                )
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
