"""Detectors' files: COCO, OpenPose and AlphaPose, in the shapes these tools write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keypoint_files
from keypoint_files import FRAMES, SIZE, people, swapped
from poselift.errors import InputError
from poselift.formats import ReadOptions, read


def dump(folder: Path, value: Any, name: str = "a.json") -> Path:
    (folder / name).write_text(json.dumps(value))
    return folder / name


def same(path: Path, points: np.ndarray, options: ReadOptions = ReadOptions(), atol: float = 2e-3) -> None:  # noqa: B008
    found = read(path, options=options)
    assert len(found) == len(points)
    for clip, person in zip(found, points, strict=True):
        np.testing.assert_allclose(clip.kp_img, person[..., :2], atol=atol)


# COCO


def coco_annotations(p: np.ndarray, **changes: Any) -> dict[str, Any]:
    """COCO annotations of a video, people in changing order."""
    names = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
    names += [f"{s}_{j}" for j in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for s in ("left", "right")]
    seen = np.concatenate([p[..., :2], np.full((*p.shape[:3], 1), 2)], -1)
    value = {
        "images": [
            {"id": 900 + t, "file_name": f"f_{t:05d}.jpg", "width": SIZE[0], "height": SIZE[1]} for t in range(FRAMES)
        ],
        "annotations": [
            {"id": 2 * t + k, "image_id": 900 + t, "category_id": 1, "keypoints": q.ravel().tolist()}
            for t, frame in enumerate(swapped(seen)) for k, q in enumerate(frame)
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": names, "skeleton": []}],
    }  # fmt: skip
    return {**value, **changes}


def test_coco_annotations(tmp_path: Path) -> None:
    p = people("coco17")
    path = dump(tmp_path, coco_annotations(p))
    same(path, p)
    clip = read(path)[0]
    assert clip.skeleton.name == "coco17"
    assert clip.meta["size_wh"] == SIZE


def test_coco_visibility_becomes_confidence(tmp_path: Path) -> None:
    value = coco_annotations(people("coco17"))
    value["annotations"] = value["annotations"][:1]
    value["annotations"][0]["keypoints"][2:9:3] = [0, 1, 2]
    assert read(dump(tmp_path, value))[0].confidence[0, :4].tolist() == [0, 0.5, 1, 1]


def test_coco_names_say_which_joint_is_which(tmp_path: Path) -> None:
    p = people("coco17")
    value = coco_annotations(p)
    value["categories"][0]["keypoints"].reverse()
    same(dump(tmp_path, value), p[:, :, ::-1])


def test_coco_tracks_videos_and_frames(tmp_path: Path) -> None:
    """Two videos, frame_id against the order of ids, people with identities."""
    p = people("coco17")
    value = coco_annotations(p)
    for t, image in enumerate(value["images"]):
        image.update(video_id=t % 2, frame_id=FRAMES - t)
    for k, a in enumerate(value["annotations"]):
        a["track_id"] = 30 + (k % 2 if (k // 2) % 3 != 1 else 1 - k % 2)
    found = read(dump(tmp_path, value))
    assert [(c.meta["video"], c.track_id) for c in found] == [("0", 30), ("0", 31), ("1", 30), ("1", 31)]
    assert len({c.meta["name"] for c in found}) == 2  # a scene each
    assert found[0].frame_numbers.tolist() == list(range(2, 13))
    assert found[0].seen.tolist() == [t % 2 == 0 for t in range(2, 13)]
    np.testing.assert_allclose(found[0].kp_img[-1], p[0, 0, :, :2], atol=1e-3)
    np.testing.assert_allclose(found[1].kp_img[0], p[1, 10, :, :2], atol=1e-3)


def test_coco_photographs_are_no_video_of_a_billion_frames(tmp_path: Path) -> None:
    """Image ids of COCO are identifiers: they become 0, 1, 2 in order, not a gap of hundreds of thousands."""
    p = people("coco17", 3)[0]
    value = [
        {"image_id": i, "category_id": 1, "keypoints": q.ravel().tolist(), "score": 0.5}
        for i, q in zip((785, 10**9, 397133), p, strict=True)
    ]
    (clip,) = read(dump(tmp_path, value))
    assert clip.frame_numbers.tolist() == [0, 1, 2]
    np.testing.assert_allclose(clip.kp_img[1], p[2, :, :2], atol=1e-3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"annotations": []}, "no.*format|nobody"), ({"images": []}, "images that are listed"),
        ({"annotations": [{"image_id": 900, "keypoints": [1, 2, 3] * 5}]}, "joint"),
        ({"annotations": [{"image_id": 900, "keypoints": [1, 2]}]}, "x, y, confidence"),
        ({"annotations": [{"keypoints": [1, 2, 3]}]}, "image_id"), ({"images": [{"name": 5}]}, "with 'id'"),
        ({"annotations": [{"image_id": 900, "keypoints": [0] * 51}]}, "nobody"),
    ],
)  # fmt: skip
def test_coco_that_cannot_be(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        read(dump(tmp_path, coco_annotations(people("coco17"), **change)), "coco")


# OpenPose


def test_openpose_older_layout(tmp_path: Path) -> None:
    example = keypoint_files.openpose(tmp_path, coco18=True)
    assert example.kp_img is not None
    same(example.path, example.kp_img)
    assert read(example.path)[0].skeleton.name == "coco17"


def test_openpose_missing_and_empty_files_are_gaps(tmp_path: Path) -> None:
    example = keypoint_files.openpose(tmp_path)
    (example.path / "walk_000000000004_keypoints.json").unlink()
    (example.path / "walk_000000000007_keypoints.json").write_text('{"version": 1.3, "people": []}')
    assert example.kp_img is not None
    found = read(example.path)
    assert len(found) == 2
    for clip, kp in zip(found, example.kp_img, strict=True):
        assert np.flatnonzero(~clip.seen).tolist() == [4, 7]
        np.testing.assert_allclose(clip.kp_img[clip.seen], kp[clip.seen], atol=2e-3)


def test_openpose_zeros_are_missing(tmp_path: Path) -> None:
    q = people("body25")[0, 0]
    q[3] = 0
    (clip,) = read(dump(tmp_path, {"people": [{"pose_keypoints_2d": q.ravel().tolist()}]}))
    assert clip.confidence[0, 3] == 0
    assert (clip.confidence > 0).sum() == 24


def test_openpose_body25b_where_the_user_says_so(tmp_path: Path) -> None:
    q = people("body25b")[0, 0]
    path = dump(tmp_path, {"people": [{"pose_keypoints_2d": q.ravel().tolist()}]})
    assert read(path)[0].skeleton.name == "body25"
    (clip,) = read(path, options=ReadOptions(skeleton="body25b"))
    assert clip.skeleton.name == "body25b"
    np.testing.assert_allclose(clip.kp_img[0], q[:, :2], atol=2e-3)


def test_openpose_identities(tmp_path: Path) -> None:
    example = keypoint_files.openpose(tmp_path)
    for t, file in enumerate(sorted(example.path.iterdir())):
        value = json.loads(file.read_text())
        for k, person in enumerate(value["people"]):
            person["person_id"] = [50 + (k if t % 3 != 1 else 1 - k)]
        file.write_text(json.dumps(value))
    assert [c.track_id for c in read(example.path)] == [50, 51]


@pytest.mark.parametrize(
    "name", ["walk_000001000000000_keypoints.json", "other_000000000003_keypoints.json", "x_keypoints.json"]
)
def test_openpose_file_names_that_make_no_recording(name: str, tmp_path: Path) -> None:
    example = keypoint_files.openpose(tmp_path)
    shutil.copy(example.path / "walk_000000000003_keypoints.json", example.path / name)
    with pytest.raises(InputError, match=r"json: (frame numbers|file names)"):
        read(example.path)


def test_openpose_folder_with_a_bad_file_names_it(tmp_path: Path) -> None:
    example = keypoint_files.openpose(tmp_path)
    for bad in (b"", b'{"people": [', b'{"people": 5}', b"[1]"):
        (example.path / "walk_000000000005_keypoints.json").write_bytes(bad)
        with pytest.raises(InputError, match="walk_000000000005_keypoints"):
            read(example.path)


def test_openpose_in_parts_of_the_image(tmp_path: Path) -> None:
    q = people("body25")[0, 0] / (1000, 800, 1)
    with pytest.raises(InputError, match="keypoint_scale 0"):
        read(dump(tmp_path, {"people": [{"pose_keypoints_2d": q.ravel().tolist()}]}))
    with pytest.raises(InputError, match="nobody"):
        read(dump(tmp_path, {"people": []}))


# AlphaPose


def alphapose(p: np.ndarray, **more: Any) -> list[dict[str, Any]]:
    return [
        {"image_id": f"{t}.jpg", "category_id": 1, "keypoints": q.ravel().tolist(), "score": 2.0, **more}
        for t, frame in enumerate(swapped(p)) for q in frame
    ]  # fmt: skip


@pytest.mark.parametrize(("count", "name"), [(17, "coco17"), (26, "halpe26"), (16, "mpii16")])
def test_alphapose_layouts(count: int, name: str, tmp_path: Path) -> None:
    p = people(name)
    path = dump(tmp_path, alphapose(p))
    same(path, p)
    assert read(path)[0].skeleton.name == name
    assert len(read(path)[0].skeleton) == count


@pytest.mark.parametrize(("count", "name"), [(136, "halpe26"), (133, "wholebody23")])
def test_alphapose_whole_bodies(count: int, name: str, tmp_path: Path) -> None:
    p = people(name)
    rest = np.full((*p.shape[:2], count - p.shape[2], 3), 9.0)
    path = dump(tmp_path, alphapose(np.concatenate([p, rest], 2)))
    same(path, p)
    assert read(path)[0].skeleton.name == name


def test_alphapose_identities_and_their_absence(tmp_path: Path) -> None:
    p = people("halpe26")
    for idx in (0, [0.0], [[1.0], [2.0]], None):  # as it writes them without tracking
        same(dump(tmp_path, alphapose(p, idx=idx)), p)
    value = alphapose(p)
    for t in range(FRAMES):
        for k in range(2):
            value[2 * t + k]["idx"] = 5 + (k if t % 3 != 1 else 1 - k)
    found = read(dump(tmp_path, value))
    assert [c.track_id for c in found] == [5, 6]
    np.testing.assert_allclose(found[1].kp_img, p[1, ..., :2], atol=1e-3)


def test_alphapose_frames_without_anybody(tmp_path: Path) -> None:
    value = [v for v in alphapose(people("halpe26")) if v["image_id"] not in ("0.jpg", "5.jpg")]
    clip = read(dump(tmp_path, value))[0]
    assert clip.frame_numbers.tolist() == list(range(1, 12))
    assert np.flatnonzero(~clip.seen).tolist() == [4]


def test_alphapose_unknown_count(tmp_path: Path) -> None:
    p = np.ones((1, 3, 21, 3))
    with pytest.raises(InputError, match="a name for its 21 joints"):
        read(dump(tmp_path, alphapose(p)))
