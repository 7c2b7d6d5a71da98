"""Pose ResNets as detectors: planted joints land where they are in the picture, whatever finds the boxes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from onnx_detectors import boxes_model
from poselift.detect import DetectorOptions, build_detector
from poselift.detect.pose_resnet import PoseResNetDetector
from poselift.errors import InputError
from poselift.geometry.crops import crop_affine, crop_patches, extend_box, invert_affine, transform_points
from poselift.models.images.pose_resnet import PoseResNet, PoseResNetConfig
from poselift.models.weights import load_image, save_model
from poselift.video import Frame, open_frames

BOXES = [[30.0, 20, 40, 60], [80, 30, 30, 60]]
"""x, y, width, height in pictures of 128 × 96."""
JOINTS = 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = PoseResNetConfig(depth=18, size_hw=(64, 64), filters=(16, 16, 16), skeleton="mpii16", channels="bgr")
    return save_model(PoseResNet(config), tmp_path / "model")


def boxes_file(path: Path, frames: dict[int | str, list[list[float]]]) -> Path:
    rows = [{"image_id": i, "bbox": b, "score": 0.9 - k / 10} for i, bb in frames.items() for k, b in enumerate(bb)]
    path.write_text(json.dumps(rows))
    return path


def frame(image: np.ndarray, number: int = 0) -> Frame:
    return Frame(number=number, seconds=number / 25, image=image)


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8)


def built(folder: Path, boxes: Path, **more) -> PoseResNetDetector:
    options = DetectorOptions(files=boxes, model=str(folder), device="cpu", **more)
    detector = build_detector("resnet", options)
    assert isinstance(detector, PoseResNetDetector)
    return detector


def test_the_joints_are_those_of_the_crops(folder: Path, tmp_path: Path):
    """Through the table, the file of boxes and the model folder: what the model sees in crops made by hand."""
    image = noise()
    detector = built(folder, boxes_file(tmp_path / "boxes.json", {0: BOXES}), flip_average=True)
    (people,) = detector.detect([frame(image)])
    assert detector.skeleton.name == "mpii16"
    box = extend_box(torch.tensor(BOXES), 1.0)
    affine = crop_affine(box, (64, 64))
    crops = crop_patches(torch.from_numpy(image).permute(2, 0, 1), affine, (64, 64))
    with torch.no_grad():
        kp, conf = load_image(folder).estimate(crops, flip_average=True)
    kp = transform_points(invert_affine(affine), kp).numpy()
    inside = np.all((kp > -0.5) & (kp < (127.5, 95.5)), axis=-1)
    assert [p.score for p in people] == pytest.approx([0.9, 0.8])
    for person, want, c, seen in zip(people, kp, conf.numpy(), np.array(inside), strict=True):
        assert np.abs(person.kp_img - want).max() < 1e-3
        assert np.allclose(person.conf, np.where(seen, c, 0), atol=1e-5)


def plant(detector: PoseResNetDetector, cells: Tensor) -> None:
    """The network answers every crop with a map that has its height, 0.8, in joint j's cell (column, row)."""

    def forward(image_norm: Tensor) -> Tensor:
        heat = torch.zeros(len(image_norm), JOINTS, 16, 16)
        for j, (column, row) in enumerate(cells.tolist()):
            heat[:, j, row, column] = 0.8
            heat[:, j, row, column + 1] = 0.5  # the joint is a quarter of a cell to the right …
            heat[:, j, row - 1, column] = 0.5  # … and above
        return heat

    detector.model.forward = forward  # type: ignore[method-assign]


def test_a_planted_map_is_the_right_joint_in_the_picture(folder: Path, tmp_path: Path):
    """A box of 40 × 60 is seen as 75 × 75 around its centre: a cell of its map of 16 is 75 / 16 pixels."""
    detector = built(folder, boxes_file(tmp_path / "boxes.json", {0: BOXES[:1]}))
    cells = torch.stack((torch.arange(JOINTS) % 5 + 6, torch.arange(JOINTS) % 7 + 5), -1)
    plant(detector, cells)
    ((person,),) = detector.detect([frame(noise())])
    corner = np.array([50, 50]) - 75 / 2
    want = corner + (cells.numpy() + np.array([0.25, -0.25])) * 75 / 16
    assert person.kp_img == pytest.approx(want, abs=1e-3)
    assert person.conf == pytest.approx(0.8)


def test_people_that_a_network_finds(folder: Path, tmp_path: Path):
    """In the input of 64 × 64 of the box network the picture of 128 × 96 is halved."""
    finder = boxes_model(tmp_path / "rtmdet.onnx", np.array([[15, 10, 35, 40, 0.7]], float), [0])
    for path in (finder, tmp_path):
        detector = built(folder, path)
        plant(detector, torch.full((JOINTS, 2), 8))
        ((person,),) = detector.detect([frame(noise())])
        assert person.score == pytest.approx(0.7)
        want = np.array([50, 50]) - 0.5 + np.array([0.25, -0.25]) * 75 / 16
        assert np.abs(person.kp_img - want).max() < 1e-3


