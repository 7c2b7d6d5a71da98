"""Conversions between skeletons: where each joint comes from, and what becomes of confidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from poselift.errors import InputError
from poselift.structures import SKELETONS, Clip, skeleton
from poselift.structures.conversions import CONVERSIONS, convert, convert_points

PAIRS = sorted(CONVERSIONS)
LIMBS = [s + n for s in ("l_", "r_") for n in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")]


def points(name: str, t: int = 4, d: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(100, 900, (t, len(SKELETONS[name]), d))


def one(name: str, **places: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """One frame of a skeleton in which only the named joints are seen."""
    body = skeleton(name)
    kp, conf = np.zeros((1, len(body), 2)), np.zeros((1, len(body)))
    for joint, at in places.items():
        kp[0, body.index(joint)], conf[0, body.index(joint)] = at, 1
    return kp, conf


def joint(name: str, made: tuple[np.ndarray, np.ndarray]) -> tuple[list[float], float]:
    k = skeleton("h36m17").index(name)
    return made[0][0, k].round(6).tolist(), round(float(made[1][0, k]), 6)


def test_every_skeleton_comes_to_h36m17() -> None:
    assert {a for a, b in PAIRS if b == "h36m17"} | {"h36m17"} == set(SKELETONS)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_joints_of_the_same_place_stay(pair: tuple[str, str]) -> None:
    src, dst = map(skeleton, pair)
    kp = points(pair[0])
    conf = np.random.default_rng(1).uniform(0.1, 1, kp.shape[:2])
    out, out_conf = convert_points(kp, conf, *pair)
    assert out.shape == (4, len(dst), 2)
    for name in LIMBS:
        np.testing.assert_array_equal(out[:, dst.index(name)], kp[:, src.index(name)])
        np.testing.assert_array_equal(out_conf[:, dst.index(name)], conf[:, src.index(name)])


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_mirroring_commutes(pair: tuple[str, str]) -> None:
    """Left and right are never mixed up: flip, then convert, is convert, then flip."""
    src, dst = map(skeleton, pair)
    kp = points(pair[0])
    conf = np.where(np.random.default_rng(2).uniform(size=kp.shape[:2]) < 0.3, 0, 0.8)
    mirror = kp * (-1, 1)
    a, a_conf = convert_points(mirror[:, list(src.flip)], conf[:, list(src.flip)], *pair)
    b, b_conf = convert_points(kp, conf, *pair)
    np.testing.assert_allclose(a, b[:, list(dst.flip)] * (-1, 1), atol=1e-9)
    np.testing.assert_allclose(a_conf, b_conf[:, list(dst.flip)], atol=1e-12)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_moving_scaling_and_turning_commute(pair: tuple[str, str]) -> None:
    """Every joint is an affine combination (weights sum to 1): it moves with the image, or with the space."""
    for d in (2, 3):
        kp = points(pair[0], d=d)
        conf = np.ones(kp.shape[:2])
        linear, shift = np.random.default_rng(3).normal(size=(d, d)), np.full(d, 70.0)
        a, _ = convert_points(kp @ linear.T + shift, conf, *pair)
        b, _ = convert_points(kp, conf, *pair)
        np.testing.assert_allclose(a, b @ linear.T + shift, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_all_seen_is_all_there_and_nothing_is_nothing(pair: tuple[str, str]) -> None:
    kp = points(pair[0])
    _, conf = convert_points(kp, np.ones(kp.shape[:2]), *pair)
    assert (conf > 0.7).all()
    assert (conf <= 1).all()
    out, conf = convert_points(kp, np.zeros(kp.shape[:2]), *pair)
    assert not conf.any()
    assert not out.any()


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@settings(max_examples=25, deadline=None, database=None)
@given(data=st.data())
def test_confidence_of_any_pattern(pair: tuple[str, str], data: st.DataObject) -> None:
    """Never above the best that was seen; zero exactly where there is no point; frames do not see each other."""
    kp = points(pair[0], t=3)
    shape = kp.shape[:2]
    conf = data.draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.0, 0.3, 1.0])))
    kp = np.where(conf[..., None] > 0, kp, 0)
    out, out_conf = convert_points(kp, conf, *pair)
    assert (out_conf >= 0).all()
    assert (out_conf.max(1) <= conf.max(1) + 1e-12).all()
    assert ((out_conf > 0) == (out != 0).any(-1)).all()
    for t in range(3):
        alone, alone_conf = convert_points(kp[t : t + 1], conf[t : t + 1], *pair)
        np.testing.assert_allclose(alone[0], out[t], atol=1e-9)
        np.testing.assert_allclose(alone_conf[0], out_conf[t], atol=1e-12)


def test_middles_of_coco() -> None:
    made = convert_points(
        *one("coco17", l_hip=(0, 0), r_hip=(10, 4), l_shoulder=(0, 100), r_shoulder=(10, 104)), "coco17"
    )
    assert joint("pelvis", made) == ([5, 2], 1)
    assert joint("thorax", made) == ([5, 102], 1)
    assert joint("spine", made) == ([5, 52], 1)


def test_one_hip_stands_for_the_pelvis_with_less_confidence() -> None:
    made = convert_points(*one("coco17", l_hip=(8, 6), l_shoulder=(0, 100)), "coco17")
    assert joint("pelvis", made) == ([8, 6], 0.5)
    assert joint("thorax", made) == ([0, 100], 0.5)
    assert joint("r_hip", made) == ([0, 0], 0)


def test_no_spine_from_one_end() -> None:
    made = convert_points(*one("coco17", l_shoulder=(0, 100), r_shoulder=(10, 100)), "coco17")
    assert joint("spine", made) == ([0, 0], 0)
    assert joint("pelvis", made) == ([0, 0], 0)


def test_a_spine_below_head_and_shoulders() -> None:
    """A half body: the spine is guessed away from the head, with little confidence."""
    kp, conf = one("coco17", l_shoulder=(-10, 100), r_shoulder=(10, 100), l_ear=(-5, 60), r_ear=(5, 60))
    (x, y), c = joint("spine", convert_points(kp, conf, "coco17"))
    assert x == 0
    assert 140 < y < 150
    assert 0 < c < 0.3


@pytest.mark.parametrize("name", ["coco17", "wholebody23", "mediapipe33", "body25", "halpe26"])
def test_head_points_lie_on_the_line_to_the_ears(name: str) -> None:
    """Chin-high `nose` between shoulders and ears, `head_top` a little above the ears, not at the tip of the nose."""
    places = {"l_shoulder": (-20, 100), "r_shoulder": (20, 100), "l_ear": (-8, 50), "r_ear": (8, 50), "nose": (0, 60)}
    made = convert_points(*one(name, **places), name)
    for target, low, high in (("nose", 65, 75), ("head_top", 35, 48)):
        (x, y), c = joint(target, made)
        assert x == 0
        assert low < y < high, target
        assert 0.8 < c < 1


@pytest.mark.parametrize("lost", [("l_ear",), ("l_ear", "r_ear"), ("l_ear", "r_ear", "l_eye", "r_eye")])
def test_head_without_ears_comes_from_eyes_then_nose(lost: tuple[str, ...]) -> None:
    """A profile, a hood, a mask: still near the same place, and trusted less."""
    places = {
        "l_shoulder": (-20, 100), "r_shoulder": (20, 100), "l_ear": (-8, 50), "r_ear": (8, 50), "l_eye": (-4, 47),
        "r_eye": (4, 47), "nose": (0, 56),
    }  # fmt: skip
    whole = convert_points(*one("coco17", **places), "coco17")
    part = convert_points(*one("coco17", **{k: v for k, v in places.items() if k not in lost}), "coco17")
    for target in ("nose", "head_top"):
        np.testing.assert_allclose(joint(target, part)[0], joint(target, whole)[0], atol=10)
        assert joint(target, part)[1] < joint(target, whole)[1]


def test_detectors_own_middles_are_used() -> None:
    places = {"pelvis": (3, 3), "l_hip": (0, 0), "r_hip": (10, 0), "neck": (7, 90), "l_shoulder": (0, 100)}
    for name in ("body25", "halpe26"):
        made = convert_points(*one(name, **places), name)
        assert joint("pelvis", made) == ([3, 3], 1)
    made = convert_points(*one("mpii16", pelvis=(3, 3), thorax=(3, 90), neck=(3, 110), head_top=(3, 150)), "mpii16")
    assert joint("thorax", made) == ([3, 90], 1)
    assert joint("nose", made) == ([3, 110], 1)
    assert joint("spine", made) == ([3, 46.5], 1)
    kp, conf = one("body25", l_hip=(0, 0), r_hip=(10, 0), neck=(7, 90))
    made = convert_points(kp, conf, "body25")
    assert joint("pelvis", made) == ([5, 0], 0.9)
    assert joint("thorax", made) == ([7, 90], 0.9)


def test_body25b_is_mapped_by_the_published_rule() -> None:
    """By the numbers of the published code."""
    kp = points("body25b")
    out, conf = convert_points(kp, np.ones(kp.shape[:2]), "body25b")
    pelvis, neck = (kp[:, 11] + kp[:, 12]) / 2, kp[:, 17]
    want = [pelvis, *(kp[:, i] for i in (12, 14, 16, 11, 13, 15)), (neck + pelvis) / 2, neck, kp[:, 0], kp[:, 18],
            *(kp[:, i] for i in (5, 7, 9, 6, 8, 10))]  # fmt: skip
    np.testing.assert_allclose(out, np.stack(want, 1))
    assert (conf == 1).all()
    assert skeleton("body25b").joints[19:] == (
        "l_big_toe", "l_small_toe", "l_heel", "r_big_toe", "r_small_toe", "r_heel"
    )  # fmt: skip


@pytest.mark.parametrize("lost", ["l_hip", "r_hip", "neck"])
def test_a_middle_of_body25b_needs_both_ends(lost: str) -> None:
    places = {"l_hip": (0, 0), "r_hip": (10, 4), "neck": (5, 102), "nose": (5, 120), "l_shoulder": (0, 99)}
    made = convert_points(*one("body25b", **places), "body25b")
    assert joint("pelvis", made) == ([5, 2], 1)
    assert joint("spine", made) == ([5, 52], 1)
    del places[lost]
    made = convert_points(*one("body25b", **places), "body25b")
    assert joint("pelvis", made)[1] == (lost == "neck")
    assert joint("thorax", made)[1] == (lost != "neck"), "nor do the shoulders stand in"
    assert joint("spine", made) == ([0, 0], 0)
    assert joint("nose", made) == ([5, 120], 1)


def test_sixteen_joints_and_back() -> None:
    kp = points("h36m16")
    conf = np.ones(kp.shape[:2])
    up, up_conf = convert_points(kp, conf, "h36m16")
    down, _ = convert_points(up, up_conf, "h36m17", "h36m16")
    np.testing.assert_array_equal(down, kp)
    thorax, head = kp[:, skeleton("h36m16").index("thorax")], kp[:, skeleton("h36m16").index("head_top")]
    np.testing.assert_allclose(up[:, skeleton("h36m17").index("nose")], 0.53 * thorax + 0.47 * head)


def test_unknown_pairs_and_shapes() -> None:
    kp = points("coco17")
    with pytest.raises(InputError, match="no conversion from coco17 to body25"):
        convert_points(kp, np.ones(kp.shape[:2]), "coco17", "body25")
    with pytest.raises(InputError, match="did you mean 'coco17'"):
        convert_points(kp, np.ones(kp.shape[:2]), "coco_17")
    with pytest.raises(InputError, match="for halpe26"):
        convert_points(kp, np.ones(kp.shape[:2]), "halpe26")


def test_clip_with_3d_is_taken_along() -> None:
    rng = np.random.default_rng(4)
    body = skeleton("coco17")
    p_cam = rng.normal(size=(5, 17, 3)).astype(np.float32) + np.array([0, 0, 4], np.float32)
    root = p_cam[:, body.root]
    clip = Clip(
        skeleton=body, fps=25, kp_img=rng.uniform(0, 100, (5, 17, 2)), p_root=p_cam - root[:, None], root_cam=root,
        frames=np.arange(7, 12), track_id=3, meta={"a": 1},
    )  # fmt: skip
    made = convert(clip)
    assert made.skeleton.name == "h36m17"
    assert (made.track_id, made.meta, made.frame_numbers.tolist()) == (3, {"a": 1}, [7, 8, 9, 10, 11])
    assert made.p_root is not None
    assert made.p_cam is not None
    np.testing.assert_allclose(made.p_root[:, 0], 0, atol=1e-6)
    hips = p_cam[:, body.indices("l_hip", "r_hip")].mean(1)
    np.testing.assert_allclose(made.p_cam[:, 0], hips, atol=1e-5)
    np.testing.assert_allclose(made.p_cam[:, 16], p_cam[:, body.index("r_wrist")], atol=1e-5)
    assert convert(made) is made
