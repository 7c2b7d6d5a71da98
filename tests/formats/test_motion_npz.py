"""Motion as plain arrays: written, read, and refused where it does not add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motion_fixtures import CMU, walk
from poselift.errors import InputError, OutputError
from poselift.formats import detect, read_motion
from poselift.formats.base import ReadOptions
from poselift.formats.motion_npz import write_motion
from poselift.structures import Motion, skeleton

FILE = CMU / "cmu17_first20.npz"


def test_the_benchmark_s_own_layout() -> None:
    assert detect(FILE).name == "motion-npz"
    first, second = read_motion(FILE)
    assert (first.name, first.subject, first.fps, len(first)) == ("cmu/02/02_01", "cmu02", 50.0, 20)
    assert second.name == "cmu/03/03_02"
    assert first.p_world.dtype == np.float32
    with np.load(FILE) as z:
        np.testing.assert_array_equal(second.p_world, z["positions"][20:])


def test_written_and_read(tmp_path: Path) -> None:
    a, (b, _) = walk(), read_motion(FILE)
    assert write_motion([a, b], tmp_path / "m.npz") == [tmp_path / "m.npz"]
    for given, got in zip([a, b], read_motion(tmp_path / "m.npz"), strict=True):
        assert (got.name, got.subject, got.fps) == (given.name, given.subject, given.fps)
        np.testing.assert_array_equal(got.p_world, given.p_world)


def test_a_long_file_is_read_without_copies(tmp_path: Path) -> None:
    a, b = read_motion(FILE)
    assert a.p_world.base is not None
    assert a.p_world.base is b.p_world.base


def save(path: Path, **changes: Any) -> Path:
    with np.load(FILE) as z:
        arrays = {**z, **changes}
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


def test_without_names_and_rates(tmp_path: Path) -> None:
    path = save(tmp_path / "mine.npz", names=None, subjects=None, fps=None)
    a, b = read_motion(path)
    assert (a.name, b.subject, a.fps) == ("mine#0", "mine#1", 30.0)
    assert a.meta["assumed_fps"]
    (a, _) = read_motion(path, options=ReadOptions(fps=25.0))
    assert a.fps == 25
    assert "assumed_fps" not in a.meta


def nan_in_the_second() -> np.ndarray:
    p = np.zeros((40, 17, 3), np.float32)
    p[25, 3, 1] = np.nan
    return p


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"positions": np.zeros((40, 16, 3), np.float32)}, r"positions: expected .*\(frames, 17, 3\), found .*16"),
        ({"positions": nan_in_the_second()}, r"clip 1 \(cmu/03/03_02\).*NaN or infinite at index \[5, 3, 1\]"),
        ({"starts": np.array([0, 20, 10**9])}, "starts: expected growing offsets from 0 to 40, found 0 to 1000000000"),
        ({"starts": np.array([0, 20, 20, 40])}, "starts"),
        ({"starts": np.array([0.0, 20, 40])}, "starts"),
        ({"fps": np.array([50.0, 0.0])}, "clip 1.*fps: expected a positive number"),
        ({"fps": np.array([50.0])}, r"fps: expected one per clip, \(2,\), found \(1,\)"),
        ({"names": np.array(["a", "b", "c"])}, "names: expected one per clip"),
    ],
)
def test_what_does_not_add_up(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = save(tmp_path / "bad.npz", **changes)
    with pytest.raises(InputError, match=says) as caught:
        read_motion(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "cut.npz"
    path.write_bytes(FILE.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"cut\.npz"):
        read_motion(path)


def test_refused_writes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one"):
        write_motion([], tmp_path / "m.npz")
    coco = Motion(skeleton=skeleton("coco17"), fps=30.0, p_world=np.zeros((2, 17, 3)), name="x")
    with pytest.raises(InputError, match="motion x: expected h36m17, found coco17"):
        write_motion([coco], tmp_path / "m.npz")
    (tmp_path / "m.npz").mkdir()
    with pytest.raises(OutputError, match="a folder is there"):
        write_motion([walk()], tmp_path / "m.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["m.npz"]
