"""`poselift import`: a folder that `lift` takes, or one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from parity_vectors import description
from poselift.cli import main
from poselift.models.importers import IMPORTERS
from poselift.models.weights import load_model
from published_checkpoints import FIXTURES, mean_std, save, save_stats, state_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return save(tmp_path / "ckpt_best.pth.tar", state_of("erd_linear_small"))


def test_help_lists_the_families(capsys: pytest.CaptureFixture[str]):
    assert main(["import", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in IMPORTERS)
    assert "--stats-2d" in out


def test_import_and_what_is_printed(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    stats = [save_stats(tmp_path / f"stat{c}", *mean_std(c)) for c in (2, 3)]
    out = tmp_path / "model"
    argv = ["import", str(file), "-o", str(out), "--stats-2d", str(stats[0]), "--stats-3d", str(stats[1])]
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith(
        f"{out}: linear-erd, {description('erd_linear_small')['parameters']:,} parameters"
    )
    config = json.loads((out / "config.json").read_text())
    assert config["card"]["imported_from"]["file"] == "ckpt_best.pth.tar"
    assert "Human3.6M" in (out / "README.md").read_text()
    assert torch.allclose(load_model(out).mean3d, torch.tensor(mean_std(3)[0] / 1000).float())
    assert main(["import", str(FIXTURES / "gluon.params"), "-o", str(tmp_path / "g"), "--no-stats"]) == 0
    assert "note: without the statistics of keypoints" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--family", "nonsense"], "unknown family 'nonsense'"),
        (["--family", "lcn-erd", "--no-stats"], "expected the weights of a lcn-erd, found a linear-erd"),
        ([], "--stats-2d: expected the file"),
        (["--features", "cat", "--no-stats"], "--features: of no use to a linear-erd"),
        (["--features", "dog"], "--features"),
        (["--stats-2d", "nowhere", "--no-stats"], "nowhere: no such file"),
    ],
)
def test_complaints(argv: list[str], complaint: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "model"
    assert main(["import", str(file), "-o", str(out), *argv]) == 2
    printed, err = capsys.readouterr()
    assert printed == ""
    assert err.startswith("poselift: ")
    assert err.count("\n") == 1
    assert complaint in err
    assert not out.exists()
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_it_is_not_written_over_a_file(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "model").write_text("mine")
    assert main(["import", str(file), "-o", str(tmp_path / "model"), "--no-stats"]) == 2
    assert "a file of that name is there" in capsys.readouterr().err
    assert (tmp_path / "model").read_text() == "mine"
