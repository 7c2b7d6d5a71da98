"""ViTPose as a detector: a tiny model without training, crops and joints as the library itself makes them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from poselift.detect import DetectorOptions, build_detector
from poselift.detect.vitpose import VitPoseDetector
from poselift.errors import InputError, MissingExtraError
from poselift.models.heatmaps import argmax
from poselift.video import Frame
from vitpose_models import tiny_vitpose

transformers = pytest.importorskip("transformers")

BOXES = [[30.0, 20, 40, 60], [80, 30, 30, 60], [5, 5, 110, 40]]
"""x, y, width, height in pictures of 128 × 96."""
SCORES = np.ones(len(BOXES))
CORNERS = np.array([[x, y, x + w, y + h] for x, y, w, h in BOXES])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vitpose(tmp_path_factory.mktemp("models") / "vitpose-tiny")


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    (tmp_path / "boxes.json").write_text(json.dumps([{"image_id": 0, "bbox": b} for b in BOXES]))
    return tmp_path / "boxes.json"


def built(folder: Path | str, boxes: Path, **more: Any) -> VitPoseDetector:
    detector = build_detector("vitpose", DetectorOptions(files=boxes, model=str(folder), device="cpu", **more))
    assert isinstance(detector, VitPoseDetector)
    return detector


def picture() -> np.ndarray:
    """Waves, so that a crop that is off by half a pixel is another one."""
    y, x = np.mgrid[:96, :128]
    waves = [np.sin(x / 3 + k) * np.cos(y / 4 - k) for k in range(3)]
    return np.stack([128 + 120 * w for w in waves], -1).astype(np.uint8)


def library() -> Any:
    from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil

    return VitPoseImageProcessorPil(size={"height": 64, "width": 48})


def watched(detector: VitPoseDetector, answer: Tensor | None = None) -> list[Tensor]:
    """What the network is given; `answer`: the heatmaps that it gives in its place."""
    seen: list[Tensor] = []
    network = detector.model.network
    forward = network.forward

    def look(x: Tensor, **kwargs: Any) -> Any:
        seen.append(x)
        out = forward(x, **kwargs)
        if answer is not None:
            out.heatmaps = answer
        return out

    network.forward = look
    return seen


def test_crops_are_those_of_the_library(folder: Path, boxes: Path):
    detector = built(folder, boxes)
    seen = watched(detector)
    detector.poses(picture(), CORNERS, SCORES)
    want = library()(picture(), boxes=[BOXES], return_tensors="pt")["pixel_values"]
    inside = want.new_ones(want.shape, dtype=torch.bool)
    inside[2] = False  # beyond the picture's edge the library has a harder border than ours, which fades over a pixel
    inside[2, :, 28:36] = True
    assert seen[0].shape == want.shape
    assert float((seen[0] - want)[inside].abs().median()) < 0.01
    assert float((seen[0] - want)[inside].abs().quantile(0.99)) < 0.03  # 8 bits: 0.009 of them are half a step


def test_joints_are_those_of_the_library(folder: Path, boxes: Path):
    """Maps with a bump in every joint's cell, between the cells' middles."""
    detector = built(folder, boxes)
    rng = np.random.default_rng(1)
    at = torch.from_numpy(rng.uniform((3, 3), (8, 12), (3, 17, 2))).float()
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(12.0), indexing="ij")
    heat = torch.exp(-((x - at[..., :1, None]) ** 2 + (y - at[..., 1:, None]) ** 2) / (2 * 2**2))
    heat = 0.9 * heat + 0.02 * torch.from_numpy(rng.uniform(size=heat.shape)).float()
    watched(detector, heat)
    found = detector.poses(np.full((400, 400, 3), 9, np.uint8), CORNERS + 150, SCORES)
    moved = [[x + 150, y + 150, w, h] for x, y, w, h in BOXES]
    output = type("Output", (), {"heatmaps": heat})
    (want,) = library().post_process_pose_estimation(output, boxes=[moved])
    for person, other in zip(found, want, strict=True):
        assert np.abs(person.kp_img - other["keypoints"].numpy()).max() < 0.01
        assert np.allclose(person.conf, other["scores"].numpy(), atol=1e-5)


def test_flip_average_of_a_mirrored_crop(folder: Path, boxes: Path, monkeypatch: pytest.MonkeyPatch):
    """It gives the mirrored joints, left for right. (The Newton step sees one diagonal only, as published.)"""
    monkeypatch.setattr("poselift.detect.vitpose.newton_argmax", argmax)
    detector = built(folder, boxes, flip_average=True)
    crops = torch.randint(0, 256, (2, 3, 64, 48), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    with torch.inference_mode():
        (kp, conf), (other, other_conf) = (detector._estimate(c) for c in (crops, crops.flip(-1)))
    flip = list(detector.skeleton.flip)
    seen = conf > 0
    assert seen.float().mean() > 0.5
    assert torch.allclose((other[:, flip] * torch.tensor((-1, 1)) + torch.tensor((47, 0)))[seen], kp[seen], atol=1e-3)
    assert torch.allclose(other_conf[:, flip], conf, atol=1e-5)


def test_experts_and_other_orders_of_joints(boxes: Path, tmp_path: Path):
    """ViTPose+ has several experts; the joints are found by their names."""
    names = json.loads((tiny_vitpose(tmp_path / "a", experts=2) / "config.json").read_text())["id2label"]
    plain, turned = (built(tmp_path / "a", boxes) for _ in range(2))
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    config["id2label"] = {k: names[str(16 - int(k))] for k in names}
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    turned = built(tmp_path / "a", boxes)
    a, b = (d.poses(picture(), CORNERS[:1], SCORES[:1])[0] for d in (plain, turned))
    assert np.array_equal(a.kp_img, b.kp_img[::-1])


def test_a_model_of_unnamed_joints(boxes: Path, tmp_path: Path):
    tiny_vitpose(tmp_path / "a", names=False)
    with pytest.raises(InputError, match="--skeleton"):
        built(tmp_path / "a", boxes)
    assert built(tmp_path / "a", boxes, skeleton="coco17").skeleton.name == "coco17"
    with pytest.raises(InputError, match="one of 17 joints, found halpe26"):
        built(tmp_path / "a", boxes, skeleton="halpe26")


def test_another_input_is_read_beside_the_model(boxes: Path, tmp_path: Path):
    folder = tiny_vitpose(tmp_path / "a")
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}')
    detector = built(folder, boxes)
    seen = watched(detector)
    detector.poses(np.full((400, 400, 3), 51, np.uint8), CORNERS[:1] + 150, SCORES[:1])
    assert torch.allclose(seen[0], torch.tensor(0.2))
    (folder / "preprocessor_config.json").write_text('{"image_std": [0, 1, "x"]}')
    with pytest.raises(InputError, match="image_std"):
        built(folder, boxes)
    for factor in ("0", '"x"', "1e-300", "null"):
        (folder / "preprocessor_config.json").write_text(f'{{"rescale_factor": {factor}}}')
        with pytest.raises(InputError, match="rescale_factor: expected a positive number"):
            built(folder, boxes)


def damaged(folder: Path, change: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    weights = folder / "model.safetensors"
    if change == "another kind":
        config["model_type"] = "bert"
    elif change == "another backbone":
        config["backbone_config"]["model_type"] = "timm_backbone"
    elif change == "wider":
        config["backbone_config"]["hidden_size"] = 64
    elif change == "deeper":
        config["backbone_config"].update(num_hidden_layers=3)
    elif change == "very deep":
        config["backbone_config"].update(num_hidden_layers=10**9)
    elif change == "huge":
        config["backbone_config"]["image_size"] = [100_000, 100_000]
    elif change == "many joints":
        del config["id2label"]
        config["num_labels"] = 10**9
    elif change == "large maps":
        config["scale_factor"] = 10**6
    elif change == "nonsense":
        config["backbone_config"]["num_attention_heads"] = "many"
    elif change == "cut":
        weights.write_bytes(weights.read_bytes()[:2000])
    elif change == "pickle":
        weights.rename(folder / "pytorch_model.bin")
    elif change == "not finite":
        from safetensors.torch import load_file, save_file

        state = load_file(weights)
        state["head.conv.bias"][3] = float("nan")
        save_file(state, weights, metadata={"format": "pt"})
    (folder / "config.json").write_text("{" if change == "no JSON" else json.dumps(config))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("another kind", "found bert"), ("another backbone", "vitpose_backbone"),
        ("wider", "of this config, found others"), ("deeper", "missing"), ("very deep", "num_hidden_layers"),
        ("huge", "image_size"), ("nonsense", "num_attention_heads"),
        ("many joints", "num_labels"), ("large maps", "scale_factor"), ("cut", "loaded"),
        ("pickle", "model.safetensors"), ("no JSON", "JSON"), ("not finite", "finite"),
    ],
)  # fmt: skip
def test_damaged_models_are_one_line(change: str, expected: str, boxes: Path, tmp_path: Path):
    folder = tiny_vitpose(tmp_path / "a")
    damaged(folder, change)
    with pytest.raises(InputError, match=expected) as error:
        built(folder, boxes)
    assert str(folder) in str(error.value)


def test_what_is_missing_is_one_line(boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    options: dict[str, Any]
    for options, expected in (
        ({"files": boxes}, "--detector-model"),
        ({"model": "nothing"}, "--detector-files"),
        ({"model": "nothing", "files": boxes}, "hf:organisation/name"),
        ({"model": "hf:a b", "files": boxes}, "hf:organisation/name"),
        ({"model": str(boxes), "files": boxes}, "a file, not the folder"),
    ):
        with pytest.raises(InputError, match=expected):
            build_detector("vitpose", DetectorOptions(device="cpu", **options))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"poselift\[vitpose\]"):
        built(tmp_path, boxes)


def test_it_is_a_detector_like_others(folder: Path, boxes: Path):
    detector = built(folder, boxes)
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3)).astype(np.uint8)
    (people,) = detector.detect([Frame(number=0, seconds=0.0, image=image)])
    assert people
    assert "vitpose-tiny" in detector.notes[0]
