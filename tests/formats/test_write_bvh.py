"""BVH for animation programs: read back with our reader and with bvhio, and compared with the pose it stands for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from motion_fixtures import lifted_clip
from poselift.errors import InputError
from poselift.formats import WRITERS, read_motion
from poselift.formats.bvh import BVH_NAMES
from poselift.formats.bvh_file import forward, parse_bvh
from poselift.formats.rig import bone_lengths, constant_bones, filled, frame_grid
from poselift.formats.write_bvh import write
from poselift.structures import Clip, skeleton

H36M = skeleton("h36m17")


def read_back(path: Path) -> np.ndarray:
    """Joints (t, 17, 3) of a written file, z up, metres."""
    return read_motion(path, format="bvh")[0].p_world


def meant(clip: Clip) -> np.ndarray:
    """The pose with constant bones that the file should hold, z up: in the world where the camera says where it is."""
    p, root = filled(clip, frame_grid(clip))
    return standing(clip, constant_bones(p, bone_lengths(clip), H36M) + root[:, None])


def standing(clip: Clip, p_cam: np.ndarray) -> np.ndarray:
    if clip.camera is None or clip.camera.T_cam_world is None or (clip.camera.T_cam_world == np.eye(4)).all():
        return np.stack([p_cam[..., 0], p_cam[..., 2], -p_cam[..., 1]], -1)
    return (p_cam - clip.camera.T_cam_world[:3, 3]) @ clip.camera.T_cam_world[:3, :3]


def placeless(clip: Clip) -> Clip:
    """The clip of a camera that is anywhere."""
    assert clip.camera is not None
    return clip.replace(camera=replace(clip.camera, T_cam_world=None))


@pytest.mark.parametrize("known", [True, False])
def test_read_back(known: bool, tmp_path: Path) -> None:
    clip = lifted_clip() if known else placeless(lifted_clip())
    (path,) = WRITERS["bvh"].write([clip], tmp_path / "poses.bvh")
    assert path == tmp_path / "poses_track0.bvh"
    (m,) = read_motion(path, format="bvh")
    assert (m.fps, len(m), dict(m.meta)) == (120.0, 60, {})
    np.testing.assert_allclose(read_back(path), meant(clip), atol=2e-6)
    # Constant bones cost what the noise of the poses was (1 cm per axis), no more.
    assert clip.p_cam is not None
    assert np.linalg.norm(read_back(path) - standing(clip, clip.p_cam), axis=-1).mean() < 0.02


def test_bones_are_constant_and_the_same_on_both_sides(tmp_path: Path) -> None:
    clip = lifted_clip()
    (path,) = write([clip], tmp_path / "a.bvh")
    p = read_back(path)
    lengths = np.linalg.norm(p - p[:, [max(k, 0) for k in H36M.parents]], axis=-1)
    assert np.ptp(lengths, axis=0).max() < 2e-6
    np.testing.assert_allclose(lengths[0], lengths[0][list(H36M.flip)], atol=2e-6)
    assert clip.p_root is not None
    thigh = np.linalg.norm(clip.p_root[:, 2] - clip.p_root[:, 1], axis=-1)
    shin = np.linalg.norm(clip.p_root[:, 5] - clip.p_root[:, 4], axis=-1)
    assert lengths[0, 2] == pytest.approx((np.median(thigh) + np.median(shin)) / 2, abs=1e-5)


def test_bvhio_places_the_joints_where_we_do(tmp_path: Path) -> None:
    bvhio = pytest.importorskip("bvhio")
    clip = lifted_clip()
    (path,) = write([clip], tmp_path / "a.bvh")
    want, root = 100 * meant(clip) @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), bvhio.readAsHierarchy(str(path))
    for t in (0, 31, 59):
        root.loadPose(t)
        at = {joint.Name: list(joint.PositionWorld) for joint, _, _ in root.layout()}
        for joint, name in BVH_NAMES.items():
            if joint != "head_top":  # an end site, which bvhio does not place
                np.testing.assert_allclose(at[name], want[t, H36M.index(joint)], atol=1e-3, err_msg=name)


def test_the_figure_stands_upright_in_front_of_the_camera_at_rest_and_in_motion(tmp_path: Path) -> None:
    """y up, centimetres: heads above feet; at rest arms out to the person's own sides, facing the camera (+z)."""
    (path,) = write([placeless(lifted_clip())], tmp_path / "a.bvh")
    bvh = parse_bvh(path)
    p = forward(bvh)
    at = {name: p[:, k] for k, name in enumerate(bvh.names)}
    assert (at["Head_end"][:, 1] - at["LeftFoot"][:, 1]).mean() == pytest.approx(150, abs=25)
    assert at["Hips"][:, 2].mean() == pytest.approx(-400, abs=20)
    rest = dict(zip(bvh.names, bvh.rest, strict=True))
    assert rest["LeftHand"][0] > 50 > -50 > rest["RightHand"][0]
    assert rest["LeftFoot"][1] < -60 < 60 < rest["Head_end"][1] + 30


