"""Staged training of residual descent: what is frozen, what is resumed, what the lifted set is worth."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from poselift.data.datasets import DataConfig
from poselift.errors import InputError
from poselift.models.lifters import build_lifter
from poselift.models.lifters.simple_baseline import SimpleBaselineConfig
from poselift.models.refiners.erd import ResidualDescent, ResidualDescentConfig
from poselift.models.roots.pelvis import PelvisRegressor, PelvisRegressorConfig
from poselift.models.weights import load_model, load_refiner, save_model
from poselift.train import lifted, loop
from poselift.train.checkpoint import load_state
from poselift.train.descent import Descent, DescentConfig
from poselift.train.lifted import LiftedBatch
from poselift.train.loop import TrainOptions, train
from poselift.train.recipes import Recipe, Schedule

QUIET = TrainOptions(quiet=True, tensorboard=False, device="cpu")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def lifter(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    model = build_lifter(SimpleBaselineConfig(width=16, blocks=1, dropout=0.2))
    model.set_statistics(
        mean3d=torch.zeros(17, 3), std3d=torch.full((17, 3), 0.1),
        mean2d=torch.full((17, 2), 512.0), std2d=torch.full((17, 2), 100.0),
    )  # fmt: skip
    return str(save_model(model, tmp_path_factory.mktemp("lifter") / "model"))


class Nothing(torch.nn.Module):
    """A regressor that changes nothing."""

    def forward(self, f: Tensor) -> Tensor:
        return f.new_zeros(len(f), 51)


def small(lifter: str, **changes: Any) -> Recipe:
    """Three regressors, ten steps each."""
    objective = DescentConfig(lifter=lifter, samples=600, **changes.pop("objective", {}))
    model = ResidualDescentConfig(steps=3, width=16, **changes.pop("model", {}))
    schedule = Schedule(steps=10, batch=32, decay="cosine", validate_every=10, save_every=4, log_every=5)
    data = DataConfig(input="gt", validation_every=200)
    return replace(Recipe(model=model, objective=objective, data=data, schedule=schedule), **changes)


def weights(folder: Path) -> dict[str, Tensor]:
    return load_state(folder / "state.safetensors")["model"]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def stopped(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Training stops, as by Ctrl-C, before that step."""
    plain = loop._Run.train_step

    def until(run: Any, batch: Any) -> Any:
        if run.step == step:
            raise KeyboardInterrupt
        return plain(run, batch)

    monkeypatch.setattr(loop._Run, "train_step", until)


