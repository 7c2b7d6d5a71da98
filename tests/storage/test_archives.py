"""Zip archives: bombs, overlaps, names that lead out; all refused before memory is taken."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from hostile import little_memory, npy
from poselift.errors import InputError
from poselift.storage import archives
from poselift.storage.archives import open_archive
from poselift.storage.arrays import load_npz


def _bomb(path: Path, mebibytes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as out:
        out.write(npy((mebibytes << 20,), "|u1"))
        for _ in range(mebibytes):
            out.write(bytes(1 << 20))
    return path


def test_bomb_above_the_cap(tmp_path: Path) -> None:
    path = _bomb(tmp_path / "bomb.npz", 40)
    assert path.stat().st_size < 100_000
    with little_memory(), pytest.raises(InputError, match="at most 1,048,576 bytes"):
        load_npz(path, max_bytes=1 << 20)


def test_bomb_below_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that holds motion is packed 1000:1; from some size on that alone is refused."""
    monkeypatch.setattr(archives, "_SUSPECT_BYTES", 1 << 20)
    with little_memory(), pytest.raises(InputError, match="packed at most"):
        load_npz(_bomb(tmp_path / "bomb.npz", 40))


def _patched(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def test_size_that_cannot_be(tmp_path: Path) -> None:
    """The directory declares 4 GB where a few packed bytes lie."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy((77_777,), "|u1", bytes(77_777)))
    size = len(npy((77_777,), "|u1")) + 77_777
    _patched(tmp_path / "a.npz", struct.pack("<I", size), struct.pack("<I", 4_000_000_000))
    with little_memory(), pytest.raises(InputError, match="packed bytes can hold"):
        load_npz(tmp_path / "a.npz")


def test_overlapping_members(tmp_path: Path) -> None:
    """Many directory entries that share one block of data (Fifield's bomb) hold more than the file."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", npy((1000,), "|u1", bytes(1000)))
        first = archive.infolist()[0]
        for k in range(50):
            twin = zipfile.ZipInfo(f"{k}.npy")
            twin.header_offset, twin.file_size, twin.compress_size, twin.CRC = (
                0,
                first.file_size,
                first.file_size,
                first.CRC,
            )
            archive.filelist.append(twin)
    with pytest.raises(InputError, match="overlap"):
        load_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["../../evil.npy", "/etc/evil.npy", "a/../../b.npy", "..\\evil.npy", "C:\\evil.npy"])
def test_names_that_leave_the_archive(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr(name, npy((1,), data=b"\0" * 4))
    with pytest.raises(InputError, match="leads out"):
        load_npz(tmp_path / "a.npz")


def test_odd_archives(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", b"2")
    with pytest.raises(InputError, match="twice"):
        load_npz(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", b"1")
    with pytest.raises(InputError, match="stored or deflated"):
        load_npz(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"1")
    _patched(path, b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")
    with pytest.raises(InputError, match="encrypted"):
        load_npz(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", b"1")
    with pytest.raises(InputError, match="without any"):
        load_npz(path)
    for other in (tmp_path, tmp_path / "missing.npz"):
        with pytest.raises(InputError, match=other.name):
            load_npz(other)
    with pytest.raises(InputError), open_archive(b"no zip"):
        pass
