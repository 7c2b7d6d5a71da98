"""The open benchmark's table: trains every row that has no weights yet, evaluates all of them on the test performers.

    python benchmarks/cmu17.py --data DIR --out runs/cmu17 [--rows linear-erd …] [--steps N]

DIR holds cmu.npz and cmu_dance.npz, or is one such file (`poselift data prepare` makes it from a CMU download).
Models are selected on the validation performers; test performers are looked at here only. Every row is
`poselift train RECIPE` plus `poselift eval`.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch

from poselift.data.datasets import DataConfig, dataset_clips
from poselift.models.base import Lifter
from poselift.models.weights import load_model
from poselift.structures import Clip
from poselift.train.evaluate import evaluate_clips
from poselift.train.loop import TrainOptions, train
from poselift.train.recipes import recipe
from timing import medians

ROWS = ("linear-erd", "linear-original", "linear-pytorch", "linear-gluon")
INPUTS = ("gt", "det")
FIGURES = {
    "mpjpe_mm": "MPJPE", "p_mpjpe_mm": "P-MPJPE", "n_mpjpe_mm": "N-MPJPE", "mpjve_mm": "MPJVE", "accel_mm": "accel.",
    "bone_length_deviation_mm": "bone dev.", "joint_angle_error_deg": "angle°", "mrpe_mm": "MRPE",
}  # fmt: skip


def poses_per_second(lifter: Lifter, batch: int = 1024, repeats: int = 7) -> float:
    """Median over repeats, after a warm-up, of the whole lift (encode, network, decode) on one device."""
    kp, conf = torch.rand(batch, 1, 17, 2) * 400 + 300, torch.ones(batch, 1, 17)
    K = torch.tensor([[1145.0, 0, 512], [0, 1145.0, 515], [0, 0, 1]]).expand(batch, 3, 3)
    size = torch.tensor([1000.0, 1002.0]).expand(batch, 2)
    with torch.no_grad():
        seconds = medians({"lift": lambda: lifter.lift(kp, conf, K, size)}, repeats, clock=time.perf_counter)
    return batch / seconds["lift"]


def row(name: str, model: Path | str, clips: dict[str, list[Clip]], input: str, *, flip: bool) -> dict[str, object]:
    """One line of the table."""
    lifter = load_model(model)
    report = evaluate_clips(lifter, clips[input], absolute=True, flip_average=flip)
    return {
        "row": name,
        "input": input,
        "flip_average": flip,
        "parameters": sum(p.numel() for p in lifter.parameters()),
        "poses_per_s": round(poses_per_second(lifter)),
        **{k: (None if v is None else round(float(v), 3)) for k, v in report.summary().items()},
    }


def markdown(rows: list[dict[str, object]], average: str) -> str:
    """The table for one kind of average."""
    head = ["method", "input", *FIGURES.values(), "MRPE x / y / z", "parameters", "poses/s"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in rows:

        def figure(key: str, r: dict[str, object] = r) -> str:
            value = r.get(f"{key}/{average}")
            return "–" if value is None else f"{value:.1f}"

        xyz = " / ".join(figure(f"mrpe_{a}_mm") for a in "xyz")
        name = str(r["row"]) + (" (flip av.)" if r["flip_average"] else "")
        cells = [name, r["input"], *(figure(k) for k in FIGURES), xyz]
        cells += [f"{r['parameters'] / 1e6:.2f} M", f"{r['poses_per_s']:,}"]  # type: ignore[operator]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with cmu.npz and cmu_dance.npz")
    parser.add_argument("--out", type=Path, default=Path("runs/cmu17"))
    parser.add_argument("--rows", nargs="*", default=list(ROWS))
    parser.add_argument("--inputs", nargs="*", default=list(INPUTS))
    parser.add_argument("--steps", type=int, help="override the recipes' number of steps (for a quick look)")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--default", default="default", help="model of the last rows: the package's default lifter")
    args = parser.parse_args()

    rows, clips = [], {}
    for input in args.inputs:
        clips[input] = dataset_clips(DataConfig(path=args.data, input=input), "test")
        for name in args.rows:
            plan = recipe(name)
            plan = replace(plan, data=replace(plan.data, path=args.data, input=input))
            if args.steps:
                plan = replace(plan, schedule=replace(plan.schedule, steps=args.steps))
            out = args.out / f"{name}-{input}"
            if not (out / "done").exists():
                started = (out / "state.safetensors").exists()
                options = TrainOptions(precision=args.precision, device=args.device, resume=started, quiet=True)
                train(plan, out, options)
                (out / "done").touch()
            rows.append(row(name, out / "model", clips, input, flip=False))
            print(json.dumps(rows[-1]), flush=True)
        if args.default:
            for flip in (False, True):
                rows.append(row("default lifter", args.default, clips, input, flip=flip))
                print(json.dumps(rows[-1]), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "table.json").write_text(json.dumps(rows, indent=1))
    text = "\n\n".join(f"Averages: per {a}.\n\n{markdown(rows, a)}" for a in ("frame", "clip"))
    (args.out / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
