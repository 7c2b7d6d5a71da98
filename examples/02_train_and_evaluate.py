"""Train a lifter on the packaged sample, stop, resume, evaluate: what `poselift train` and `poselift eval` do.

python examples/02_train_and_evaluate.py [OUT] [STEPS]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from poselift.train.evaluate import evaluate
from poselift.train.loop import TrainOptions, train
from poselift.train.recipes import recipe

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/example-02")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 400

# A recipe is a frozen dataclass; change it with `replace`, or on the command line: --schedule.steps 400
plan = recipe("linear-erd")
plan = replace(
    plan,
    data=replace(plan.data, input="det", flip=True),
    schedule=replace(plan.schedule, steps=steps, validate_every=steps // 2, save_every=steps // 2),
)
model = train(plan, out / "run", TrainOptions(quiet=True))
train(plan, out / "run", TrainOptions(quiet=True, resume=True))  # nothing left to do: the run is complete

report = evaluate(model, replace(plan.data, path=None), split="test", every=10, out=out / "report")
print(report.to_markdown("overall"))
