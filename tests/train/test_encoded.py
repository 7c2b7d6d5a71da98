"""Training of a temporal network on windows that went through the spatial one beforehand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from poselift.data.datasets import DataConfig
from poselift.errors import InputError
from poselift.models.lifters.residual_mlp import ResidualMLP, ResidualMLPConfig
from poselift.models.lifters.simple_baseline import SimpleBaselineConfig
from poselift.models.lifters.spatial_temporal import SpatialTemporal, SpatialTemporalConfig
from poselift.models.weights import load_model, save_model
from poselift.train import loop
from poselift.train.checkpoint import load_state
from poselift.train.encoded import Encoded, EncodedConfig
from poselift.train.loop import TrainOptions, train
from poselift.train.recipes import Recipe, Schedule

QUIET = TrainOptions(quiet=True, tensorboard=False, device="cpu")
SPATIAL = ResidualMLPConfig(width=16, hidden=16, blocks=1, dropout=0.1)
MODEL = SpatialTemporalConfig(spatial=SPATIAL, filter_widths=(3, 3), taps=5, channels=8)


@pytest.fixture(scope="module")
def spatial(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    return str(save_model(ResidualMLP(SPATIAL), tmp_path_factory.mktemp("spatial") / "model"))


def small(spatial: str, **changes: Any) -> Recipe:
    return Recipe(
        model=changes.pop("model", MODEL),
        objective=EncodedConfig(
            **{"spatial": spatial, "samples": 24, "motion_weight": 1.0, "motion_intervals": (1,)} | changes
        ),
        data=DataConfig(input="wild", frames=14, validation_every=60, fps=(24.0, 60.0)),
        schedule=Schedule(steps=12, batch=4, lr=3e-3, validate_every=12, save_every=5, log_every=6),
    )


def test_the_windows_are_encoded_once_and_losses_are_those_of_their_encoding(spatial: str):
    plan = small(spatial)
    objective = plan.objective.build(plan.model, plan.data)  # type: ignore[arg-type]
    assert isinstance(objective, Encoded)
    objective.fit(torch.Generator().manual_seed(0))
    objective.enter(0, torch.device("cpu"), torch.Generator().manual_seed(5))
    bank = objective.bank
    assert bank is not None
    assert bank.kp_norm.shape == (24, 14, 17, 10)
    assert bank.target.shape == (24, 6, 17, 3)
    drawn = objective.source.batch(24, torch.Generator().manual_seed(5))
    kp_norm, target, conf = objective.encode(drawn)
    assert torch.equal(bank.kp_norm, kp_norm)
    assert torch.equal(bank.target, target)
    assert torch.equal(bank.conf, conf)
    objective.enter(0, torch.device("cpu"), torch.Generator().manual_seed(6))
    assert objective.bank is bank
    batch = objective.batch(5, torch.Generator().manual_seed(1))
    losses = objective.losses(objective.model, batch)
    assert {"loss", "motion", "mpjpe_mm"} <= losses.keys()
    pred = objective.model(batch.kp_norm)
    assert torch.allclose(losses["mpjpe_mm"], 1000 * (pred - batch.target).norm(dim=-1).mean())


def test_training_resumes_bit_for_bit_and_leaves_the_spatial_network_alone(
    spatial: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = train(small(spatial), tmp_path / "whole", QUIET)
    plain = loop._Run.train_step

    def until(run: Any, batch: Any) -> Any:
        if run.step == 8:
            raise KeyboardInterrupt
        return plain(run, batch)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Run, "train_step", until)
        with pytest.raises(KeyboardInterrupt):
            train(small(spatial), tmp_path / "cut", QUIET)
    train(small(spatial), tmp_path / "cut", replace(QUIET, resume=True))
    a, b = (load_state(tmp_path / n / "state.safetensors")["model"] for n in ("whole", "cut"))
    assert all(torch.equal(a[k], b[k]) for k in a)
    trained, given = load_model(whole), load_model(spatial)
    assert isinstance(trained, SpatialTemporal)
    assert all(torch.equal(v, trained.spatial.state_dict()[k]) for k, v in given.state_dict().items())
    assert trained.w_k.weight.abs().max() > 0


def test_an_overfitted_batch_is_learned(spatial: str, tmp_path: Path):
    plan = small(spatial, samples=4, motion_weight=0.0)
    plan = replace(plan, schedule=replace(plan.schedule, steps=150, validate_every=150, save_every=150))
    train(plan, tmp_path, replace(QUIET, overfit=True))
    rows = (tmp_path / "log.csv").read_text().splitlines()
    column = rows[0].split(",").index("mpjpe_mm")
    first, last = (float(rows[i].split(",")[column]) for i in (1, -1))
    assert last < 0.6 * first


def test_other_families_and_spatial_networks_that_do_not_fit(spatial: str):
    plan = small(spatial, model=SimpleBaselineConfig())
    with pytest.raises(InputError, match="spatial_temporal"):
        plan.objective.build(plan.model, plan.data)  # type: ignore[arg-type]
    other = small(spatial, model=replace(MODEL, spatial=replace(SPATIAL, width=8)))
    objective = other.objective.build(other.model, other.data)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"objective\.spatial"):
        objective.fit(torch.Generator())
    with pytest.raises(InputError, match="samples"):
        small(spatial, samples=0).objective.build(MODEL, plan.data)  # type: ignore[arg-type]