def test_a_run_of_stages(lifter: str, tmp_path: Path):
    model = train(small(lifter), tmp_path, QUIET)
    with (tmp_path / "log.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [int(r["step"]) for r in rows] == [5, 10, 15, 20, 25, 30]
    assert float(rows[0]["lr"]) == pytest.approx(float(rows[2]["lr"])), "every stage runs through the schedule"
    with (tmp_path / "validation.csv").open() as f:
        errors = [float(r["mpjpe_mm"]) for r in csv.DictReader(f)]
    assert len(errors) == 3
    refiner: Any = load_refiner(model)
    assert refiner.config.steps == 1 + errors.index(min(errors)), "as many regressors as were best on validation"
    assert (refiner.std2d > 10).all()
    card = (model / "config.json").read_text()
    assert '"root": "given"' in card
    assert lifter in card


@pytest.mark.parametrize("at", [7, 10, 13, 25])
@pytest.mark.parametrize("root", ["given", "resolved"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_resumed_between_and_inside_stages(
    at: int, root: Any, ema: float, lifter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = small(lifter, model={"root": root})
    recipe = replace(recipe, schedule=replace(recipe.schedule, ema=ema))
    train(recipe, tmp_path / "whole", QUIET)
    with monkeypatch.context() as patch:
        stopped(patch, at)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "cut", QUIET)
    train(recipe, tmp_path / "cut", replace(QUIET, resume=True))
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    best: list[Any] = [load_refiner(tmp_path / name / "model") for name in ("whole", "cut")]
    assert same(best[0].state_dict(), best[1].state_dict())


def test_a_stage_leaves_the_others_alone_and_the_lifter_too(lifter: str, tmp_path: Path, monkeypatch: Any):
    before = load_model(Path(lifter)).state_dict()
    seen: dict[int, dict[str, Tensor]] = {}
    plain = loop._Run.enter

    def enter(run: Any, stage: int) -> None:
        seen[stage] = {k: v.clone() for k, v in run.model.state_dict().items()}
        plain(run, stage)
        assert [m.training for m in run.model.stages] == [n == stage for n in range(3)]
        assert not run.objective.lifted.lifter.training

    monkeypatch.setattr(loop._Run, "enter", enter)
    train(small(lifter), tmp_path, QUIET)
    last = weights(tmp_path)
    for stage in (1, 2):
        changed = {k.split(".")[1] for k in last if not torch.equal(seen[stage][k], seen[stage - 1][k])}
        assert changed == {str(stage - 1)}
    assert same(before, load_model(Path(lifter)).state_dict())


def objective(lifter: str, **changes: Any) -> Descent:
    recipe = small(lifter, **changes)
    torch.manual_seed(1)
    made = recipe.objective.build(recipe.model, recipe.data)  # type: ignore[arg-type]
    made.fit(torch.Generator().manual_seed(1))
    return made  # type: ignore[return-value]


@pytest.mark.parametrize("root", ["given", "least_squares", "resolved"])
def test_the_moved_set_is_what_the_refiner_gives(root: Any, lifter: str):
    made = objective(lifter, model={"root": root})
    made.enter(2, CPU, torch.Generator().manual_seed(2))
    bank = made.bank
    assert bank is not None
    poses = made.lifted.lifter.lift(bank.kp_img, bank.conf, bank.K, bank.size_wh)
    refined = made.model.descend(bank.kp_img, bank.conf, poses, bank.root_cam, bank.K, last=2)[-1]
    assert torch.allclose(bank.pose, refined, atol=1e-5)
    assert not torch.allclose(bank.pose, poses, atol=1e-3)


def test_the_lifter_runs_once(lifter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    frames: list[int] = []
    plain = lifted.Lifter.lift

    def lift(self: Any, kp_img: Tensor, *rest: Any, **options: Any) -> Tensor:
        frames.append(len(kp_img))
        return plain(self, kp_img, *rest, **options)

    monkeypatch.setattr(lifted.Lifter, "lift", lift)
    train(small(lifter), tmp_path, QUIET)
    clips = sum(len(c) for c in objective(lifter).lifted.validation)
    assert sum(frames) == 600 + clips, "training set and validation clips, once each, for three stages"


@pytest.mark.parametrize("loss", ["mse", "l1", "mpjpe"])
def test_losses_are_in_millimetres(loss: Any, lifter: str):
    made = objective(lifter, objective={"loss": loss})
    made.enter(0, CPU, torch.Generator().manual_seed(2))
    batch: Any = made.batch(64, torch.Generator().manual_seed(3))
    off = torch.tensor((3.0, 0.0, 4.0)) / 1000
    batch = LiftedBatch(**{**batch.as_dict(), "pose": batch.p_root + off})
    got = made.losses(Nothing(), batch)
    assert float(got["loss"]) == pytest.approx({"mse": 25 / 3, "l1": 7 / 3, "mpjpe": 5}[loss], rel=1e-4)
    assert float(got["mpjpe_mm"]) == pytest.approx(5, rel=1e-4)


def test_roots(lifter: str, tmp_path: Path):
    def bank(**changes: Any) -> LiftedBatch:
        made = objective(lifter, **changes)
        made.enter(0, CPU, torch.Generator().manual_seed(2))
        assert made.bank is not None
        return made.bank

    true = bank()
    assert torch.equal(true.at, true.root_cam)
    noisy = bank(objective={"root_noise": 0.05})
    part = (noisy.at - noisy.root_cam).norm(dim=-1) / noisy.root_cam.norm(dim=-1)
    assert 0.03 < float(part.square().mean().sqrt()) < 0.07
    along = torch.nn.functional.cosine_similarity(noisy.at, noisy.root_cam, dim=-1)
    assert torch.allclose(along, torch.ones_like(along), atol=1e-6)
    solved = bank(model={"root": "least_squares"})
    assert not torch.allclose(solved.at, solved.root_cam, atol=0.01)
    torch.manual_seed(3)
    model = PelvisRegressor(PelvisRegressorConfig(width=16)).eval()
    folder = save_model(model, tmp_path / "root")
    located = bank(objective={"root_model": str(folder)})
    want = model.locate(located.kp_img, located.conf, located.pose, located.K)
    assert torch.allclose(located.at, want, atol=1e-5)


def test_overfit_on_a_batch(lifter: str, tmp_path: Path):
    recipe = small(lifter, model={"dropout": 0.0})
    recipe = replace(recipe, schedule=Schedule(steps=150, batch=16, log_every=150, lr=3e-3, decay="constant"))
    train(recipe, tmp_path, replace(QUIET, overfit=True))
    with (tmp_path / "log.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert float(rows[-1]["mpjpe_mm"]) < 0.4 * float(rows[0]["before_mm"])


def test_one_rate_for_each_regressor(lifter: str, tmp_path: Path):
    train(small(lifter, objective={"rates": (1e-2, 1e-3, 1e-4)}), tmp_path, QUIET)
    with (tmp_path / "log.csv").open() as f:
        rates = [float(r["lr"]) for r in csv.DictReader(f)]
    assert rates[2] == pytest.approx(rates[0] / 10)
    assert rates[4] == pytest.approx(rates[0] / 100)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"objective": {"rates": (1e-3, 1e-3)}}, "objective.rates: expected 3 rates, found 2"),
        ({"objective": {"rates": (1e-3, 0.0, 1.0)}}, "objective.rates: expected a positive number, found 0"),
        ({"objective": {"root_noise": -1.0}}, "objective.root_noise"),
        ({"objective": {"root_model": "no/such"}}, "no such model folder"),
        ({"model": {"skeleton": "h36m16"}}, "objective.lifter skeleton: expected h36m16, found h36m17"),
        ({"model": {"pca": 40}}, "pca"),
    ],
)
def test_bad_recipes(changes: dict[str, Any], expected: str, lifter: str, tmp_path: Path):
    with pytest.raises(InputError, match=expected):
        train(small(lifter, **changes), tmp_path / "run", QUIET)
    assert not (tmp_path / "run").exists()


def test_a_lifter_that_is_none(tmp_path: Path):
    torch.manual_seed(0)
    folder = save_model(ResidualDescent(ResidualDescentConfig(steps=1)), tmp_path / "refiner")
    with pytest.raises(InputError, match="expected lifter, found refiner"):
        train(small(str(folder)), tmp_path / "run", QUIET)
