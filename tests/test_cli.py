"""The command line: help without heavy imports, one line for every complaint, exit statuses."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from poselift.cli import COMMANDS, main

SOURCE = Path(__file__).parents[1] / "src"


def program(*argv: str, **kwargs) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run([sys.executable, "-m", "poselift", *argv], capture_output=True, text=True, env=env, **kwargs)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The single line on stderr; nothing but it may have been printed."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("poselift: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


def test_help_needs_no_heavy_library_and_little_time():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = "import sys; from poselift.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    for name in COMMANDS:
        assert name in done.stdout
    loaded = {m.partition(".")[0] for m in done.stderr.split()}
    assert not loaded & {"torch", "numpy", "scipy", "matplotlib", "viser", "tyro", "rich"}
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5  # it takes about 0.05 s


@pytest.mark.parametrize("name", [n for n in COMMANDS if n != "train"])
def test_every_command_explains_itself_without_torch(name: str):
    argv = [*name.split(), "--help"]
    code = f"import sys; from poselift.cli import main; main({argv!r}); assert 'torch' not in sys.modules"
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert f"usage: poselift {name}" in done.stdout


def test_version_and_groups(capsys: pytest.CaptureFixture[str]):
    import poselift

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"poselift {poselift.__version__}\n"
    assert main(["data"]) == 0
    assert "data info" in capsys.readouterr().out
    assert main([]) == 0


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["lfit"], "did you mean 'lift'"),
        (["data", "inof"], "did you mean 'data info'"),
        (["--nonsense"], "unknown command '--nonsense'"),
        (["lift", "x.json"], "--out"),
        (["lift", "x.json", "-o", "y", "--focla", "3"], "perhaps you meant --focal"),
        (["lift", "x.json", "-o", "y", "--fov", "wide"], "--fov"),
        (["lift", "x.json", "-o", "y", "--image-size", "3"], "--image-size"),
        (["lift", "x.json", "z.json", "-o", "y"], "z.json"),
        (["train", "linear-edr"], "did you mean 'linear-erd'"),
        (["train", "linear-erd", "-o", "x", "--schedule.stepz", "4"], "perhaps you meant --schedule.steps"),
        (["train", "linear-erd", "-o", "x", "--schedule.steps", "many"], "--schedule.steps"),
        (["eval", "no/such/folder/at/all"], "no/such/folder/at/all"),
        (["eval", "default", "--data", "cmu71"], "did you mean 'cmu17'"),
        (["eval", "default", "--every", "0"], "every"),
        (["data", "info", "no_such_file.json"], "no_such_file.json: no such file"),
        (["data", "prepare", "no_such_folder", "-o", "x.npz"], "no_such_folder: no such file"),
        (["view", "no_such_folder"], "no_such_folder: no such file"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else None,
)
def test_a_wrong_line_is_one_line_and_status_2(
    argv: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    assert expected in one_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch):
    from poselift.cli.lifting import Models

    def broken(self: Models) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Models, "run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["models"])


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    from poselift.cli.lifting import Models

    def without(library: str) -> None:
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.setattr(Models, "run", lambda self: __import__(library))

    without("lightning_fabric")
    assert main(["models"]) == 2
    assert "pip install 'poselift[train]'" in one_line(capsys)
    without("a_module_that_we_forgot")
    with pytest.raises(ModuleNotFoundError):
        main(["models"])


def test_ctrl_c_is_one_line_and_status_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    from poselift.cli.lifting import Models

    def stopped(self: Models) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Models, "run", stopped)
    assert main(["models"]) == 130
    assert one_line(capsys) == "poselift: interrupted\n"


def test_a_closed_pipe_is_no_traceback():
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    line = f"{sys.executable} -m poselift --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=env)
    assert done.stderr == ""
    assert done.returncode in (0, 128 + signal.SIGPIPE)


def test_a_real_process_gives_the_status():
    done = program("lift", "no_such_file.json", "-o", "somewhere")
    assert done.returncode == 2
    assert done.stderr == "poselift: no_such_file.json: no such file or folder\n"


def test_train_lists_its_recipes(capsys: pytest.CaptureFixture[str]):
    from poselift.train.recipes import RECIPES

    assert main(["train"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in RECIPES)


def test_models_lists_the_embedded_weights(capsys: pytest.CaptureFixture[str]):
    from poselift.models.weights import list_models

    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "data licence" in out
    assert all(m.name in out for m in list_models())
