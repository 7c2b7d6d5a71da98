"""`poselift.lift`: files and memory give the same, people stay apart, nothing is ever half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import keypoint_files
import poselift
from flat_lifter import CAMERA, Flat, pose, root, save_keypoints, walking_clip, with_gap
from poselift.errors import InputError, MissingExtraError, OutputError
from poselift.formats import read
from poselift.pipeline import outputs, spool
from poselift.pipeline.lift import lift
from poselift.structures import Camera, Clip, skeleton


def two_people() -> list[Clip]:
    return [with_gap(walking_clip(40, track_id=3), 10, 14), walking_clip(25, start=9, track_id=8, seed=1)]


def same(a: Clip, b: Clip) -> bool:
    return (
        np.array_equal(a.frame_numbers, b.frame_numbers)
        and a.track_id == b.track_id
        and all(np.allclose(getattr(a, f), getattr(b, f), atol=1e-5) for f in ("kp_img", "conf", "p_root", "root_cam"))
    )


def test_people_stay_apart_and_files_say_what_memory_says(tmp_path: Path):
    file = save_keypoints(tmp_path / "people.npz", two_people())
    in_memory = lift(file, model=Flat())
    lifted = lift(file, model=Flat(), out=tmp_path / "out", formats=["npz", "json", "csv"])
    assert [c.track_id for c in lifted.clips] == [3, 8]
    assert list(lifted.files) == ["npz", "json", "csv"]
    for name in ("npz", "json"):
        for a, b, c in zip(read(lifted.files[name][0]), lifted.clips, in_memory.clips, strict=True):
            assert same(b, c)
            assert np.allclose(pose(a), pose(b), atol=1e-4)
            assert a.camera is not None
            assert a.skeleton.name == "h36m17"


def test_default_writes_everything_and_says_what_it_means(tmp_path: Path):
    lifted = lift(walking_clip(6), model=Flat(), out=tmp_path / "new" / "out")
    assert set(lifted.files) == set(outputs.choose_outputs(None)[0])
    for path in (p for paths in lifted.files.values() for p in paths):
        assert path.stat().st_size > 500
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["out"]
    said = " ".join(lifted.notes)
    for word in ("metres", "x right, y down, z forward", "p_root", "55°", "800 × 600", "6 poses of 1 person"):
        assert word in said
    assert "55°" in (tmp_path / "new" / "out" / "index.html").read_text()


def test_a_large_file_is_streamed_with_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = save_keypoints(tmp_path / "people.npz", two_people())
    whole = lift(file, model=Flat(), out=tmp_path / "a", formats=["npz"])
    monkeypatch.setattr(spool, "LARGE_BYTES", 0)
    monkeypatch.setattr(spool, "_ROWS", 7)
    streamed = lift(file, model=Flat(), out=tmp_path / "b", formats=["npz"], batch=11)
    assert len(whole.clips) == 2
    assert streamed.clips == []
    one, other = (np.load(r.files["npz"][0]) for r in (whole, streamed))
    assert set(one.files) == set(other.files)
    assert np.array_equal(one["kp_img"][one["conf"] > 0], other["kp_img"][one["conf"] > 0])
    for name in set(one.files) - {"kp_img"}:
        if one[name].dtype.kind == "f":
            assert np.allclose(one[name], other[name], atol=1e-5), name
        else:
            assert np.array_equal(one[name], other[name]), name


@pytest.mark.parametrize("shuffle", ["by frame", "gap", "interleaved"])
def test_rows_out_of_order_are_not_streamed_but_right(shuffle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spool, "LARGE_BYTES", 0)
    clips = two_people()
    file = save_keypoints(tmp_path / "people.npz", clips)
    data = dict(np.load(file))
    order = {
        "by frame": np.lexsort((data["track_id"], data["frame"])),
        "gap": np.delete(np.arange(65), [20, 21]),
        "interleaved": np.concatenate([np.arange(0, 65, 2), np.arange(1, 65, 2)]),
    }[shuffle]
    rows = {k: data[k][order] for k in ("kp_img", "conf", "track_id", "frame")}
    np.savez(file, **{**data, **rows})
    found = lift(file, model=Flat(), out=tmp_path / "out", formats=["npz"]).clips
    assert [len(c) for c in found] == [40, 25]


def test_a_single_frame_is_enough(tmp_path: Path):
    (found,) = lift(walking_clip(1), model=Flat(), out=tmp_path / "out").clips
    assert len(found) == 1


def test_any_skeleton_comes_out_as_the_models(tmp_path: Path):
    coco = skeleton("coco17")
    kp = np.random.default_rng(0).uniform(100, 400, (5, 17, 2))
    (found,) = lift(Clip(skeleton=coco, fps=30, kp_img=kp), model=Flat()).clips
    assert found.skeleton.name == "h36m17"
    assert np.allclose(found.kp_img[:, found.skeleton.index("l_wrist")], kp[:, coco.index("l_wrist")], atol=1e-3)


def test_nan_is_a_missing_joint():
    clip = walking_clip(4)
    kp = clip.kp_img.copy()
    kp[1, 5] = np.nan
    (found,) = lift(clip.replace(kp_img=kp, conf=None), model=Flat()).clips
    assert found.confidence[1, 5] == 0
    assert found.confidence[0, 5] == 1
    assert np.isfinite(pose(found)).all()


def test_two_recordings_become_two_scenes(tmp_path: Path):
    clips = [walking_clip(5).replace(meta={"name": n}) for n in ("S1/Walking 1", "S1/Walking 2")]
    lifted = lift(clips, model=Flat(), out=tmp_path / "out", formats=["npz", "csv"])
    assert list(lifted.files) == [f"00{i}_S1_Walking_{i + 1}/{f}" for i in (0, 1) for f in ("npz", "csv")]
    assert all(p.is_file() for paths in lifted.files.values() for p in paths)


def test_every_take_and_camera_of_a_videopose3d_file_is_a_scene(tmp_path: Path):
    file = keypoint_files.videopose3d_2d(tmp_path).path
    lifted = lift(file, model=Flat(), out=tmp_path / "out", formats=["npz"], focal=1145.0)
    assert list(lifted.files) == [f"00{k}_S9_Walking_1.{k}/npz" for k in range(4)]


def test_a_lens_whose_distortion_cannot_be_undone():
    clip = walking_clip(5)
    lens = Camera.from_focal(focal=1000.0, size_wh=(1280, 720), dist=np.full(5, 1e9))
    with pytest.raises(InputError, match="camera dist: expected a lens distortion that can be undone"):
        lift(clip, model=Flat(), camera=lens)
    kp = clip.kp_img.copy()
    kp[2] += (9000, 0)  # far outside of the image, where this lens has no inverse
    lens = Camera.from_focal(focal=1000.0, size_wh=(1280, 720), dist=np.array([-0.2, 0, 0, 0, 0]))
    (found,) = lift(clip.replace(kp_img=kp), model=Flat(), camera=lens).clips
    assert found.seen.tolist() == [True, True, False, True, True]


def test_coordinates_beyond_any_image_name_the_file(tmp_path: Path):
    clip = walking_clip(5)
    np.save(tmp_path / "far.npy", clip.kp_img * 1e6)
    with pytest.raises(InputError, match=r"far\.npy: keypoints: expected pixels up to 100000"):
        lift(tmp_path / "far.npy", skeleton="h36m17", model=Flat())


def test_the_same_number_twice_is_told_apart():
    found = lift([walking_clip(5), walking_clip(5, seed=1)], model=Flat()).clips
    assert [c.track_id for c in found] == [0, 1]


def test_the_files_camera_and_the_users(tmp_path: Path):
    clip = walking_clip(5).replace(camera=CAMERA)
    near = lift(clip, model=Flat()).clips[0]
    far = lift(clip, model=Flat(), focal=2000.0).clips[0]
    assert root(far)[0, 2] == pytest.approx(2 * root(near)[0, 2], rel=0.02)
    assert not near.meta.get("assumed_focal")
    assert lift(walking_clip(5), model=Flat()).clips[0].meta["assumed_focal"]


def test_what_was_assumed_is_said_until_it_is_given(tmp_path: Path):
    clip = walking_clip(5).replace(meta={"assumed_fps": True})
    first = lift(clip, model=Flat(), out=tmp_path / "out", formats=["npz"])
    file = first.files["npz"][0]
    again = lift(file, model=Flat())
    assert again.clips[0].meta["assumed_focal"], "the camera of the file is still the assumed one"
    assert "assumed, not measured" in "".join(again.notes)
    for options in ({"focal": 1000.0}, {"fov": 60.0}, {"camera": CAMERA}):
        given = lift(file, model=Flat(), **options)  # type: ignore[arg-type]
        assert "assumed_focal" not in given.clips[0].meta
        assert "assumed, not measured" not in "".join(given.notes)
        assert given.clips[0].meta["assumed_fps"]
    for source in (file, clip):
        assert "assumed_fps" not in lift(source, model=Flat(), fps=25.0).clips[0].meta


class TestRefused:
    @pytest.mark.parametrize("count", [0, 3])
    def test_nobody(self, count: int):
        clip = walking_clip(4)
        conf = clip.confidence * 0
        conf[:, :count] = 1
        with pytest.raises(InputError, match="at least 4 joints"):
            lift(clip.replace(conf=conf), model=Flat())

    def test_no_clip(self):
        with pytest.raises(InputError, match="no frame"):
            lift([], model=Flat())

    def test_normalised_coordinates(self):
        clip = walking_clip(4)
        with pytest.raises(InputError, match="normalised"):
            lift(clip.replace(kp_img=clip.kp_img / 1280), model=Flat())

    def test_unknown_output(self, tmp_path: Path):
        with pytest.raises(InputError, match="did you mean 'html'"):
            lift(walking_clip(4), model=Flat(), out=tmp_path / "out", formats=["htlm"])

    def test_unknown_device(self):
        with pytest.raises(InputError, match="device"):
            lift(walking_clip(4), model=Flat(), device="warp")

    @pytest.mark.parametrize("batch", [0, -1])
    def test_batch(self, batch: int):
        with pytest.raises(InputError, match="batch"):
            lift(walking_clip(4), model=Flat(), batch=batch)

    def test_a_missing_extra_is_named_or_left_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        import dataclasses

        without = dataclasses.replace(outputs.OUTPUTS["html"], library="not_installed_here")
        monkeypatch.setitem(outputs.OUTPUTS, "html", without)
        with pytest.raises(MissingExtraError, match=r"poselift\[view\]"):
            lift(walking_clip(4), model=Flat(), out=tmp_path / "out", formats=["html"])
        lifted = lift(walking_clip(4), model=Flat(), out=tmp_path / "out")
        assert "html" not in lifted.files
        assert any("poselift[view]" in n for n in lifted.notes)


class TestNothingHalfWritten:
    def test_other_files_stay_and_ours_are_replaced(self, tmp_path: Path):
        out = tmp_path / "out"
        out.mkdir()
        (out / "mine.txt").write_text("mine")
        (out / "poses.npz").write_text("old")
        lift(walking_clip(4), model=Flat(), out=out, formats=["npz"])
        assert (out / "mine.txt").read_text() == "mine"
        assert len(read(out / "poses.npz")) == 1

    def test_nobody_from_an_earlier_result_stays(self, tmp_path: Path):
        out = tmp_path / "out"
        lift(two_people(), model=Flat(), out=out, formats=["bvh"])
        assert len(list(out.glob("poses_track*.bvh"))) == 2
        lift(walking_clip(4), model=Flat(), out=out, formats=["bvh"])
        assert len(list(out.glob("poses_track*.bvh"))) == 1

    def test_lifting_onto_the_input_itself(self, tmp_path: Path):
        file = save_keypoints(tmp_path / "poses.npz", two_people())
        lift(file, model=Flat(), out=tmp_path, formats=["npz"])
        assert all(c.p_root is not None for c in read(file))

    def test_a_file_of_that_name(self, tmp_path: Path):
        (tmp_path / "out").write_text("a file")
        with pytest.raises(OutputError, match="a file of that name"):
            lift(walking_clip(4), model=Flat(), out=tmp_path / "out")
        assert (tmp_path / "out").read_text() == "a file"

    def test_an_error_in_the_middle(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        import dataclasses

        def broken(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setitem(outputs.OUTPUTS, "csv", dataclasses.replace(outputs.OUTPUTS["csv"], write=broken))
        with pytest.raises(OutputError, match="disk is full"):
            lift(walking_clip(4), model=Flat(), out=tmp_path / "out", formats=["npz", "json", "csv"])
        assert list(tmp_path.iterdir()) == []

    def test_ctrl_c(self, tmp_path: Path):
        def press(done: int, total: int | None, stage: str) -> None:
            os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            lift(walking_clip(400), model=Flat(), out=tmp_path / "out", batch=10, progress=press)
        assert list(tmp_path.iterdir()) == []


SMALL_DISK = """
import sys
sys.path[:0] = {paths!r}
from flat_lifter import Flat, walking_clip
from poselift.errors import OutputError
from poselift.pipeline.lift import lift
try:
    lift(walking_clip(2000), model=Flat(), out="{disk}/out", formats=["npz"])
except OutputError as error:
    print(error)
"""


def test_a_full_disk_is_one_line(tmp_path: Path):
    """On a tmpfs of 200 kB, in a mount namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    here = Path(__file__).parents[1]
    code = tmp_path / "program.py"
    code.write_text(SMALL_DISK.format(paths=[str(here.parent / "src"), str(here)], disk=disk))
    line = f"mount -t tmpfs -o size=200k tmpfs {disk} && {sys.executable} {code} && ls -A {disk}"
    try:
        done = subprocess.run(["unshare", "-rm", "sh", "-c", line], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no unshare on this system")
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("no permission to mount a tmpfs here")
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"{disk}/out/poses.npz: cannot be written: the disk is full"]


def test_camera_file_for_lifting(tmp_path: Path):
    file = tmp_path / "camera.json"
    file.write_text(json.dumps({"focal": 1500, "size_wh": [1280, 720]}))
    (found,) = poselift.lift(walking_clip(3), model=Flat(), camera=file).clips
    assert found.camera is not None
    assert found.camera.focal == (1500, 1500)
