"""Networks of pictures on rendered people: trains what has no weights yet, evaluates on the test performers.

    python benchmarks/rendered.py --data DIR --out runs/rendered [--rows pose-resnet] [--steps 6000 3500]

Small enough for one processor core and an hour: recipes `pose-resnet` and `rootnet` with ResNet-18, crops of 64 pixels,
bf16, some thousand steps of 32 crops, each learned from three times; RootNet begins with Pose ResNet's backbone, which
has learned to see joints. Beside each network stands what needs none: roots at the middle of the box and γ = 1 or the
median γ of training crops; joints at their mean place in training crops. A run that was stopped is gone on with.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from poselift.data.images import ImageBatch
from poselift.data.pictures import PictureConfig, PictureSource, picture_source
from poselift.data.rendered import RenderOptions
from poselift.geometry.projection import unproject
from poselift.metrics import mrpe_mm
from poselift.models.weights import load_image, load_image_root
from poselift.train.loop import TrainOptions, train
from poselift.train.recipes import Recipe, recipe

CROP = 64
JITTER = 0.05
"""How much training crops are larger or smaller, as a part; half of what the recipes have."""
NEAR = (5, 10)
"""Percent of the crop's side within which a joint counts as found."""


def plan(name: str, args: argparse.Namespace, backbone: Path | None) -> Recipe:
    """The recipe of that name, made small."""
    whole = recipe(name)
    model: Any = replace(whole.model, depth=18, size_hw=(CROP, CROP), filters=(64, 64, 64))  # type: ignore[call-arg]
    steps: int = args.steps[[*TABLES].index(name)]
    schedule = replace(
        whole.schedule, steps=steps, batch=32, optimizer="adamw", weight_decay=0.01, lr=args.lr, decay="cosine",
        warmup=min(100, steps // 10), ema=0.999, validate_every=1000, save_every=250, log_every=50,
    )  # fmt: skip
    objective: Any = replace(whole.objective, validation=1024)  # type: ignore[call-arg]
    if name == "rootnet":
        objective = replace(objective, depth_rate=args.depth_rate, backbone=None if backbone is None else str(backbone))
    else:
        objective = replace(objective, sigma=1.0, rounded=False)  # maps of 16 cells: a joint is between them
    data = PictureConfig(path=args.data, crop=CROP, render=RenderOptions(jitter=JITTER), reuse=args.reuse)
    return replace(whole, model=model, data=data, objective=objective, schedule=schedule)


def trained(name: str, args: argparse.Namespace) -> Path:
    """The model of a recipe, trained if need be."""
    out = args.out / name
    if not (out / "done").exists():
        resume = (out / "state.safetensors").exists()
        options = TrainOptions(device=args.device, precision=args.precision, resume=resume, tensorboard=False)
        backbone = trained("pose-resnet", args) if name == "rootnet" and not args.plain else None
        train(plan(name, args, backbone), out, options)
        (out / "done").touch()
    return out / "model"


def batches(source: PictureSource, crops: int, seed: int) -> list[ImageBatch]:
    gen = torch.Generator().manual_seed(seed)
    return [source.batch(min(64, crops - i), gen) for i in range(0, crops, 64)]


def over(seen: list[ImageBatch], answer: Callable[[ImageBatch], Tensor]) -> Tensor:
    with torch.no_grad():
        return torch.cat([answer(b) for b in seen])


def root_rows(args: argparse.Namespace, known: list[ImageBatch], seen: list[ImageBatch]) -> list[dict[str, Any]]:
    """Errors of the root in millimetres, means over crops."""
    gamma = float(over(known, lambda b: b.root_z / b.k).median())
    network = load_image_root(str(trained("rootnet", args))).eval()

    def at_box(b: ImageBatch, factor: float) -> Tensor:
        return unproject(b.box_xywh[:, :2] + b.box_xywh[:, 2:] / 2, factor * b.k, b.K)

    def truth(b: ImageBatch) -> Tensor:
        root_img = b.root_patch / CROP * b.box_xywh[:, 2:] + b.box_xywh[:, :2]
        return unproject(root_img, b.root_z, b.K)

    ways: dict[str, Callable[[ImageBatch], Tensor]] = {
        "middle of the box, γ = 1": lambda b: at_box(b, 1.0),
        f"middle of the box, γ = {gamma:.3f} (median of training crops)": lambda b: at_box(b, gamma),
        "RootNet, ResNet-18": lambda b: network.locate(b.image, b.k, b.box_xywh, b.K),
        "RootNet, and the mirrored crop": lambda b: network.locate(b.image, b.k, b.box_xywh, b.K, flip_average=True),
    }
    rows, target, first = [], over(seen, truth), 0.0
    for name, answer in ways.items():
        e = mrpe_mm(over(seen, answer), target)
        row = {f"{k}_mm": float(getattr(e, k).mean()) for k in ("total", "x", "y", "z")}
        first = first or row["z_mm"]
        rows.append({"row": name, **row, "z_change_percent": 100 * (row["z_mm"] / first - 1)})
    return rows


def joint_rows(args: argparse.Namespace, known: list[ImageBatch], seen: list[ImageBatch]) -> list[dict[str, Any]]:
    """Mean error in percent of the crop's side, and the share of joints found; over joints inside of crop and image."""
    kp, there = over(known, lambda b: b.kp_patch), over(known, lambda b: b.visible)[..., None] > 0
    mean = torch.where(there, kp, 0.0).sum(0) / there.sum(0)
    network = load_image(str(trained("pose-resnet", args))).eval()
    ways: dict[str, Callable[[ImageBatch], Tensor]] = {
        "mean place in training crops": lambda b: mean.expand(len(b), -1, -1),
        "Pose ResNet, ResNet-18": lambda b: network.estimate(b.image)[0],
        "Pose ResNet, and the mirrored crop": lambda b: network.estimate(b.image, flip_average=True)[0],
    }
    target, counts, rows = over(seen, lambda b: b.kp_patch), over(seen, lambda b: b.visible) > 0, []
    for name, answer in ways.items():
        error = 100 * (over(seen, answer) - target).norm(dim=-1)[counts] / CROP
        found = {f"pck_{n}": 100 * float((error <= n).double().mean()) for n in NEAR}
        rows.append({"row": name, "error_percent": float(error.mean()), **found})
    return rows


TABLES = {"pose-resnet": joint_rows, "rootnet": root_rows}


def markdown(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(v if isinstance(v, str) else f"{v:.1f}" for v in r.values()) + " |" for r in rows]
    return "\n".join(lines)


def settings() -> argparse.ArgumentParser:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with cmu.npz and cmu_dance.npz; the packaged subset if not given")
    parser.add_argument("--out", type=Path, default=Path("runs/rendered"))
    parser.add_argument("--rows", nargs="*", default=[*TABLES], choices=[*TABLES])
    parser.add_argument("--steps", type=int, nargs=2, default=(6000, 3500), help="of Pose ResNet and of RootNet")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--reuse", type=int, default=3, help="how often a crop is learned from")
    parser.add_argument("--plain", action="store_true", help="RootNet begins with nothing")
    parser.add_argument("--depth-rate", type=float, default=0.03, help="RootNet's depth layer, part of that rate")
    parser.add_argument("--crops", type=int, default=4096, help="test crops")
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--device", default="cpu")
    return parser


def main() -> None:
    args = settings().parse_args()
    config = PictureConfig(path=args.data, crop=CROP)
    for name in args.rows:
        trained(name, args)
    known = batches(picture_source(config, "train"), 512, seed=1)
    seen = batches(picture_source(config, "test"), args.crops, seed=2)
    table = {name: TABLES[name](args, known, seen) for name in args.rows}
    (args.out / "table.json").write_text(json.dumps(table, indent=1))
    print("\n\n".join(markdown(rows) for rows in table.values()))


if __name__ == "__main__":
    main()
