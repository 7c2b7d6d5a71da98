"""The opponent in adversarial training: a critic with an optimiser of its own, which makes its steps before each step
of the loop. The loop saves and resumes its weights and its optimiser with the rest.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Generator, Tensor, nn

from poselift.train.checkpoint import to_device
from poselift.train.steps import load_optimizer

__all__ = ["Adversarial", "Opponent"]


@runtime_checkable
class Adversarial(Protocol):
    """What the loop asks of an objective (`train.objectives.Objective`) beyond the rest, if it has an opponent.

    part: how much of the run is done, 0 to 1, told by the loop before each step; betas: of Adam, for both.
    """

    part: float

    @property
    def draws(self) -> torch.device: ...

    @property
    def opponent(self) -> nn.Module: ...

    @property
    def opponent_steps(self) -> int: ...

    @property
    def betas(self) -> tuple[float, float]: ...

    def batch(self, b: int, gen: Generator) -> Any: ...

    def opponent_losses(self, opponent: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Named scalars, of which `critic` is minimised; `opponent` as wrapped for its device."""
        ...


class Opponent:
    """The critic of an objective, wrapped for its device, and its optimiser."""

    def __init__(self, objective: Adversarial, fabric: Any, optimizer: torch.optim.Optimizer) -> None:
        self.objective, self.fabric = objective, fabric
        self.network, self.optimizer = fabric.setup(objective.opponent, optimizer)

    def train(self, step: int, batch: int, lr: float, seed: int) -> dict[str, Tensor]:
        """The opponent's steps before a step of the loop, each on a batch of its own; gives the last one's scalars.

        Everything random comes from seed and step.
        """
        losses: dict[str, Tensor] = {}
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        for i in range(self.objective.opponent_steps):
            # multiples of one large odd number: other places than those of the loop's own seeds
            own = (seed * 6_364_136_223_846_793_005 + step * self.objective.opponent_steps + i) % 2**63
            gen = Generator(self.objective.draws).manual_seed(own)
            drawn = self.objective.batch(batch, gen).to(self.fabric.device)
            torch.manual_seed(own ^ 0x5EED)  # not the numbers that drew the batch
            self.optimizer.zero_grad(set_to_none=True)
            losses = self.objective.opponent_losses(self.network, drawn)
            self.fabric.backward(losses["critic"])
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {k: v.detach() for k, v in losses.items()}

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"model": dict(self.objective.opponent.state_dict()), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        self.objective.opponent.load_state_dict(state["model"])
        load_optimizer(self.optimizer, to_device(state["optimizer"], self.fabric.device))
