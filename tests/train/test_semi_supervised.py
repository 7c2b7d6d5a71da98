"""Training from the 3D of some and the 2D of others: resumed bit for bit, blind to truth it must not know, learning."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from parity_vectors import description, vectors
from poselift.data.bank import Batch
from poselift.data.datasets import DataConfig, MotionSource
from poselift.data.views import ProtocolViews
from poselift.errors import InputError
from poselift.losses import bone_length_match
from poselift.models.lifters.residual_mlp import ResidualMLPConfig
from poselift.models.lifters.temporal_conv import TemporalConv, TemporalConvConfig
from poselift.models.lifters.ugcn import UGCNConfig
from poselift.models.roots.trajectory import Trajectory, TrajectoryConfig
from poselift.models.weights import load_model, load_root
from poselift.train import loop
from poselift.train.checkpoint import load_state
from poselift.train.loop import TrainOptions, train
from poselift.train.recipes import RECIPES, Recipe, Schedule
from poselift.train.semi_supervised import SemiSupervised, SemiSupervisedConfig

QUIET = TrainOptions(quiet=True, tensorboard=False, device="cpu")
ROOT = TrajectoryConfig(filter_widths=(3, 3), channels=24)


def small(steps: int = 8, *, objective: dict[str, Any] | None = None, lr: float = 1e-3, **changes: Any) -> Recipe:
    recipe = Recipe(
        summary="small",
        model=TemporalConvConfig(filter_widths=(3, 3), channels=24),
        data=DataConfig(input="gt", frames=9, validation_every=100),
        objective=replace(SemiSupervisedConfig(root=ROOT, labelled=0.3, warmup=0.4), **(objective or {})),
        schedule=Schedule(
            steps=steps, batch=16, lr=lr, decay="constant", bn_momentum=(0.1, 0.001), validate_every=steps,
            save_every=3, log_every=2,
        ),
    )  # fmt: skip
    return replace(recipe, **changes)


def built(**changes: Any) -> SemiSupervised:
    recipe = small(**changes)
    objective = recipe.objective.build(recipe.model, recipe.data)  # type: ignore[arg-type]
    assert isinstance(objective, SemiSupervised)
    return objective


def flat(state: Any, name: str = "") -> dict[str, Any]:
    if isinstance(state, dict):
        return {k: v for key, value in state.items() for k, v in flat(value, f"{name}.{key}").items()}
    if isinstance(state, list):
        return {k: v for i, value in enumerate(state) for k, v in flat(value, f"{name}.{i}").items()}
    return {name: state}


def state_of(folder: Path) -> dict[str, Any]:
    return flat(load_state(folder / "state.safetensors"))


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(
        torch.equal(v, b[k]) if isinstance(v, torch.Tensor) else v == b[k] for k, v in a.items()
    )


def test_resume_is_bit_for_bit_within_and_after_the_warmup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(small(), tmp_path / "whole", QUIET)
    plain = loop._Run.train_step
    for dead in (2, 5):
        out = tmp_path / f"cut{dead}"

        def dies(self: loop._Run, batch: Any, dead: int = dead) -> Any:
            if self.step == dead:
                raise KeyboardInterrupt
            return plain(self, batch)

        monkeypatch.setattr(loop._Run, "train_step", dies)
        with pytest.raises(KeyboardInterrupt):
            train(small(), out, QUIET)
        monkeypatch.setattr(loop._Run, "train_step", plain)
        train(small(), out, replace(QUIET, resume=True))
        assert same(state_of(tmp_path / "whole"), state_of(out))


def test_the_truth_of_the_unlabelled_has_no_influence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every truth that a source draws for performers without labels is changed: the weights are the same, bit for bit.
    Changed for those with labels, they are not."""
    known = built().source.labelled
    assert isinstance(known, MotionSource)
    labelled = set(known.bank.subjects)
    plain = ProtocolViews.batch
    for name, whose in (("true", None), ("rest", False), ("known", True)):

        def batch(self: Any, bank: Any, *args: Any, whose: bool | None = whose) -> Batch:
            drawn = plain(self, bank, *args)
            if (set(bank.subjects) <= labelled) is not whose:
                return drawn
            return replace(drawn, p_root=drawn.p_root * -3, root_cam=drawn.root_cam + 5)

        monkeypatch.setattr(ProtocolViews, "batch", batch)
        train(small(), tmp_path / name, QUIET)
    true, rest, others = (state_of(tmp_path / n) for n in ("true", "rest", "known"))
    assert same(true, rest)
    assert not same(true, others)


