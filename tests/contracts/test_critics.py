"""What every entry of `CRITICS` must do. A new critic is tested by being in the table."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from poselift.errors import InputError
from poselift.losses_adversarial import critic_loss, gradient_penalty
from poselift.models.cards import model_info
from poselift.models.critics import CRITICS
from poselift.models.critics.base import Critic
from poselift.models.kinds import build_model, kind_and_family
from poselift.models.weights import load_critic, load_model, save_model

critics = pytest.mark.parametrize("name", CRITICS)


def fresh(name: str) -> Critic:
    torch.manual_seed(0)
    return CRITICS[name][1](CRITICS[name][0]())


@cache
def default(name: str) -> Critic:
    return fresh(name).eval()


def poses(critic: Critic, n: int, out: int = 1, seed: int = 0) -> torch.Tensor:
    g, j = torch.Generator().manual_seed(seed), len(critic.skeleton)
    p = 0.4 * torch.randn(n, critic.receptive_field - 1 + out, j, 3, generator=g)
    p[..., critic.skeleton.root, :] = 0
    return p


@critics
def test_table_is_consistent(name: str):
    config_class, critic_class = CRITICS[name]
    critic = default(name)
    assert type(critic) is critic_class
    assert kind_and_family(critic.config) == ("critic", name)
    assert type(build_model(config_class())) is critic_class
    assert config_class.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert dataclasses.is_dataclass(critic.config)
    assert critic_class.__module__ == f"poselift.models.critics.{name}"


@critics
def test_a_value_for_every_window_whatever_else_is_in_the_batch(name: str):
    critic, p = default(name), poses(default(name), 3, out=3)
    with torch.no_grad():
        values = critic(p)
        assert values.shape == (3, 3)
        alone = critic(p[1:2, 1 : 1 + critic.receptive_field])
        critic.train()
        assert torch.equal(critic(p), values), "nothing differs in training: no batch norm, no dropout"
        critic.eval()
    assert_close(alone, values[1:2, 1:2], rtol=0, atol=1e-5)


@critics
def test_only_differences_from_the_root_count(name: str):
    critic, p = default(name), poses(default(name), 2)
    q = p.clone()
    q[..., critic.skeleton.root, :] = 3
    assert torch.equal(critic(p), critic(q))


@critics
def test_the_penalty_reaches_every_parameter_that_has_a_say_in_the_gradient(name: str):
    critic = fresh(name)
    real, fake = poses(critic, 4, seed=1), poses(critic, 4, seed=2)
    gradient_penalty(critic, real, fake, torch.rand(4)).backward()
    for key, parameter in critic.named_parameters():
        if key.endswith("weight"):
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
            assert parameter.grad.abs().sum() > 0, key


@critics
def test_a_critic_learns_to_tell_poses_apart(name: str):
    """Ten steps of the Wasserstein loss with penalty: real and fake values part."""
    config_class, critic_class = CRITICS[name]
    names = {f.name for f in dataclasses.fields(config_class)}
    torch.manual_seed(0)
    narrow = {n: 32 for n in ("width", "chain_width", "last_width") if n in names}
    critic = critic_class(dataclasses.replace(config_class(), **narrow))  # type: ignore[arg-type]
    adam = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
    real, fake = 0.3 * poses(critic, 64, seed=1), 2 * poses(critic, 64, seed=2)
    gaps = []
    for _ in range(10):
        adam.zero_grad()
        wasserstein = critic_loss(critic(real), critic(fake))
        (wasserstein + 10 * gradient_penalty(critic, real, fake, torch.rand(64))).backward()
        adam.step()
        gaps.append(-float(wasserstein.detach()))
    assert gaps[-1] > gaps[0] + 0.05


@critics
def test_checkpoint_round_trip(name: str, tmp_path: Path):
    critic = default(name)
    folder = save_model(critic, tmp_path / name)
    assert model_info(folder).kind == "critic"
    again = load_critic(folder)
    p = poses(critic, 2)
    with torch.no_grad():
        assert torch.equal(again(p), critic(p))
    with pytest.raises(InputError, match="expected lifter, found critic"):
        load_model(folder)
