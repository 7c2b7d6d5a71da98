"""Skeleton, Camera, Clip and Motion check themselves and derive what follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from poselift.errors import InputError
from poselift.structures import SKELETONS, Camera, Clip, Motion, Skeleton, skeleton

ALL = pytest.mark.parametrize("name", SKELETONS)
H36M = skeleton("h36m17")


@ALL
def test_skeletons_hold_together(name: str) -> None:
    s = skeleton(name)
    j = len(s)
    assert j == int(
        "".join(c for c in name[4:] if c.isdigit()) if name.startswith("h36m") else "".join(filter(str.isdigit, name))
    )
    flip = np.array(s.flip)
    assert (flip[flip] == np.arange(j)).all()
    assert len(s.left) == len(s.right)
    assert sorted([*s.left, *s.right, *[i for i in range(j) if flip[i] == i]]) == list(range(j))
    seen: set[int] = {-1}
    for i in s.order:
        assert s.parents[i] in seen
        seen.add(i)
    assert len(s.bones) == j - s.parents.count(-1)
    x = np.random.default_rng(0).normal(size=(j, 3))
    for b, (child, parent) in zip((x.T @ s.chain_matrix).T, s.bones, strict=True):
        np.testing.assert_allclose(b, x[parent] - x[child], atol=1e-6)
    assert (s.adjacency == s.adjacency.T).all()
    assert s.adjacency.sum() == 2 * len(s.bones)
    bones = {(s.joints[c], s.joints[p]) for c, p in s.bones}
    mirrored = {(s.joints[flip[c]], s.joints[flip[p]]) for c, p in s.bones}
    assert bones == mirrored, "the tree is the same on both sides"


def test_h36m17_is_the_published_order() -> None:
    assert H36M.parents == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
    assert H36M.left == (4, 5, 6, 11, 12, 13)
    assert H36M.right == (1, 2, 3, 14, 15, 16)


def test_bad_skeletons_and_names() -> None:
    with pytest.raises(InputError, match="did you mean 'halpe26'"):
        skeleton("halpe_26")
    with pytest.raises(InputError, match="joint of h36m17"):
        H36M.index("r_hand")
    bad: list[tuple[tuple[str, ...], tuple[int, ...]]] = [
        (("a", "a"), (-1, 0)), (("a", "b"), (-1,)), (("a", "b"), (1, 0)), (("a", "b"), (-1, 5)), (("l_a",), (-1,)),
    ]  # fmt: skip
    for joints, parents in bad:
        with pytest.raises(InputError):
            Skeleton(name="bad", joints=joints, parents=parents)


K = np.array([[1000.0, 0, 500], [0, 1000, 400], [0, 0, 1]])
NAN = float("nan")


def camera(**changes: Any) -> Camera:
    return Camera(**{"K": K, "size_wh": (1001, 801), **changes})


@pytest.mark.parametrize(
    "wrong",
    [
        {"K": np.eye(2)}, {"K": np.zeros((3, 3))}, {"K": np.diag([-1000.0, 1000, 1])}, {"K": np.diag([1000.0, 0, 1])},
        {"K": np.ones((3, 3))}, {"K": np.full((3, 3), NAN)}, {"K": np.diag([np.inf, 1, 1])}, {"K": K.T},
        {"size_wh": (0, 10)}, {"size_wh": (10, -1)}, {"size_wh": (10**9, 10)}, {"dist": np.zeros(2)},
        {"dist": np.full(5, NAN)}, {"T_cam_world": np.eye(3)}, {"T_cam_world": np.diag([2, 2, 2, 1.0])},
        {"T_cam_world": np.diag([1, 1, -1, 1.0])},
    ],
    ids=lambda w: next(iter(w)),
)  # fmt: skip
def test_cameras_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        camera(**wrong)
    plain = {k: v.tolist() if isinstance(v, np.ndarray) else list(v) for k, v in wrong.items()}
    with pytest.raises(InputError):
        Camera.from_dict({**camera().to_dict(), **plain}, file="c.json")


@pytest.mark.parametrize(
    "data",
    [
        [], {}, {"K": K.tolist()}, {"size_wh": [10, 10]}, {"focal": 0, "size_wh": [10, 10]},
        {"focal": -5, "size_wh": [9, 9]}, {"fov_deg": 180, "size_wh": [10, 10]}, {"focal": "x", "size_wh": [9, 9]},
        {"fov_deg": None, "size_wh": [10, 10]}, {"K": "wide", "size_wh": [9, 9]}, {"K": K.tolist(), "size_wh": [10]},
        {"K": K.tolist(), "size_wh": "ab"}, {"K": K.tolist(), "size_wh": [NAN, 5]}, {"K": [1, [2]], "size_wh": [9, 9]},
    ],
    ids=str,
)  # fmt: skip
def test_camera_files_that_cannot_be(data: Any) -> None:
    with pytest.raises(InputError, match=r"c\.json"):
        Camera.from_dict(data, file="c.json")


def test_camera_to_dict_and_back() -> None:
    turned = camera(dist=np.array([0.1, 0, 0, 0.01, 0])).looking_at(np.array([1.0, 5.0, 0.3]))
    assert Camera.from_dict(turned.to_dict()).to_dict() == turned.to_dict()
    wide = Camera.from_dict({"fov_deg": 90, "size_wh": [1000, 500]})
    assert wide.focal == pytest.approx((500, 500))


def test_crop_resize_and_flip_follow_the_image() -> None:
    """A point's pixel in the changed image, computed from the pixel in the whole one."""
    c = camera()
    p = np.random.default_rng(0).uniform((-1, -1, 3), (1, 1, 6), (20, 3))
    kp = c.project(p)
    np.testing.assert_allclose(c.crop(100, 50, (300, 300)).project(p), kp - (100, 50), atol=1e-6)
    half = c.resize((2002, 1602)).project(p)
    np.testing.assert_allclose(half, (kp + 0.5) * 2 - 0.5, atol=1e-6)
    np.testing.assert_allclose(c.flip().project(p * (-1, 1, 1)), (1000, 0) + kp * (-1, 1), atol=1e-6)
    bent = camera(dist=np.array([0.05, 0.01, 0, 0.002, -0.003]))
    np.testing.assert_allclose(bent.flip().project(p * (-1, 1, 1)), (1000, 0) + bent.project(p) * (-1, 1), atol=1e-6)


