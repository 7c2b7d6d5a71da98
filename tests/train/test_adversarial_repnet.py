"""Training without pairs: critic and lifter take turns, resume is exact, nobody seen is told the truth of."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adversarial_runs import CRITIC, QUIET, flat, small
from poselift.errors import InputError
from poselift.losses_adversarial import GrowingWeight
from poselift.models.lifters.repnet import RepNet, RepNetConfig
from poselift.models.lifters.simple_baseline import SimpleBaselineConfig
from poselift.models.lifters.video_gan import VideoGANConfig
from poselift.models.weights import load_model
from poselift.train import loop
from poselift.train.adversarial_repnet import FLAVOURS, RepNetObjective, RepNetObjectiveConfig, about_vertical
from poselift.train.checkpoint import load_state
from poselift.train.loop import train
from poselift.train.opponent import Adversarial
from poselift.train.recipes import RECIPES, Recipe


def test_resume_is_bit_for_bit_for_lifter_critic_and_both_optimisers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown = {"reprojection": GrowingWeight(first=10, last=1000, begin=0.2, end=0.9)}
    train(small(objective=grown), tmp_path / "whole", QUIET)
    plain = loop._Run.train_step

    def dies(self: loop._Run, batch: Any) -> Any:
        if self.step == 5:
            raise KeyboardInterrupt
        return plain(self, batch)

    monkeypatch.setattr(loop._Run, "train_step", dies)
    with pytest.raises(KeyboardInterrupt):
        train(small(objective=grown), tmp_path / "cut", QUIET)
    monkeypatch.setattr(loop._Run, "train_step", plain)
    train(small(objective=grown), tmp_path / "cut", replace(QUIET, resume=True))
    whole, cut = (flat(load_state(tmp_path / n / "state.safetensors")) for n in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert any(k.startswith(".opponent.optimizer") for k in whole)
    assert any(k.startswith(".opponent.model") for k in whole)
    for k, v in whole.items():
        assert torch.equal(v, cut[k]) if isinstance(v, torch.Tensor) else v == cut[k], k


def test_mixed_precision_trains_with_a_critic(tmp_path: Path) -> None:
    train(small(3), tmp_path / "run", replace(QUIET, precision="bf16-mixed"))
    with (tmp_path / "run" / "log.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert all(abs(float(row["critic"])) < 1e3 for row in rows)


def test_turned_about_the_vertical():
    """Up stays up; a quarter turn takes what was to the right away from the camera or towards it."""
    R = about_vertical(torch.tensor([0.0, torch.pi / 2, torch.pi]))
    assert torch.allclose(R[0], torch.eye(3))
    assert torch.allclose(R @ torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]).expand(3, 3))
    right = R @ torch.tensor([1.0, 0.0, 0.0])
    assert torch.allclose(right[2], torch.tensor([-1.0, 0.0, 0.0]), atol=1e-6)
    assert right[1].abs()[2] == pytest.approx(1)


def test_a_lifter_is_asked_to_lift_its_own_poses_turned():
    """The network sees the turned pose's keypoints at the scale of its camera; not turned, it gives its own pose."""
    objective: Any = small(objective={"consistency": 10.0}).objective
    built: RepNetObjective = objective.build(RepNetConfig(width=32), small().data)
    lifter, kp = built.model.eval(), torch.randn(3, 1, 17, 2)
    made = built.generator(kp, about_vertical(torch.zeros(3, 1)))
    seen, pose, M, turned, again = (made[k] for k in ("seen", "pose", "M", "turned", "again"))
    scale = torch.linalg.vector_norm(M, dim=-2).mean(-1)[..., None, None]
    assert torch.equal(turned, pose)
    assert torch.allclose(again, lifter.pose_of(scale * pose[..., :2]))
    assert torch.allclose(lifter.pose_of(seen), pose, atol=1e-6)
    batch = built.source.batch(16, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    losses = built.losses(built.generator, batch)
    plain = losses["loss"] - 10 * losses["consistency"]
    torch.manual_seed(0)
    plainly: Any = small().objective
    without: Any = plainly.build(RepNetConfig(width=32), small().data)
    without.model.load_state_dict(built.model.state_dict())
    without.opponent.load_state_dict(built.opponent.state_dict())
    assert float(without.losses(without.generator, batch)["loss"]) == pytest.approx(float(plain), rel=1e-5)
    assert losses["consistency"] > 0


def test_poses_that_are_shown_are_lifted_back_from_their_projection():
    """A pose on the image plane at the scale of the sample's camera; the loss is the distance to that very pose."""
    objective: Any = small(objective={"cycle": 100.0}).objective
    built: RepNetObjective = objective.build(RepNetConfig(width=32), small().data)
    lifter, batch = built.model.eval(), built.source.batch(16, torch.Generator().manual_seed(0))
    shown = batch.p_root[..., lifter.joints, :]
    with torch.no_grad():
        M = lifter.pose_and_camera(built.encode(batch))[2]
        scale = torch.linalg.vector_norm(M, dim=-2).mean(-1)[..., None, None]
        back = lifter.pose_of(scale * shown[..., :2])
        losses = built.losses(built.generator, batch)
    assert torch.allclose(losses["cycle"], (back - shown).square().sum(-1).mean(), rtol=1e-5)
    rest = sum(float(built.config.reprojection.at(0) * v if k == "reprojection" else v) for k, v in losses.items()
               if k in ("reprojection", "camera", "generator"))  # fmt: skip
    assert float(losses["loss"]) == pytest.approx(rest + 100 * float(losses["cycle"]), rel=1e-5)


def test_the_cycle_alone_teaches_depth() -> None:
    """Poses that were never seen are lifted from their projections after 200 steps without critic and keypoints."""
    objective: Any = small(objective={"cycle": 1.0}).objective
    built: RepNetObjective = objective.build(RepNetConfig(width=64), small().data)
    optimizer, seen = torch.optim.Adam(built.model.parameters(), 1e-3), []
    for step in range(200):
        losses = built.losses(built.generator, built.source.batch(64, torch.Generator().manual_seed(step)))
        optimizer.zero_grad()
        losses["cycle"].backward()
        optimizer.step()
        seen.append(float(losses["cycle"].detach()))
    assert sum(seen[-5:]) < 0.3 * sum(seen[:5])


@pytest.mark.parametrize("name", ["consistency", "cycle"])
def test_poses_along_a_templates_axes_cannot_be_turned(name: str):
    objective: Any = replace(FLAVOURS["original"], **{name: 1.0})
    with pytest.raises(InputError, match=rf"objective\.{name}: expected poses along the camera's axes"):
        objective.build(RepNetConfig.flavour_of("original"), small().data)


def test_critic_and_lifter_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five critic steps before each lifter step, each on its own batch; a step moves one of the two networks alone."""
    turns: list[str] = []
    drawn: list[bytes] = []
    moved: list[tuple[bool, bool]] = []
    last: dict[str, torch.Tensor] = {}

    def watch(name: str) -> Any:
        plain = getattr(RepNetObjective, name)

        def call(self: RepNetObjective, network: Any, batch: Any) -> Any:
            now = {
                "lifter": torch.cat([p.detach().flatten() for p in self.model.parameters()]),
                "critic": torch.cat([p.detach().flatten() for p in self.opponent.parameters()]),
            }
            if last:
                moved.append(tuple(not torch.equal(now[k], last[k]) for k in ("lifter", "critic")))  # type: ignore[arg-type]
            last.update(now)
            turns.append(name)
            drawn.append(batch.kp_img.numpy().tobytes())
            return plain(self, network, batch)

        return call

    for name in ("losses", "opponent_losses"):
        monkeypatch.setattr(RepNetObjective, name, watch(name))
    train(small(3, objective={"critic_steps": 5}), tmp_path / "run", QUIET)
    assert turns == (["opponent_losses"] * 5 + ["losses"]) * 3
    assert len(set(drawn)) == len(drawn)
    assert moved == ([(False, True)] * 5 + [(True, False)]) * 2 + [(False, True)] * 5


def test_the_truth_of_those_who_are_seen_is_not_looked_at() -> None:
    objective = small().objective.build(small().model, small().data)  # type: ignore[arg-type]
    assert isinstance(objective, RepNetObjective)
    assert isinstance(objective, Adversarial)
    batch = objective.batch(16, torch.Generator().manual_seed(1))
    blind = replace(batch, p_root=torch.full_like(batch.p_root, torch.nan))
    values = objective.losses(objective.generator, blind)
    assert all(torch.isfinite(v) for v in values.values()), "the lifter's step needs no 3D at all"
    assert values["loss"] == objective.losses(objective.generator, batch)["loss"]
    dark = replace(batch, kp_img=batch.kp_img[torch.randperm(16)])
    torch.manual_seed(0)
    first = objective.opponent_losses(objective.opponent, batch)
    torch.manual_seed(0)
    second = objective.opponent_losses(objective.opponent, dark)
    assert torch.allclose(first["wasserstein"], second["wasserstein"], atol=1e-5), "order means nothing to the critic"


def test_missing_joints_are_not_compared() -> None:
    objective = small().objective.build(small().model, small().data)  # type: ignore[arg-type]
    assert isinstance(objective, RepNetObjective)
    batch = objective.batch(8, torch.Generator().manual_seed(1))
    conf = batch.conf.clone()
    conf[:, :, 5] = 0
    values = []
    for garbage in (0.0, 1e6, float("nan")):
        kp = batch.kp_img.clone()
        kp[:, :, 5] = garbage
        values.append(
            float(objective.losses(objective.generator, replace(batch, conf=conf, kp_img=kp))["loss"].detach())
        )
    assert values[0] == values[1] == values[2]


def test_the_weight_grows_with_the_run() -> None:
    objective = small().objective.build(small().model, small().data)  # type: ignore[arg-type]
    assert isinstance(objective, RepNetObjective)
    batch, terms = objective.batch(16, torch.Generator().manual_seed(1)), []
    for part in (0.0, 0.9):
        objective.part = part
        v = {k: float(x.detach()) for k, x in objective.losses(objective.generator, batch).items()}
        terms.append((v["loss"] - v["camera"] - v["generator"]) / v["reprojection"])
    assert terms == pytest.approx([10_000, 250_000], rel=1e-3)


def test_reprojection_is_learned(tmp_path: Path) -> None:
    train(small(60), tmp_path / "run", QUIET)
    with (tmp_path / "run" / "log.csv").open() as f:
        rows = list(csv.DictReader(f))
    first, last = ([float(r["reprojection"]) for r in part] for part in (rows[:3], rows[-3:]))
    assert sum(last) < 0.3 * sum(first)
    assert {"loss", "camera", "generator", "critic", "wasserstein"} <= rows[0].keys()
    assert isinstance(load_model(tmp_path / "run" / "model"), RepNet)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": SimpleBaselineConfig()}, "a repnet, which has a camera branch"),
        ({"model": RepNetConfig(input_frame="look_at", width=8)}, "the camera's own axes"),
        ({"model": VideoGANConfig(channels=8)}, "a repnet, which has a camera branch"),
        ({"objective": {"critic": replace(CRITIC, skeleton="h36m16", chain="tree")}}, "objective.critic.skeleton"),
        ({"objective": {"critic_steps": 0}}, "objective.critic_steps"),
        ({"objective": {"share": 1.0}}, "objective.share"),
        ({"objective": {"betas": (1.0, 0.9)}}, "objective.betas"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(small(**changes), tmp_path / "run", QUIET)


def test_the_recipe_has_the_published_schedule() -> None:
    recipe = RECIPES["repnet"]
    rates = [recipe.schedule.lr_at(s) for s in (0, 79_999, 80_000, 99_999)]
    assert rates == pytest.approx([1e-4, 1e-4, 2e-5, 2e-5])
    assert isinstance(recipe.objective, RepNetObjectiveConfig)
    weights = [recipe.objective.reprojection.at(s / 100_000) for s in (0, 79_999, 80_000, 99_999)]
    assert weights == [1e4, 1e4, 2.5e5, 2.5e5]


def original(steps: int = 8, **changes: Any) -> Recipe:
    recipe = small(steps, model=replace(RepNetConfig.flavour_of("original"), width=32))
    losses = FLAVOURS["original"]
    critic = replace(losses.critic, width=16, chain_width=16)
    return replace(recipe, objective=replace(losses, critic=critic), **changes)


def test_the_authors_losses_by_hand() -> None:
    """Mean of w |x - x'| over 32 numbers, Wasserstein term and camera loss, all with weight 1."""
    objective = original().objective.build(original().model, original().data)  # type: ignore[arg-type]
    assert isinstance(objective, RepNetObjective)
    batch = objective.batch(8, torch.Generator().manual_seed(1))
    v = objective.losses(objective.generator, batch)
    with torch.no_grad():
        seen, pose, M = objective.model.pose_and_camera(objective.encode(batch))
        w = torch.ones(16)
        w[6], w[8], w[9] = 0, 0.1, 0.1
        assert v["reprojection"].item() == pytest.approx(((pose @ M - seen).abs() * w[:, None]).mean().item(), rel=1e-5)
        K = M.mT @ M
        normal = 2 * K / K.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None] - torch.eye(2)
        assert v["camera"].item() == pytest.approx(normal.abs().sum((-2, -1)).mean().item(), rel=1e-5)
        assert v["loss"].item() == pytest.approx((v["reprojection"] + v["camera"] + v["generator"]).item(), rel=1e-5)


