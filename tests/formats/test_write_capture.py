"""TRC, MOT and C3D: read back by readers of their own, and the numbers compared with the poses they stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from motion_fixtures import lifted_clip, walk
from poselift.errors import InputError
from poselift.formats import WRITERS, read_motion
from poselift.formats.coordinates import coordinates
from poselift.formats.trc import parse_trc
from poselift.formats.upright import upright
from poselift.structures import Clip, skeleton

H36M = skeleton("h36m17")


def with_holes() -> Clip:
    """The walk from frame 1010 on; nobody seen in 1015 and 1016; 1020 to 1023 absent; one knee unseen at times."""
    clip = lifted_clip()
    conf = clip.confidence.copy()
    conf[15:17] = 0
    conf[30:34, H36M.index("l_knee")] = 0
    keep = np.setdiff1d(np.arange(10, 60), np.arange(20, 24))
    assert clip.p_root is not None
    assert clip.root_cam is not None
    return clip.replace(
        kp_img=clip.kp_img[keep], conf=conf[keep], p_root=clip.p_root[keep], root_cam=clip.root_cam[keep],
        frames=keep + 1000,
    )  # fmt: skip


def world(clip: Clip) -> np.ndarray:
    """(t, j, 3) metres, z up; NaN where a joint was not seen."""
    assert clip.p_world is not None
    return np.where(clip.confidence[..., None] > 0, clip.p_world, np.nan)


def test_trc_holds_every_frame_under_its_number_and_no_joint_that_was_not_seen(tmp_path: Path) -> None:
    clip = with_holes()
    (path,) = WRITERS["trc"].write([clip], tmp_path / "poses.trc")
    found = parse_trc(path)
    assert (found.names, found.fps) == (H36M.joints, 120.0)
    assert found.frames.tolist() == list(range(1010, 1060))
    np.testing.assert_allclose(found.time, found.frames / 120, atol=1e-8)
    p = np.stack([found.p[..., 0], -found.p[..., 2], found.p[..., 1]], -1)
    want = np.full_like(p, np.nan)
    want[clip.frame_numbers - 1010] = world(clip)
    np.testing.assert_allclose(p, want, atol=1e-6)  # NaN where NaN
    assert np.isnan(p[[5, 6, 10, 13]]).all()
    assert np.isnan(p[20:24, H36M.index("l_knee")]).all()
    assert np.isfinite(p[20:24, H36M.index("r_knee")]).all()


def test_trc_is_what_opensim_expects(tmp_path: Path) -> None:
    """Its TRCFileAdapter: eight keys and values, cells each ended by a tab, an empty line before the rows."""
    (path,) = WRITERS["trc"].write([with_holes()], tmp_path / "poses.trc")
    lines = path.read_text().split("\n")
    assert lines[0] == "PathFileType\t4\t(X/Y/Z)\tposes_track0.trc"
    assert lines[1].split("\t") == [
        "DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame",
        "OrigNumFrames",
    ]  # fmt: skip
    assert lines[2].split("\t") == ["120", "120", "50", "17", "mm", "120", "1010", "50"]
    assert [c for c in lines[3].split("\t") if c] == ["Frame#", "Time", *H36M.joints]
    assert [c for c in lines[4].split("\t") if c] == [f"{a}{k}" for k in range(1, 18) for a in "XYZ"]
    assert lines[5] == ""
    rows = lines[6:-1]
    assert len(rows) == 50
    for row in rows:
        assert row.endswith("\t")
        assert len(row.removesuffix("\t").split("\t")) <= 53 == row.count("\t")


def test_trc_as_motion_again(tmp_path: Path) -> None:
    clip = with_holes()
    (path,) = WRITERS["trc"].write([clip], tmp_path / "poses.trc")
    (motion,) = read_motion(path)
    assert (motion.fps, motion.skeleton, len(motion), motion.meta["start"]) == (120, H36M, 50, 1010)
    assert motion.meta["filled"] == pytest.approx((6 * 17 + 4) / (50 * 17))
    want = world(clip)
    np.testing.assert_allclose(motion.p_world[24:], want[20:], atol=1e-5)
    np.testing.assert_allclose(motion.p_world[10], want[9] + (want[10] - want[9]) / 5, atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("NumFrames\tNum", "NumFrames\tX\tNum", "line 3: expected 9 values, found 8"),
        ("\tmm\t", "\tinch\t", "line 3: expected Units"),
        ("l_wrist", "r_wrist", "line 4: expected 17 different marker names"),
        ("1010\t8.41666667\t", "1010.5\t8.41666667\t", "Frame#: expected whole numbers"),
        ("1010\t8.41666667\t", "x\t8.41666667\t", "line 7: expected numbers"),
        ("1010\t8.41666667\t", "1010\t8.41666667\t1\t", "line 7: expected 53 cells"),
        ("1011\t", "1111\t", "Frame#: expected every frame"),
        ("120\t120\t50", "120\t120\t51", "NumFrames: expected 51 rows, found 50"),
        ("120\t120\t50", "0\t120\t50", "DataRate: expected a positive number"),
        ("\tl_elbow\t", "\tl_wing\t", "markers: expected h36m17's"),
    ],
)
def test_trc_that_is_not_as_it_should_be(tmp_path: Path, old: str, new: str, says: str) -> None:
    (path,) = WRITERS["trc"].write([with_holes()], tmp_path / "poses.trc")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=says):
        read_motion(path)


def read_mot(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    lines = path.read_text().splitlines()
    end = lines.index("endheader")
    header = dict(line.split("=") for line in lines[:end] if "=" in line)
    table = np.array([[float(c) for c in line.split("\t")] for line in lines[end + 2 :]])
    return header, dict(zip(lines[end + 1].split("\t"), table.T, strict=True))


def test_mot_states_its_size_and_keeps_true_times(tmp_path: Path) -> None:
    clip = with_holes()
    (path,) = WRITERS["mot"].write([clip], tmp_path / "poses.mot")
    header, columns = read_mot(path)
    assert header == {"version": "1", "nRows": "44", "nColumns": "26", "inDegrees": "yes"}
    assert len(columns) == 26
    numbers = clip.frame_numbers[clip.seen]
    np.testing.assert_allclose(columns["time"], numbers / 120, atol=1e-7)
    p = world(clip)[clip.seen][:, H36M.root]
    place = np.stack([columns[f"pelvis_t{a}"] for a in "xyz"], -1)
    np.testing.assert_allclose(place, np.stack([p[:, 0], p[:, 2], -p[:, 1]], -1), atol=2e-6)
    for name, values in columns.items():
        if name not in ("time", "pelvis_tx", "pelvis_ty", "pelvis_tz"):
            assert np.abs(np.diff(values)).max() < 180, name


def test_bones_lie_where_opensims_rotations_put_them() -> None:
    """Forward kinematics with body-fixed Z, X, Y rotations from the angles gives the directions of the bones."""
    clip = lifted_clip()
    p = upright(clip.camera, "y").p(clip)
    angles = coordinates(p, H36M)

    def turn(*names: str, sign: float = 1.0) -> np.ndarray:
        values = np.stack([angles[n] for n in names], -1) * (1, sign, sign)
        return Rotation.from_euler("ZXY", values).as_matrix()

    def unit(a: str, b: str) -> np.ndarray:
        v = p[:, H36M.index(b)] - p[:, H36M.index(a)]
        return v / np.linalg.norm(v, axis=-1, keepdims=True)

    pelvis = turn("pelvis_tilt", "pelvis_list", "pelvis_rotation")
    np.testing.assert_allclose(pelvis[..., 2], unit("l_hip", "r_hip"), atol=1e-6)
    torso = pelvis @ turn("lumbar_extension", "lumbar_bending", "lumbar_rotation")
    np.testing.assert_allclose(torso[..., 2], unit("l_shoulder", "r_shoulder"), atol=1e-6)
    for side, sign in (("r", 1.0), ("l", -1.0)):
        thigh = pelvis @ turn(f"hip_flexion_{side}", f"hip_adduction_{side}", f"hip_rotation_{side}", sign=sign)
        np.testing.assert_allclose(-thigh[..., 1], unit(f"{side}_hip", f"{side}_knee"), atol=1e-6)
        arm = torso @ turn(f"arm_flex_{side}", f"arm_add_{side}", f"arm_rot_{side}", sign=sign)
        np.testing.assert_allclose(-arm[..., 1], unit(f"{side}_shoulder", f"{side}_elbow"), atol=1e-6)
        shank = unit(f"{side}_knee", f"{side}_ankle")
        bend = np.arccos(np.clip(np.sum(-thigh[..., 1] * shank, -1), -1, 1))
        np.testing.assert_allclose(angles[f"knee_angle_{side}"], bend, atol=1e-5)
        bent = bend > np.radians(35)
        assert bent.any()
        hinge = np.cross(shank, -thigh[..., 1])[bent]
        hinge /= np.linalg.norm(hinge, axis=-1, keepdims=True)
        assert np.degrees(np.arccos(np.sum(hinge * thigh[bent][..., 2], -1))).max() < 25


def test_signs_are_those_of_the_models() -> None:
    """One made-up body, x forward, y up, z right: each movement gives its own coordinate with the right sign."""
    joints = {
        "pelvis": (0, 1, 0), "spine": (0, 1.2, 0), "thorax": (0, 1.45, 0), "nose": (0, 1.6, 0), "head_top": (0, 1.7, 0),
        "hip": (0, 1, 0.1), "knee": (0, 0.5, 0.1), "ankle": (0, 0, 0.1), "shoulder": (0, 1.45, 0.2),
        "elbow": (0, 1.15, 0.2), "wrist": (0, 0.9, 0.2),
    }  # fmt: skip

    def body(**moved: tuple[float, float, float]) -> np.ndarray:
        p = np.zeros((1, 17, 3))
        for k, name in enumerate(H36M.joints):
            at = np.array(joints[name.removeprefix("l_").removeprefix("r_")])
            p[0, k] = at * (1, 1, -1) if name.startswith("l_") else at
            p[0, k] = moved.get(name, tuple(p[0, k]))
        return p

    def changed(**moved: tuple[float, float, float]) -> dict[str, float]:
        found = {n: round(float(np.degrees(v[0])), 3) for n, v in coordinates(body(**moved), H36M).items()}
        return {n: v for n, v in found.items() if abs(v) > 0.01}

    assert changed() == {}
    assert changed(r_knee=(0.5, 1, 0.1), r_ankle=(1, 1, 0.1)) == {"hip_flexion_r": 90}
    out = 0.5 * np.sin(np.radians(30)), 0.5 * np.cos(np.radians(30))
    for s, z in (("r", 1), ("l", -1)):
        apart = {
            f"{s}_knee": (0, 1 - out[1], z * (0.1 + out[0])),
            f"{s}_ankle": (0, 1 - 2 * out[1], z * (0.1 + 2 * out[0])),
        }
        assert changed(**apart) == {f"hip_adduction_{s}": -30}
        assert changed(**{f"{s}_ankle": (-0.5, 0.5, z * 0.1)}) == {f"knee_angle_{s}": 90}
        assert changed(**{f"{s}_wrist": (0.25, 1.15, z * 0.2)}) == {f"elbow_flex_{s}": 90}
        inward = changed(**{f"{s}_wrist": (0.25, 1.15, z * 0.1)})
        assert inward[f"arm_rot_{s}"] > 10
    assert changed(spine=(0.1, 1.2, 0), thorax=(0.2, 1.45, 0))["pelvis_tilt"] < -20


@pytest.mark.parametrize("people", [1, 2])
def test_c3d_read_by_ezc3d(tmp_path: Path, people: int) -> None:
    ezc3d = pytest.importorskip("ezc3d")
    clips = [with_holes(), lifted_clip(1, track_id=7)[20:]][:people]
    if people == 2:
        clips[1] = clips[1].replace(frames=clips[1].frame_numbers + 1025)
    (path,) = WRITERS["c3d"].write(clips, tmp_path / "poses.c3d")
    c3d = ezc3d.c3d(str(path))
    point = {k: v["value"] for k, v in c3d["parameters"]["POINT"].items() if k != "__METADATA__"}
    assert (point["RATE"][0], point["UNITS"], point["X_SCREEN"], point["Y_SCREEN"]) == (120, ["mm"], ["+X"], ["+Z"])
    names = list(H36M.joints)
    assert point["LABELS"] == (names if people == 1 else [f"track{k}:{n}" for k in (0, 7) for n in names])
    first, last = 1010, 1059 if people == 1 else 1084
    head = c3d["header"]["points"]
    assert (head["first_frame"], head["last_frame"], head["frame_rate"]) == (first, last, 120)
    p, residual = c3d["data"]["points"], c3d["data"]["meta_points"]["residuals"][0]
    for i, clip in enumerate(clips):
        want = np.full((last - first + 1, 17, 3), np.nan)
        want[clip.frame_numbers - first] = world(clip)
        got = p[:3, 17 * i : 17 * i + 17].transpose(2, 1, 0) / 1000
        missing = np.isnan(want[..., 0])
        assert missing.any()
        np.testing.assert_allclose(got[~missing], want[~missing], atol=1e-6)
        r = residual[17 * i : 17 * i + 17].T
        assert (r[missing] == -1).all()
        assert (r[~missing] >= 0).all()
        # The poses have noise of 10 mm per axis; two of the three show across the ray.
        assert np.median(r[~missing]) == pytest.approx(10 * np.sqrt(2 * np.log(2)), rel=0.2)


def test_c3d_marks_missing_points_as_the_format_does(tmp_path: Path) -> None:
    """The bytes themselves: real numbers, first frame 1011 of 1 to …, coordinates 0 and residual -1."""
    pytest.importorskip("ezc3d")
    (path,) = WRITERS["c3d"].write([with_holes()], tmp_path / "poses.c3d")
    data = path.read_bytes()
    words = np.frombuffer(data[:512], "<u2")
    assert (data[1], words[1], words[3], words[4]) == (0x50, 17, 1011, 1060)
    start = (int(words[8]) - 1) * 512
    values = np.frombuffer(data, "<f4", count=50 * 17 * 4, offset=start).reshape(50, 17, 4)
    np.testing.assert_array_equal(values[5, 3], (0, 0, 0, -1))
    assert (values[4, :, 3] >= 0).all()


def test_c3d_that_cannot_be_counted_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("ezc3d")
    clip = lifted_clip()
    for shift in (-1, 65_500):
        odd = clip.replace(frames=clip.frame_numbers + shift)
        with pytest.raises(InputError, match="from 0 to 65,534, which is what C3D can count"):
            WRITERS["c3d"].write([odd], tmp_path / "a.c3d")
    assert list(tmp_path.iterdir()) == []
    WRITERS["c3d"].write([clip.replace(frames=clip.frame_numbers + 65_475)], tmp_path / "a.c3d")


def test_upright_without_a_known_world_is_the_cameras_up() -> None:
    clip = lifted_clip()
    assert clip.camera is not None
    assert clip.p_cam is not None
    blind = clip.replace(camera=clip.camera.crop(0, 0, (1000, 1002)).flip().flip())
    assert blind.camera is not None
    y, z = (upright(blind.camera, up).p(blind) for up in ("y", "z"))
    np.testing.assert_allclose(y, clip.p_cam * (1, -1, -1), atol=1e-6)
    np.testing.assert_allclose(z, clip.p_cam[..., [0, 2, 1]] * (1, 1, -1), atol=1e-6)
    assert "camera's" in upright(None, "y").axes
    known = upright(clip.camera, "z").p(clip)
    assert clip.p_world is not None
    np.testing.assert_allclose(known, clip.p_world, atol=1e-5)
    assert walk().p_world[:, 0, 2].mean() == pytest.approx(known[:, 0, 2].mean(), abs=0.02)
    rootless = clip.replace(root_cam=None)
    assert np.abs(upright(clip.camera, "y", absolute=False).p(rootless)[:, 0]).max() == 0