def clip(t: int = 3, **changes: Any) -> Clip:
    return Clip(**{"skeleton": H36M, "fps": 25, "kp_img": np.ones((t, 17, 2)), **changes})


def test_missing_joints() -> None:
    kp = np.ones((3, 17, 2))
    kp[1, 4, 0] = np.nan
    c = clip(kp_img=kp, conf=np.full((3, 17), 2.0))
    assert c.confidence[1, 4] == 0
    assert c.confidence.max() == 1, "confidences above 1 count as 1"
    assert (c.kp_img[1, 4] == 0).all()
    assert clip(kp_img=kp).confidence.sum() == 3 * 17 - 1
    assert clip(conf=np.zeros((3, 17))).seen.tolist() == [False] * 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"kp_img": np.ones((3, 16, 2))}, {"kp_img": np.ones((17, 2))}, {"kp_img": np.full((3, 17, 2), np.inf)},
        {"conf": np.ones((3, 16))}, {"conf": np.ones((2, 17))}, {"fps": 0}, {"fps": -1}, {"fps": NAN}, {"fps": 1e9},
        {"p_root": np.full((3, 17, 3), NAN)}, {"p_root": np.ones((3, 17, 2))}, {"root_cam": np.ones((3, 2))},
        {"frames": np.array([0, 1])}, {"frames": np.array([0, 1, 1])}, {"frames": np.array([2, 1, 0])},
    ],
    ids=lambda w: next(iter(w)),
)  # fmt: skip
def test_clips_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        clip(**wrong)


def test_clip_parts() -> None:
    rng = np.random.default_rng(0)
    p, root = rng.normal(size=(3, 17, 3)), rng.normal((0, 0, 5), 1, (3, 3))
    c = clip(p_root=p, root_cam=root, camera=camera(), frames=np.array([4, 5, 9]))
    assert c.p_cam is not None
    assert c.p_world is not None
    np.testing.assert_allclose(c.p_cam, p + root[:, None], atol=1e-6)
    assert c[1:].frame_numbers.tolist() == [5, 9]
    assert len(c[1:]) == 2
    assert clip().p_cam is None
    assert clip(p_root=p, root_cam=root).p_world is None


def test_motion_seen_by_a_camera() -> None:
    rng = np.random.default_rng(1)
    motion = Motion(skeleton=H36M, fps=50, p_world=rng.normal((0, 4, 1), 0.4, (4, 17, 3)), name="a", subject="S1")
    c = Camera.from_focal(focal=1000, size_wh=(1000, 1000))
    seen = motion.seen_by(c.looking_at(np.array([0.0, 4.0, 1.0])))
    assert seen.camera is not None
    assert seen.p_world is not None
    np.testing.assert_allclose(seen.p_world, motion.p_world, atol=1e-5)
    assert seen.p_cam is not None
    np.testing.assert_allclose(seen.kp_img, seen.camera.project(seen.p_cam), atol=1e-3)
    assert seen.meta["subject"] == "S1"
    for wrong in ({"fps": 0}, {"p_world": np.full((4, 17, 3), np.nan)}, {"p_world": np.ones((4, 16, 3))}):
        with pytest.raises(InputError):
            Motion(**{"skeleton": H36M, "fps": 50, "p_world": motion.p_world, **wrong})  # type: ignore[arg-type]
