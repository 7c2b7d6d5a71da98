"""The training loop: plain, on Lightning Fabric for device, precision and processes.

Everything random in step s comes from seeds made of (recipe seed, s), and a checkpoint holds the rest, so a run
that was killed and resumed gives the weights of one that was not, bit for bit on the same CPU.
With several processes every process draws the same global batch and takes its share of it; the gradients are those
of the whole batch (batch-norm statistics are each process's own).
An objective of several stages (`train.objectives`) runs through the schedule once for each; one with an opponent
(`train.opponent`) has it make its own steps before each step.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poselift.data.tensors import TensorBatch
from poselift.errors import InputError
from poselift.train.checkpoint import load_state, save_state, to_device
from poselift.train.divergence import CriticDivergedError, CriticWatch, NotFiniteError, all_finite
from poselift.train.journal import Journal
from poselift.train.limits import check_recipe
from poselift.train.objectives import Objective, Progressive, Scaled
from poselift.train.opponent import Adversarial, Opponent
from poselift.train.recipes import Recipe
from poselift.train.selection import MODEL, Best
from poselift.train.steps import (
    RunningMean,
    load_optimizer,
    make_optimizer,
    parameter_groups,
    set_bn_momentum,
    step_seed,
)

__all__ = ["CriticDivergedError", "NotFiniteError", "TrainOptions", "train"]

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
STATE = "state.safetensors"
NAN_BATCH = "nan_batch.safetensors"


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Where and how a run is carried out; nothing here changes what a single process computes in float32."""

    device: str = "auto"
    """Accelerator: auto, cpu, cuda, mps, …"""
    devices: int = 1
    """Number of processes, one per device."""
    precision: str = "32-true"
    """Numbers of the products: 32-true, bf16-mixed, 16-mixed. Weights stay in 32 bits."""
    resume: bool = False
    """Continue the run in the output folder."""
    overfit: bool = False
    """Debugging: train on one batch over and over; the error must go to zero."""
    tensorboard: bool = True
    """Write TensorBoard events if the library is there."""
    quiet: bool = False
    """No progress on the terminal."""


def train(recipe: Recipe, out: str | Path, options: TrainOptions | None = None) -> Path:
    """Train a recipe into a folder; returns the folder of the best model (native form).

    The folder gets recipe.json, state.safetensors (to resume), log.csv, curves.png, model/ and, beside it, what else
    the objective trains, such as root/. A folder in which a run stopped before it had saved anything may be used again.
    Raises `InputError` (bad recipe or data, nothing to resume, a run already there), `OutputError`, `NotFiniteError`,
    `CriticDivergedError`; after these two the folder holds the last good checkpoint.
    """
    options = options or TrainOptions()
    out = Path(out)
    check_recipe(recipe)
    fabric = _fabric(options)
    journal = Journal(out, recipe, resume=options.resume, tensorboard=options.tensorboard, quiet=options.quiet)
    if options.devices > 1:
        fabric.launch()
    run = _Run(recipe, out, options, fabric, journal)
    try:
        journal.begin()
        run.loop()
    finally:
        journal.close()
    return out / MODEL


def _fabric(options: TrainOptions) -> Any:
    """Lightning's Fabric for the options. Raises `InputError` for what this machine or Lightning does not have."""
    if options.precision not in PRECISIONS:  # with whole weights in 16 bits nothing that is trained here works
        raise InputError(field="precision", expected=" or ".join(PRECISIONS), found=options.precision)
    from lightning_fabric import Fabric
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    try:
        return Fabric(accelerator=options.device, devices=options.devices, precision=options.precision)  # type: ignore[arg-type]
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        given = f"{options.device}, devices {options.devices}, precision {options.precision}"
        raise InputError(field="device", expected="one of this machine", found=f"{given} ({error})") from None


