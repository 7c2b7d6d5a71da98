"""Refiners on single-frame lifters: trains what has no weights yet and evaluates all on the test performers.

    python benchmarks/cmu17.py --data DIR --out runs/cmu17 --rows linear-erd lcn semgcn --default ""   # the lifters
    python benchmarks/residual_descent.py --data DIR --out runs/cmu17                      # the table
    python benchmarks/residual_descent.py --data DIR --out runs/cmu17 --ablation           # features × steps
    python benchmarks/residual_descent.py --data DIR --out runs/cmu17 --speed              # poses per second

Rows: the lifter alone; ERD with the true root and with one solved by least squares; ERD in a camera aimed at the person
(`erd_look`) with both roots; the optimiser (`gauss_newton`); the optimiser followed by `erd_look`. Models, and how many
regressors they keep, are selected on the validation performers; only rows that say so use the true root. Every row is
`poselift train RECIPE --objective.lifter …` and `poselift eval --refine …`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from poselift.data.datasets import DataConfig, dataset_clips
from poselift.models.predict import Refinement
from poselift.models.refiners.erd import Features
from poselift.models.weights import load_model, load_refiner
from poselift.structures import Clip
from poselift.train.evaluate import predictions, refined, report_on
from poselift.train.loop import TrainOptions, train
from poselift.train.recipes import Recipe, recipe
from timing import medians

LIFTERS = ("linear-erd", "lcn", "semgcn", "default")
INPUTS = ("gt", "det")
FIGURES = {
    "mpjpe_mm": "MPJPE", "p_mpjpe_mm": "P-MPJPE", "n_mpjpe_mm": "N-MPJPE", "mpjve_mm": "MPJVE",
    "bone_length_deviation_mm": "bone dev.", "joint_angle_error_deg": "angle°", "mrpe_mm": "MRPE",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A way to refine: recipe, changes of its model, and the row whose poses it starts from."""

    recipe: str
    model: dict[str, Any]
    after: str = ""


ROWS: dict[str, dict[str, Row]] = {
    input: {
        "ERD, true root": Row("erd", {"root": "given", "steps": 4}),
        "ERD, solved root": Row("erd", {"root": "least_squares", "steps": 4}),
        "ERD look-at, true root": Row("erd-look", {"root": "given"}),
        "ERD look-at, solved root": Row("erd-look", {}),
        "optimiser": Row("gauss-newton-exact" if input == "gt" else "gauss-newton", {}),
        "optimiser, ERD look-at": Row("erd-look", {}, after="optimiser"),
    }
    for input in INPUTS
}


def slug(text: str) -> str:
    return text.replace(",", "").replace(" ", "-").lower()


class Bench:
    """Trains into `out` what is not there, and evaluates."""

    def __init__(self, data: str, out: Path, every: int) -> None:
        self.data, self.out, self.every = data, out, every
        self.clips: dict[tuple[str, str], list[Clip]] = {}

    def lifter(self, name: str, input: str) -> str:
        return name if name == "default" else str(self.out / f"{name}-{input}" / "model")

    def trained(self, name: str, plan: Recipe, input: str, **objective: Any) -> Path:
        """The model of a run, trained if need be."""
        data = replace(plan.data, path=self.data, input=input)
        plan = replace(plan, data=data, objective=replace(plan.objective, **objective))  # type: ignore[arg-type]
        out = self.out / name
        if not (out / "done").exists():
            train(plan, out, TrainOptions(device="cpu", quiet=True, resume=(out / "recipe.json").exists()))
            (out / "done").touch()
        return out / "model"

    def refiner(self, lifter: str, input: str, name: str) -> Path:
        row, objective = ROWS[input][name], {"lifter": self.lifter(lifter, input)}
        plan = recipe(row.recipe)
        model = dict(row.model)
        if lifter == "default" and row.recipe == "gauss-newton":
            model |= {"noise": 0.024, "bone_sd": 0.005}
        plan = replace(plan, model=replace(plan.model, **model))
        if row.after:
            objective["after"] = str(self.refiner(lifter, input, row.after))
        return self.trained(f"{lifter}-{input}-{slug(name)}", plan, input, **objective)

    def chain(self, lifter: str, input: str, name: str) -> list[Any]:
        """The refiners of a row, one after the other."""
        return [load_refiner(self.refiner(lifter, input, n)) for n in (ROWS[input][name].after, name) if n]

    def poses(self, lifter: str, input: str, split: str) -> tuple[list[Clip], list[torch.Tensor], Any]:
        if (input, split) not in self.clips:
            config = DataConfig(path=self.data, input=input)  # type: ignore[arg-type]
            self.clips[input, split] = dataset_clips(config, split, self.every)
        clips, model = self.clips[input, split], load_model(self.lifter(lifter, input))
        return clips, list(predictions(model, clips)), model


