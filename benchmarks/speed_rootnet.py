"""RootNet's forward pass against the bare sum of its parts: backbone, and the three transposed convolutions.

    python benchmarks/speed_rootnet.py [--depth 50] [--batch 1 8] [--side 256] [--json out.json]

The three take turns in one process; seconds are those of the processor, the median after a warm-up. What is beyond the
parts (softmax, expectation, mean, γ · k) should be nearly free: the program fails above `--limit` times their sum.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from poselift.models.images.rootnet import RootNet, RootNetConfig
from timing import medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=50, choices=(18, 34, 50, 101, 152))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=float, default=1.1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = RootNet(RootNetConfig(depth=args.depth, size_hw=(args.side, args.side))).eval()
    backbone, deconvolutions = model.net.backbone, model.net.root.deconv_layers
    rows = []
    print("| crops | RootNet | backbone | transposed convolutions | RootNet / sum |")
    print("|---|---|---|---|---|")
    with torch.inference_mode():
        for batch in args.batch:
            x, k = torch.randn(batch, 3, args.side, args.side), torch.full((batch,), 5.0)
            features = backbone(x)
            runs = {
                "rootnet": lambda x=x, k=k: model(x, k),
                "backbone": lambda x=x: backbone(x),
                "deconvolutions": lambda f=features: deconvolutions(f),
            }
            ms = {name: 1000 * s for name, s in medians(runs, args.repeats).items()}
            ratio = ms["rootnet"] / (ms["backbone"] + ms["deconvolutions"])
            rows.append(
                {"depth": args.depth, "batch": batch, "side": args.side, "threads": args.threads, "ratio": ratio}
            )
            rows[-1] |= {f"{k}_ms": v for k, v in ms.items()}
            print(
                f"| {batch} × {args.side} | {ms['rootnet']:.0f} ms | {ms['backbone']:.0f} ms "
                f"| {ms['deconvolutions']:.0f} ms | {ratio:.3f} |",
                flush=True,
            )
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    worst = max(r["ratio"] for r in rows)
    if worst > args.limit:
        raise SystemExit(f"{worst:.3f} times the sum of its parts: more than {args.limit}")


if __name__ == "__main__":
    main()
