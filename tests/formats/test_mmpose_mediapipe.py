"""mmpose's and MediaPipe's files, in the shapes these tools write; files handed to the wrong reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keypoint_files
from keypoint_files import SIZE, people, swapped
from poselift.errors import InputError
from poselift.formats import ReadOptions, read
from poselift.structures import skeleton


def dump(folder: Path, value: Any, name: str = "a.json") -> Path:
    (folder / name).write_text(json.dumps(value))
    return folder / name


def same(path: Path, points: np.ndarray, options: ReadOptions = ReadOptions(), atol: float = 2e-3) -> None:  # noqa: B008
    found = read(path, options=options)
    assert len(found) == len(points)
    for clip, person in zip(found, points, strict=True):
        np.testing.assert_allclose(clip.kp_img, person[..., :2], atol=atol)


# mmpose


def mmpose_info(p: np.ndarray, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"frame_id": t + start, "instances": [
            {"keypoints": q[:, :2].tolist(), "keypoint_scores": q[:, 2].tolist()} for q in frame]}
        for t, frame in enumerate(swapped(p))
    ]  # fmt: skip


def test_mmpose_list_needs_a_name(tmp_path: Path) -> None:
    p = people("coco17")
    path = dump(tmp_path, mmpose_info(p, start=1))
    with pytest.raises(InputError, match="--skeleton NAME"):
        read(path)
    same(path, p, ReadOptions(skeleton="coco17"))
    assert read(path, options=ReadOptions(skeleton="coco17"))[0].frame_numbers[0] == 1


def test_mmpose_other_shapes(tmp_path: Path) -> None:
    p = people("coco17")
    info = mmpose_info(p)
    options = ReadOptions(skeleton="coco17")
    same(dump(tmp_path, [f["instances"] for f in info]), p, options)
    same(dump(tmp_path, info[0]["instances"]), p[:, :1], options)
    same(dump(tmp_path, {"predictions": [f["instances"] for f in info]}), p, options)
    older = [[{"keypoints": q["keypoints"]} for q in f["instances"]] for f in info]
    for frame, points in zip(older, swapped(p), strict=True):
        for q, person in zip(frame, points, strict=True):
            q["keypoints"] = person.tolist()
    path = dump(tmp_path, older)
    found = read(path, "mmpose", options)
    np.testing.assert_allclose(found[0].confidence, p[0, ..., 2], atol=1e-4)


def test_mmpose_empty_frames(tmp_path: Path) -> None:
    info = mmpose_info(people("coco17"))
    info[0]["instances"] = []
    info[6]["instances"] = []
    clip = read(dump(tmp_path, info), options=ReadOptions(skeleton="coco17"))[0]
    assert clip.frame_numbers.tolist() == list(range(1, 12))
    assert np.flatnonzero(~clip.seen).tolist() == [5]


def test_mmpose_layout_by_data_set_and_whole_body(tmp_path: Path) -> None:
    p = people("wholebody23")
    rest = np.full((*p.shape[:2], 110, 3), 9.0)
    value = {
        "meta_info": {"dataset_name": "coco_wholebody"},
        "instance_info": mmpose_info(np.concatenate([p, rest], 2)),
    }
    path = dump(tmp_path, value)
    same(path, p)
    assert read(path)[0].skeleton.name == "wholebody23"
    halpe = people("halpe26")
    path = dump(tmp_path, {"meta_info": {"dataset_name": "halpe26"}, "instance_info": mmpose_info(halpe)})
    same(path, halpe)


def test_mmpose_3d_predictions_are_refused(tmp_path: Path) -> None:
    q = {"keypoints": [[1, 2, 3]] * 17, "keypoint_scores": [1] * 17}
    with pytest.raises(InputError, match="3D predictions"):
        read(dump(tmp_path, [{"frame_id": 0, "instances": [q]}]), options=ReadOptions(skeleton="h36m17"))


@pytest.mark.parametrize("number", [10**9, 10**30, -1.5, "7", None])
def test_frame_numbers_that_cannot_be(number: Any, tmp_path: Path) -> None:
    info = mmpose_info(people("coco17"))
    info[11]["frame_id"] = number
    with pytest.raises(InputError, match=r"frame.number|frame_id"):
        read(dump(tmp_path, info), options=ReadOptions(skeleton="coco17"))


# MediaPipe


def landmarks(p: np.ndarray) -> list[dict[str, float]]:
    """One person (33, 3) as MediaPipe's normalised landmarks."""
    return [{"x": (x + 0.5) / SIZE[0], "y": (y + 0.5) / SIZE[1], "z": 0.0, "visibility": v} for x, y, v in p.tolist()]