def seconds_per_batch(
    chains: dict[str, list[Any]], lifter: Any, batch: int = 1024, repeats: int = 7
) -> dict[str, float]:
    """Median seconds of the processor that lifting and each chain of refiners after it take, in turns."""
    kp, conf = torch.rand(batch, 1, 17, 2) * 400 + 300, torch.ones(batch, 1, 17)
    K = torch.tensor([[1145.0, 0, 512], [0, 1145.0, 515], [0, 0, 1]]).expand(batch, 3, 3)
    size, at = torch.tensor([1000.0, 1002.0]).expand(batch, 2), torch.tensor([0.0, 0, 5]).expand(batch, 1, 3)

    def run(refiners: list[Any]) -> None:
        p = lifter.lift(kp, conf, K, size)
        for refiner in refiners:
            p = refiner.refine(kp, conf, p, at, K)

    with torch.no_grad():
        return medians({name: lambda c=chain: run(c) for name, chain in chains.items()}, repeats)


def speed(bench: Bench, lifters: list[str]) -> str:
    """Thousands of poses in a second of one processor core, lifted, and lifted and refined: a Markdown table."""
    ways = ("ERD, solved root", "ERD look-at, solved root", "optimiser", "optimiser, ERD look-at")
    lines = ["| lifter | parameters | lifting | " + " | ".join(ways) + " |", "|" + "---|" * (len(ways) + 3)]
    for name in lifters:
        lifter = load_model(bench.lifter(name, "gt")).fold()
        chains = {"lifting": [], **{way: bench.chain(name, "gt", way) for way in ways}}
        found = seconds_per_batch(chains, lifter)
        size = f"{sum(p.numel() for p in load_model(bench.lifter(name, 'gt')).parameters()) / 1e6:.2f} M"
        lines.append(f"| {name} | {size} | " + " | ".join(f"{1.024 / found[c]:.1f}" for c in chains) + " |")
    return "\n".join(lines)


