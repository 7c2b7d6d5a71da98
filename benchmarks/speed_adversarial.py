"""Time of an adversarial training step against the sum of its bare parts.

    python benchmarks/speed_adversarial.py [--recipe repnet|repnet-original|video-gan] [--batch 64] [--width N]
                                           [--steps 30] [--out FILE.json]

The parts: drawing the batches, the critic's forward, penalty, backward and Adam step as often as the recipe says, the
generator's forward, backward and Adam step. Whole and parts take turns, step by step, in one process, so that a slow
moment of the machine hits both. Medians of processor time after a warm-up.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from poselift.train import loop
from poselift.train.adversarial import AdversarialObjective
from poselift.train.journal import Journal
from poselift.train.recipes import Recipe, recipe
from timing import medians


def narrowed(plan: Recipe, width: int | None) -> Recipe:
    """The recipe with other widths of its networks."""
    if width is None:
        return plan
    name = "channels" if hasattr(plan.model, "channels") else "width"
    objective: Any = plan.objective
    objective = replace(objective, critic=replace(objective.critic, chain_width=width))
    if hasattr(objective, "root"):
        objective = replace(objective, root=replace(objective.root, channels=width))
    return replace(plan, model=replace(plan.model, **{name: width}), objective=objective)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="repnet", choices=("repnet", "repnet-original", "video-gan"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    plan = narrowed(recipe(args.recipe), args.width)
    plan = replace(
        plan,
        data=replace(plan.data, validation_every=400),
        schedule=replace(plan.schedule, batch=args.batch),
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        options = loop.TrainOptions(quiet=True, tensorboard=False, device="cpu")
        journal = Journal(out, plan, resume=False, tensorboard=False, quiet=True)
        run = loop._Run(plan, out, options, Fabric(accelerator="cpu", devices=1), journal)
        seconds = measured(run, args.batch, args.steps)
    middle = {k: 1000 * v for k, v in seconds.items()}
    objective = run.objective
    assert isinstance(objective, AdversarialObjective)
    k = objective.opponent_steps
    bare = (k + 1) * middle["batch"] + k * middle["critic"] + middle["generator"]
    result = {
        "recipe": args.recipe, "batch": args.batch, "width": args.width, "critic_steps": k,
        "threads": torch.get_num_threads(), **{f"{n}_ms": round(v, 2) for n, v in middle.items()},
        "parts_ms": round(bare, 2), "ratio": round(middle["step"] / bare, 3),
    }  # fmt: skip
    print("| recipe | batch | critic steps | batch | critic | generator | sum of parts | our step | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    parts = " | ".join(f"{middle[n]:.1f} ms" for n in ("batch", "critic", "generator"))
    print(
        f"| {args.recipe} | {args.batch} | {k} | {parts} | {bare:.1f} ms | {middle['step']:.1f} ms "
        f"| {middle['step'] / bare:.2f} |"
    )
    if args.out:
        args.out.write_text(json.dumps(result, indent=1))


def measured(run: loop._Run, b: int, steps: int) -> dict[str, float]:
    """Median processor seconds of the whole step and of its bare parts."""
    objective, opponent = run.objective, run.opponent
    assert isinstance(objective, AdversarialObjective)
    assert opponent is not None
    batch = objective.batch(b, torch.Generator().manual_seed(1))

    def whole() -> None:
        run.train_step(run.batch(run.step))
        run.step += 1

    def critic() -> None:
        opponent.optimizer.zero_grad(set_to_none=True)
        objective.opponent_losses(objective.opponent, batch)["critic"].backward()
        opponent.optimizer.step()

    def generator() -> None:
        run.optimizer.zero_grad(set_to_none=True)
        objective.losses(objective.generator, batch)["loss"].backward()
        run.optimizer.step()

    tasks = {
        "step": whole,
        "batch": lambda: objective.batch(b, torch.Generator().manual_seed(run.step)),
        "critic": critic,
        "generator": generator,
    }
    return medians(tasks, steps, warm_up=5)


if __name__ == "__main__":
    main()