def test_the_losses_need_no_truth_of_the_unlabelled() -> None:
    objective = built()
    objective.part = 1.0
    batch = objective.batch(8, torch.Generator().manual_seed(1))
    for value in (0.0, 7.0):
        told = [x.clone() for x in (batch.p_root, batch.root_cam)]
        for x in told:
            x[1::2] = value
        torch.manual_seed(0)
        blind = objective.losses(objective.model, batch)
        torch.manual_seed(0)
        seeing = objective.losses(objective.model, replace(batch, p_root=told[0], root_cam=told[1]))
        assert all(torch.isfinite(v) for v in blind.values())
        assert {k: float(v.detach()) for k, v in blind.items()} == {k: float(v.detach()) for k, v in seeing.items()}


def test_the_unlabelled_count_after_the_warmup_and_with_their_weights() -> None:
    objective = built(objective={"projection_weight": 3.0, "bone_weight": 5.0, "trajectory_weight": 2.0})
    batch, terms = objective.batch(8, torch.Generator().manual_seed(1)), []
    for part in (0.39, 0.4):
        objective.part = part
        terms.append({k: float(v.detach()) for k, v in objective.losses(objective.model, batch).items()})
    early, late = terms
    assert early["projection"] == early["bone"] == 0
    assert late["projection"] > 0
    assert late["bone"] > 0
    for v in terms:
        want = v["mpjpe_mm"] / 1000 + 2 * v["trajectory"] + 3 * v["projection"] + 5 * v["bone"]
        assert v["loss"] == pytest.approx(want, rel=1e-5)