def test_boxes_belong_to_frames(folder: Path, tmp_path: Path):
    boxes = boxes_file(tmp_path / "boxes.json", {"shot_000004.png": BOXES, "shot_000006.png": BOXES[1:]})
    detector = built(folder, boxes, every=2)
    plant(detector, torch.full((JOINTS, 2), 8))
    assert [len(p) for p in detector.detect([frame(noise(), n) for n in range(5)])] == [0, 0, 2, 1, 0]
    with pytest.raises(InputError, match=r"boxes\.json: expected boxes of frames of this recording, found frames 4 to"):
        list(built(folder, boxes).detect([frame(noise(), 9)]))


def test_boxes_of_named_pictures_belong_to_their_files(folder: Path, tmp_path: Path):
    """Pictures are numbered from 0, names often from 1: of the second one the boxes are not the first one's."""
    boxes = boxes_file(tmp_path / "boxes.json", {"images/shot_0001.png": BOXES, "images/shot_0002.png": BOXES[1:]})
    (tmp_path / "shots").mkdir()
    for n in (1, 2, 3):
        Image.fromarray(noise()).save(tmp_path / "shots" / f"shot_000{n}.jpg")
    (source,) = open_frames(tmp_path / "shots")
    detector = built(folder, boxes)
    plant(detector, torch.full((JOINTS, 2), 8))
    assert [len(p) for p in detector.detect(source.frames())] == [2, 1, 0]
    detector = built(folder, boxes)
    plant(detector, torch.full((JOINTS, 2), 8))
    for name, count in (("shot_0003", 0), ("shot_0002", 1)):
        (source,) = open_frames(tmp_path / "shots" / f"{name}.jpg")
        assert [len(p) for p in detector.detect(source.frames(), still=True)] == [count]


def test_boxes_that_show_nobody(folder: Path, tmp_path: Path):
    bad = [[30.0, 20, 0, 60], [-50, 20, 40, 60], [200, 20, 40, 60], [30, 96, 40, 60]]
    detector = built(folder, boxes_file(tmp_path / "boxes.json", {0: bad, 1: BOXES}))
    plant(detector, torch.full((JOINTS, 2), 8))
    assert [len(p) for p in detector.detect([frame(noise(), n) for n in range(2)])] == [0, 2]


def test_many_people_go_through_in_portions(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("poselift.detect.crops.CROPS_AT_ONCE", 3)
    many = [[x, 10.0 + x / 9, 20, 30 + x / 3] for x in range(0, 98, 14)]
    detector = built(folder, boxes_file(tmp_path / "boxes.json", {0: many}))
    rows = np.array([[x, y, x + w, y + h] for x, y, w, h in many])
    some = detector.poses(noise(), rows, np.ones(7))
    monkeypatch.setattr("poselift.detect.crops.CROPS_AT_ONCE", 100)
    all_at_once = detector.poses(noise(), rows, np.ones(7))
    assert len(some) == 7
    for a, b in zip(some, all_at_once, strict=True):
        assert np.allclose(a.kp_img, b.kp_img)


def test_what_is_missing_is_one_line(folder: Path, tmp_path: Path):
    boxes = boxes_file(tmp_path / "boxes.json", {0: BOXES})

    def complaint(**options) -> str:
        with pytest.raises(InputError) as error:
            build_detector("resnet", DetectorOptions(device="cpu", **options))
        return str(error.value)

    assert "--detector-model DIR" in complaint(files=boxes)
    assert "--detector-files" in complaint(model=str(folder))
    assert "no such model folder" in complaint(model=str(tmp_path / "none"), files=boxes)
    assert "kind: expected image, found lifter" in complaint(model="default", files=boxes)
    assert "expected mpii16, the model's, found coco17" in complaint(model=str(folder), files=boxes, skeleton="coco17")
    assert "no such file or folder" in complaint(model=str(folder), files=tmp_path / "nothing.json")
    assert "one rtmdet…/yolox….onnx, found none" in complaint(model=str(folder), files=tmp_path)
    assert "another kind of file" in complaint(model=str(folder), files=folder / "README.md")
    boxes.write_text("[]")
    assert "no boxes" in complaint(model=str(folder), files=boxes)
    boxes.write_text('[{"image_id": 1}]')
    assert "entry 0 bbox" in complaint(model=str(folder), files=boxes)
    for other in ("mediapipe", "given"):
        with pytest.raises(InputError, match=f"takes a model .*{other}"):
            build_detector(other, DetectorOptions(model=str(folder), files=tmp_path))
