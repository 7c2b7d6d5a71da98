"""P-MPJPE of many poses: ours against a batched numpy SVD, in one run.

    python benchmarks/speed_procrustes.py [--poses 500000] [--repeats 5] [--json out.json]

The numpy side is the published evaluation (VideoPose3D, `p_mpjpe`), per frame instead of averaged, with
`numpy.linalg.svd` on the whole stack of 3 x 3 matrices. Both sides get the same float32 poses; runs alternate, the
first of each is a warm-up, times are medians. Differences are per pose, in mm, against that numpy code in float64.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from poselift.geometry.rotations import random_matrix
from poselift.metrics import p_mpjpe_mm
from timing import medians


def numpy_p_mpjpe_mm(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Protocol 2 error per pose (n, j, 3) in mm by a batched SVD."""
    mu_x, mu_y = target.mean(1, keepdims=True), pred.mean(1, keepdims=True)
    x0, y0 = target - mu_x, pred - mu_y
    norm_x = np.sqrt((x0**2).sum((1, 2), keepdims=True))
    norm_y = np.sqrt((y0**2).sum((1, 2), keepdims=True))
    x0, y0 = x0 / norm_x, y0 / norm_y
    u, s, vt = np.linalg.svd(np.matmul(x0.transpose(0, 2, 1), y0))
    v = vt.transpose(0, 2, 1)
    r = np.matmul(v, u.transpose(0, 2, 1))
    sign = np.sign(np.linalg.det(r))
    v[:, :, -1] *= sign[:, None]
    s[:, -1] *= sign
    r = np.matmul(v, u.transpose(0, 2, 1))
    a = s.sum(1)[:, None, None] * norm_x / norm_y
    aligned = a * np.matmul(pred, r) + mu_x - a * np.matmul(mu_y, r)
    return np.linalg.norm(aligned - target, axis=-1).mean(-1) * 1000


def poses(kind: str, n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions and targets (n, 17, 3) in metres: `good` (turned, 5 cm noise), `mirrored`, `flat` or `unrelated`."""
    g = torch.Generator().manual_seed(seed)
    target = torch.randn(n, 17, 3, generator=g) * torch.tensor([0.25, 0.5, 0.2])
    if kind == "unrelated":
        return torch.randn(n, 17, 3, generator=g) * 0.3, target
    if kind == "flat":
        target[..., 2] *= 1e-3
    pred = target * torch.tensor([-1.0, 1, 1]) if kind == "mirrored" else target
    pred = pred @ random_matrix(n, generator=g).mT + 0.05 * torch.randn(n, 17, 3, generator=g)
    return pred.contiguous(), target


def measure(n: int, repeats: int) -> dict[str, object]:
    """Times on good poses and the largest difference per kind of pose."""
    pred, target = poses("good", n)
    threads = torch.get_num_threads()

    def ours(count: int) -> Callable[[], object]:
        def run() -> object:
            torch.set_num_threads(count)
            return p_mpjpe_mm(pred, target)

        return run

    runs: dict[str, Callable[[], object]] = {"numpy SVD": lambda: numpy_p_mpjpe_mm(pred.numpy(), target.numpy())}
    runs |= {f"poselift, {c} thread{'s'[: c > 1]}": ours(c) for c in sorted({1, threads})}
    times = medians(runs, repeats, warm_up=1, clock=time.perf_counter)
    torch.set_num_threads(threads)
    base = times["numpy SVD"]
    difference = {}
    for kind in ("good", "mirrored", "flat", "unrelated"):
        p, t = poses(kind, min(n, 100_000), seed=1)
        exact = numpy_p_mpjpe_mm(p.double().numpy(), t.double().numpy())
        mine, theirs = p_mpjpe_mm(p, t).double().numpy(), numpy_p_mpjpe_mm(p.numpy(), t.numpy())
        difference[kind] = {
            "max_difference_mm": float(np.abs(mine - exact).max()),
            "numpy_float32_max_difference_mm": float(np.abs(theirs - exact).max()),
        }
    return {
        "poses": n,
        "joints": 17,
        "repeats": repeats,
        "seconds": times,
        "poses_per_second": {k: n / v for k, v in times.items()},
        "times_faster": {k: base / v for k, v in times.items()},
        "difference": difference,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--poses", type=int, default=500_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result = measure(args.poses, args.repeats)
    console = Console()
    table = Table("P-MPJPE", "median s", "poses/s", "times faster", title=f"{args.poses} poses of 17 joints, float32")
    for name, s in result["seconds"].items():  # type: ignore[attr-defined]
        rate, ratio = result["poses_per_second"][name], result["times_faster"][name]  # type: ignore[index]
        table.add_row(name, f"{s:.3f}", f"{rate:,.0f}", f"{ratio:.1f}")
    console.print(table)
    table = Table("poses", "poselift float32", "numpy float32", title="largest difference from numpy float64, mm")
    for kind, d in result["difference"].items():  # type: ignore[attr-defined]
        table.add_row(kind, f"{d['max_difference_mm']:.1e}", f"{d['numpy_float32_max_difference_mm']:.1e}")
    console.print(table)
    text = json.dumps(result, indent=1)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
