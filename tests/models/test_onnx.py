from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from poselift.errors import InputError, MissingExtraError
from poselift.models.lifters.simple_baseline import SimpleBaseline, SimpleBaselineConfig

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from poselift.models.onnx import OnnxLifter, check_onnx, export_onnx

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture(scope="module")
def lifter() -> SimpleBaseline:
    torch.manual_seed(0)
    return SimpleBaseline(SimpleBaselineConfig(width=8, blocks=1)).eval()


@pytest.fixture(scope="module")
def file(lifter: SimpleBaseline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    difference = export_onnx(lifter, path, part="forward", card={"data_licence": "none"})
    assert 0 <= difference <= 1e-3
    return path


def test_network_alone(lifter: SimpleBaseline, file: Path):
    runner = OnnxLifter(file, threads=1)
    x = torch.randn(3, 2, 17, 2)
    with torch.no_grad():
        want = lifter(x).numpy()
    np.testing.assert_allclose(runner.forward(x.numpy()), want, atol=1e-5)
    assert (runner.part, runner.family, runner.in_channels) == ("forward", "simple_baseline", 2)
    assert runner.config["width"] == 8
    assert runner.card == {"data_licence": "none"}
    with pytest.raises(InputError, match=r"part: expected 'lift', found 'forward'"):
        runner.lift(x.numpy(), x.numpy()[..., 0], np.zeros((3, 3, 3)), np.zeros((3, 2)))


def test_another_network_is_told_apart(file: Path):
    with pytest.raises(RuntimeError, match="differ by"):
        check_onnx(SimpleBaseline(SimpleBaselineConfig(width=8, blocks=1)), file)


def test_runs_without_torch(lifter: SimpleBaseline, file: Path):
    program = f"""
import sys
sys.modules["torch"] = None
import numpy as np
from poselift.models.onnx import OnnxLifter
print(OnnxLifter({str(file)!r}, threads=1).forward(np.ones((1, 1, 17, 2))).sum())
"""
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        assert float(done.stdout) == pytest.approx(lifter(torch.ones(1, 1, 17, 2)).sum().item(), abs=1e-4)


def test_files_that_are_none_of_ours(file: Path, tmp_path: Path):
    import onnx

    foreign, cut = tmp_path / "foreign.onnx", tmp_path / "cut.onnx"
    model = onnx.load(str(file))
    del model.metadata_props[:]
    onnx.save(model, str(foreign))
    cut.write_bytes(file.read_bytes()[:2000])
    for path, message in (
        (foreign, "found no metadata of poselift"),
        (cut, "expected a whole ONNX model"),
        (tmp_path / "missing.onnx", "no such file"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            OnnxLifter(path)
        assert "\n" not in str(caught.value)


def test_missing_extra_is_named(lifter: SimpleBaseline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"poselift\[onnx\]"):
        export_onnx(lifter, tmp_path / "a.onnx")
    with pytest.raises(MissingExtraError, match=r"poselift\[onnx\]"):
        OnnxLifter(tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_flip_average_belongs_to_lift(lifter: SimpleBaseline, tmp_path: Path):
    with pytest.raises(InputError, match="flip_average"):
        export_onnx(lifter, tmp_path / "a.onnx", part="forward", flip_average=True)
    assert not list(tmp_path.iterdir())