def table(
    bench: Bench, lifters: list[str], inputs: list[str], split: str, names: list[str] | None
) -> list[dict[str, Any]]:
    rows = []
    for input in inputs:
        for lifter in lifters:
            clips, before, model = bench.poses(lifter, input, split)
            for name in ["lifting", *(names or ROWS[input])]:
                chain = [] if name == "lifting" else bench.chain(lifter, input, name)
                poses: Any = before
                for refiner in chain:
                    poses = list(refined(Refinement(refiner=refiner), clips, poses))
                figures = report_on(poses, clips, model.skeleton, absolute=True).summary()
                rows.append(
                    {
                        "lifter": lifter,
                        "input": input,
                        "refined": name,
                        "steps": [r.config.steps for r in chain],
                        "parameters": sum(p.numel() for r in chain for p in r.parameters()),
                        **{k: None if v is None else round(float(v), 3) for k, v in figures.items()},
                    }
                )
                print(json.dumps(rows[-1]), flush=True)
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    head = ["lifter", "input", "refined by", "MPJPE", "gain", *list(FIGURES.values())[1:], "parameters"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    alone = {(r["lifter"], r["input"]): r["mpjpe_mm/frame"] for r in rows if r["refined"] == "lifting"}
    for r in rows:
        start, error = alone[r["lifter"], r["input"]], r["mpjpe_mm/frame"]
        gain = "" if r["refined"] == "lifting" else f"{100 * (error / start - 1):+.1f} %"
        name = "–" if r["refined"] == "lifting" else r["refined"]
        cells = [r["lifter"], r["input"], name, f"{error:.1f}", gain]
        cells += [f"{r[f'{k}/frame']:.1f}" for k in list(FIGURES)[1:]]
        size = f"{r['parameters'] / 1e6:.2f} M" if r["parameters"] else ""
        lines.append("| " + " | ".join([*cells, size]) + " |")
    return "\n".join(lines)


def ablation(bench: Bench, input: str, split: str, steps: int) -> list[dict[str, Any]]:
    """Error after every step for every feature type, on the linear lifter with the true root."""
    from typing import get_args

    clips, before, model = bench.poses("linear-erd", input, split)
    rows = []
    for features in get_args(Features):
        plan = recipe("erd")
        plan = replace(plan, model=replace(plan.model, features=features, steps=steps))
        out = f"ablation-{input}-{features}"
        bench.trained(out, plan, input, lifter=bench.lifter("linear-erd", input))
        last: Any = all_steps(bench.out / out, plan)
        errors = []
        for n in range(1, steps + 1):
            poses = refined(Refinement(refiner=last.first_steps(n).eval()), clips, before)
            errors.append(report_on(poses, clips, model.skeleton).summary()["mpjpe_mm/frame"])
        start = report_on(before, clips, model.skeleton).summary()["mpjpe_mm/frame"]
        rows.append({"features": features, "input": input, "mpjpe_mm": [round(float(e), 3) for e in (start, *errors)]})  # type: ignore[arg-type]
        print(json.dumps(rows[-1]), flush=True)
    return rows


def all_steps(run: Path, plan: Recipe) -> Any:
    """All regressors of a run: its model holds only those up to the best on validation."""
    from poselift.models.kinds import build_model
    from poselift.train.checkpoint import load_state

    refiner = build_model(plan.model)
    refiner.load_state_dict(load_state(run / "state.safetensors")["model"])
    return refiner.eval()


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    from poselift.view.plots import plot_curves

    columns = {f"{r['features']} {r['input']}/mpjpe_mm": r["mpjpe_mm"] for r in rows}
    steps = {"step": list(range(len(rows[0]["mpjpe_mm"])))}
    plot_curves(steps | columns, file, title="After each regressor: linear lifter, true root, test performers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with cmu.npz and cmu_dance.npz")
    parser.add_argument("--out", type=Path, default=Path("runs/cmu17"))
    parser.add_argument("--lifters", nargs="*", default=list(LIFTERS))
    parser.add_argument("--inputs", nargs="*", default=list(INPUTS))
    parser.add_argument("--rows", nargs="*", help="only these ways to refine")
    parser.add_argument("--split", default="test")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--ablation", action="store_true", help="features × steps on the linear lifter, with a plot")
    parser.add_argument("--speed", action="store_true", help="print poses per second, and no errors")
    parser.add_argument("--steps", type=int, default=10, help="regressors of the ablation")
    args = parser.parse_args()
    bench = Bench(args.data, args.out, args.every)
    if args.speed:
        torch.set_num_threads(1)
        print(speed(bench, args.lifters))
        return
    if args.ablation:
        rows = [r for input in args.inputs for r in ablation(bench, input, args.split, args.steps)]
        plot(rows, args.out / "ablation.png")
        (args.out / "ablation.json").write_text(json.dumps(rows, indent=1))
        return
    rows = table(bench, args.lifters, args.inputs, args.split, args.rows)
    (args.out / "refined.json").write_text(json.dumps(rows, indent=1))
    (args.out / "refined.md").write_text(markdown(rows) + "\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