class Says(torch.nn.Module):
    """A network that gives what it is told to."""

    def __init__(self, pose: torch.Tensor, at: torch.Tensor) -> None:
        super().__init__()
        self.told = pose, at

    def forward(self, *_: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.told


def test_parity_of_all_four_terms_together() -> None:
    """The published loss of three labelled and three unlabelled samples, from what the two networks gave for them."""
    V = vectors("video_semi_losses")
    parents = tuple(description("video_semi_losses")["parents"])
    objective = built(objective={"pinned": False})
    objective.part = 1.0
    assert objective.lifter.skeleton.parents == parents
    fx, fy, cx, cy = V["intrinsic_px"][:, :4].float().unbind(-1)
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    K = torch.stack((fx, zero, cx, zero, fy, cy, zero, zero, one), -1).reshape(3, 3, 3)
    size = torch.tensor([1000.0, 1002.0]).expand(3, 2)
    kp = (V["target2d"] + torch.tensor([1, 1.002])) * 500

    def windows(x: torch.Tensor) -> torch.Tensor:
        return x.float().expand(3, 9, *x.shape[2:])

    nowhere = {"p_root": torch.full((3, 9, 17, 3), torch.nan), "root_cam": torch.full((3, 9, 3), torch.nan)}
    rest = Batch(kp_img=windows(kp), conf=torch.ones(3, 9, 17), K=K, size_wh=size, **nowhere)
    known = replace(rest, p_root=windows(V["gt"]), root_cam=windows(V["gt_traj"][:, :, 0]))
    batch = Batch.cat([known, rest]).part(torch.tensor([0, 3, 1, 4, 2, 5]))
    found = objective.losses(Says(V["pos"], V["traj"][:, :, 0]), batch)
    want = {
        "mpjpe_mm": 1000 * V["l_pos"],
        "trajectory": V["l_traj"],
        "projection": V["l_proj_linear"],
        "bone": V["l_bone"],
    }
    for name, value in want.items():
        assert float(found[name]) == pytest.approx(float(value), rel=2e-5), name
    assert float(bone_length_match(V["pos"][3:], V["pos"][:3], parents)) == pytest.approx(float(V["l_bone"]), rel=1e-6)


def test_what_is_missing_or_behind_the_camera_is_not_compared() -> None:
    objective = built()
    objective.part = 1.0
    batch = objective.batch(4, torch.Generator().manual_seed(1))
    conf = batch.conf.clone()
    conf[:, :, 5] = 0
    values = []
    for garbage in (0.0, 1e6, float("nan")):
        kp = batch.kp_img.clone()
        kp[:, :, 5] = garbage
        torch.manual_seed(0)
        values.append(float(objective.losses(objective.model, replace(batch, conf=conf, kp_img=kp))["loss"].detach()))
    assert values[0] == values[1] == values[2]
    pose, at = torch.zeros(8, 1, 17, 3, requires_grad=True), torch.full((8, 1, 3), -2.0, requires_grad=True)
    found = objective.losses(Says(pose, at), batch)
    found["loss"].backward()
    assert float(found["projection"].detach()) == 0
    assert at.grad is not None
    assert torch.isfinite(at.grad).all()


def test_a_root_that_nobody_knows_teaches_the_trajectory_nothing() -> None:
    objective = built(objective={"labelled": 1.0})
    batch = objective.batch(4, torch.Generator().manual_seed(1))
    found = objective.losses(objective.model, replace(batch, root_cam=torch.full_like(batch.root_cam, torch.nan)))
    assert float(found["trajectory"].detach()) == 0
    assert torch.isfinite(found["loss"])


def test_one_batch_is_learned_by_heart(tmp_path: Path) -> None:
    """Pose and trajectory beside each other, nobody unlabelled; both are saved, and load."""
    still = {
        "model": replace(small().model, dropout=0.0),
        "objective": {"labelled": 1.0, "root": replace(ROOT, dropout=0.0)},
    }
    train(small(250, lr=5e-3, **still), tmp_path / "run", replace(QUIET, overfit=True))
    with (tmp_path / "run" / "log.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert float(rows[-1]["mpjpe_mm"]) < 0.1 * float(rows[0]["mpjpe_mm"])
    assert float(rows[-1]["trajectory"]) < 0.1 * float(rows[0]["trajectory"])
    assert {float(r["projection"]) for r in rows} == {0.0}
    assert isinstance(load_model(tmp_path / "run" / "model"), TemporalConv)
    assert isinstance(load_root(tmp_path / "run" / "root"), Trajectory)


def test_reprojection_is_learned(tmp_path: Path) -> None:
    train(small(60, objective={"warmup": 0.0}, lr=3e-3), tmp_path / "run", QUIET)
    with (tmp_path / "run" / "log.csv").open() as f:
        rows = list(csv.DictReader(f))
    first, last = ([float(r["projection"]) for r in part] for part in (rows[:3], rows[-3:]))
    assert sum(last) < 0.5 * sum(first)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": ResidualMLPConfig(width=8, hidden=8, blocks=1)}, "objective.root"),
        ({"model": UGCNConfig()}, "a lifter of windows"),
        ({"objective": {"root": TrajectoryConfig(channels=8)}}, "objective.root.*receptive_field 9"),
        ({"objective": {"root": replace(ROOT, causal=True)}}, "objective.root.*causal False"),
        ({"objective": {"root": replace(ROOT, skeleton="h36m16")}}, "objective.root.skeleton"),
        ({"objective": {"labelled": 0.0}}, "objective.labelled"),
        ({"objective": {"labelled": 1.5}}, "objective.labelled"),
        ({"objective": {"warmup": -0.1}}, "objective.warmup"),
        ({"objective": {"warmup": float("nan")}}, "objective.warmup"),
        ({"objective": {"trajectory_weight": -1.0}}, "objective.trajectory_weight"),
        ({"objective": {"projection_weight": float("inf")}}, "objective.projection_weight"),
        ({"objective": {"bone_weight": float("nan")}}, "objective.bone_weight"),
        ({"schedule": Schedule(steps=2, bn_momentum=(0.1, 0.0))}, "schedule.bn_momentum"),
        ({"schedule": Schedule(steps=2, bn_momentum=(1.5, 0.1))}, "schedule.bn_momentum"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(small(**changes), tmp_path / "run", QUIET)
    assert not (tmp_path / "run" / "state.safetensors").exists()


def test_batch_norm_follows_its_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[float]] = []
    plain = SemiSupervised.losses

    def watch(self: SemiSupervised, network: Any, batch: Batch) -> Any:
        norms = [m for m in self.model.modules() if isinstance(m, torch.nn.BatchNorm1d)]
        seen.append({round(float(m.momentum or 0), 9) for m in norms})
        return plain(self, network, batch)

    monkeypatch.setattr(SemiSupervised, "losses", watch)
    train(small(4), tmp_path / "run", QUIET)
    assert seen == [{round(0.1 * 0.01 ** (s / 4), 9)} for s in range(4)], "0.1 exp(-(s / S) ln 100), both networks"
    seen.clear()
    train(small(2, schedule=replace(small(2).schedule, bn_momentum=None)), tmp_path / "plain", QUIET)
    assert seen == [{0.1}, {0.1}]


def test_the_two_recipes_differ_in_the_unlabelled_alone() -> None:
    semi, tenth = RECIPES["temporal-semi"], RECIPES["temporal-tenth"]
    assert isinstance(semi.objective, SemiSupervisedConfig)
    assert replace(tenth, summary="", objective=replace(semi.objective, unlabelled=False)) == replace(tenth, summary="")
    assert replace(semi, summary="", objective=tenth.objective) == replace(tenth, summary="")
