"""The temporal GAN's training: two networks against one critic, roots included, resumed bit for bit."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from adversarial_runs import QUIET, flat
from poselift.cli import main
from poselift.data.datasets import DataConfig, dataset_clips
from poselift.errors import InputError
from poselift.geometry.projection import project
from poselift.models.critics.repnet import RepNetCriticConfig
from poselift.models.lifters.repnet import RepNetConfig
from poselift.models.lifters.video_gan import VideoGAN, VideoGANConfig
from poselift.models.roots.video_gan import VideoGANRoot, VideoGANRootConfig
from poselift.models.weights import load_model, load_root
from poselift.train.adversarial_temporal import TemporalGANConfig, TemporalGANObjective
from poselift.train.checkpoint import load_state
from poselift.train.evaluate import evaluate
from poselift.train.loop import train
from poselift.train.recipes import RECIPES, Recipe, Schedule

SRC = Path(__file__).parents[2] / "src"
ROOT = VideoGANRootConfig(channels=16)


def small(steps: int = 8, *, objective: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    recipe = Recipe(
        summary="small",
        model=VideoGANConfig(channels=16),
        data=DataConfig(input="gt", frames=27, validation_every=50),
        objective=replace(
            TemporalGANConfig(critic=RepNetCriticConfig(width=16, chain_width=16), critic_steps=2, root=ROOT),
            **(objective or {}),
        ),
        schedule=Schedule(
            steps=steps, batch=16, lr=1e-3, decay="constant", ema=0.9, validate_every=steps, save_every=3, log_every=2,
            metric="mpjpe_abs_mm",
        ),
    )  # fmt: skip
    return replace(recipe, **changes)


def built(**changes: Any) -> TemporalGANObjective:
    recipe = small(**changes)
    objective = recipe.objective.build(recipe.model, recipe.data)  # type: ignore[arg-type]
    assert isinstance(objective, TemporalGANObjective)
    return objective


def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    out, recipe = tmp_path / "killed", small(40)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_adversarial_temporal import small, QUIET, train\n"
        "train(small(40), sys.argv[2], QUIET)\n"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{SRC}{os.pathsep}{SRC.parent / 'tests'}"}
    process = subprocess.Popen([sys.executable, "-c", code, str(Path(__file__).parent), str(out)], env=env)
    deadline = time.monotonic() + 600
    while not (out / "state.safetensors").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    train(recipe, out, replace(QUIET, resume=True))
    train(recipe, tmp_path / "whole", QUIET)
    whole, cut = (flat(load_state(tmp_path / n / "state.safetensors")) for n in ("whole", "killed"))
    assert whole.keys() == cut.keys()
    for part in (".model.root.net.w1.weight", ".model.pose.net.w1.weight", ".ema.", ".opponent.optimizer"):
        assert any(k.startswith(part) for k in whole), part
    for k, v in whole.items():
        assert torch.equal(v, cut[k]) if isinstance(v, torch.Tensor) else v == cut[k], k
    for folder in ("model", "root"):
        a, b = (load_file(tmp_path / n / folder / "model.safetensors") for n in ("whole", "killed"))
        assert all(torch.equal(a[k], b[k]) for k in a)


def test_reprojection_is_learned_and_both_networks_are_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    train(small(60), out, QUIET)
    with (out / "log.csv").open() as f:
        rows = list(csv.DictReader(f))
    first, last = ([float(r["reprojection"]) for r in part] for part in (rows[:3], rows[-3:]))
    assert sum(last) < 0.5 * sum(first)
    assert {"loss", "generator", "depth_m", "critic", "wasserstein", "slope"} <= rows[0].keys()
    assert isinstance(load_model(out / "model"), VideoGAN)
    root = load_root(out / "root")
    assert isinstance(root, VideoGANRoot)
    with (out / "validation.csv").open() as f:
        validated = next(csv.DictReader(f))
    assert root.mean_root[2] > 3, "roots begin where people are"
    arguments = ["eval", str(out / "model"), "--root-model", str(out / "root"), "--input", "gt", "--by", "overall"]
    arguments += ["--split", "validation", "--device", "cpu", "-o", str(tmp_path / "report")]
    assert main(arguments) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["about"] == {"root": "root"}
    assert "mpjpe_abs_mm" in json.dumps(report)
    assert "root root" in capsys.readouterr().out
    assert float(validated["mpjpe_abs_mm"]) > 0


def test_eval_takes_the_root_from_the_root_model(tmp_path: Path) -> None:
    """A root network that says the same for every frame: the absolute figures are those of that place."""
    out = tmp_path / "run"
    train(small(2), out, QUIET)
    root = load_root(out / "root")
    assert isinstance(root, VideoGANRoot)
    with torch.no_grad():
        for p in root.parameters():
            p.zero_()
    root.set_statistics(mean_root=torch.tensor((0.0, 0, 5.0)))
    data = small().data
    assert isinstance(data, DataConfig)
    data = replace(data, validation_every=1)
    report = evaluate(out / "model", data, split="validation", root_model=root)
    solved = evaluate(out / "model", data, split="validation")
    at = torch.cat([torch.from_numpy(c.root_cam) for c in dataset_clips(data, "validation") if c.root_cam is not None])
    want = (at - torch.tensor((0.0, 0, 5.0))).norm(dim=-1).mean().item() * 1000
    assert report.value("mrpe_mm", "frame") == pytest.approx(want, rel=1e-4)
    assert report.value("mpjpe_mm", "frame") == solved.value("mpjpe_mm", "frame")
    assert report.value("mrpe_mm", "frame") != solved.value("mrpe_mm", "frame")


class Says(torch.nn.Module):
    """Networks that give this pose and this root, whatever they see."""

    def __init__(self, pose: torch.Tensor, root: torch.Tensor) -> None:
        super().__init__()
        self.pose, self.root = pose, root

    def forward(self, *_: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.pose, self.root


def test_the_reprojection_is_that_of_the_pose_at_its_root() -> None:
    """Networks that say the truth: nothing is left to explain, and the loss is the critic's alone."""
    objective = built()
    batch = objective.source.seen.batch(8, torch.Generator().manual_seed(1))
    middle = slice(13, 14)
    truth = (batch.p_root[:, middle], batch.root_cam[:, middle])
    assert torch.allclose(project((truth[0] + truth[1][:, :, None]), batch.K), batch.kp_img[:, middle], atol=1e-2)
    values = objective.losses(Says(*truth), batch)
    assert values["reprojection"] < 1e-9
    assert float(values["loss"].detach()) == pytest.approx(float(values["generator"].detach()), abs=1e-6)
    far = objective.losses(Says(truth[0], truth[1] * 1.1), batch)
    assert float((far["loss"] - far["generator"]).detach()) == pytest.approx(
        100 * float(far["reprojection"].detach()), rel=1e-3
    )


