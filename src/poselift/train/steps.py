"""What a step is made of, whatever it minimises: its seed, optimiser, batch-norm momentum, running mean of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from poselift.train.schedule import Schedule

__all__ = ["RunningMean", "load_optimizer", "make_optimizer", "parameter_groups", "set_bn_momentum", "step_seed"]


def step_seed(seed: int, step: int, stream: int = 0) -> int:
    """Seed of a step: streams of different steps and purposes do not touch."""
    return ((seed * 1_000_003 + step) * 4 + stream) % (2**63)


def make_optimizer(
    parameters: Any, schedule: Schedule, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Optimizer:
    """Adam, AdamW or SGD with momentum 0.9, as the schedule says."""
    if schedule.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=schedule.lr, momentum=0.9, weight_decay=schedule.weight_decay)
    kind = torch.optim.AdamW if schedule.optimizer == "adamw" else torch.optim.Adam
    return kind(
        parameters,
        lr=schedule.lr,
        betas=betas,
        weight_decay=schedule.weight_decay,
        amsgrad=schedule.amsgrad,
        fused=True,
    )


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Go on from the state of a checkpoint.

    Files hold tensors row by row; a fused optimiser goes through a parameter and its moments in the order of memory and
    mixes them up where the parameter lies there in another one (`channels_last`). So moments are laid out as it is.
    """
    optimizer.load_state_dict(state)
    for p, held in optimizer.state.items():
        for name, value in held.items():
            if isinstance(value, Tensor) and value.shape == p.shape and value.stride() != p.stride():
                held[name] = torch.empty_like(p, dtype=value.dtype).copy_(value)


def parameter_groups(module: nn.Module, scales: Mapping[str, float]) -> list[dict[str, Any]]:
    """Groups for an optimiser: parameters whose names begin as a key of `scales` learn at that part of the rate."""
    rest = dict(module.named_parameters())
    groups = []
    for start, scale in scales.items():
        own = [rest.pop(name) for name in [n for n in rest if n.startswith(start)]]
        groups.append({"params": own, "scale": scale})
    return [{"params": list(rest.values()), "scale": 1.0}, *groups]


def set_bn_momentum(module: nn.Module, momentum: float | None) -> None:
    """The weight of a new batch in the running statistics of every batch norm; None leaves them as they are."""
    if momentum is not None:
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.momentum = momentum


class RunningMean:
    """Running mean of a module's weights; as a context the module holds it, and its own weights again after it.

    decay: of a long run, less in the first steps; with 0 there is no mean, and all of this does nothing.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.mean = {k: v.detach().clone() for k, v in module.named_parameters()} if decay else {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After a step (0-based)."""
        if self.mean:
            decay = min(self.decay, (step + 1) / (step + 10))
            for name, p in self.module.named_parameters():
                self.mean[name].lerp_(p, 1 - decay)

    def exchange(self) -> None:
        """Weights and mean change places."""
        for name, mean in self.mean.items():
            p = self.module.get_parameter(name)
            held = p.data.clone()
            p.data.copy_(mean)
            mean.copy_(held)

    def __enter__(self) -> None:
        self.exchange()

    def __exit__(self, *_: object) -> None:
        self.exchange()

    def load(self, mean: Mapping[str, Tensor]) -> None:
        """Go on from the mean of a checkpoint."""
        if self.mean:
            self.mean = dict(mean)