class _Run:
    def __init__(self, recipe: Recipe, out: Path, options: TrainOptions, fabric: Any, journal: Journal) -> None:
        self.recipe, self.out, self.options, self.fabric, self.journal = recipe, out, options, fabric, journal
        if recipe.schedule.batch % fabric.world_size:
            raise InputError(
                field="schedule.batch",
                expected=f"a multiple of {fabric.world_size} processes",
                found=recipe.schedule.batch,
            )
        torch.manual_seed(recipe.seed)
        self.objective: Objective = recipe.objective.build(recipe.model, recipe.data)  # type: ignore[arg-type]
        if isinstance(self.objective, Adversarial) and fabric.world_size > 1:
            raise InputError(field="devices", expected="1 for training with a critic", found=fabric.world_size)
        self.model: nn.Module = self.objective.model
        self.step, self.best = 0, Best(recipe, self.objective, out, fabric, journal)
        self.total = recipe.schedule.steps * len(self.objective.stages)
        # a run that was killed before its first checkpoint is resumed by starting it again
        state = load_state(out / STATE) if options.resume and (out / STATE).is_file() else None
        if state is None:
            self.objective.fit(torch.Generator().manual_seed(step_seed(recipe.seed, 0, 3)))
        else:
            self.model.load_state_dict(state["model"])
        self.model.to(fabric.device)
        self.stage, self.module, self.opponent = 0, self.model, None
        self.watch, self.due = CriticWatch(), False
        self.mean = RunningMean(self.module, 0)
        if self.objective.stages:
            self.enter(0 if state is None else state["stage"])
        if state is not None:
            load_optimizer(self.optimizer, to_device(state["optimizer"], fabric.device))
            self.mean.load(to_device(state.get("ema", {}), fabric.device))
            if self.opponent is not None:
                self.opponent.load(state["opponent"])
            self.step, self.best.value = state["step"], state["best"]
        if options.resume:
            journal.truncate(self.step)

    def enter(self, stage: int) -> None:
        """Begin a stage: its module, an optimiser and a running mean of its own."""
        plan, self.stage = self.recipe.schedule, stage
        gen = torch.Generator().manual_seed(step_seed(self.recipe.seed, 0, 2))
        self.objective.enter(stage, self.fabric.device, gen)
        self.module = self.objective.stages[stage]
        self.rate = self.objective.rate(stage) or plan.lr
        betas = self.objective.betas if isinstance(self.objective, Adversarial) else (0.9, 0.999)
        learning: Any = self.module.parameters()
        if isinstance(self.objective, Scaled):
            learning = parameter_groups(self.module, self.objective.scales)
        self.network, optimizer = self.fabric.setup(self.module, make_optimizer(learning, plan, betas))
        self.optimizer: torch.optim.Optimizer = optimizer
        self.mean = RunningMean(self.module, plan.ema)
        self.opponent: Opponent | None = None
        if isinstance(self.objective, Adversarial):
            optimizer = make_optimizer(self.objective.opponent.parameters(), plan, betas)
            self.opponent = Opponent(self.objective, self.fabric, optimizer)

    # ------------------------------------------------------------------ the loop
    def loop(self) -> None:
        plan = self.recipe.schedule
        self.journal.start(self.step, self.total, plan.batch)
        if not self.objective.stages:  # all was in the fit
            self.validate()
        began = time.perf_counter()
        while self.step < self.total:
            if self.step // plan.steps > self.stage:
                self.mean.exchange()  # later stages build on what was evaluated
                self.enter(self.stage + 1)
            losses = self.train_step(self.batch(0 if self.options.overfit else self.step))
            self.step += 1
            ended = self.step % plan.steps == 0
            if self.step % plan.log_every == 0 or ended:
                values = {k: float(v) for k, v in losses.items()}
                seconds, began = time.perf_counter() - began, time.perf_counter()
                self.journal.log(self.step, values, lr=self.lr(self.step - 1), seconds=seconds)
            if self.step % plan.validate_every == 0 or ended:
                self.validate()
                began = time.perf_counter()
            self.due = self.due or self.step % plan.save_every == 0
            if ended or (self.due and self.watch.well):  # what is saved is good: it is all that a diverged run leaves
                self.save()
                self.due = False
        self.journal.curves()

    def lr(self, step: int) -> float:
        """Learning rate of a step: every stage runs through the schedule."""
        plan = self.recipe.schedule
        return plan.lr_at(step - self.stage * plan.steps) * self.rate / plan.lr

    def batch(self, step: int) -> TensorBatch:
        """The process's share of the global batch of a step, on its device."""
        gen = torch.Generator(self.objective.draws).manual_seed(step_seed(self.recipe.seed, step))
        whole = self.objective.batch(self.recipe.schedule.batch, gen)
        share = len(whole) // self.fabric.world_size
        return whole.part(slice(share * self.fabric.global_rank, share * (self.fabric.global_rank + 1))).to(
            self.fabric.device
        )

    def train_step(self, batch: TensorBatch) -> dict[str, Tensor]:
        plan, other = self.recipe.schedule, {}
        if isinstance(self.objective, Progressive):
            self.objective.part = self.step / self.total
        set_bn_momentum(self.module, plan.bn_momentum_at(self.step - self.stage * plan.steps))
        if self.opponent is not None:
            drawn = 0 if self.options.overfit else self.step
            other = self.opponent.train(drawn, plan.batch, self.lr(self.step), self.recipe.seed)
            wrong = self.watch.look(other)
            if wrong:
                raise CriticDivergedError(f"the critic diverged in step {self.step}: {wrong}; {self.last_good()}")
        torch.manual_seed(step_seed(self.recipe.seed, self.step, 1))  # dropout
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr(self.step) * group.get("scale", 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.objective.losses(self.network, batch)
        self.fabric.backward(losses["loss"])
        if plan.clip_norm > 0:
            nn.utils.clip_grad_norm_(self.module.parameters(), plan.clip_norm)
        if not bool(torch.isfinite(losses["loss"])):
            self.stop_not_finite(batch)
        self.optimizer.step()
        self.mean.update(self.step - self.stage * plan.steps)
        return {k: v.detach() for k, v in losses.items()} | other

    def stop_not_finite(self, batch: TensorBatch) -> None:
        file = self.out / NAN_BATCH
        if self.fabric.is_global_zero:
            save_state(file, {"step": self.step, "batch": batch.as_dict()})
        raise NotFiniteError(
            f"the loss is not finite in step {self.step}; its batch is saved in {file}; {self.last_good()}"
        )

    def last_good(self) -> str:
        """What a run that has to stop leaves, for its message."""
        file = self.out / STATE
        if not file.is_file():
            return "there is no checkpoint yet"
        return f"the last good checkpoint is {file} of step {load_state(file)['step']}"

    def check_weights(self) -> None:
        """A gradient can be infinite where the loss is not. Raises `NotFiniteError`, before anything is written."""
        held = [*self.model.state_dict().values()]
        if isinstance(self.objective, Adversarial):
            held += self.objective.opponent.state_dict().values()
        if not all_finite(held):
            raise NotFiniteError(f"the weights are not finite after {self.step} steps; {self.last_good()}")

    # ------------------------------------------------------------------ validation and saving
    def validate(self) -> None:
        self.check_weights()
        with self.mean:
            self.best.validate(self.step)

    def save(self) -> None:
        self.check_weights()
        if not self.fabric.is_global_zero:
            return
        state: dict[str, Any] = {
            "step": self.step,
            "stage": self.stage,
            "best": self.best.value,
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
        }
        if self.mean.mean:
            state["ema"] = self.mean.mean
        if self.opponent is not None:
            state["opponent"] = self.opponent.state()
        save_state(self.out / STATE, state)
