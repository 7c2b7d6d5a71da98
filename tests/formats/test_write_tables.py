"""poses.npz, poses.json and poses.csv: what they state, and that the numbers come back with plain tools."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from motion_fixtures import lifted_clip
from poselift.errors import InputError, OutputError
from poselift.formats import WRITERS, write_npz
from poselift.formats.scene import plain
from poselift.formats.write_csv import HEADER_LINES
from poselift.structures import Clip, skeleton

TABLES = ("npz", "json", "csv")


def scene() -> list[Clip]:
    """Two people; the second comes later, is not seen in one frame, and lacks some frames altogether."""
    first, second = lifted_clip(0), lifted_clip(1, track_id=7)[20:]
    keep = np.setdiff1d(np.arange(len(second)), [5, 6, 7])
    conf = second.confidence.copy()
    conf[12] = 0
    conf[:, 3] *= 0.25
    assert second.p_root is not None
    assert second.root_cam is not None
    second = second.replace(
        kp_img=second.kp_img[keep], conf=conf[keep], p_root=second.p_root[keep], root_cam=second.root_cam[keep],
        frames=second.frame_numbers[keep],
    )  # fmt: skip
    return [first, second]


def rows(clips: Sequence[Clip], name: str) -> np.ndarray:
    return np.concatenate([np.asarray(getattr(c, name)) for c in clips])


def test_npz(tmp_path: Path) -> None:
    clips, path = scene(), tmp_path / "poses.npz"
    assert WRITERS["npz"].write(clips, path) == [path]
    with np.load(path, allow_pickle=False) as z:
        for key, field in (("kp_img", "kp_img"), ("conf", "conf"), ("p_root", "p_root"), ("root_cam", "root_cam")):
            np.testing.assert_array_equal(z[key], rows(clips, field))
            assert z[key].dtype == np.float32
        np.testing.assert_array_equal(z["frame"], rows(clips, "frames"))
        np.testing.assert_array_equal(z["track_id"], [0] * 60 + [7] * 37)
        camera, body = clips[0].camera, skeleton("h36m17")
        assert camera is not None
        assert tuple(z["joints"]) == body.joints
        assert tuple(z["parents"]) == body.parents
        assert (str(z["skeleton"]), float(z["fps"]), tuple(z["size_wh"])) == ("h36m17", 120.0, (1000, 1002))
        np.testing.assert_array_equal(z["K"], camera.K)
        np.testing.assert_array_equal(z["T_cam_world"], camera.T_cam_world)
        assert "metres" in str(z["units"])
        assert "x right, y down, z forward" in str(z["axes"])
        assert "pelvis" in str(z["root"])
        assert json.loads(str(z["meta"]))["name"] == "cmu/02/02_01"
        # p_root + root_cam, seen by K, is where the keypoints are, but for the noise of 1 cm at 4 m.
        p = z["p_root"] + z["root_cam"][:, None]
        at = (p @ z["K"].T)[..., :2] / p[..., 2:]
        assert np.median(np.abs(at - z["kp_img"])) < 3


def test_npz_grows_piece_by_piece(tmp_path: Path) -> None:
    first, second = scene()
    write_npz.write([first, second], tmp_path / "whole.npz")
    with write_npz.open_poses(tmp_path / "pieces.npz") as add:
        for piece in (first[:10], first[10:], second[:30], second[30:]):
            add(piece)
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "pieces.npz") as pieces:
        assert set(whole) == set(pieces)
        for key in whole:
            np.testing.assert_array_equal(whole[key], pieces[key])


def add_all(path: Path, pieces: Sequence[Clip], *, then: BaseException | None = None) -> None:
    with write_npz.open_poses(path) as add:
        for piece in pieces:
            add(piece)
        if then is not None:
            raise then


def test_npz_pieces_that_do_not_fit_leave_nothing(tmp_path: Path) -> None:
    clip, path = lifted_clip(), tmp_path / "a.npz"
    for odd in (clip.replace(fps=25.0), clip.replace(p_root=None), clip.replace(root_cam=None)):
        with pytest.raises(InputError, match="for all"):
            add_all(path, [clip, odd])
    with pytest.raises(InputError, match="at least one person"):
        add_all(path, [])
    with pytest.raises(KeyboardInterrupt):
        add_all(path, [clip], then=KeyboardInterrupt())
    assert not list(tmp_path.iterdir())


def test_json(tmp_path: Path) -> None:
    clips, path = scene(), tmp_path / "poses.json"
    assert WRITERS["json"].write(clips, path) == [path]
    data = json.loads(path.read_text(encoding="utf-8"))
    assert list(data)[:6] == ["format", "units", "axes", "root", "fps", "skeleton"]
    assert data["joints"] == list(skeleton("h36m17").joints)
    assert data["camera"]["size_wh"] == [1000, 1002]
    assert [t["track_id"] for t in data["tracks"]] == [0, 7]
    for clip, track in zip(clips, data["tracks"], strict=True):
        assert [f["frame"] for f in track["frames"]] == clip.frame_numbers.tolist()
        for field, key, tolerance in (
            ("p_root",) * 2 + (6e-6,),
            ("root_cam",) * 2 + (6e-6,),
            ("kp_img",) * 2 + (6e-4,),
        ):
            got = np.array([f[key] for f in track["frames"]])
            np.testing.assert_allclose(got, getattr(clip, field), atol=tolerance)
        np.testing.assert_allclose([f["conf"] for f in track["frames"]], clip.confidence, atol=6e-5)


def test_json_and_csv_of_more_than_one_chunk(tmp_path: Path) -> None:
    t = 9000
    clip = Clip(skeleton=skeleton("coco17"), fps=30.0, kp_img=np.arange(t * 34).reshape(t, 17, 2) / 64)
    for name in ("json", "csv"):
        WRITERS[name].write([clip], tmp_path / f"a.{name}")
    frames = json.loads((tmp_path / "a.json").read_text())["tracks"][0]["frames"]
    assert "p_root" not in frames[0]
    assert [f["frame"] for f in frames] == list(range(t))
    np.testing.assert_allclose([f["kp_img"] for f in frames], clip.kp_img, atol=6e-4)
    table = np.loadtxt(tmp_path / "a.csv", delimiter=",", skiprows=HEADER_LINES + 1)
    assert table.shape == (t, 3 + 17 * 3)
    np.testing.assert_allclose(table[:, 3:37].reshape(t, 17, 2), clip.kp_img, atol=6e-4)


def test_csv(tmp_path: Path) -> None:
    clips, path = scene(), tmp_path / "poses.csv"
    assert WRITERS["csv"].write(clips, path) == [path]
    lines = path.read_text(encoding="utf-8").splitlines()
    assert all(line.startswith("#") == (k < HEADER_LINES) for k, line in enumerate(lines))
    stated = "\n".join(lines[:HEADER_LINES])
    for fact in (
        "units: metres",
        "axes: of the camera: x right, y down",
        "fps: 120.0",
        '"head_top"',
        "root: p_root is",
    ):
        assert fact in stated
    table = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert len(table) == 97
    body = skeleton("h36m17")

    def column(name: str) -> np.ndarray:
        return np.array([float(row[name]) for row in table])

    np.testing.assert_array_equal(column("track_id"), [0] * 60 + [7] * 37)
    np.testing.assert_allclose(column("time_s"), rows(clips, "frames") / 120, atol=1e-6)
    np.testing.assert_allclose(column("root_z"), rows(clips, "root_cam")[:, 2], atol=6e-6)
    wrist = body.index("l_wrist")
    for k, axis in enumerate("xyz"):
        np.testing.assert_allclose(column(f"l_wrist_{axis}"), rows(clips, "p_root")[:, wrist, k], atol=6e-6)
    for k, axis in enumerate("uv"):
        np.testing.assert_allclose(column(f"l_wrist_{axis}"), rows(clips, "kp_img")[:, wrist, k], atol=6e-4)
    np.testing.assert_allclose(column("r_ankle_conf"), rows(clips, "conf")[:, body.index("r_ankle")], atol=6e-5)
    named = np.genfromtxt(path, delimiter=",", names=True, skip_header=HEADER_LINES)
    np.testing.assert_allclose(named["nose_y"], rows(clips, "p_root")[:, body.index("nose"), 1], atol=6e-6)


def test_what_is_unknown_is_left_out(tmp_path: Path) -> None:
    clip = lifted_clip()
    seen_only, rootless = clip.replace(p_root=None, root_cam=None, camera=None), clip.replace(root_cam=None)
    for k, part in enumerate((seen_only, rootless)):
        for name in TABLES:
            WRITERS[name].write([part], tmp_path / f"{k}.{name}")
    for k, gone in enumerate(({"p_root", "root_cam", "K"}, {"root_cam"})):
        with np.load(tmp_path / f"{k}.npz") as z:
            assert {"p_root", "root_cam", "K"} - set(z) == gone
        frame = json.loads((tmp_path / f"{k}.json").read_text())["tracks"][0]["frames"][0]
        assert {"p_root", "root_cam"} - set(frame) == gone - {"K"}
        names = (tmp_path / f"{k}.csv").read_text().splitlines()[HEADER_LINES].split(",")
        assert ("nose_x" in names) == (k == 1)
        assert "root_x" not in names
        table = np.loadtxt(tmp_path / f"{k}.csv", delimiter=",", skiprows=HEADER_LINES + 1)
        assert table.shape == (60, len(names))


@pytest.mark.parametrize("name", [*TABLES, "bvh"])
def test_clips_that_make_no_scene(tmp_path: Path, name: str) -> None:
    a, camera = lifted_clip(), lifted_clip().camera
    assert camera is not None
    other = lifted_clip(track_id=1)
    for clips, says in (
        ([], "at least one person"),
        ([a, other.replace(fps=25.0)], "fps: expected 120 for all"),
        ([a, other.replace(p_root=None)], "p_root: expected known for all people or for none"),
        ([a, lifted_clip(1)], "track 0: expected each frame once"),
    ):
        with pytest.raises(InputError, match=says):
            WRITERS[name].write(clips, tmp_path / f"a.{name}")
    if name != "bvh":
        with pytest.raises(InputError, match="one camera for the scene"):
            WRITERS[name].write([a, other.replace(camera=camera.flip())], tmp_path / f"a.{name}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [*TABLES, "bvh"])
def test_where_nothing_can_be_written(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in the way; a failure half-way: the old file stays, and nothing else."""
    target = tmp_path / ("a_track0.bvh" if name == "bvh" else f"a.{name}")
    target.mkdir()
    with pytest.raises(OutputError, match="a folder is there"):
        WRITERS[name].write([lifted_clip()], tmp_path / f"a.{name}")
    target.rmdir()
    target.write_text("old")

    class Interrupted(Clip):
        def __getattribute__(self, key: str) -> object:
            if key == "conf" and getattr(self, "armed", False):
                raise KeyboardInterrupt
            return super().__getattribute__(key)

    clip = lifted_clip()
    broken = Interrupted(**{k: getattr(clip, k) for k in Clip.__dataclass_fields__})
    object.__setattr__(broken, "armed", True)
    with pytest.raises(KeyboardInterrupt):
        WRITERS[name].write([broken], tmp_path / f"a.{name}")
    assert [p.name for p in tmp_path.iterdir()] == [target.name]
    assert target.read_text() == "old"


def test_meta_becomes_plain() -> None:
    given = {
        "a": np.float32(0.5),
        "b": np.arange(2),
        "c": (1, None),
        "d": float("nan"),
        "e": Path("x"),
        "f": np.int64(3),
    }
    assert plain(given) == {"a": 0.5, "b": [0, 1], "c": [1, None], "d": None, "e": "x", "f": 3}
    assert json.dumps(plain(given))
