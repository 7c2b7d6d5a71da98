"""ERD's data files: what they hold comes back in metres and pixels; what does not fit is one line."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import erd_folder
from poselift.cli import main
from poselift.data import cmu17, erd_files
from poselift.data.bank import Statistics
from poselift.data.datasets import DataConfig, dataset_source
from poselift.errors import InputError
from poselift.models.lifters import build_lifter
from poselift.models.lifters.residual_mlp import ResidualMLPConfig
from poselift.models.lifters.simple_baseline import SimpleBaselineConfig
from poselift.models.weights import save_model
from poselift.structures import Clip, skeleton
from poselift.train.statistics import fit_statistics

T = 6
TRAIN = (("S1", "Walking 1"), ("S8", "Eating"), ("S11", "Directions"))
TEST = (("S9", "Greeting"), ("S9", "Greeting 1"), ("S9", "SittingDown 1"), ("S9", "Waiting 1"), ("S11", "Directions"),
        ("S11", "Directions 1"), ("S11", "WalkingDog"))  # fmt: skip
STAT2D = {"mean": np.linspace(400, 600, 34), "std": np.linspace(50, 200, 34)}
STAT3D = {"mean": np.linspace(-100, 100, 51), "std": np.linspace(0, 300, 51)}


def tables() -> dict[str, Any]:
    motion = replace((whole := cmu17.load_motions(None, "train")[0]), p_world=whole.p_world[: 5 * T : 5])
    out: dict[str, Any] = {"stat_custom_2d": STAT2D, "stat_custom_3d": STAT3D}
    for split, wanted in (("train", TRAIN), ("test", TEST)):
        kp, truth = erd_folder.sequences(dict.fromkeys(wanted, motion), cameras=2)
        out |= {f"{split}_custom_2d_unnorm": kp, f"{split}_custom_3d_unnorm": truth}
    return out


def names(clips: list[Clip]) -> list[str]:
    return [c.meta["name"] for c in clips]


def test_sequences_come_back_in_metres_pixels_and_their_cameras(tmp_path: Path) -> None:
    made = tables()
    clips = erd_files.clips(erd_folder.write(tmp_path, made), "test")
    assert names(clips) == sorted(names(clips))
    assert not any("Directions." in n for n in names(clips))
    assert "S11/Directions 1.54138969" in names(clips)
    assert len(clips) == 2 * (len(TEST) - 1)
    for clip in clips:
        key = (clip.meta["subject"], clip.meta["name"].split("/")[1].split(" ")[0].split(".")[0],
               clip.meta["name"].split("/")[1])  # fmt: skip
        truth = made["test_custom_3d_unnorm"][key]
        np.testing.assert_allclose(clip.kp_img.reshape(T, 34), made["test_custom_2d_unnorm"][key], rtol=1e-6)
        assert clip.p_root is not None
        assert clip.root_cam is not None
        assert clip.camera is not None
        assert clip.p_cam is not None
        np.testing.assert_allclose(clip.p_root.reshape(T, 51) * 1000, truth["joint_3d"], atol=1e-3)
        np.testing.assert_allclose(clip.root_cam * 1000, truth["pelvis"], rtol=1e-6)
        np.testing.assert_allclose(clip.camera.project(clip.p_cam), clip.kp_img, atol=0.01)
        assert (clip.confidence == 1).all()
        assert clip.camera.size_wh == ((1000, 1002) if key[2].endswith("54138969") else (1000, 1000))
    assert {c.meta["action"] for c in clips} == {"Directions", "Greeting", "SittingDown", "Waiting", "WalkDog"}


def test_layouts_are_one_and_the_same(tmp_path: Path) -> None:
    plain = tables()
    other = tables()
    for split in ("train", "test"):
        kp, truth = other[f"{split}_custom_2d_unnorm"], other[f"{split}_custom_3d_unnorm"]
        for i, key in enumerate(kp):
            xy = kp[key].reshape(T, 17, 2).astype(np.float32)
            score = np.full((T, 17, 1), 0.25, np.float32)
            kp[key] = [xy, np.concatenate([xy, score], -1), np.concatenate([xy, score], -1).reshape(T, 51)][i % 3]
            pelvis = truth[key]["pelvis"]
            truth[key]["joint_3d"] = torch.tensor(truth[key]["joint_3d"].reshape(T, 17, 3))
            truth[key]["pelvis"] = np.stack([pelvis, pelvis + 99], 1)[:, :, None] if i % 2 else pelvis[:, None]
            truth[key]["actual_frame"] = np.arange(3, 3 + 2 * T, 2)
            truth[key]["camera"] = {k: np.array([v]) for k, v in truth[key]["camera"].items()}
    a = erd_files.clips(erd_folder.write(tmp_path / "a", plain), "test")
    b = erd_files.clips(erd_folder.write(tmp_path / "b", other), "test")
    for x, y in zip(a, b, strict=True):
        assert x.camera is not None
        assert y.camera is not None
        np.testing.assert_allclose(y.kp_img, x.kp_img, atol=1e-3)
        assert y.p_cam is not None
        assert x.p_cam is not None
        np.testing.assert_allclose(y.p_cam, x.p_cam, atol=1e-5)
        np.testing.assert_array_equal(y.camera.K, x.camera.K)
        assert y.frame_numbers.tolist() == list(range(3, 3 + 2 * T, 2))
    assert {float(c.confidence.mean()) for c in b} == {0.25, 1.0}


def test_joints_at_the_origin_were_not_detected(tmp_path: Path) -> None:
    made = tables()
    key = ("S11", "Directions", "Directions 1.54138969")
    made["test_custom_2d_unnorm"][key][2, :4] = 0, 0.005, 0, 300  # joint 0 missing, joint 1 on the left border
    clip = erd_files.clips(erd_folder.write(tmp_path, made), "test")[0]
    assert clip.meta["name"] == "S11/Directions 1.54138969"
    assert np.argwhere(clip.confidence == 0).tolist() == [[2, 0]]


def test_splits_and_the_drifting_sequences(tmp_path: Path) -> None:
    folder = erd_folder.write(tmp_path, tables())
    assert {c.meta["subject"] for c in erd_files.clips(folder, "train")} == {"S1"}
    assert {c.meta["subject"] for c in erd_files.clips(folder, "validation")} == {"S8"}
    whole, kept = (names(erd_files.clips(folder, "test", drop_drifting=d)) for d in (False, True))
    assert {n.split(".")[0] for n in whole} - {n.split(".")[0] for n in kept} == {
        "S9/Greeting", "S9/SittingDown 1", "S9/Waiting 1"
    }  # fmt: skip
    assert any(n.startswith("S9/Greeting 1.") for n in kept)


def test_without_s8_the_last_training_subject_validates(tmp_path: Path) -> None:
    made = tables()
    for name in ("train_custom_2d_unnorm", "train_custom_3d_unnorm"):
        made[name] = {("S10" if k[0] == "S8" else "S2" if k[0] == "S1" else k[0], *k[1:]): v
                      for k, v in made[name].items()}  # fmt: skip
    folder = erd_folder.write(tmp_path, made)
    assert {c.meta["subject"] for c in erd_files.clips(folder, "validation")} == {"S10"}


@pytest.mark.parametrize(
    ("under", "given"),
    [("", ""), ("stat", ""), ("cpn/stat", ""), ("cpn/stat", "cpn"), ("cpn", ""), ("cpn/conf2d", ""), ("conf2d", "")],
)
def test_the_folder_or_one_above_it(under: str, given: str, tmp_path: Path) -> None:
    erd_folder.write(tmp_path / under, tables())
    erd_folder.write(tmp_path / "decoy", {"train_custom_2d_unnorm": {}})
    assert erd_files.clips(tmp_path / given, "test", keypoints="cpn")
    assert erd_files.statistics(tmp_path / given, keypoints="cpn") is not None


def test_files_of_python_2(tmp_path: Path) -> None:
    made = tables()
    here, there = erd_folder.write(tmp_path / "3", made), tmp_path / "2"
    there.mkdir()
    for name, table in made.items():
        (there / f"{name}.pth.tar").write_bytes(erd_folder.python2_torch_file(table))
    own = torch.load(there / "stat_custom_3d.pth.tar", weights_only=False, encoding="latin1")  # torch agrees
    np.testing.assert_array_equal(own["mean"], STAT3D["mean"])
    assert (there / "test_custom_2d_unnorm.pth.tar").read_bytes().count(b"U\x02S9") == 8  # byte strings
    for split in ("train", "validation", "test"):
        for a, b in zip(erd_files.clips(here, split), erd_files.clips(there, split), strict=True):
            assert dict(a.meta) == dict(b.meta)
            for part in ("kp_img", "conf", "p_root", "root_cam"):
                np.testing.assert_array_equal(getattr(a, part), getattr(b, part))
    assert erd_files.statistics(there) is not None


def test_a_file_that_would_run_something_runs_nothing(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "it_ran",))

    folder = erd_folder.write(tmp_path, tables())
    (folder / "test_custom_2d_unnorm.pth.tar").write_bytes(pickle.dumps({("S9", "A", "A.1"): Trap()}, protocol=2))
    with pytest.raises(InputError, match=r"test_custom_2d"):
        erd_files.clips(folder, "test")
    assert not (tmp_path / "it_ran").exists()


def test_published_statistics_are_trained_with(tmp_path: Path) -> None:
    folder = erd_folder.write(tmp_path, tables())
    source = dataset_source(DataConfig(dataset="erd", path=str(folder)), "train")
    lifter = build_lifter(SimpleBaselineConfig(width=8))
    fit_statistics(lifter, source, torch.Generator().manual_seed(0))
    state = lifter.state_dict()
    for name, want in (("frame.mean", STAT2D["mean"]), ("frame.std", STAT2D["std"]),
                       ("mean3d", STAT3D["mean"] / 1000), ("std3d", STAT3D["std"] / 1000)):  # fmt: skip
        torch.testing.assert_close(state[name].flatten(), torch.tensor(want, dtype=torch.float32))
    turned = build_lifter(ResidualMLPConfig(width=8, hidden=8))  # its target is in other axes
    fit_statistics(turned, source, torch.Generator().manual_seed(0))
    assert float(turned.std3d[skeleton("h36m17").root].max()) == 0
    assert not torch.allclose(turned.mean3d, lifter.mean3d)
    for name in ("stat_custom_2d", "stat_custom_3d"):
        (folder / f"{name}.pth.tar").unlink()
    source = dataset_source(DataConfig(dataset="erd", path=str(folder)), "train")
    fit_statistics(lifter, source, torch.Generator().manual_seed(0))
    assert float(lifter.std3d[0].max()) == 0
    published = torch.tensor(STAT2D["mean"], dtype=torch.float32)
    assert not torch.allclose(lifter.state_dict()["frame.mean"].flatten(), published, atol=1)


def test_a_deviation_of_nothing_and_scores_in_the_statistics(tmp_path: Path) -> None:
    std = STAT2D["std"].copy()
    std[5] = 0
    made = tables()
    made["stat_custom_2d"] = {k: np.concatenate([v.reshape(17, 2), np.full((17, 1), 7)], 1)
                              for k, v in {"mean": STAT2D["mean"], "std": std}.items()}  # fmt: skip
    found = erd_files.statistics(erd_folder.write(tmp_path, made))
    assert isinstance(found, Statistics)
    assert found.std2d.shape == (17, 2)
    assert float(found.std2d[2, 1]) == 1
    torch.testing.assert_close(found.mean2d.flatten(), torch.tensor(STAT2D["mean"], dtype=torch.float32))


KEY = ("S9", "Greeting", "Greeting.54138969")
NAME = r"S9 Greeting\.54138969"


def _change(name: str, change: Callable[[dict[Any, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda made: change(made[f"test_custom_{name}"])


def _truth(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return _change("3d_unnorm", lambda t: t[KEY].update(changes))


def _nan(a: np.ndarray) -> np.ndarray:
    return np.where(np.arange(a.size).reshape(a.shape) == 3, np.nan, a)


BAD: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a list for a table": (lambda m: m.update(test_custom_2d_unnorm=[1]), "2d_unnorm.*expected a dictionary"),
    "an empty table": (lambda m: m.update(test_custom_2d_unnorm={}), "2d_unnorm.*expected a dictionary"),
    "a key that is a text": (_change("2d_unnorm", lambda t: t.update(S9=t.pop(KEY))), "key: expected .subject"),
    "a key of numbers": (_change("2d_unnorm", lambda t: t.update({(9, 1, 2): t.pop(KEY)})), "key: expected .subject"),
    "a name without camera": (
        _change("3d_unnorm", lambda t: t.update({("S9", "A", "A"): t.pop(KEY)})),
        "3d_unnorm.*key: expected",
    ),
    "not in 3D": (_change("3d_unnorm", lambda t: t.pop(KEY)), f"3d_unnorm.*{NAME}: expected a sequence, found none"),
    "not in 2D": (_change("2d_unnorm", lambda t: t.pop(KEY)), f"2d_unnorm.*{NAME}: expected a sequence, found none"),
    "fewer frames in 2D": (
        _change("2d_unnorm", lambda t: t.update({KEY: t[KEY][:4]})),
        rf"3d_unnorm.*{NAME} joint_3d: expected 4 frames, as in 2D, .*\(6, 51\)",
    ),
    "sixteen joints": (_change("2d_unnorm", lambda t: t.update({KEY: t[KEY][:, :32]})), rf"{NAME}.*\(6, 32\)"),
    "no frame": (_change("2d_unnorm", lambda t: t.update({KEY: t[KEY][:0]})), rf"{NAME}.*\(0, 34\)"),
    "NaN in 2D": (_change("2d_unnorm", lambda t: t.update({KEY: _nan(t[KEY])})), f"2d_unnorm.*{NAME}.*NaN"),
    "words in 2D": (_change("2d_unnorm", lambda t: t.update({KEY: "words"})), "array of numbers, found str"),
    "nothing in 2D": (_change("2d_unnorm", lambda t: t.update({KEY: None})), "expected an array of numbers"),
    "ragged 2D": (_change("2d_unnorm", lambda t: t.update({KEY: [[1.0], [1.0, 2.0]]})), "array of numbers, found list"),
    "no truth": (_change("3d_unnorm", lambda t: t.update({KEY: 5})), f"{NAME}.*joint_3d, pelvis, camera"),
    "no joints": (_change("3d_unnorm", lambda t: t[KEY].pop("joint_3d")), f"{NAME} joint_3d.*found nothing"),
    "no pelvis": (_change("3d_unnorm", lambda t: t[KEY].pop("pelvis")), f"{NAME} pelvis.*found nothing"),
    "no camera": (_change("3d_unnorm", lambda t: t[KEY].pop("camera")), f"{NAME} camera: expected fx, fy"),
    "fourteen joints": (_truth(joint_3d=np.zeros((T, 42))), r"joint_3d.*51 or 17 x 3 numbers, found shape \(6, 42\)"),
    "absolute joints": (_truth(joint_3d=np.full((T, 51), 4000.0)), "joint_3d: expected mm relative to the root"),
    "infinite joints": (_truth(joint_3d=np.full((T, 51), np.inf)), "joint_3d.*finite"),
    "a pelvis too few": (_truth(pelvis=np.zeros((T - 1, 3))), r"pelvis: expected 6 frames.*\(5, 3\)"),
    "one pelvis": (_truth(pelvis=np.zeros(3)), r"pelvis: expected 6 frames.*\(3,\)"),
    "no estimate of the pelvis": (_truth(pelvis=np.zeros((T, 0, 3))), r"pelvis: expected 6 frames.*\(6, 0, 3\)"),
    "half a camera": (_truth(camera={"fx": 1.0, "cx": 2.0}), "camera: expected fx, fy, cx, cy, found fx, cx"),
    "a negative focal length": (
        _truth(camera={"fx": 1145.0, "fy": -1145.0, "cx": 500.0, "cy": 500.0}),
        "camera: expected positive focal lengths, found 1145, -1145",
    ),
    "a camera of arrays": (_truth(camera=dict.fromkeys(("fx", "fy", "cx", "cy"), np.ones(3))), "four numbers"),
    "a camera of words": (_truth(camera=dict.fromkeys(("fx", "fy", "cx", "cy"), "x")), "camera fx.*numbers"),
    "falling frame numbers": (_truth(actual_frame=np.arange(T)[::-1].copy()), "actual_frame: expected growing"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_one_line(name: str, tmp_path: Path) -> None:
    made = tables()
    change, message = BAD[name]
    change(made)
    with pytest.raises(InputError, match=message) as caught:
        erd_files.clips(erd_folder.write(tmp_path, made), "test")
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("stat_custom_2d", {"mean": np.zeros(34)}, "expected a dictionary with mean and std"),
        ("stat_custom_2d", {"mean": np.zeros(34), "std": np.zeros(32)}, "std: expected 17 x 2 or 3 numbers"),
        ("stat_custom_3d", {"mean": np.zeros(51), "std": np.full(51, -1.0)}, "std: expected 17 x 3 numbers from 0 up"),
        ("stat_custom_3d", {"mean": np.full(51, np.nan), "std": np.ones(51)}, "mean: expected finite"),
    ],
)
def test_statistics_that_are_none(name: str, table: Any, message: str, tmp_path: Path) -> None:
    folder = erd_folder.write(tmp_path, {**tables(), name: table})
    with pytest.raises(InputError, match=f"{name}.*{message}"):
        erd_files.statistics(folder)


def test_missing_files_and_people_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        erd_files.clips(tmp_path / "nowhere", "test")
    with pytest.raises(InputError, match=r"train_custom_2d_unnorm.pth.tar and the like, here or in sh/stat"):
        erd_files.clips(tmp_path, "test", keypoints="sh")
    folder = erd_folder.write(tmp_path, tables())
    (folder / "test_custom_3d_unnorm.pth.tar").unlink()
    with pytest.raises(InputError, match=r"test_custom_3d_unnorm.pth.tar: no such file"):
        erd_files.clips(folder, "test")
    (folder / "stat_custom_3d.pth.tar").unlink()
    with pytest.raises(InputError, match=r"stat_custom_3d.pth.tar: no such file"):
        erd_files.statistics(folder)
    made = tables()
    for table in (made["train_custom_2d_unnorm"], made["train_custom_3d_unnorm"]):
        for key in [k for k in table if k[0] == "S8"]:
            del table[key]
    folder = erd_folder.write(tmp_path / "one", made)
    with pytest.raises(InputError, match=r"train_custom_2d_unnorm.*two or more subjects.*found S1"):
        erd_files.clips(folder, "train")


def test_evaluation_from_the_command_line(tmp_path: Path) -> None:
    folder = erd_folder.write(tmp_path / "data" / "gt" / "stat", tables())
    model = save_model(build_lifter(SimpleBaselineConfig(width=8)).eval(), tmp_path / "model")
    argv = ["eval", str(model), "--data", "erd", "--path", str(folder.parents[1]), "--device", "cpu", "-o"]
    counts = []
    for drop in ([], ["--drop-drifting"]):
        assert main([*argv, str(tmp_path / "out"), *drop]) == 0
        counts.append(json.loads((tmp_path / "out" / "report.json").read_text())["clips"])
    assert counts == [2 * (len(TEST) - 1), 2 * (len(TEST) - 1 - 3)]
