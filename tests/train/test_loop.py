"""The training loop: resumable bit for bit, stops on NaN, overfits, learns, writes what it promises."""

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

import pytest
import torch

from poselift.data.datasets import DataConfig
from poselift.errors import InputError
from poselift.models.lifters import build_lifter
from poselift.models.lifters.residual_mlp import ResidualMLPConfig
from poselift.models.lifters.simple_baseline import SimpleBaselineConfig
from poselift.models.lifters.ugcn import UGCN, UGCNConfig
from poselift.models.weights import load_model, save_model
from poselift.train.adversarial import AdversarialConfig
from poselift.train.adversarial_temporal import TemporalGANConfig
from poselift.train.checkpoint import load_state, save_state
from poselift.train.descent import DescentConfig
from poselift.train.encoded import EncodedConfig
from poselift.train.fitting import FittingConfig
from poselift.train.loop import NotFiniteError, TrainOptions, train
from poselift.train.objectives import Supervised, SupervisedConfig
from poselift.train.recipes import RECIPES, Recipe, Schedule

SRC = Path(__file__).parents[2] / "src"
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SRC)}
QUIET = TrainOptions(quiet=True, tensorboard=False, device="cpu")


def small(steps: int = 12, **changes: object) -> Recipe:
    """A recipe of seconds: a narrow network on the packaged sample."""
    schedule = Schedule(steps=steps, batch=64, validate_every=6, save_every=4, log_every=2, ema=0.9, warmup=2)
    recipe = Recipe(
        summary="small",
        model=ResidualMLPConfig(width=32, hidden=32, blocks=1, dropout=0.1),
        data=DataConfig(input="wild", validation_every=100),
        objective=SupervisedConfig(loss="mpjpe", units="metres"),
        schedule=schedule,
    )
    return replace(recipe, **changes)  # type: ignore[arg-type]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {k: v for k, v in load_state(folder / "state.safetensors")["model"].items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_run_writes_what_it_promises(tmp_path: Path) -> None:
    out = tmp_path / "run"
    model = train(small(), out, QUIET)
    assert load_model(model).config == small().model
    assert json.loads((out / "recipe.json").read_text())["seed"] == 1
    with (out / "log.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [int(r["step"]) for r in rows] == [2, 4, 6, 8, 10, 12]
    assert {"loss", "mpjpe_mm", "lr", "samples_per_s"} <= rows[0].keys()
    with (out / "validation.csv").open() as f:
        assert [int(r["step"]) for r in csv.DictReader(f)] == [6, 12]
    assert (out / "curves.png").stat().st_size > 5000
    assert not list(out.glob("*.part*")), "nothing half-written is left behind"


def test_same_seed_same_weights_other_seed_other_weights(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(small(seed=seed), tmp_path / name, QUIET)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_resume_is_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(small(), tmp_path / "whole", QUIET)
    from poselift.train import loop

    plain = loop._Run.train_step

    def dies(self: loop._Run, batch: object) -> object:
        if self.step == 7:  # after the checkpoint of step 4, before that of step 8
            raise KeyboardInterrupt
        return plain(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(loop._Run, "train_step", dies)
    with pytest.raises(KeyboardInterrupt):
        train(small(), tmp_path / "cut", QUIET)
    monkeypatch.setattr(loop._Run, "train_step", plain)
    assert load_state(tmp_path / "cut" / "state.safetensors")["step"] == 4
    train(small(), tmp_path / "cut", replace(QUIET, resume=True))
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    whole, cut = (load_model(tmp_path / n / "model").state_dict() for n in ("whole", "cut"))
    assert same(whole, cut)

    def steps(name: str) -> list[str]:
        return [line.partition(",")[0] for line in (tmp_path / name / "log.csv").read_text().splitlines()]

    assert steps("whole") == steps("cut"), "no row twice, none missing"


def test_a_killed_process_resumes(tmp_path: Path) -> None:
    """SIGKILL in the middle of a real run, wherever it hits; the resumed run ends with the weights of an uncut one."""
    out = tmp_path / "killed"
    recipe = small(steps=60)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_loop import small, QUIET, train\n"
        "train(small(steps=60), sys.argv[2], QUIET)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(Path(__file__).parent), str(out)], env=ENV)
    deadline = time.monotonic() + 120
    while not (out / "state.safetensors").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert load_state(out / "state.safetensors")["step"] >= 4, "what is there is whole"
    train(recipe, out, replace(QUIET, resume=True))
    train(recipe, tmp_path / "whole", QUIET)
    assert same(weights(out), weights(tmp_path / "whole"))


def test_a_run_of_a_version_with_fewer_fields_resumes(tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(small(steps=4), out, QUIET)
    written = json.loads((out / "recipe.json").read_text())
    for name in ("frames", "fps", "pad"):
        del written["data"][name]
    del written["schedule"]["bn_momentum"], written["objective"]["motion_weight"]
    del written["data"]["wild"]["motion"], written["data"]["wild"]["noise"]["p_gap"]
    (out / "recipe.json").write_text(json.dumps(written))
    train(small(steps=4), out, replace(QUIET, resume=True))
    longer = replace(small(steps=4).data, frames=3)
    with pytest.raises(InputError, match=r"data\.frames.*1 as when the run began.*3"):
        train(small(steps=4, data=longer), out, replace(QUIET, resume=True))


def test_resume_refuses_another_recipe_and_an_empty_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(small(steps=4), out, QUIET)
    with pytest.raises(InputError, match=r"schedule\.lr"):
        train(small(schedule=replace(small(steps=4).schedule, lr=0.5)), out, replace(QUIET, resume=True))
    with pytest.raises(InputError, match="nothing to resume"):
        train(small(), tmp_path / "other", replace(QUIET, resume=True))
    with pytest.raises(InputError, match="holds a run already"):
        train(small(), out, QUIET)


def test_stopped_before_anything_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a folder can be resumed (from the start) and used again; both end as an uncut run does."""
    train(small(steps=4), tmp_path / "whole", QUIET)
    from poselift.train import loop

    plain = loop._Run.train_step

    def dies(self: loop._Run, batch: object) -> object:
        if self.step == 3:
            raise KeyboardInterrupt
        return plain(self, batch)  # type: ignore[arg-type]

    for resume in (True, False):
        out = tmp_path / f"cut{resume}"
        monkeypatch.setattr(loop._Run, "train_step", dies)
        with pytest.raises(KeyboardInterrupt):
            train(small(steps=4), out, QUIET)
        monkeypatch.setattr(loop._Run, "train_step", plain)
        assert not (out / "state.safetensors").exists()
        train(small(steps=4), out, replace(QUIET, resume=resume))
        assert same(weights(out), weights(tmp_path / "whole"))
        assert [row["step"] for row in csv.DictReader((out / "log.csv").open())] == ["2", "4"]


def test_bad_numbers_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    bad: dict[str, object] = {
        "steps": 0, "batch": 0, "decay_steps": 0, "validate_every": 0, "save_every": -1, "log_every": 0, "lr": -1.0,
        "weight_decay": float("nan"), "warmup": -1, "ema": 1.0, "metric": "mpjpe",
    }  # fmt: skip
    for name, value in bad.items():
        with pytest.raises(InputError, match=rf"schedule\.{name}"):
            train(small(schedule=replace(small().schedule, **{name: value})), tmp_path / "run", QUIET)
    for name in ("validation_every", "train_every"):
        with pytest.raises(InputError, match=rf"data\.{name}"):
            train(small(data=DataConfig(**{name: 0})), tmp_path / "run", QUIET)  # type: ignore[arg-type]
    for options in ({"device": "abacus"}, {"devices": 0}, {"precision": "8-bit"}, {"precision": "bf16-true"}):
        with pytest.raises(InputError, match=r"device|precision"):
            train(small(), tmp_path / "run", replace(QUIET, **options))  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_nan_stops_and_saves_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Supervised.losses
    calls = []

    def poisoned(self: Supervised, *args: object) -> dict[str, torch.Tensor]:
        calls.append(1)
        losses = plain(self, *args)  # type: ignore[arg-type]
        return {k: v * float("nan") for k, v in losses.items()} if len(calls) == 3 else losses

    monkeypatch.setattr(Supervised, "losses", poisoned)
    with pytest.raises(NotFiniteError, match="step 2"):
        train(small(), tmp_path / "run", QUIET)
    saved = load_state(tmp_path / "run" / "nan_batch.safetensors")
    assert saved["step"] == 2
    assert saved["batch"]["kp_img"].shape == (64, 1, 17, 2)


def test_overfit_switch_drives_one_batch_towards_zero(tmp_path: Path) -> None:
    recipe = small(
        steps=150,
        model=ResidualMLPConfig(width=256, hidden=256, blocks=1, dropout=0.0),
        schedule=Schedule(
            steps=150, batch=16, lr=2e-3, decay="cosine", validate_every=150, save_every=150, log_every=25
        ),
    )
    train(recipe, tmp_path / "run", replace(QUIET, overfit=True))
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert float(rows[-1]["mpjpe_mm"]) < 0.25 * float(rows[0]["mpjpe_mm"])
    assert float(rows[-1]["mpjpe_mm"]) < 25


LEARNING = {n: r for n, r in RECIPES.items() if not isinstance(r.objective, FittingConfig)}


@pytest.mark.parametrize("name", sorted(n for n, r in LEARNING.items() if isinstance(r.data, DataConfig)))
def test_every_recipe_learns_on_the_packaged_sample(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    narrow = {k: v for k, v in {"width": 64, "hidden": 64, "channels": 16}.items() if hasattr(recipe.model, k)}
    if isinstance(recipe.objective, DescentConfig):
        narrow["steps"] = 1
        weak = save_model(build_lifter(ResidualMLPConfig(width=16, hidden=16, blocks=1)), tmp_path / "lifter")
        recipe = replace(recipe, objective=replace(recipe.objective, lifter=str(weak), samples=2000))
    if isinstance(recipe.objective, EncodedConfig):
        recipe = replace(recipe, objective=replace(recipe.objective, samples=48))
    if isinstance(recipe.objective, AdversarialConfig):
        critic = replace(recipe.objective.critic, chain_width=64)
        recipe = replace(recipe, objective=replace(recipe.objective, critic=critic, critic_steps=2))
    if isinstance(recipe.objective, TemporalGANConfig):
        root = replace(recipe.objective.root, channels=16)
        recipe = replace(recipe, objective=replace(recipe.objective, root=root))
    batch = 64 if recipe.data.frames == 1 else 8  # type: ignore[union-attr]
    recipe = replace(
        recipe,
        model=replace(recipe.model, **narrow),  # type: ignore[arg-type]
        data=replace(recipe.data, validation_every=100, **({"frames": 48} if name.startswith("ugcn") else {})),  # type: ignore[arg-type]
        schedule=replace(
            recipe.schedule, steps=40, batch=batch, warmup=5, validate_every=40, save_every=40, log_every=8
        ),
    )
    train(recipe, tmp_path / "run", QUIET)
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    learned = "reprojection" if "reprojection" in rows[0] else "loss"  # whose weight grows, and the loss with it
    if name != "repnet-original":  # which trembles against its critic for longer: test_adversarial_repnet
        assert float(rows[-1][learned]) < float(rows[0][learned])


def test_two_processes_give_the_model_of_one_with_the_whole_batch(tmp_path: Path) -> None:
    """Two gloo processes of 32 samples each against one of 64: gradients are averaged, so the weights agree."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from dataclasses import replace\n"
        "from test_loop import small, QUIET, train\n"
        "from poselift.models.lifters.residual_mlp import ResidualMLPConfig\n"
        "r = small(model=ResidualMLPConfig(width=32, hidden=32, blocks=1, dropout=0.0))\n"
        "if __name__ == '__main__':\n"
        "    train(r, sys.argv[2], replace(QUIET, devices=int(sys.argv[3])))\n"
    )
    script = tmp_path / "go.py"
    script.write_text(code)
    for n in (1, 2):
        args = [sys.executable, str(script), str(Path(__file__).parent), str(tmp_path / f"p{n}"), str(n)]
        done = subprocess.run(args, env=ENV, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = weights(tmp_path / "p1"), weights(tmp_path / "p2")
    # the order of summation differs, Adam divides tiny numbers by tiny numbers: float32 rounding, nothing more
    worst = max(float((one[k].float() - two[k].float()).abs().max()) for k in one)
    assert worst < 2e-4
    moved = weights(tmp_path / "p1")["w_in.weight"]
    torch.manual_seed(1)
    from poselift.models.lifters import build_lifter

    start = build_lifter(ResidualMLPConfig(width=32, hidden=32, blocks=1, dropout=0.0)).state_dict()["w_in.weight"]
    assert float((moved - start).abs().max()) > 10 * worst, (
        "the run must have moved the weights far more than they differ"
    )


def test_published_learning_rates() -> None:
    stairs = Schedule(decay="staircase", gamma=0.96, decay_steps=100, lr=1.0)
    assert stairs.lr_at(99) == 1.0
    assert stairs.lr_at(100) == pytest.approx(0.96)
    assert stairs.lr_at(250) == pytest.approx(0.9216)
    smooth = Schedule(decay="exponential", gamma=0.96, decay_steps=100, lr=1.0)
    assert smooth.lr_at(50) == pytest.approx(0.96**0.5)
    cosine = Schedule(decay="cosine", steps=100, warmup=10, lr=1.0)
    assert cosine.lr_at(4) == 0.5
    assert cosine.lr_at(10) == 1.0
    assert cosine.lr_at(55) == pytest.approx(0.5)
    assert Schedule(decay="constant", lr=0.3).lr_at(10**6) == 0.3


def test_state_round_trip_and_refusal(tmp_path: Path) -> None:
    state = {"step": 3, "best": 1.5, "list": [torch.arange(3), {"a": torch.ones(2, 2)}], "numbers": {0: {"x": None}}}
    save_state(tmp_path / "s", state)
    back = load_state(tmp_path / "s")
    assert back["step"] == 3
    assert torch.equal(back["list"][0], torch.arange(3))
    assert back["numbers"] == {0: {"x": None}}
    data = (tmp_path / "s").read_bytes()
    for bad in (b"", data[: len(data) // 2], b"\x80\x04garbage" * 50):
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(InputError, match="training state"):
            load_state(tmp_path / "bad")


def test_baseline_flavours_standardise_their_input_and_target(tmp_path: Path) -> None:
    recipe = small(
        steps=2,
        model=SimpleBaselineConfig(width=16),
        data=DataConfig(input="gt", validation_every=200),
        objective=SupervisedConfig(),
    )
    lifter = load_model(train(recipe, tmp_path / "run", QUIET))
    assert float(lifter.frame.mean.mean()) == pytest.approx(512, abs=120)  # type: ignore[union-attr,arg-type]
    assert float(lifter.std3d[0].max()) == 0
    assert float(lifter.std3d[3].min()) > 0.05


def test_a_lifter_of_sequences_learns_with_the_motion_loss(tmp_path: Path) -> None:
    recipe = small(
        model=UGCNConfig(),
        data=DataConfig(input="gt", validation_every=200, frames=32),
        objective=SupervisedConfig(loss="mpjpe", units="metres", motion_weight=1.0, motion_intervals=(8, 12, 50)),
        schedule=Schedule(steps=2, batch=4, validate_every=2, save_every=2, log_every=1, warmup=1),
    )
    objective = recipe.objective.build(recipe.model, recipe.data)  # type: ignore[arg-type]
    assert isinstance(objective, Supervised)
    torch.manual_seed(0)
    found = objective.losses(objective.model.train(), objective.batch(4, torch.Generator().manual_seed(0)))
    assert float(found["motion"].detach()) > 0
    plain = float(found["loss"].detach() - found["motion"].detach())
    assert plain == pytest.approx(float(found["mpjpe_mm"]) / 1000, rel=1e-4)

    later = replace(recipe.objective, motion_begin=0.5).build(recipe.model, recipe.data)  # type: ignore[arg-type]
    assert isinstance(later, Supervised)
    for part, weight in ((0.0, 0), (0.49, 0), (0.5, 1), (1.0, 1)):
        later.part = part
        found = later.losses(later.model, later.batch(4, torch.Generator().manual_seed(0)))
        rest = float(found["loss"].detach()) - weight * float(found["motion"].detach())
        assert rest == pytest.approx(float(found["mpjpe_mm"]) / 1000, rel=1e-4)
    again = load_model(train(recipe, tmp_path / "run", QUIET))
    assert isinstance(again, UGCN)


def test_training_goes_on_from_a_models_weights(tmp_path: Path) -> None:
    """Weights and statistics are taken over, dropout may change; the folder is not needed once the run has begun."""
    first = train(small(), tmp_path / "first", QUIET)
    lifter = load_model(first)
    recipe = small(model=replace(small().model, dropout=0.0), objective=replace(small().objective, start=str(first)))
    objective = recipe.objective.build(recipe.model, recipe.data)  # type: ignore[arg-type]
    objective.fit(torch.Generator().manual_seed(0))
    assert same(dict(objective.model.state_dict()), dict(lifter.state_dict()))
    train(recipe, tmp_path / "second", QUIET)
    plain = train(small(model=recipe.model), tmp_path / "plain", QUIET).parent
    assert not same(weights(tmp_path / "second"), weights(plain))
    first.rename(tmp_path / "gone")
    before = weights(tmp_path / "second")
    train(recipe, tmp_path / "second", replace(QUIET, resume=True))
    assert same(weights(tmp_path / "second"), before)
    with pytest.raises(InputError, match="no such model"):
        train(recipe, tmp_path / "third", QUIET)
    assert not (tmp_path / "third" / "model").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            ResidualMLPConfig(width=16, hidden=32, blocks=1),
            "expected a model with width 16, found a model with width 32",
        ),
        (SimpleBaselineConfig(width=16), "expected SimpleBaseline, found ResidualMLP"),
    ],
)
def test_only_a_model_of_the_same_architecture_is_gone_on_from(tmp_path: Path, model: object, message: str) -> None:
    save_model(build_lifter(small().model), tmp_path / "model")  # type: ignore[arg-type]
    recipe = small(model=model, objective=replace(small().objective, start=str(tmp_path / "model")))
    with pytest.raises(InputError, match=f"objective.start: {message}"):
        train(recipe, tmp_path / "run", QUIET)
