"""What every reader and writer promises, over the whole tables: a new entry is tested without a new test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from keypoint_files import EXAMPLES, Example
from motion_fixtures import lifted_clip
from poselift.errors import InputError, OutputError
from poselift.formats import READERS, WRITERS, Reader, ReadOptions, detect, read, read_motion
from poselift.structures import Clip, Motion

ALL = sorted(READERS)

GARBAGE: dict[str, bytes] = {
    "empty.json": b"", "space.json": b" \n", "cut.json": b'[{"image_id": 1, "keypo', "deep.json": b"[" * 100_000,
    "deep_object.json": b'{"landmarks":' * 400 + b"1" + b"}" * 400, "null.json": b"null", "list.json": b"[]",
    "object.json": b"{}", "number.json": b"17", "numbers.json": b"[1, 2, 3]", "other.json": b'{"weights": {"a": [1]}}',
    "digits.json": b"[" + b"9" * 5000 + b"]", "latin.json": b'{"people": "\xe9\xff"}', "nulls.json": b"[null, null]",
    "empty.npz": b"", "noise.npz": bytes(range(256)) * 9, "pk.npz": b"PK\x03\x04" + b"\0" * 90, "empty.npy": b"",
    "noise.npy": b"\x93NUMPY" + b"\xff" * 99, "noise.pkl": b"\x80\x04joint_2d" + bytes(range(200)), "empty.pkl": b"",
    "noise.bvh": b"HIERARCHY\n\0\xff", "empty.bvh": b"", "noise.amc": b"\0\1\2", "matlab_meta.txt": b"3\nsize\n",
    "noise": bytes(range(256)) * 40, "text.txt": b"hello\n",
}  # fmt: skip


@pytest.fixture(params=ALL)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def example(name: str, tmp_path: Path) -> Example:
    assert name in EXAMPLES, f"tests/keypoint_files.py needs an example of the format '{name}'"
    return EXAMPLES[name](tmp_path)


def test_entries_describe_themselves() -> None:
    for table in (READERS, WRITERS):
        for key, entry in table.items():
            assert entry.name == key
            assert 10 < len(entry.summary) < 80


def test_read_finds_what_is_there(name: str, example: Example) -> None:
    reader = READERS[name]
    found = reader.read(example.path, example.options)
    assert found
    kind = Motion if reader.gives == "motion" else Clip
    for item in found:
        assert isinstance(item, kind)
        assert item.skeleton.name == example.skeleton
        assert item.fps == pytest.approx(example.fps)
        assert len(item) > 0
    if example.kp_img is not None and example.conf is not None:
        assert len(found) == len(example.kp_img)
        for clip, kp, conf in zip(found, example.kp_img, example.conf, strict=True):
            assert isinstance(clip, Clip)
            assert (np.diff(clip.frame_numbers) == 1).all()
            np.testing.assert_allclose(clip.kp_img, kp, atol=2e-3)
            np.testing.assert_allclose(clip.confidence, conf, atol=1e-5)


def test_is_recognised_by_this_reader_only(name: str, example: Example) -> None:
    assert [r.name for r in READERS.values() if r.sniff(example.path)] == [name]
    assert detect(example.path).name == name
    found = (read if READERS[name].gives == "clips" else read_motion)(example.path, None, example.options)
    assert len(found) > 0


def test_user_states_the_frame_rate(name: str, example: Example) -> None:
    options = ReadOptions(skeleton=example.options.skeleton, fps=12.5)
    assert {item.fps for item in READERS[name].read(example.path, options)} == {12.5}


def test_the_wrong_skeleton_is_refused(name: str, example: Example) -> None:
    """A skeleton with another number of joints; motion files define their own."""
    if READERS[name].gives == "motion" or name == "gluon":
        return
    wrong = "mpii16" if example.skeleton != "mpii16" else "coco17"
    with pytest.raises(InputError, match="joint"):
        READERS[name].read(example.path, ReadOptions(skeleton=wrong, size_wh=(10, 10)))


@pytest.fixture(scope="module")
def garbage(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("garbage")
    for file, data in GARBAGE.items():
        (folder / file).write_bytes(data)
    (folder / "empty_folder").mkdir()
    (folder / "folder.npz").mkdir()
    json_folder = folder / "json_folder"
    json_folder.mkdir()
    (json_folder / "a_1_keypoints.json").write_bytes(b"{")
    np.savez(folder / "other.npz", weights=np.zeros(3))
    np.savez(
        folder / "objects.npz",
        kp_img=np.array([None, {}], dtype=object),
        positions_2d=np.array(3),
        positions_3d=np.array([1]),
    )
    np.save(folder / "scalar.npy", np.float32(3))
    np.save(folder / "texts.npy", np.array(["a", "b"]))
    os.mkfifo(folder / "pipe.json")
    os.mkfifo(folder / "pipe.npz")
    os.mkfifo(folder / "pipe.npy")
    os.mkfifo(folder / "pipe.pkl")
    return [*folder.iterdir(), folder / "missing.json", folder / "missing"]


def test_sniff_never_raises_and_garbage_is_no_format(name: str, garbage: list[Path]) -> None:
    for path in garbage:
        assert isinstance(READERS[name].sniff(path), bool)


def test_garbage_is_refused_in_one_line_that_names_the_file(name: str, garbage: list[Path]) -> None:
    for path in garbage:
        with pytest.raises(InputError) as told:
            READERS[name].read(path, ReadOptions(skeleton="coco17", size_wh=(640, 480)))
        line = str(told.value)
        assert "\n" not in line
        assert len(line) < 500
        assert path.name in line, line


def test_detect_refuses_garbage(garbage: list[Path]) -> None:
    for path in garbage:
        with pytest.raises(InputError, match=path.name):
            read(path)


def test_cut_off_files_are_refused(name: str, example: Example, tmp_path: Path) -> None:
    """At any length: an `InputError`, or (a text that ends between two frames) fewer frames; never anything else."""
    copy = tmp_path / "cut"
    if example.path.is_dir():
        shutil.copytree(example.path, copy)
        victim = max((p for p in copy.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        target = copy
    else:
        copy.mkdir()
        victim = target = copy / example.path.name
        shutil.copy(example.path, victim)
    data = victim.read_bytes()
    refused = 0
    for part in (0, 1, 4, 40, len(data) // 3, len(data) // 2, len(data) * 3 // 4, len(data) - 40, len(data) - 3):
        victim.write_bytes(data[:part])
        for reader in READERS.values():
            assert isinstance(reader.sniff(target), bool)
        refused += _refused(READERS[name], target, example.options)
    assert refused >= 6


def _refused(reader: Reader, path: Path, options: ReadOptions) -> bool:
    """True if reading ends in an `InputError` of one line; other exceptions, and an empty result, fail the test."""
    try:
        found = reader.read(path, options)
    except InputError as error:
        line = str(error)
    else:
        assert found
        assert sum(len(item) for item in found) < 10_000
        return False
    assert "\n" not in line
    return True


# writers


def scene(*, lifted: bool = True) -> list[Clip]:
    """Two people of one camera, at different times."""
    clips = [lifted_clip(0), lifted_clip(1, track_id=7)[20:40]]
    return clips if lifted else [c.replace(p_root=None, root_cam=None) for c in clips]


@pytest.mark.parametrize("writer", sorted(WRITERS))
@pytest.mark.parametrize("lifted", [True, False], ids=["lifted", "2d"])
def test_write_then_read_is_the_same(writer: str, lifted: bool, tmp_path: Path) -> None:
    """For every format that has both, with clips that come back as Clips."""
    target = tmp_path / f"scene{WRITERS[writer].suffix}"
    clips = scene(lifted=lifted)
    try:
        files = WRITERS[writer].write(clips, target)
    except InputError:
        assert not lifted, "a writer may only refuse what it has no 3D for"
        assert list(tmp_path.iterdir()) == []
        return
    assert files
    assert all(f.is_file() for f in files)
    readers = [r for r in READERS.values() if r.gives == "clips" and r.sniff(target)]
    if not readers:
        others = ("csv", "bvh", "glb", "trc", "mot", "c3d")  # tests/formats reads each with a reader of its own
        assert writer in others, "this writer's files should be readable"
        return
    again = read(target)
    assert [c.track_id for c in again] == [c.track_id for c in clips]
    for a, b in zip(clips, again, strict=True):
        assert (a.skeleton, a.fps) == (b.skeleton, b.fps)
        assert a.frame_numbers.tolist() == b.frame_numbers.tolist()
        np.testing.assert_allclose(b.kp_img, a.kp_img, atol=1e-3)
        np.testing.assert_allclose(b.confidence, a.confidence, atol=1e-4)
        assert a.camera is not None
        assert b.camera is not None
        assert a.camera.to_dict() == b.camera.to_dict()
        for field in ("p_root", "root_cam"):
            x, y = getattr(a, field), getattr(b, field)
            assert (x is None) == (y is None), field
            if x is not None:
                np.testing.assert_allclose(y, x, atol=2e-5)


@pytest.mark.parametrize("writer", sorted(WRITERS))
def test_nothing_half_written(writer: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        WRITERS[writer].write(scene(), tmp_path / "file" / f"scene{WRITERS[writer].suffix}")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "in the way"
