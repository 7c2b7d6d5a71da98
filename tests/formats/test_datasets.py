"""Data sets' files: VideoPose3D's archives, the Gluon folders, MotionBERT's pickle, bare arrays."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keypoint_files
from keypoint_files import people
from poselift.errors import InputError
from poselift.formats import ReadOptions, read, read_motion
from poselift.formats.videopose3d_3d import KEPT
from poselift.structures import skeleton


def boxed(value: Any) -> np.ndarray:
    array = np.empty((), dtype=object)
    array[()] = value
    return array


def vp3d(path: Path, positions: Any, metadata: Any = None) -> Path:
    arrays = {"positions_2d": boxed(positions)} | ({} if metadata is None else {"metadata": boxed(metadata)})
    np.savez_compressed(path, **arrays)  # pyright: ignore[reportArgumentType]
    return path


P = people("h36m17").astype(np.float32)[..., :2]
ONE = P[0].copy()


def test_videopose3d_2d_says_who_what_and_which_camera(tmp_path: Path) -> None:
    example = keypoint_files.videopose3d_2d(tmp_path)
    found = read(example.path)
    assert [(c.meta["subject"], c.meta["action"], c.meta["camera"]) for c in found] == [
        ("S9", "Walking 1", k) for k in range(4)
    ]
    assert [c.meta["camera_id"] for c in found] == ["54138969", "55011271", "58860488", "60457274"]
    assert [c.meta["size_wh"] for c in found] == [(1000, 1002), (1000, 1000), (1000, 1000), (1000, 1002)]
    assert {c.skeleton.name for c in found} == {"h36m17"}
    assert "assumed_fps" not in found[0].meta


@pytest.mark.parametrize(
    ("meta", "joints", "expected"),
    [
        ({"layout_name": "coco"}, 17, "coco17"), ({"layout_name": "h36m"}, 17, "h36m17"),
        ({"layout_name": "mpii"}, 16, "mpii16"), ({"layout_name": "h36m"}, 16, "h36m16"),
        ({"keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]}, 17, "coco17"),
        ({"keypoints_symmetry": [[3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]]}, 16, "mpii16"),
    ],
)  # fmt: skip
def test_videopose3d_layout_is_the_stated_one(meta: dict[str, Any], joints: int, expected: str, tmp_path: Path) -> None:
    path = vp3d(
        tmp_path / "d.npz", {"S1": {"Eating": [np.ones((3, joints, 2), np.float32)]}}, {"num_joints": joints, **meta}
    )
    assert read(path)[0].skeleton.name == expected


def test_videopose3d_without_a_layout(tmp_path: Path) -> None:
    """17 joints alone say nothing: Human3.6M and COCO both have as many."""
    path = vp3d(tmp_path / "d.npz", {"S1": {"Eating": [P[0]]}})
    with pytest.raises(InputError, match="--skeleton NAME"):
        read(path)
    assert read(path, options=ReadOptions(skeleton="h36m17"))[0].skeleton.name == "h36m17"


def test_videopose3d_own_video(tmp_path: Path) -> None:
    """As its in-the-wild recipe writes it: one 'subject' per video, whose size stands in the metadata."""
    meta = {"layout_name": "coco", "num_joints": 17, "video_metadata": {"skate.mp4": {"w": 1280, "h": 720}}}
    (clip,) = read(vp3d(tmp_path / "data_2d_custom_my.npz", {"skate.mp4": {"custom": [P[0]]}}, meta))
    assert clip.meta == {
        "name": "skate.mp4/custom.0",
        "subject": "skate.mp4",
        "action": "custom",
        "camera": 0,
        "size_wh": (1280, 720),
        "assumed_fps": True,
    }


@pytest.mark.parametrize(
    ("positions", "says"),
    [
        ([], "dictionary"), ({"S1": [P[0]]}, "by subject"), ({"S1": {"A": P[0]}}, "list of cameras"),
        ({"S1": {"A": ["x"]}}, "frames, joints"), ({"S1": {"A": [P[0, 0]]}}, "frames, joints"), ({}, "no sequence"),
        ({"S1": {"A": [np.ones((3, 17, 5))]}}, "frames, joints"), ({5: {"A": [P[0]]}}, "by subject"),
        ({"S1": {"A": [np.full((3, 17, 2), np.inf)]}}, "finite"),
        ({"S1": {"A": [np.full((3, 17, 2), np.nan)]}}, "nobody"),
        ({"S1": {"A": [ONE], "B": [ONE]}}, "second time"),  # a small pickle could repeat it without end
    ],
    ids=lambda v: str(type(v)) if not isinstance(v, str) else v,
)  # fmt: skip
def test_videopose3d_that_cannot_be(positions: Any, says: str, tmp_path: Path) -> None:
    path = vp3d(tmp_path / "d.npz", positions, {"layout_name": "h36m"})
    with pytest.raises(InputError, match=says) as told:
        read(path)
    assert "d.npz" in str(told.value)


def test_videopose3d_3d_keeps_17_of_32(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).normal(0, 1, (4, 32, 3)).astype(np.float32)
    np.savez(tmp_path / "d.npz", positions_3d=boxed({"S9": {"Photo 1": raw, "Eating": raw[:2]}}))  # pyright: ignore[reportArgumentType]
    first, second = read_motion(tmp_path / "d.npz")
    assert (first.subject, first.name, first.meta["action"], first.fps) == ("S9", "S9 Photo 1", "Photo 1", 50)
    assert len(second) == 2
    np.testing.assert_array_equal(first.p_world, raw[:, KEPT])
    assert len(KEPT) == len(skeleton("h36m17"))


@pytest.mark.parametrize(
    "bad",
    [np.ones((3, 15, 3)), np.ones((3, 17, 3)), np.full((3, 32, 3), np.nan), np.full((3, 32, 3), 900.0), "x"],
    ids=["15 joints", "17 joints", "NaN", "millimetres", "text"],
)
def test_videopose3d_3d_that_cannot_be(bad: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", positions_3d=boxed({"S1": {"A": bad}}))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="positions_3d of S1, A"):
        read_motion(tmp_path / "d.npz")


def test_clips_and_motions_are_not_mixed_up(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds 3D motion"):
        read(keypoint_files.videopose3d_3d(tmp_path).path)
    with pytest.raises(InputError, match="holds keypoints"):
        read_motion(keypoint_files.videopose3d_2d(tmp_path).path)
    with pytest.raises(InputError, match="did you mean 'openpose'"):
        read(tmp_path, "open_pose")


# Gluon


def test_gluon_has_2d_3d_and_the_camera(tmp_path: Path) -> None:
    example = keypoint_files.gluon(tmp_path)
    for path in (
        example.path,
        example.path / "annot",
        next(example.path.glob("annot/*")),
        next(example.path.rglob("*.txt")),
    ):
        (clip,) = read(path)
        assert clip.meta["subject"] == "S9"
        assert clip.meta["action"] == "Walking"
        assert (clip.meta["take"], clip.meta["camera"]) == (2, 2)
        assert clip.camera is not None
        assert clip.camera.size_wh == (1000, 1002)
        assert clip.p_cam is not None
        assert example.kp_img is not None
        assert clip.p_world is not None
        np.testing.assert_allclose(clip.camera.project(clip.p_cam), example.kp_img[0], atol=0.02)
        assert 0.5 < clip.p_world[:, 0, 2].mean() < 1.3, "metres, z up"


def test_gluon_lines_that_cannot_be(tmp_path: Path) -> None:
    file = next(keypoint_files.gluon(tmp_path).path.rglob("*.txt"))
    good = file.read_text().splitlines()
    changes = {
        0: ("1000000000", "cut off"), 1: ("size 0 0", "image size"), 2: ("R " + "1 " * 9, "rigid"),
        3: ("T 1 2", "line 4"), 4: ("f -1 5", "focal"), 5: ("c a b", "line 6"),
        8: ("inds " + "33 " * 17, "joint numbers"), 10: ("pose " + "nan " * 96, "line 11"),
    }  # fmt: skip
    for line, (text, says) in changes.items():
        file.write_text("\n".join([*good[:line], text, *good[line + 1 :]]))
        with pytest.raises(InputError, match=says) as told:
            read(file)
        assert "matlab_meta.txt" in str(told.value)
    file.write_text("\n".join(good[:-1]))
    with pytest.raises(InputError, match="cut off"):
        read(file)


# MotionBERT and arrays


def test_motionbert_that_cannot_be(tmp_path: Path) -> None:
    for value, says in (
        ({"test": {"joint_2d": "x"}}, "joint_2d"), ({"test": {"joint_2d": np.ones((3, 16, 2))}}, "17 of h36m17"),
        ({"test": {"joint_2d": P[0], "confidence": np.ones(3)}}, "confidence"),
        ({"test": {"joint_2d": P[0], "source": ["a"]}}, "source"), ({"x": 1}, "splits"), ([1], "splits"),
    ):  # fmt: skip
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(value))
        with pytest.raises(InputError, match=says):
            read(tmp_path / "a.pkl", "motionbert-pkl")


COCO = ReadOptions(skeleton="coco17")
Q = people("coco17")


@pytest.mark.parametrize("channels", [2, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32])
def test_arrays_of_one_person(channels: int, dtype: type, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", Q[0, ..., :channels].round().astype(dtype))
    (clip,) = read(tmp_path / "a.npy", options=COCO)
    np.testing.assert_allclose(clip.kp_img, Q[0, ..., :2], atol=1)
    with pytest.raises(InputError, match="--skeleton NAME"):
        read(tmp_path / "a.npy")
    with pytest.raises(InputError, match="26 of halpe26, found 17"):
        read(tmp_path / "a.npy", options=ReadOptions(skeleton="halpe26"))


def test_arrays_of_several_people(tmp_path: Path) -> None:
    """Stacked with rows of zeros for nobody; or one array of people per frame, None for an empty one."""
    stacked = np.stack([np.stack(f) for f in keypoint_files.swapped(Q)])
    stacked[6, 1] = 0
    np.save(tmp_path / "a.npy", stacked)
    ragged = np.empty(12, dtype=object)
    for t in range(12):
        ragged[t] = stacked[t] if t != 6 else stacked[t, :1]
    ragged[3] = None
    np.save(tmp_path / "b.npy", ragged, allow_pickle=True)
    for file, lost in (("a.npy", [6]), ("b.npy", [3, 6])):
        found = read(tmp_path / file, options=COCO)
        assert len(found) == 2
        unseen = [np.flatnonzero(~c.seen).tolist() for c in found]
        assert sorted(unseen) == sorted([lost, [f for f in lost if f != 6]])


def test_arrays_with_scores_beside_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", keypoints=Q[0, ..., :2], scores=Q[0, ..., 2])
    (clip,) = read(tmp_path / "a.npz", options=COCO)
    np.testing.assert_allclose(clip.confidence, Q[0, ..., 2], atol=1e-5)
    np.savez(tmp_path / "a.npz", keypoints=Q[0, ..., :2], scores=Q[0, :5, :, 2])
    with pytest.raises(InputError, match="scores"):
        read(tmp_path / "a.npz", options=COCO)


@pytest.mark.parametrize(
    "bad", [np.ones((17, 2)), np.ones((3, 17, 4)), np.array(["a"]), np.ones((0, 17, 2)), np.full((3, 17, 2), np.nan),
            np.ones((2, 2, 2, 17, 2)), np.full((3, 17, 2), np.inf)],
    ids=lambda a: f"{a.dtype}{a.shape}",
)  # fmt: skip
def test_arrays_that_cannot_be(bad: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", bad)
    with pytest.raises(InputError, match=r"a\.npy"):
        read(tmp_path / "a.npy", "array", COCO)


def test_no_numbers_hidden_in_text(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"kp_img": "1" * 100, "skeleton": "coco17"}))
    with pytest.raises(InputError, match="kp_img: expected a list"):
        read(tmp_path / "a.json")
