"""`poselift train`, `eval` and `data prepare` from a shell, on the packaged motion, as small as it goes."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from poselift.cli import main

SMALL = [
    "--schedule.steps", "4", "--schedule.batch", "8", "--schedule.validate-every", "2", "--schedule.save-every", "2",
    "--model.width", "16", "--data.validation-every", "200", "--no-tensorboard", "--quiet", "--device", "cpu",
]  # fmt: skip


def test_train_resume_eval(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = tmp_path / "run"
    assert main(["train", "linear-erd", "-o", str(run), *SMALL]) == 0
    assert json.loads((run / "recipe.json").read_text())["schedule"]["steps"] == 4
    assert (run / "model" / "model.safetensors").is_file()
    assert main(["train", "linear-erd", "-o", str(run), *SMALL, "--resume"]) == 0
    capsys.readouterr()

    assert main(["train", "linear-erd", "-o", str(run), *SMALL]) == 2
    assert "--resume" in capsys.readouterr().err

    table = tmp_path / "table"
    argv = ["eval", str(run / "model"), "--every", "100", "-o", str(table), "--by", "overall", "--device", "cpu"]
    assert main(argv) == 0
    assert "mpjpe" in capsys.readouterr().out.lower()
    assert (table / "report.json").is_file()
    assert "MPJPE" in (table / "report.md").read_text() or "mpjpe" in (table / "report.md").read_text()


def test_ctrl_c_while_training(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    from poselift.train import loop

    run, plain = tmp_path / "run", loop._Run.train_step

    def interrupted(self: loop._Run, batch: object) -> object:
        if self.step == 3:
            signal.raise_signal(signal.SIGINT)
        return plain(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(loop._Run, "train_step", interrupted)
    assert main(["train", "linear-erd", "-o", str(run), *SMALL]) == 130
    assert capsys.readouterr().err == "poselift: interrupted\n"
    assert not [p for p in run.rglob("*") if ".part" in p.name], "nothing half-written"
    monkeypatch.setattr(loop._Run, "train_step", plain)
    assert main(["train", "linear-erd", "-o", str(run), *SMALL, "--resume"]) == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--schedule.stpes", "4"], "--schedule.steps"),
        (["--schedule.log-every", "0"], "schedule.log_every"),
        (["--precision", "8-bit"], "8-bit"),
        (["--data.path", "no_such_folder"], "no_such_folder"),
    ],
)
def test_bad_options_of_training(options: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = tmp_path / "run"
    assert main(["train", "linear-erd", "-o", str(run), *SMALL, *options]) == 2
    err = capsys.readouterr().err
    assert err.startswith("poselift: ")
    assert err.count("\n") == 1
    assert expected in err
    assert not run.exists(), "nothing half-written"


def test_an_unknown_table_is_refused_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["eval", "no_such_model/", "--by", "overall,joints", "-o", str(tmp_path / "table")]) == 2
    assert "did you mean 'joint'" in capsys.readouterr().err
    assert not (tmp_path / "table").exists()


def test_resume_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", "linear-erd", "-o", str(tmp_path / "nothing"), *SMALL, "--resume"]) == 2
    assert capsys.readouterr().err.startswith("poselift: ")


def test_prepare_brings_asfamc_into_the_native_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = Path(__file__).parent / "fixtures" / "cmu_asfamc"
    out = tmp_path / "motion.npz"
    assert main(["data", "prepare", str(source), "-o", str(out)]) == 0
    assert "performers" in capsys.readouterr().out
    assert main(["data", "info", str(out)]) == 0
    assert "3D motion" in capsys.readouterr().out


@pytest.mark.parametrize("pca", ["0.95", "12"])
def test_principal_components_by_number_or_fraction(pca: str, tmp_path: Path):
    run = tmp_path / "run"
    argv = ["train", "linear-erd", "-o", str(run), *SMALL, "--model.pca", pca]
    assert main(argv) == 0
    assert json.loads((run / "recipe.json").read_text())["model"]["pca"] == float(pca)
    found = json.loads((run / "model" / "config.json").read_text())["config"]["pca"]
    assert type(found) is int
    assert found == 12 if pca == "12" else 1 <= found < 34
    assert main([*argv, "--resume"]) == 0