def test_the_truth_of_those_who_are_seen_is_not_looked_at() -> None:
    objective = built()
    batch = objective.batch(8, torch.Generator().manual_seed(1))
    assert torch.isnan(batch.root_cam).all()
    blind = replace(batch, p_root=torch.full_like(batch.p_root, torch.nan))
    values = objective.losses(objective.generator, blind)
    assert all(torch.isfinite(v) for v in values.values())
    assert values["loss"] == objective.losses(objective.generator, batch)["loss"]


def test_longer_windows_give_several_poses_to_both() -> None:
    objective = built(data=DataConfig(input="gt", frames=30, validation_every=50))
    batch = objective.batch(4, torch.Generator().manual_seed(1))
    assert objective.fake(batch).shape == objective.real(batch).shape == (4, 4, 17, 3)
    values = objective.losses(objective.generator, batch) | objective.opponent_losses(objective.opponent, batch)
    assert all(torch.isfinite(v) for v in values.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": RepNetConfig(width=8)}, "a video_gan, which has a root network"),
        ({"data": DataConfig(frames=26)}, "data.frames.*27 or more"),
        ({"objective": {"root": replace(ROOT, skeleton="h36m16")}}, "objective.root.skeleton"),
        ({"model": VideoGANConfig(channels=8, input_frame="look_at")}, "the camera's own axes"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(small(**changes), tmp_path / "run", QUIET)


def test_the_recipe_is_the_published_one() -> None:
    recipe = RECIPES["video-gan"]
    assert isinstance(recipe.objective, TemporalGANConfig)
    assert isinstance(recipe.model, VideoGANConfig)
    assert (recipe.schedule.steps, recipe.schedule.batch, recipe.schedule.lr_at(49_999)) == (50_000, 64, 1e-4)
    assert (recipe.objective.critic_steps, recipe.objective.reprojection, recipe.objective.betas) == (
        5,
        100,
        (0.5, 0.9),
    )
    assert recipe.model.channels == recipe.objective.root.channels == 1000
