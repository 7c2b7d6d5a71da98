"""`poselift lift` with videos and pictures from a shell: every kind of them, and what users hand in by mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flat_lifter import save_keypoints, walking_clip
from hostile import little_memory
from onnx_detectors import boxes_model, pose_model
from poselift.cli import main
from video_files import no_frames, png_header, red_corner, turn_header, write_sound, write_video


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


def picture(name: str, image: Image.Image, **options: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        image.save(folder / name, **options)  # type: ignore[arg-type]
        return folder / name

    return make


def turned(folder: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture("turned.jpg", RGB, exif=exif)(folder)


def moving(folder: Path) -> Path:
    frames = [Image.fromarray(red_corner(i, 64, 48)) for i in range(6)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:], duration=40)
    return folder / "moving.gif"


RGB = Image.fromarray(red_corner(2, 64, 48))
GREY = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64)
GOOD: dict[str, tuple[Callable[[Path], Path], tuple[int, int], int]] = {
    "video": (lambda f: write_video(f / "a.mp4", 6), (64, 48), 6),
    "spaces and Unicode": (lambda f: write_video(f / "zwei Läufer 走る.mp4", 6), (64, 48), 6),
    "odd sizes": (
        lambda f: write_video(f / "a.avi", 6, size_wh=(65, 49), codec="ffv1", pix_fmt="bgr0"), (65, 49), 6,
    ),
    "upright telephone": (lambda f: turn_header(write_video(f / "a.mp4", 6), 48), (48, 64), 6),
    "variable frame rate": (
        lambda f: write_video(f / "a.mp4", 6, pts_ms=[0, 40, 80, 120, 240, 280]), (64, 48), 8,
    ),
    "8-bit grey": (picture("a.png", Image.fromarray(GREY.astype(np.uint8))), (64, 48), 1),
    "16-bit grey": (picture("a.png", Image.fromarray(GREY * 20)), (64, 48), 1),
    "RGBA": (picture("a.png", RGB.convert("RGBA")), (64, 48), 1),
    "CMYK": (picture("a.jpg", RGB.convert("CMYK")), (64, 48), 1),
    "EXIF-rotated": (turned, (48, 64), 1),
    "moving GIF": (moving, (64, 48), 6),
}  # fmt: skip


@pytest.mark.parametrize(("make", "size", "frames"), GOOD.values(), ids=list(GOOD))
def test_every_kind_of_video_and_picture(
    make: Callable[[Path], Path], size: tuple[int, int], frames: int, model: str, tmp_path: Path
):
    path, out = make(tmp_path), tmp_path / "out"
    clip = walking_clip(frames)
    given = save_keypoints(tmp_path / "k.npz", [clip.replace(kp_img=clip.kp_img / 20)], size_wh=None)
    argv = ["lift", str(path), "-o", str(out), "--model", model, "--formats", "npz,overlay"]
    assert main([*argv, "--detector", "given", "--detector-files", str(given)]) == 0
    data = np.load(out / "poses.npz")
    assert data["frame"].tolist() == list(range(frames))
    assert data["size_wh"].tolist() == list(size)
    overlay = out / ("overlay.png" if frames == 1 else "overlay.mp4")
    assert overlay.stat().st_size > 300
    if frames == 1:
        assert Image.open(overlay).size == size


def text(folder: Path) -> Path:
    (folder / "a.mp4").write_text("no video\n" * 99)
    return folder / "a.mp4"


def cut(folder: Path) -> Path:
    path = write_video(folder / "a.mp4", 60)
    path.write_bytes(path.read_bytes()[:-900])
    return path


def cut_picture(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    path = picture("a.jpg", Image.fromarray(rng.integers(0, 255, (99, 99, 3), dtype=np.uint8)))(folder)
    path.write_bytes(path.read_bytes()[:3000])
    return path


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no video": (text, "no video that can be read"),
    "cut mp4": (cut, "cut off"),
    "no frames": (lambda f: no_frames(f / "a.mkv"), "no video that can be read"),
    "only sound": (lambda f: write_sound(f / "a.mp4"), "only sound"),
    "100,000 x 100,000": (lambda f: png_header(f / "a.png", 100_000, 100_000), "found 10000 megapixels"),
    "20,000 x 20,000": (lambda f: png_header(f / "a.png", 13_000, 13_000), "megapixels"),
    "cut picture": (cut_picture, "cut off"),
    "empty": (lambda f: (f / "a.png").touch() or f / "a.png", "empty file"),
}


@pytest.mark.parametrize(("make", "expected"), BAD.values(), ids=list(BAD))
def test_bad_pixels(
    make: Callable[[Path], Path], expected: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = make(tmp_path)
    given = save_keypoints(tmp_path / "k.npz", [walking_clip(5)])
    argv = ["lift", str(path), "-o", str(tmp_path / "out"), "--model", model]
    with little_memory():
        assert main([*argv, "--detector", "given", "--detector-files", str(given)]) == 2
    refused(capsys, tmp_path, path.name, expected)


OPTIONS: dict[str, tuple[list[str], str]] = {
    "detector": (["--detector", "mediapip"], "did you mean 'mediapipe'"),
    "no such models": (["--detector", "rtmpose", "--detector-model", "balancd"], "did you mean 'balanced'"),
    "no files": (["--detector", "rtmpose", "--detector-files", "no/folder"], "--detector-files"),
    "no model": (["--detector", "resnet"], "--detector-model DIR"),
    "no model folder": (["--detector", "resnet", "--detector-model", "no/model"], "--detector-files"),
    "a model for nothing": (["--detector-model", "no/model"], "takes a model"),
    "start": (["--start", "-2"], "start"),
    "start behind the end": (["--start", "99"], "which lasts"),
    "end before start": (["--start", "0.2", "--end", "0.1"], "end"),
    "every": (["--every", "0"], "every"),
    "people": (["--max-people", "0"], "max_people"),
    "detect every": (["--detect-every", "3"], "two stages"),
    "image size": (["--image-size", "640", "480"], "64 × 48"),
}


@pytest.mark.parametrize(("options", "expected"), OPTIONS.values(), ids=list(OPTIONS))
def test_bad_options(options: list[str], expected: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write_video(tmp_path / "a.mp4", 6)
    assert main(["lift", str(path), "-o", str(tmp_path / "out"), "--model", model, *options]) == 2
    refused(capsys, tmp_path, "", expected)


def test_a_damaged_model_file(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "onnx"
    folder.mkdir()
    boxes_model(folder / "yolox.onnx", np.array([[5.0, 5, 30, 40, 0.9]]), [0])
    pose_model(folder / "pose.onnx")
    path = write_video(tmp_path / "a.mp4", 6)
    argv = ["lift", str(path), "-o", str(tmp_path / "out"), "--model", model, "--formats", "npz"]
    argv += ["--detector", "rtmpose", "--detector-files", str(folder)]
    assert main(argv) == 0
    capsys.readouterr()
    for file in ("pose.onnx", "yolox.onnx"):
        good = (folder / file).read_bytes()
        (folder / file).write_bytes(good[:150])
        out = tmp_path / "other"
        assert main([*argv[:3], str(out), *argv[4:]]) == 2
        assert file in capsys.readouterr().err
        assert not out.exists()
        (folder / file).write_bytes(good)


def test_joints_from_a_pose_resnet_in_given_boxes(model: str, tmp_path: Path):
    from poselift.formats import read
    from poselift.models.images.pose_resnet import PoseResNet, PoseResNetConfig
    from poselift.models.weights import save_model

    config = PoseResNetConfig(depth=18, size_hw=(64, 64), filters=(16, 16, 16), skeleton="mpii16")
    save_model(PoseResNet(config), tmp_path / "resnet")
    boxes = [{"image_id": i, "bbox": [10, 5, 30, 40], "score": 1.0} for i in range(2, 6)]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    argv = ["lift", str(write_video(tmp_path / "a.mp4", 6)), "-o", str(tmp_path / "out"), "--model", model]
    argv += ["--detector", "resnet", "--detector-model", str(tmp_path / "resnet"), "--formats", "npz"]
    assert main([*argv, "--detector-files", str(tmp_path / "boxes.json"), "--detector-flip"]) == 0
    clips = read(tmp_path / "out" / "poses.npz")
    assert {n for c in clips for n in c.frame_numbers.tolist()} <= {2, 3, 4, 5}
    assert clips[0].meta["detector"] == "resnet"


def refused(capsys: pytest.CaptureFixture[str], folder: Path, name: str, expected: str) -> None:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("poselift: ")
    assert err.count("\n") == 1
    assert name in err
    assert expected in err
    assert not (folder / "out").exists()
    assert not [p for p in folder.iterdir() if ".part" in p.name]
