"""Two-stage detection with tiny ONNX models: boxes and joints land where they must, in pixels of the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onnx_detectors import boxes_model, pose_model, raw_boxes_model
from poselift.detect import DetectorOptions, build_detector
from poselift.detect.person_boxes import PersonBoxes, suppress
from poselift.detect.rtmpose import RTMPose
from poselift.errors import InputError
from poselift.video import Frame

# in the detector's input of 64 × 64; the images are 128 × 96, so that they are halved
BOXES = np.array([[10, 5, 30, 45, 0.9], [11, 6, 31, 44, 0.8], [40, 10, 60, 40, 0.7], [1, 1, 9, 9, 0.2]], float)


def image(*dots: tuple[int, int]) -> np.ndarray:
    out = np.zeros((96, 128, 3), np.uint8)
    for x, y in dots:
        out[y - 1 : y + 2, x - 1 : x + 2] = (255, 0, 0)
    return out


def frames(*images: np.ndarray) -> list[Frame]:
    return [Frame(number=i, seconds=i / 25, image=im) for i, im in enumerate(images)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    boxes_model(tmp_path / "rtmdet_tiny.onnx", BOXES, [0, 0, 0, 0])
    pose_model(tmp_path / "rtmpose_tiny.onnx")
    return tmp_path


def test_boxes_are_in_pixels_of_the_image_without_doubles(folder: Path):
    found = PersonBoxes(folder / "rtmdet_tiny.onnx", "cpu")(image())
    assert found[:, 4] == pytest.approx([0.9, 0.7])
    assert found[:, :4] == pytest.approx(np.array([[20, 10, 60, 90], [80, 20, 120, 80]]) - 0.5)


def test_other_classes_are_no_people(tmp_path: Path):
    boxes_model(tmp_path / "yolox.onnx", BOXES, [1, 0, 0, 0])
    assert PersonBoxes(tmp_path / "yolox.onnx", "cpu")(image())[:, 4] == pytest.approx([0.8, 0.7])


def test_raw_yolox(tmp_path: Path):
    """64 + 16 + 4 cells; one person in the cell (3, 2) of stride 8, one in (1, 1) of stride 32."""
    rows = np.full((84, 7), -20.0)
    rows[:, 4:] = 0.0
    rows[2 * 8 + 3] = (0.5, 0.25, np.log(2), np.log(3), 0.9, 0.8, 0.1)
    rows[64 + 16 + 3] = (0.0, 0.0, np.log(0.5), np.log(1), 1.0, 0.5, 0.9)
    raw_boxes_model(tmp_path / "yolox.onnx", rows)
    found = PersonBoxes(tmp_path / "yolox.onnx", "cpu")(image())
    assert found[:, 4] == pytest.approx([0.72, 0.5])
    first = np.array([28 - 8, 18 - 12, 28 + 8, 18 + 12]) * 2 - 0.5
    assert found[0, :4] == pytest.approx(first, abs=1e-4)
    assert found[1, :4] == pytest.approx([24 * 2 - 0.5, 16 * 2 - 0.5, 40 * 2 - 0.5, 48 * 2 - 0.5], abs=1e-4)


def test_suppression():
    boxes = np.array([[0, 0, 10, 10, 0.5], [0, 0, 10, 9, 0.9], [20, 0, 30, 10, 0.1]], float)
    assert suppress(boxes, 0.5)[:, 4].tolist() == [0.9, 0.1]
    assert suppress(boxes, 0.95)[:, 4].tolist() == [0.9, 0.5, 0.1]
    assert suppress(boxes[:0], 0.5).shape == (0, 5)


@pytest.mark.parametrize("batch", ["batch", 1])
def test_joints_land_on_the_marks(folder: Path, batch: str | int):
    pose_model(folder / "rtmpose_tiny.onnx", batch=batch)
    detector = build_detector("rtmpose", DetectorOptions(files=folder, device="cpu"))
    (people,) = detector.detect(frames(image((40, 50), (100, 45))))
    assert detector.skeleton.name == "coco17"
    assert [round(p.score, 3) for p in people] == [0.9, 0.7]
    for person, mark in zip(people, [(40, 50), (100, 45)], strict=True):
        assert np.abs(person.kp_img - mark).max() < 2.0  # a pixel of the patch is 1.6 of the image
        assert person.conf == pytest.approx(1.0, abs=0.15)


def test_people_are_followed_between_searches(folder: Path):
    """The second box shows nobody; where the joints were seen, the person is looked for in the next frame."""
    detector = build_detector("rtmpose", DetectorOptions(files=folder, detect_every=3, device="cpu"))
    assert isinstance(detector, RTMPose)
    calls = []
    find = detector.boxes.of
    detector.boxes.of = lambda frame: calls.append(1) or find(frame)  # type: ignore[method-assign]
    seen = list(detector.detect(frames(*[image((40, 50))] * 7)))
    assert len(calls) == 3
    assert len(seen) == 7
    calls.clear()
    list(detector.detect(frames(*[image((40, 50))] * 7), still=True))
    assert len(calls) == 7, "pictures have nothing to do with each other"


def test_joints_outside_the_picture_are_missing(folder: Path):
    detector = build_detector("rtmpose", DetectorOptions(files=folder, device="cpu"))
    assert isinstance(detector, RTMPose)
    dark = np.zeros((96, 128, 3), np.uint8)
    people = detector.poses(dark, np.array([[-400.0, -400.0, 10.0, 10.0]]), np.array([1.0]))
    assert people == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], "no .onnx"),
        (["rtmdet"], "one rtmdet"),
        (["pose"], "one rtmdet"),
        (["rtmdet", "yolox", "pose"], "one rtmdet"),
    ],
)
def test_a_folder_with_other_files(names: list[str], expected: str, tmp_path: Path):
    for name in names:
        boxes_model(tmp_path / f"{name}.onnx", BOXES, [0] * 4)
    with pytest.raises(InputError, match=expected):
        build_detector("rtmpose", DetectorOptions(files=tmp_path))


def test_damaged_and_wrong_models(folder: Path):
    options = DetectorOptions(files=folder, device="cpu")
    good = (folder / "rtmpose_tiny.onnx").read_bytes()
    (folder / "rtmpose_tiny.onnx").write_bytes(good[: len(good) // 2])
    with pytest.raises(InputError, match=r"rtmpose_tiny\.onnx.*damaged"):
        build_detector("rtmpose", options)
    boxes_model(folder / "rtmpose_tiny.onnx", BOXES, [0] * 4)
    with pytest.raises(InputError, match="joints"):
        list(build_detector("rtmpose", options).detect(frames(image((40, 50)))))
    pose_model(folder / "rtmpose_tiny.onnx", joints=26)
    with pytest.raises(InputError, match="17 joints of coco17"):
        list(build_detector("rtmpose", options).detect(frames(image((40, 50)))))
    halpe = build_detector("rtmpose", DetectorOptions(files=folder, device="cpu", skeleton="halpe26"))
    assert len(next(iter(halpe.detect(frames(image((40, 50))))))[0].conf) == 26
    raw_boxes_model(folder / "rtmdet_tiny.onnx", np.zeros((7, 85)))
    with pytest.raises(InputError, match="84 cells"):
        list(halpe_with(folder).detect(frames(image((40, 50)))))


def halpe_with(folder: Path):
    return build_detector("rtmpose", DetectorOptions(files=folder, device="cpu", skeleton="halpe26"))
