"""Rows to clips, the same for every reader: identities, gaps, empty frames, numbers that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keypoint_files import people
from poselift.errors import InputError
from poselift.formats import ReadOptions
from poselift.formats.layouts import by_names, fit, frames_of_names
from poselift.formats.people import clips_from_rows, numbers, triplets
from poselift.structures import Camera, Clip, skeleton

FILE = Path("input.json")


def clips(points: np.ndarray, frame: Any, **more: Any) -> list[Clip]:
    return clips_from_rows(
        **{
            "file": FILE,
            "skeleton": skeleton("coco17"),
            "frame": np.asarray(frame),
            "kp_img": points[..., :2],
            "conf": points[..., 2],
            "options": ReadOptions(),
            **more,
        }
    )


def test_two_people_swapping_order_stay_two_tracks() -> None:
    p = people("coco17", 30)
    rows = np.concatenate([p[:, t][:: 1 if t % 2 else -1] for t in range(30)])
    found = clips(rows, np.repeat(np.arange(30), 2))
    assert len(found) == 2
    order = np.argsort([c.kp_img[0, :, 0].mean() for c in found])
    for k, person in zip(order, p, strict=True):
        np.testing.assert_allclose(found[k].kp_img, person[..., :2], atol=1e-3)


def test_stated_identities_win() -> None:
    p = people("coco17")
    found = clips(p.reshape(-1, 17, 3), [*range(12)] * 2, track=np.array([7] * 6 + [3] * 6 + [3] * 6 + [7] * 6))
    assert [c.track_id for c in found] == [3, 7]
    np.testing.assert_allclose(found[0].kp_img[:6], p[1, :6, :, :2], atol=1e-3)
    np.testing.assert_allclose(found[0].kp_img[6:], p[0, 6:, :, :2], atol=1e-3)


def test_gaps_and_empty_frames_shift_nothing() -> None:
    p = people("coco17")[0]
    p[5, :, 2] = 0
    kept = [2, 3, 5, 8, 9]
    (clip,) = clips(p[kept], kept)
    assert clip.frame_numbers.tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
    assert clip.seen.tolist() == [True, True, False, False, False, False, True, True]
    for at, frame in enumerate(clip.frame_numbers):
        if clip.seen[at]:
            np.testing.assert_allclose(clip.kp_img[at], p[frame, :, :2], atol=1e-3)


def test_one_frame() -> None:
    (clip,) = clips(people("coco17")[0][:1], [41])
    assert clip.frame_numbers.tolist() == [41]


def test_nan_is_a_missing_joint_and_infinity_an_error() -> None:
    p = people("coco17")[0]
    p[3, 4, 1] = np.nan
    p[4, 5, 2] = np.nan
    (clip,) = clips(p, np.arange(12))
    assert clip.confidence[3, 4] == 0
    assert clip.confidence[4, 5] == 0
    assert (clip.confidence > 0).sum() == 12 * 17 - 2
    for bad in (np.inf, -np.inf, 1e300):
        p[3, 4, 0] = bad
        with pytest.raises(InputError, match=r"input\.json: keypoints: expected finite pixels"):
            clips(p, np.arange(12))


def test_nobody() -> None:
    p = people("coco17")[0]
    for nobody in (p * (1, 1, 0), p * np.nan, p[:0]):
        with pytest.raises(InputError, match="nobody in any frame"):
            clips(nobody, np.arange(len(nobody)))


def test_a_billion_frames() -> None:
    p = people("coco17")[0][:2]
    with pytest.raises(InputError, match="2 rows spread over 1,000,000,001 frames"):
        clips(p, [0, 10**9])
    with pytest.raises(InputError, match="gaps that make sense"):
        clips(p, [-(2**62), 2**62], track=np.zeros(2, int))
    many = np.repeat(p, 600, 0)
    with pytest.raises(InputError, match="gaps that make sense"):
        clips(many, [0] * 600 + [20_000] * 600, track=np.tile(np.arange(600), 2))


def test_the_more_confident_of_two_rows() -> None:
    p = people("coco17")[0][[0, 1, 1]]
    p[1, :, 2], p[2, :, 2] = 0.2, 0.9
    (clip,) = clips(p, [0, 1, 1], track=np.zeros(3, int))
    np.testing.assert_allclose(clip.kp_img[1], p[2, :, :2], atol=1e-3)
    assert clip.confidence[1, 0] == pytest.approx(0.9)


def test_what_the_user_says_goes_first() -> None:
    p = people("coco17")[0]
    size, camera = (1920, 1080), Camera.from_fov(size_wh=(640, 480))
    (plain,) = clips(p, range(12))
    assert plain.fps == 30
    assert plain.camera is None
    assert plain.meta == {"assumed_fps": True}
    (stated,) = clips(p, range(12), fps=25, size_wh=size)
    assert (stated.fps, stated.meta) == (25, {"size_wh": size})
    (said,) = clips(p, range(12), fps=25, size_wh=size, options=ReadOptions(fps=50, camera=camera))
    assert said.fps == 50
    assert said.camera is camera
    assert said.meta == {}
    (sized,) = clips(p, range(12), size_wh=size, options=ReadOptions(size_wh=(4, 3)))
    assert sized.meta["size_wh"] == (4, 3)
    for bad in (0, -25, float("nan"), "25", True, [25], {}):
        with pytest.raises(InputError, match=r"input\.json: fps"):
            clips(p, range(12), fps=bad)


@pytest.mark.parametrize(
    "wrong",
    [{"fps": 0.0}, {"fps": -1.0}, {"fps": float("nan")}, {"fps": float("inf")}, {"size_wh": (0, 5)},
     {"size_wh": (5, -5)}, {"size_wh": (10**9, 5)}, {"skeleton": "coco-17"}],
    ids=str,
)  # fmt: skip
def test_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ReadOptions(**wrong)


def test_3d_over_a_gap_is_interpolated() -> None:
    p = people("coco17")[0][[0, 4]]
    three = np.stack([np.zeros((17, 3)), np.full((17, 3), 8.0)])
    (clip,) = clips(p, [0, 4], track=np.zeros(2, int), p_root=three, root_cam=three[:, 0])
    assert clip.p_root is not None
    assert clip.root_cam is not None
    np.testing.assert_allclose(clip.p_root[:, 5, 1], [0, 2, 4, 6, 8])
    np.testing.assert_allclose(clip.root_cam[:, 0], [0, 2, 4, 6, 8])
    assert clip.seen.tolist() == [True, False, False, False, True]


def test_lists_of_numbers() -> None:
    assert numbers([[1, None], [2, 3]], (None, 2), file=FILE, field="a").shape == (2, 2)
    assert numbers([], (None, 17, 2), file=FILE, field="a").shape == (0, 17, 2)
    for bad in ([[1], [2, 3]], [["x", 1]], [1, 2], 5, [[{}, 1]], [[[1, 2]]], [[10**400, 1]]):
        with pytest.raises(InputError, match=r"input\.json: a: expected n x 2 numbers"):
            numbers(bad, (None, 2), file=FILE, field="a")
    assert triplets([[1, 2, 3] * 17], file=FILE, field="k").shape == (1, 17, 3)
    for bad in ([[1, 2]], [[]], [None], [[1, 2, 3], [1, 2, 3, 4, 5, 6]], [[1, 2, "x"]]):
        with pytest.raises(InputError, match=r"input\.json: k"):
            triplets(bad, file=FILE, field="k")


def test_skeleton_by_the_names_of_joints() -> None:
    coco = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
    coco += [f"{s}_{j}" for j in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for s in ("left", "right")]
    found = by_names(coco)
    assert found is not None
    assert found[0].name == "coco17"
    assert found[1].tolist() == list(range(17))
    shuffled = by_names([n.upper().replace("_", " ") for n in coco[::-1]])
    assert shuffled is not None
    assert shuffled[1].tolist() == list(range(17))[::-1]
    h36m = "root right_hip right_knee right_foot left_hip left_knee left_foot spine thorax neck_base head left_shoulder"
    named = by_names([*h36m.split(), "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"])
    assert named is not None
    assert named[0].name == "h36m17"
    assert named[1].tolist() == list(range(17))
    assert by_names([str(i) for i in range(17)]) is None


def test_the_body_of_whole_body_layouts() -> None:
    for count, name, body in ((133, "wholebody23", 23), (136, "halpe26", 26)):
        points = np.zeros((2, count, 3))
        chosen, cut = fit(points, None, ReadOptions(), file=FILE)
        assert (chosen.name, cut.shape) == (name, (2, body, 3))
    with pytest.raises(InputError, match=r"a name for its 17 joints \(--skeleton NAME\)"):
        fit(np.zeros((2, 17, 3)), None, ReadOptions(), file=FILE)
    assert fit(np.zeros((2, 17, 3)), "coco17", ReadOptions(skeleton="h36m17"), file=FILE)[0].name == "h36m17"


@pytest.mark.parametrize(
    ("names", "frames"),
    [
        (["0.jpg", "2.jpg", "10.jpg"], [0, 2, 10]), (["cam2_f_0007.png", "cam2_f_0009.png"], [7, 9]),
        (["a.jpg", "b.jpg"], [0, 1]), (["000000397133.jpg", "000000000785.jpg"], [0, 1]),
        (["1.jpg", "x/1.jpg"], [0, 1]),        (["99999999999999999999.jpg"], [0]), ([], []),
    ],
)  # fmt: skip
def test_frame_numbers_of_names(names: list[str], frames: list[int]) -> None:
    assert frames_of_names(names).tolist() == frames
