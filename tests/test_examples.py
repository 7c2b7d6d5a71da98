"""The examples are the tutorial: each must run as it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))
ARGUMENTS = {"01_lift_keypoints": ["{out}"], "02_train_and_evaluate": ["{out}", "20"]}
PROMISED = {
    "01_lift_keypoints": ["poses.npz", "poses_track0.bvh"],
    "02_train_and_evaluate": ["run/model/model.safetensors", "report/report.md", "report/per_joint.png"],
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    args = [a.format(out=tmp_path) for a in ARGUMENTS.get(example.stem, [])]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, str(example), *args], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()
    for name in PROMISED.get(example.stem, []):
        assert (tmp_path / name).is_file(), name


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3
