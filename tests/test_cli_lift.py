"""`poselift lift` from a shell: results, and what users hand in by mistake: one line, status 2, nothing written."""

from __future__ import annotations

import io
import json
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flat_lifter import save_keypoints, walking_clip
from hostile import bombs, little_memory
from poselift.cli import lifting, main


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a small untrained lifter."""
    import torch

    from poselift.models.lifters import build_lifter
    from poselift.models.lifters.residual_mlp import ResidualMLPConfig
    from poselift.models.weights import save_model

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(build_lifter(ResidualMLPConfig(width=16, hidden=16, blocks=1)), folder, card={"summary": "untrained"})
    return str(folder)


def test_a_keypoint_file_becomes_files(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = save_keypoints(tmp_path / "keypoints.npz", [walking_clip(12), walking_clip(12, track_id=1, seed=1)])
    out = tmp_path / "out"
    assert main(["lift", str(file), "-o", str(out), "--model", model, "--fov", "60", "--formats", "npz,csv,bvh"]) == 0
    said = capsys.readouterr().out
    assert "24 poses of 2 people" in said
    for path in out.iterdir():
        assert str(path) in said
    data = np.load(out / "poses.npz")
    assert data["p_root"].shape == (24, 17, 3)
    assert data["track_id"].tolist() == [0] * 12 + [1] * 12
    assert data["K"][0, 0] == pytest.approx(640 / np.tan(np.radians(30)))
    assert sorted(p.name for p in out.iterdir()) == ["poses.csv", "poses.npz", "poses_track0.bvh", "poses_track1.bvh"]


def npz(change: dict[str, object]) -> Callable[[Path], Path]:
    return lambda folder: save_keypoints(folder / "people.npz", [walking_clip(5)], **change)


def text(content: str, name: str = "people.json") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(content)
        return folder / name

    return make


def truncated(folder: Path) -> Path:
    file = save_keypoints(folder / "people.npz", [walking_clip(50)])
    file.write_bytes(file.read_bytes()[:-300])
    return file


def array(shape: tuple[int, ...]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        np.save(folder / "people.npy", np.ones(shape))
        return folder / "people.npy"

    return make


def declared(folder: Path) -> Path:
    """An npz that says it holds 10^9 frames."""
    file = folder / "people.npz"
    with zipfile.ZipFile(file, "w") as archive:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": "<f4", "fortran_order": False, "shape": (1_000_000_000, 17, 2)}
        )
        archive.writestr("kp_img.npy", head.getvalue() + b"\0" * 1000)
    return file


KP = walking_clip(5).kp_img
BAD_INPUT: dict[str, tuple[Callable[[Path], Path], str]] = {
    "empty file": (text(""), "empty file"),
    "truncated npz": (truncated, "cut off"),
    "truncated json": (text('{"annotations": [{"keypoints": [1, 2'), "people.json"),
    "json of another tool": (text(json.dumps({"version": 3, "scenes": [1, 2]})), "none of the known formats"),
    "text": (text("hello", "people.txt"), "none of the known formats"),
    "array of another shape": (array((350, 34)), "expected numbers of shape (frames, joints, 2 or 3)"),
    "empty folder": (lambda folder: (folder / "empty").mkdir() or folder / "empty", "empty folder"),
    "joints of another skeleton": (npz({"skeleton": "halpe26"}), "expected 26 of halpe26, found 17"),
    "unknown skeleton": (npz({"skeleton": "h36m71"}), "did you mean 'h36m17'"),
    "infinite coordinates": (npz({"kp_img": KP * np.inf}), "finite"),
    "nobody": (npz({"conf": np.zeros((5, 17))}), "nobody"),
    "only NaN": (npz({"kp_img": KP * np.nan}), "nobody"),
    "normalised": (npz({"kp_img": KP / 2000}), "pixels"),
    "zero fps": (npz({"fps": 0.0}), "fps"),
    "camera matrix": (npz({"K": np.zeros((3, 3))}), "K"),
    "a thousand million frames": (declared, "people.npz"),
}


@pytest.mark.parametrize(("make", "expected"), BAD_INPUT.values(), ids=list(BAD_INPUT))
def test_bad_input(
    make: Callable[[Path], Path], expected: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["lift", str(make(tmp_path)), "-o", str(tmp_path / "out"), "--model", model]) == 2
    refused(capsys, tmp_path, expected)


BAD_OPTIONS: dict[str, tuple[list[str], str]] = {
    "fps": (["--fps", "-1"], "fps"),
    "fps nan": (["--fps", "nan"], "fps"),
    "focal": (["--focal", "0"], "focal"),
    "fov": (["--fov", "200"], "field of view"),
    "focal and fov": (["--focal", "900", "--fov", "60"], "one of"),
    "image size": (["--image-size", "0", "480"], "image size"),
    "camera file": (["--camera", "no_such_camera.json"], "no_such_camera.json"),
    "formats": (["--formats", "npz,bhv"], "did you mean 'bvh'"),
    "format": (["--format", "cocoo"], "did you mean 'coco'"),
    "skeleton": (["--skeleton", "cooc17"], "did you mean 'coco17'"),
    "skeleton of another size": (["--skeleton", "body25"], "body25"),
    "model": (["--model", "defualt"], "defualt"),
    "refiner": (["--refine", "defualt"], "defualt"),
    "a lifter as refiner": (["--refine", "default"], "expected refiner, found lifter"),
    "a lifter as second refiner": (["--refine", "default-refiner", "--refine", "default"], "found lifter"),
    "a refiner without a name": (["--refine"], "--refine"),
    "a lifter as root model": (["--root-model", "default"], "expected root, found lifter"),
    "device": (["--device", "cuda:77"], "device"),
    "batch": (["--batch", "0"], "batch"),
}


@pytest.mark.parametrize(("options", "expected"), BAD_OPTIONS.values(), ids=list(BAD_OPTIONS))
def test_bad_options(options: list[str], expected: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = save_keypoints(tmp_path / "people.npz", [walking_clip(5)])
    argv = ["lift", str(file), "-o", str(tmp_path / "out"), "--model", model, *options]
    assert main(argv) == 2
    refused(capsys, tmp_path, expected)


def refused(capsys: pytest.CaptureFixture[str], folder: Path, expected: str) -> None:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("poselift: ")
    assert err.count("\n") == 1
    assert expected in err
    assert not (folder / "out").exists()
    assert not [p for p in folder.iterdir() if ".part" in p.name]


class Hostile:
    """Unpickled by Python, this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_nothing_in_an_npz_is_ever_run(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    marker = tmp_path / "it_ran"
    evil = np.array([Hostile(marker)], dtype=object)
    file = tmp_path / "people.npz"
    np.savez(file, positions_2d=evil, metadata=evil, kp_img=evil)
    assert main(["lift", str(file), "-o", str(tmp_path / "out"), "--model", model]) == 2
    refused(capsys, tmp_path, "people.npz")
    assert not marker.exists()
    np.load(file, allow_pickle=True)["kp_img"]
    assert marker.exists(), "the file was harmless: the test proves nothing"


def test_nothing_in_a_checkpoint_is_ever_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    import pickle

    marker = tmp_path / "it_ran"
    keypoints = save_keypoints(tmp_path / "people.npz", [walking_clip(3)])
    for name in ("model.pth", "model.safetensors", "model.bin"):
        (tmp_path / name).write_bytes(pickle.dumps({"state_dict": Hostile(marker)}))
        argv = ["lift", str(keypoints), "-o", str(tmp_path / "out"), "--model", str(tmp_path / name)]
        assert main(argv) == 2
        refused(capsys, tmp_path, name)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(pickle.dumps(Hostile(marker)))
    (folder / "config.json").write_text("{}")
    assert main(["lift", str(keypoints), "-o", str(tmp_path / "out"), "--model", str(folder)]) == 2
    refused(capsys, tmp_path, "folder")
    assert not marker.exists()


@pytest.fixture
def refiner(tmp_path: Path) -> Path:
    """Folder of a small untrained refiner of pictures like those of `walking_clip`."""
    import torch

    from poselift.models.refiners.erd import ResidualDescent, ResidualDescentConfig
    from poselift.models.weights import save_model

    torch.manual_seed(0)
    erd = ResidualDescent(ResidualDescentConfig(steps=2, width=16))
    erd.set_statistics(mean2d=torch.tensor((700.0, 360.0)).repeat(17, 1), std2d=torch.full((17, 2), 150.0))
    return save_model(erd, tmp_path / "descent")


def test_a_refiner_after_the_lifter(refiner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = save_keypoints(tmp_path / "keypoints.npz", [walking_clip(12)])
    poses = {}
    once, twice = ["--refine", str(refiner)], "The poses are refined by descent, then by descent."
    for name, options in {"plain": [], "refined": once, "twice": once * 2}.items():
        capsys.readouterr()
        assert main(["lift", str(file), "-o", str(tmp_path / name), "--formats", "npz", *options]) == 0
        told = capsys.readouterr().out
        assert ("The poses are refined by descent." in told) == (options == once)
        assert (twice in told) == (options == once * 2)
        poses[name] = np.load(tmp_path / name / "poses.npz")
    said = {name: json.loads(str(file["meta"])) for name, file in poses.items()}
    assert said["refined"]["refiner"] == "descent"
    assert "refiner" not in said["plain"]
    assert said["twice"]["refiner"] == "descent + descent"
    assert not np.array_equal(poses["twice"]["p_root"], poses["refined"]["p_root"])
    assert np.isfinite(poses["refined"]["p_root"]).all()
    assert not np.array_equal(poses["refined"]["p_root"], poses["plain"]["p_root"])


@pytest.mark.parametrize("option", ["--refine", "--root-model"])
@pytest.mark.parametrize("bomb", ["system", "eval", "exec", "open", "mkdir", "nested"])
def test_nothing_in_a_refiner_is_ever_run(
    option: str, bomb: str, model: str, refiner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    import pickle

    marker = tmp_path / "it_ran"
    evil = pickle.dumps({"state_dict": bombs(marker)[bomb]})
    first = ["--refine", str(refiner)] if option != "--refine" else []
    file = save_keypoints(tmp_path / "people.npz", [walking_clip(3)])
    argv = ["lift", str(file), "-o", str(tmp_path / "out"), "--model", model, *first, option]
    (tmp_path / "model.pth").write_bytes(evil)
    assert main([*argv, str(tmp_path / "model.pth")]) == 2
    refused(capsys, tmp_path, "model.pth")
    (refiner / "model.safetensors").write_bytes(evil)
    assert main([*argv, str(refiner)]) == 2
    refused(capsys, tmp_path, "descent")
    assert not marker.exists()


LIES: dict[str, dict[str, object]] = {
    "width": {"width": 60_000},
    "steps": {"steps": 100},
    "features": {"features": "everything"},
    "root": {"root": "elsewhere"},
    "skeleton": {"skeleton": "h36m99"},
    "a field that is none": {"hook": "os.system"},
}


@pytest.mark.parametrize("change", LIES.values(), ids=list(LIES))
def test_a_refiner_whose_config_lies(
    change: dict[str, object], model: str, refiner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    config = json.loads((refiner / "config.json").read_text())
    config["config"] |= change
    (refiner / "config.json").write_text(json.dumps(config))
    file = save_keypoints(tmp_path / "people.npz", [walking_clip(3)])
    with little_memory():
        code = main(["lift", str(file), "-o", str(tmp_path / "out"), "--model", model, "--refine", str(refiner)])
    assert code == 2
    refused(capsys, tmp_path, "descent")


def test_a_model_of_another_architecture(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    import shutil

    other = tmp_path / "other"
    shutil.copytree(model, other)
    config = json.loads((other / "config.json").read_text())
    config["config"]["width"] = 32
    (other / "config.json").write_text(json.dumps(config))
    file = save_keypoints(tmp_path / "people.npz", [walking_clip(5)])
    assert main(["lift", str(file), "-o", str(tmp_path / "out"), "--model", str(other)]) == 2
    refused(capsys, tmp_path, "other")


def test_output_folder_that_cannot_be_written(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = save_keypoints(tmp_path / "people.npz", [walking_clip(5)])
    (tmp_path / "taken").write_text("a file")
    for out in (tmp_path / "taken", tmp_path / "taken" / "out", Path("/proc/poselift/out")):
        assert main(["lift", str(file), "-o", str(out), "--model", model]) == 2
        refused(capsys, tmp_path, str(out))
    assert (tmp_path / "taken").read_text() == "a file"


def test_ctrl_c_while_lifting(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from contextlib import nullcontext

    def press(done: int, total: int | None, stage: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(lifting, "show_progress", lambda: nullcontext(press))
    file = save_keypoints(tmp_path / "people.npz", [walking_clip(300)])
    argv = ["lift", str(file), "-o", str(tmp_path / "out"), "--model", model, "--batch", "20"]
    assert main(argv) == 130
    refused(capsys, tmp_path, "interrupted")


def test_view_refuses_what_is_not_lifted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = save_keypoints(tmp_path / "people.npz", [walking_clip(5)])
    assert main(["view", str(file)]) == 2
    refused(capsys, tmp_path, "2D keypoints only")


def test_view_serves_until_ctrl_c(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from poselift.view.live import LiveView

    file = save_keypoints(tmp_path / "people.npz", [walking_clip(5)])
    assert main(["lift", str(file), "-o", str(tmp_path / "out"), "--model", model, "--formats", "npz"]) == 0
    capsys.readouterr()
    seen: list[str] = []

    def wait(self: LiveView) -> None:
        from urllib.request import urlopen

        seen.append(urlopen(self.url, timeout=20).read().decode())
        self.stop()

    monkeypatch.setattr(LiveView, "wait", wait)
    assert main(["view", str(tmp_path / "out"), "--port", "18080"]) == 0
    assert "localhost:18" in capsys.readouterr().out
    assert "<html" in seen[0].lower()


def test_info_describes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = save_keypoints(tmp_path / "people.npz", [walking_clip(50, noise=0.1)])
    assert main(["data", "info", str(file)]) == 0
    assert "h36m17" in capsys.readouterr().out
    assert main(["data", "info", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 50
