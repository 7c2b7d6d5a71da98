"""Refining a batch of poses against lifting it with the linear lifter, in one run.

    python benchmarks/speed_refinement.py [--poses 1024] [--repeats 30] [--json FILE]

The lifter is that of the recipe `linear-erd`, from pixels to camera axes; residual descent has its ten published steps,
the other refiners what they have by default. All untrained, one thread, float32. They take turns in one process;
seconds are those of the processor, so that other jobs change little; medians. Ratio: time over that of the lifter.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from poselift.geometry.projection import project
from poselift.models.base import RootSource
from poselift.models.kinds import build_model
from poselift.models.refiners import REFINERS
from poselift.train.recipes import recipe
from timing import medians

SIZE = (1000.0, 1002.0)


def people(n: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """kp_img, conf, p_root, root_cam, K: n poses of one frame, 30 mm off what the image shows."""
    g = torch.Generator().manual_seed(0)
    p = 0.3 * torch.randn(n, 1, 17, 3, generator=g)
    at = torch.tensor((0.0, 0.0, 5.0)) + 0.3 * torch.randn(n, 1, 3, generator=g)
    K = torch.tensor([[1145.0, 0, 512], [0, 1145, 515], [0, 0, 1]]).expand(n, 3, 3)
    kp = project(p + at[..., None, :] + 0.03 * torch.randn(p.shape, generator=g), K)
    return kp, torch.ones(n, 1, 17), p, at, K


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(0)
    inputs = people(args.poses)
    kp, conf, _, _, K = inputs
    size = torch.tensor(SIZE).expand(args.poses, 2)
    lifter: Any = build_model(recipe("linear-erd").model).eval()
    work: dict[str, Callable[[], object]] = {"lifter": lambda: lifter.lift(kp, conf, K, size)}
    steps = {}
    for name, (config, _) in REFINERS.items():
        refiner: Any = build_model(config()).eval()
        if name == "erd":
            refiner.set_statistics(mean2d=kp.mean((0, 1)), std2d=kp.std((0, 1)))
        for root in get_args(RootSource):
            work[f"{name}, {root}"] = lambda refiner=refiner, root=root: refiner.refine(*inputs, root=root)
            steps[f"{name}, {root}"] = refiner.config.steps
    seconds = medians(work, args.repeats, warm_up=3)
    lifting = seconds.pop("lifter")
    print(f"{args.poses} poses; the linear lifter takes {1000 * lifting:.1f} ms\n")
    print("| refiner | root | steps | ms | ratio |\n|---|---|---|---|---|")
    for what, value in seconds.items():
        name, root = what.split(", ")
        print(f"| {name} | {root} | {steps[what]} | {1000 * value:.1f} | {value / lifting:.2f} |")
    if args.json is not None:
        row = {"poses": args.poses, "lifter": lifting, "refiners": seconds}
        args.json.write_text(json.dumps(row, indent=1) + "\n")


if __name__ == "__main__":
    main()
