"""Writing without loss: the old file or the whole new one, whatever happens in between."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from poselift.errors import InputError, OutputError
from poselift.storage import atomic
from poselift.storage.atomic import write_aside, write_folder_aside


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def fail_in_file(target: Path, error: BaseException) -> None:
    with write_aside(target) as part:
        part.write_text("half")
        raise error


def fail_in_folder(target: Path, error: BaseException) -> None:
    with write_folder_aside(target) as part:
        (part / "a.txt").write_text("half")
        raise error


def test_the_finished_file_takes_the_name(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "a.npz"
    with write_aside(target) as part:
        assert part.parent == target.parent
        assert part.suffix == ".npz"
        part.write_text("one")
        assert not target.exists()
    with write_aside(target) as part:
        part.write_text("two")
        assert target.read_text() == "one"
    assert target.read_text() == "two"
    assert names(target.parent) == ["a.npz"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, InputError])
@pytest.mark.parametrize("before", [True, False], ids=["over", "fresh"])
def test_an_error_leaves_what_was_there(error: type[BaseException], before: bool, tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    if before:
        target.write_text("old")
    with pytest.raises(error):
        fail_in_file(target, error("stop"))
    assert names(tmp_path) == (["a.json"] if before else [])
    assert not before or target.read_text() == "old"


def test_a_full_disk(tmp_path: Path) -> None:
    """/dev/full answers every write as a full disk does."""

    def write() -> None:
        with write_aside(tmp_path / "a.npz") as part, open("/dev/full", "wb", buffering=0) as full:
            part.write_text("half")
            full.write(b"x")

    with pytest.raises(OutputError, match=r"a\.npz.*the disk is full"):
        write()
    assert names(tmp_path) == []


def test_a_full_disk_told_by_a_library(tmp_path: Path) -> None:
    told = RuntimeError("Error: I/O error: No space left on device (os error 28)")
    with pytest.raises(OutputError, match="disk is full"), write_aside(tmp_path / "a.safetensors"):
        raise told


def test_a_disk_full_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, fails)
            with pytest.raises(OutputError, match="disk is full"), write_aside(tmp_path / "a") as part:
                part.write_text("x")
        assert names(tmp_path) == []


def test_no_permission(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no permission"), write_aside(tmp_path / "a") as part:
        raise PermissionError(errno.EACCES, "Permission denied", str(part))


def test_an_error_of_reading_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), write_aside(tmp_path / "a"):
        (tmp_path / "input.json").read_text()


def test_something_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for target in (
        tmp_path / "file" / "a.npz",
        tmp_path / "file" / "b" / "a.npz",
        tmp_path / "folder",
        Path("/dev/null"),
    ):
        with pytest.raises(OutputError, match="cannot be written"), write_aside(target):
            pytest.fail("the body must not run")
    assert names(tmp_path) == ["file", "folder"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a.txt")
    with write_aside(tmp_path / "link") as part:
        part.write_text("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == "x"


def test_folder_appears_at_once(tmp_path: Path) -> None:
    with write_folder_aside(tmp_path / "out") as part:
        (part / "a.txt").write_text("a")
        (part / "sub").mkdir()
        (part / "sub" / "b.txt").write_text("b")
        assert not (tmp_path / "out").exists()
    assert names(tmp_path) == ["out", "out/a.txt", "out/sub", "out/sub/b.txt"]


def test_folder_goes_into_an_existing_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("old")
    (tmp_path / "out" / "mine.txt").write_text("kept")
    with write_folder_aside(tmp_path / "out") as part:
        (part / "a.txt").write_text("new")
        (part / "sub").mkdir()
        (part / "sub" / "b.txt").write_text("b")
        assert (tmp_path / "out" / "a.txt").read_text() == "old"
    assert (tmp_path / "out" / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["out", "out/a.txt", "out/mine.txt", "out/sub", "out/sub/b.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_folder_error_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error):
        fail_in_folder(tmp_path / "out", error())
    assert names(tmp_path) == []
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(OutputError, match="file"), write_folder_aside(target):
            pytest.fail("the body must not run")


def test_folder_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", fails)
    with pytest.raises(OutputError, match="disk is full"), write_folder_aside(tmp_path / "out") as part:
        (part / "a.txt").write_text("x")
    assert names(tmp_path) == []