@pytest.mark.parametrize("shape", ["objects", "lists", "task", "numbered", "protobuf", "flat numbers"])
def test_mediapipe_shapes(shape: str, tmp_path: Path) -> None:
    p = people("mediapipe33")[:1]
    frames = [landmarks(q) for q in p[0]]
    value: Any = {
        "objects": [{"frame_index": t, "pose_landmarks": f} for t, f in enumerate(frames)],
        "lists": frames,
        "task": [{"landmarks": [f], "worldLandmarks": []} for f in frames],
        "numbered": {str(t): f for t, f in enumerate(frames)},
        "protobuf": {"frames": [{"pose_landmarks": {"landmark": f}} for f in frames]},
        "flat numbers": [[[m["x"], m["y"], m["z"], m["visibility"]] for m in f] for f in frames],
    }[shape]
    path = dump(tmp_path, value)
    same(path, p, ReadOptions(size_wh=SIZE), atol=1e-2)
    (clip,) = read(path, options=ReadOptions(size_wh=SIZE))
    np.testing.assert_allclose(clip.confidence, p[0, ..., 2], atol=1e-4)
    with pytest.raises(InputError, match=r"give its size \(--image-size"):
        read(path)


def test_mediapipe_two_people_and_empty_frames(tmp_path: Path) -> None:
    p = people("mediapipe33")
    frames: list[Any] = [[landmarks(q) for q in frame] for frame in swapped(p)]
    frames[0], frames[4], frames[5] = None, [], [frames[5][1]]
    found = read(dump(tmp_path, frames), options=ReadOptions(size_wh=SIZE))
    assert len(found) == 2
    assert [np.flatnonzero(c.seen).tolist()[:4] for c in found] in (
        [[0, 1, 2, 5], [0, 1, 2, 4]], [[0, 1, 2, 4], [0, 1, 2, 5]],
    )  # fmt: skip
    assert all(c.frame_numbers[0] == 1 for c in found)


def test_mediapipe_that_cannot_be(tmp_path: Path) -> None:
    good = [landmarks(q) for q in people("mediapipe33")[0]]
    options = ReadOptions(size_wh=SIZE)
    for change, says in (
        (good[0][:20], "33 landmarks"),
        ([{"x": 500, "y": 2}] * 33, "parts of the image"),
        (7, "33 landmarks"),
    ):
        with pytest.raises(InputError, match=says):
            read(dump(tmp_path, [*good[:3], change]), "mediapipe", options)
    with pytest.raises(InputError, match="nobody"):
        read(dump(tmp_path, [None, []]), "mediapipe", options)
    with pytest.raises(InputError, match="image size"):
        read(dump(tmp_path, {"width": 0, "height": 5, "frames": good}))


def test_the_wrong_tool_is_named(tmp_path: Path) -> None:
    """A file of one tool handed to the reader of another: refused, not misread."""
    files = {
        n: keypoint_files.EXAMPLES[n](tmp_path).path for n in ("mmpose", "alphapose", "coco", "mediapipe", "poses-json")
    }
    for written, path in files.items():
        for asked in files:
            if asked == written or {asked, written} == {
                "coco",
                "alphapose",
            }:  # one layout, told apart by the image's name
                continue
            with pytest.raises(InputError, match=path.name):
                read(path, asked, ReadOptions(size_wh=SIZE))
    assert skeleton("coco17").joints[0] == "nose"