def test_the_hips_turn_with_the_hips_line(tmp_path: Path) -> None:
    """The root turns no bone of its own: its y axis points along the spine, its x axis to the left hip."""
    (path,) = write([lifted_clip()], tmp_path / "a.bvh")
    bvh = parse_bvh(path)
    p, values = forward(bvh), bvh.values[:, 3:6]
    turn = Rotation.from_euler("YXZ", values, degrees=True).as_matrix()

    def line(start: str, end: str) -> np.ndarray:
        bone = p[:, bvh.names.index(end)] - p[:, bvh.names.index(start)]
        return bone / np.linalg.norm(bone, axis=-1, keepdims=True)

    assert bvh.channels[0][3:] == ("Yrotation", "Xrotation", "Zrotation")
    np.testing.assert_allclose(turn[:, :, 1], line("Hips", "Spine"), atol=1e-5)
    assert (np.sum(turn[:, :, 0] * line("RightUpLeg", "LeftUpLeg"), axis=-1) > 0.95).all()


def test_angles_are_continuous(tmp_path: Path) -> None:
    """A body that turns twice about itself: no angle jumps by a turn."""
    clip = lifted_clip(noise_m=0.0)
    assert clip.p_root is not None
    t = 120
    a = np.linspace(0, 4 * np.pi, t)
    turn = np.zeros((t, 3, 3))
    turn[:, 0, 0] = turn[:, 2, 2] = np.cos(a)
    turn[:, 0, 2], turn[:, 2, 0], turn[:, 1, 1] = np.sin(a), -np.sin(a), 1
    p = np.einsum("tik,jk->tji", turn, clip.p_root[0].astype(np.float64))
    spun = Clip(skeleton=H36M, fps=30.0, kp_img=np.zeros((t, 17, 2)), p_root=p)
    (path,) = write([spun], tmp_path / "a.bvh")
    values = parse_bvh(path).values
    assert np.abs(np.diff(values, axis=0)).max() < 15
    assert np.ptp(values[:, 3]) == pytest.approx(720, abs=30)
    np.testing.assert_allclose(read_back(path), meant(spun), atol=2e-6)
    assert np.abs(values[:, :3]).max() == 0  # no root known: it stays at the origin


