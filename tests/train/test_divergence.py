"""A critic that diverges stops the run with one line, and the last good checkpoint stays as it was."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adversarial_runs import QUIET, small
from poselift.cli import main
from poselift.train import loop
from poselift.train.adversarial_repnet import RepNetObjective
from poselift.train.checkpoint import load_state
from poselift.train.divergence import CriticDivergedError, CriticWatch, NotFiniteError, all_finite
from poselift.train.loop import train


def test_a_gap_beyond_what_poses_differ_by_is_borne_for_a_while_only() -> None:
    watch, high, low = CriticWatch(), {"slope": torch.tensor(11.0)}, {"slope": torch.tensor(9.0)}
    for _ in range(3):
        assert not any(watch.look(high) for _ in range(watch.PATIENCE - 1))
        assert not watch.well
        assert watch.look(low) == ""
        assert watch.well
    said = [watch.look(high) for _ in range(watch.PATIENCE)]
    assert not any(said[:-1])
    assert "11 times" in said[-1]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_borne(value: float) -> None:
    assert CriticWatch().look({"critic": torch.tensor(value), "slope": torch.tensor(0.1)}) == f"critic is {value}"


def test_a_sound_critic_stays_below_the_bound(tmp_path: Path) -> None:
    train(small(40), tmp_path / "run", QUIET)
    text = (tmp_path / "run" / "log.csv").read_text().splitlines()
    column = text[0].split(",").index("slope")
    slopes = [float(line.split(",")[column]) for line in text[1:]]
    assert max(slopes) < 3


def test_an_absurd_learning_rate_stops_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "repnet", "-o", str(tmp_path / "run"), "--device", "cpu", "--no-tensorboard", "--quiet"]
    arguments += ["--model.width", "16", "--objective.critic.chain-width", "16", "--objective.critic-steps", "1"]
    arguments += [
        "--schedule.steps",
        "2000",
        "--schedule.batch",
        "16",
        "--schedule.lr",
        "30",
        "--schedule.save-every",
        "1",
    ]
    assert main([*arguments, "--schedule.save-every", "1", "--data.validation-every", "200"]) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said
    assert re.search(r"the critic diverged in step \d+|not finite", said)
    if "last good checkpoint" in said:
        state = load_state(tmp_path / "run" / "state.safetensors")
        assert f"of step {state['step']}" in said
        assert all_finite([*state["model"].values(), *state["opponent"]["model"].values()])


def wild_from(step: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    """From that step on the critic's values are thousands of times what its penalty allows."""
    plain = RepNetObjective.opponent_losses

    def losses(self: RepNetObjective, opponent: Any, batch: Any) -> dict[str, torch.Tensor]:
        found = plain(self, opponent, batch)
        if round(self.part * 200) >= step:
            found["slope"] = found["slope"] * 0 + 5000.0
        return found

    monkeypatch.setattr(RepNetObjective, "opponent_losses", losses)
    return plain


def test_the_last_good_checkpoint_is_kept_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are due every 3 steps; the critic goes wild in step 20 and is stopped 50 steps later."""
    recipe = small(200)
    recipe = replace(recipe, schedule=replace(recipe.schedule, validate_every=200))
    plain = wild_from(20, monkeypatch)
    file = tmp_path / "run" / "state.safetensors"
    with pytest.raises(CriticDivergedError, match=rf"step 69.*5e\+03 times.*{re.escape(str(file))} of step 18"):
        train(recipe, tmp_path / "run", QUIET)
    assert load_state(file)["step"] == 18
    monkeypatch.setattr(RepNetObjective, "opponent_losses", plain)
    train(recipe, tmp_path / "run", replace(QUIET, resume=True))
    train(recipe, tmp_path / "whole", QUIET)
    whole, cut = (load_state(tmp_path / n / "state.safetensors")["model"] for n in ("whole", "run"))
    assert all(torch.equal(whole[k], cut[k]) for k in whole)


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = loop._Run.train_step

    def poisoned(self: loop._Run, batch: Any) -> Any:
        out = plain(self, batch)
        if self.step == 5:  # an infinite gradient at a finite loss
            next(self.model.parameters()).data[0, 0] = torch.nan
        return out

    monkeypatch.setattr(loop._Run, "train_step", poisoned)
    with pytest.raises(NotFiniteError, match=r"not finite after 6 steps; the last good checkpoint is .* of step 3"):
        train(small(12), tmp_path / "run", QUIET)
    assert all_finite(load_state(tmp_path / "run" / "state.safetensors")["model"].values())
