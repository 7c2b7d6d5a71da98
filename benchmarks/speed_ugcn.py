"""UGCN against a direct transcription of its description, forward pass of trained-size windows, in one run.

    python benchmarks/speed_ugcn.py [--batch 1 16] [--frames 96] [--repeats 12] [--threads 1] [--json out.json]

The transcription is what the paper's figure says, line by line: features first (b, c, t, j), one einsum over
partitions, every normalisation by itself. It takes the same weights. Three take turns in one process: the
transcription, the lifter's network, and its inference copy (`fold`); seconds are those of the processor, the median
after a warm-up. The program fails where outputs differ by more than 1e-5 m.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from poselift.models.lifters.ugcn import UGCN, UGCNConfig
from timing import medians


class Transcription:
    """The last revision from a state dict, in eval mode: x (b, 2, t, j) → (b, 3, t, j)."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def norm(self, x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (self.state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, var, weight, bias)

    def conv(self, x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return F.conv2d(x, weight, bias, stride=(stride, 1), padding=(padding, 0))

    def graph(self, x: Tensor, name: str) -> Tensor:
        y = self.conv(x, f"{name}.conv").unflatten(1, (len(self.state["A"]), -1))
        return torch.einsum("nkctv,kvw->nctw", y, self.state["A"])

    def block(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        y = F.relu(self.norm(self.graph(x, f"{name}.gcn"), f"{name}.tcn.0"))
        y = self.norm(self.conv(y, f"{name}.tcn.2", stride, 2), f"{name}.tcn.3")
        if f"{name}.residual.0.weight" in self.state:
            y = y + self.norm(self.conv(x, f"{name}.residual.0", stride), f"{name}.residual.1")
        elif y.shape == x.shape:
            y = y + x
        return F.relu(y)

    @staticmethod
    def up(x: Tensor, factor: int) -> Tensor:
        return F.interpolate(x, scale_factor=(factor, 1), mode="bilinear", align_corners=True)

    def __call__(self, x: Tensor) -> Tensor:
        b, c, t, j = x.shape
        flat = x.permute(0, 3, 1, 2).reshape(b, j * c, t)
        x = self.norm(flat, "data_bn").view(b, j, c, t).permute(0, 2, 3, 1)
        d = [self.block(x, "down_stage.0")]
        for i in range(1, 5):
            d.append(self.block(self.block(d[-1], f"down_stage.{i}.0", 2), f"down_stage.{i}.1"))
        u = {4: self.block(d[4], "up_stage.4.0")}
        for i in (3, 2, 1):
            u[i] = self.block((d[i] + self.up(u[i + 1], 2)) / 2, f"up_stage.{i}.0")
        merged = sum(self.up(self.block(u[i], f"merge_stage.{i}.0"), 2**i) for i in (2, 3, 4)) / 3
        h = self.graph(((self.up(u[1], 2) + d[0]) / 2 + merged) / 2, "merge_stage.0")
        return self.conv(F.relu(self.norm(h, "head.0")), "head.2", padding=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.frames % 16:
        raise SystemExit("the transcription takes a multiple of 16 frames")

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    lifter = UGCN(UGCNConfig())
    with torch.no_grad():  # statistics that are not the identity
        for _ in range(3):
            lifter(torch.randn(8, 96, len(lifter.skeleton), lifter.in_channels))
    lifter.eval()
    folded, transcription = lifter.fold(), Transcription(lifter.net.state_dict())
    rows = []
    print("| windows | transcription | network | ratio | inference copy | ratio | largest difference |")
    print("|---|---|---|---|---|---|---|")
    with torch.inference_mode():
        for batch in args.batch:
            kp_norm = torch.randn(batch, args.frames, len(lifter.skeleton), lifter.in_channels)
            x = kp_norm.permute(0, 3, 1, 2).contiguous()
            runs = {
                "transcription": lambda x=x: transcription(x),
                "network": lambda k=kp_norm: lifter.net(k),
                "folded": lambda k=kp_norm: folded.net(k),
            }
            want = runs["transcription"]().permute(0, 2, 3, 1)
            difference = max(float((runs[k]() - want).abs().max()) for k in ("network", "folded"))
            if difference > 1e-5:
                raise SystemExit(f"outputs differ by {difference:.1e} m")
            ms = {name: 1000 * s for name, s in medians(runs, args.repeats, warm_up=3).items()}
            row = {"batch": batch, "frames": args.frames, "threads": args.threads, "difference_m": difference}
            row |= {f"{k}_ms": v for k, v in ms.items()}
            row |= {f"{k}_ratio": ms["transcription"] / ms[k] for k in ("network", "folded")}
            rows.append(row)
            print(
                f"| {batch} × {args.frames} | {ms['transcription']:.1f} ms | {ms['network']:.1f} ms "
                f"| {row['network_ratio']:.2f} | {ms['folded']:.1f} ms | {row['folded_ratio']:.2f} "
                f"| {difference:.0e} m |",
                flush=True,
            )
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
