"""What every detector must do: entries of `DETECTORS` are tested by being in the table, with a small example here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flat_lifter import save_keypoints, walking_clip
from onnx_detectors import boxes_model, pose_model
from poselift.detect import DETECTORS, Detector, DetectorOptions, build_detector
from poselift.errors import InputError
from poselift.formats.layouts import by_names
from poselift.video import Frame
from vitpose_models import tiny_vitpose

SIZE_WH = (128, 96)
FRAMES = 4


def boxes_of(folder: Path) -> Path:
    rows = [{"image_id": n, "bbox": [30 + x, 20, 40, 60], "score": 0.9} for n in range(FRAMES) for x in (0, 45)]
    (folder / "boxes.json").write_text(json.dumps(rows))
    return folder / "boxes.json"


def rtmpose(folder: Path) -> dict[str, Any]:
    boxes_model(folder / "rtmdet.onnx", np.array([[15, 10, 35, 40, 0.9], [40, 10, 60, 40, 0.8]], float), [0, 0])
    pose_model(folder / "pose.onnx")
    return {"files": folder}


def resnet(folder: Path) -> dict[str, Any]:
    import torch

    from poselift.models.images.pose_resnet import PoseResNet, PoseResNetConfig
    from poselift.models.weights import save_model

    torch.manual_seed(0)
    config = PoseResNetConfig(depth=18, size_hw=(64, 64), filters=(16, 16, 16), skeleton="mpii16")
    return {"files": boxes_of(folder), "model": str(save_model(PoseResNet(config), folder / "model"))}


def vitpose(folder: Path) -> dict[str, Any]:
    pytest.importorskip("transformers")
    return {"files": boxes_of(folder), "model": str(tiny_vitpose(folder / "model"))}


def given(folder: Path) -> dict[str, Any]:
    clip = walking_clip(FRAMES)
    small = clip.replace(kp_img=clip.kp_img / 16)
    return {"files": save_keypoints(folder / "people.npz", [small], size_wh=list(SIZE_WH))}


MAKERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "rtmpose": rtmpose,
    "resnet": resnet,
    "vitpose": vitpose,
    "given": given,
}
NEEDS_A_DOWNLOAD = {"mediapipe"}
every = pytest.mark.parametrize("name", MAKERS)


def frames(count: int = FRAMES) -> list[Frame]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, SIZE_WH[1], SIZE_WH[0], 3)).astype(np.uint8)
    return [Frame(number=i, seconds=i / 25, image=image) for i, image in enumerate(images)]


def built(name: str, folder: Path, **more: Any) -> Detector:
    return build_detector(name, DetectorOptions(**MAKERS[name](folder), device="cpu", **more))


def test_every_entry_has_an_example():
    assert set(MAKERS) | NEEDS_A_DOWNLOAD == set(DETECTORS)


@every
def test_people_are_what_they_must_be(name: str, tmp_path: Path):
    detector = built(name, tmp_path)
    assert isinstance(detector, Detector)
    assert detector.name == name
    assert detector.notes
    assert by_names(detector.skeleton.joints) is not None
    found = list(detector.detect(frames()))
    assert len(found) == FRAMES
    assert any(found), "the examples show somebody"
    for person in (p for people in found for p in people):
        j = len(detector.skeleton)
        assert person.kp_img.shape == (j, 2)
        assert person.conf.shape == (j,)
        assert ((person.conf >= 0) & (person.conf <= 1)).all()
        assert (person.conf > 0).any()
        assert np.isfinite(person.kp_img).all()
        seen = person.kp_img[person.conf > 0]
        assert ((seen >= -0.5) & (seen <= np.array(SIZE_WH) - 0.5)).all(), "joints outside the picture are missing"
        assert np.allclose(person.box, [*seen.min(0), *seen.max(0)])
    detector.close()


@every
def test_frames_are_read_as_they_are_wanted(name: str, tmp_path: Path):
    """A live picture must not wait for the next one: the people of a frame come before another frame is taken."""
    taken: list[int] = []

    def counted():
        for frame in frames():
            taken.append(frame.number)
            yield frame

    found = built(name, tmp_path).detect(counted())
    for n in range(FRAMES):
        next(found)
        assert taken == list(range(n + 1))


@every
def test_the_same_frames_give_the_same_people(name: str, tmp_path: Path):
    detector = built(name, tmp_path)
    first, again = (list(detector.detect(frames(), still=True)) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert len(a) == len(b)
        assert all(
            np.array_equal(x.kp_img, y.kp_img) and np.array_equal(x.conf, y.conf) for x, y in zip(a, b, strict=True)
        )


@every
def test_nothing_to_work_with_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Neither options nor, for those that fetch what they need, a network."""

    def fail(*_: Any, **__: Any) -> str:
        raise OSError("no\nnetwork")

    monkeypatch.setenv("POSELIFT_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(InputError, match=r"--detector-|Without a network: put .*") as error:
        build_detector(name)
    assert "\n" not in str(error.value)