def test_gaps_are_filled_and_ends_held(tmp_path: Path) -> None:
    clip = lifted_clip()
    keep = [*range(10, 20), *range(24, 60)]
    conf = clip.confidence.copy()
    conf[[10, 11, 40, 41, 59]] = 0
    assert clip.p_root is not None
    assert clip.root_cam is not None
    holes = clip.replace(
        kp_img=clip.kp_img[keep], conf=conf[keep], p_root=clip.p_root[keep], root_cam=clip.root_cam[keep],
        frames=clip.frame_numbers[keep],
    )  # fmt: skip
    p, root = filled(holes, frame_grid(holes))
    assert len(p) == 50
    truth = clip.p_root.astype(np.float64)
    np.testing.assert_allclose(p[2:10], truth[12:20])  # untouched where seen
    np.testing.assert_allclose(p[:2], truth[[12, 12]])  # held
    np.testing.assert_allclose(p[-1], truth[58])
    np.testing.assert_allclose(p[10:14], truth[19] + np.arange(1, 5)[:, None, None] / 5 * (truth[24] - truth[19]))
    np.testing.assert_allclose(
        root[30:32], clip.root_cam[39] + np.array([[1], [2]]) / 3 * (clip.root_cam[42] - clip.root_cam[39]), rtol=1e-6
    )
    (path,) = write([holes], tmp_path / "a.bvh")
    assert len(parse_bvh(path).values) == 50
    np.testing.assert_allclose(read_back(path), meant(holes), atol=2e-6)


def test_nobody_seen_at_all_and_one_frame(tmp_path: Path) -> None:
    clip = lifted_clip()
    for odd in (clip.replace(conf=np.zeros((60, 17))), clip[:1]):
        (path,) = write([odd], tmp_path / "a.bvh")
        np.testing.assert_allclose(read_back(path), meant(odd), atol=2e-6)


@pytest.mark.parametrize("case", ["collapsed", "straight", "upside down", "folded"])
def test_poses_without_a_plane(tmp_path: Path, case: str) -> None:
    """Degenerate poses still give numbers, and the joints where they are."""
    rng = np.random.default_rng(5)
    p = np.zeros((30, 17, 3))
    if case == "straight":
        p[:, :, 1] = -np.arange(17) * 0.1
    elif case == "upside down":
        p = -lifted_clip(noise_m=0.0).p_root[:30] + rng.normal(0, 1e-9, (30, 17, 3))  # type: ignore[index]
    elif case == "folded":
        p = rng.normal(0, 0.3, (30, 17, 3))
        p[:, 10], p[:, 3], p[:, 13] = p[:, 8], p[:, 1], p[:, 11]
    p -= p[:, :1]
    clip = Clip(skeleton=H36M, fps=30.0, kp_img=np.zeros((30, 17, 2)), p_root=p)
    (path,) = write([clip], tmp_path / "a.bvh")
    bvh = parse_bvh(path)
    assert np.isfinite(bvh.values).all()
    if case != "collapsed":
        np.testing.assert_allclose(read_back(path), meant(clip), atol=5e-6)


def test_several_people(tmp_path: Path) -> None:
    a, b = lifted_clip(0), lifted_clip(1, track_id=4)
    later = lifted_clip(2, track_id=4)
    later = later.replace(frames=later.frame_numbers + 100)
    paths = write([a, b, later], tmp_path / "walk.bvh")
    assert [p.name for p in paths] == ["walk_track0.bvh", "walk_track4.bvh", "walk_track4_2.bvh"]
    for path, clip in zip(paths, (a, b, later), strict=True):
        np.testing.assert_allclose(read_back(path), meant(clip), atol=2e-6)


def test_refused(tmp_path: Path) -> None:
    clip = lifted_clip()
    far = clip.replace(frames=np.append(clip.frame_numbers[:-1], 10**9))
    coco = Clip(skeleton=skeleton("coco17"), fps=30.0, kp_img=np.ones((3, 17, 2)), p_root=np.zeros((3, 17, 3)))
    for clips, says in (
        ([clip.replace(p_root=None, root_cam=None)], "track 0: expected lifted poses"),
        ([clip[:0]], "track 0: expected lifted poses"),
        ([coco], "expected h36m17, of which BVH is made, found coco17"),
        ([far], "at most 1,000,000 frames from first to last, found 1000000001"),
    ):
        with pytest.raises(InputError, match=says):
            write(clips, tmp_path / "a.bvh")
    assert not list(tmp_path.iterdir())