def test_the_critic_sees_poses_that_are_turned_to_the_template() -> None:
    """Whoever turns round is shown to the critic as before, the middle of the 16 joints at the origin."""
    objective = original().objective.build(original().model, original().data)  # type: ignore[arg-type]
    assert isinstance(objective, RepNetObjective)
    objective.fit(torch.Generator().manual_seed(1))
    template = objective.model.mean3d
    assert template.norm(dim=-1).max() > 0.5, "a person, and not the mean of all directions"
    batch = objective.batch(8, torch.Generator().manual_seed(2))
    c, s = torch.tensor(1.1).cos(), torch.tensor(1.1).sin()
    R = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    shown, turned = objective.real(batch), objective.real(replace(batch, p_root=batch.p_root @ R.mT))
    assert (shown - turned).abs().max() < 1e-4
    for poses in (shown, objective.fake(batch)):
        assert poses[..., objective.model.joints, :].mean(-2).abs().max() < 1e-5
    thigh, true = ((p[..., 2, :] - p[..., 1, :]).norm(dim=-1) for p in (shown, batch.p_root))
    assert torch.allclose(thigh, true, atol=1e-4), "turned, not scaled"


def test_the_authors_version_learns_to_explain_keypoints() -> None:
    """Without the critic, against which a short run trembles, the reprojection falls to a fraction."""
    recipe = original()
    objective = recipe.objective.build(replace(recipe.model, width=128), recipe.data)  # type: ignore[arg-type]
    assert isinstance(objective, RepNetObjective)
    objective.fit(torch.Generator().manual_seed(0))
    objective.enter(0, torch.device("cpu"), torch.Generator())
    optimizer, seen = torch.optim.Adam(objective.stages[0].parameters(), 1e-3), []
    for step in range(80):
        batch = objective.batch(64, torch.Generator().manual_seed(step))
        losses = objective.losses(objective.stages[0], batch)
        optimizer.zero_grad()
        (losses["reprojection"] + losses["camera"]).backward()
        optimizer.step()
        seen.append(float(losses["reprojection"].detach()))
    assert sum(seen[-5:]) < 0.3 * sum(seen[:5])


def test_the_authors_version_keeps_its_template(tmp_path: Path) -> None:
    """The template is in the checkpoint: a resumed run does not fit it again."""
    train(original(6), tmp_path / "run", QUIET)
    model = load_model(tmp_path / "run" / "model")
    assert isinstance(model, RepNet)
    assert model.mean3d.norm(dim=-1).max() > 0.5
    objective = original().objective.build(original().model, original().data)  # type: ignore[arg-type]
    objective.model.load_state_dict(load_state(tmp_path / "run" / "state.safetensors")["model"])
    assert torch.equal(objective.model.mean3d, model.mean3d)  # type: ignore[arg-type]
