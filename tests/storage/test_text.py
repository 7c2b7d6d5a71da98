"""JSON and text: every failure is one clear line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from poselift.errors import InputError
from poselift.storage import text
from poselift.storage.text import load_json, load_text, peek_json, release_json

BAD = {
    b"": "empty", b" \n": "empty", b'{"a": [1, 2': "cut off", b'{"a": 1}}': "not valid JSON",
    b"{'a': 1}": "line 1, column 2", b"\xff\xfe{\x00": "UTF-8", b"[" * 200_000: "nested too deeply",
    b"1" * 5000: "digits",
}  # fmt: skip


@pytest.mark.parametrize("data", BAD, ids=lambda d: repr(d[:8]))
def test_bad_json(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=BAD[data]) as told:
        load_json(path)
    assert str(told.value).startswith(str(path))
    assert peek_json(path) is None


def test_missing_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(InputError, match=path.name):
            load_json(path)
        assert peek_json(path) is None


def test_caps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([0] * 5000))
    with pytest.raises(InputError, match="at most 1,000 bytes"):
        load_json(path, max_bytes=1000)
    monkeypatch.setattr(text, "MAX_JSON_VALUES", 100)
    with pytest.raises(InputError, match="at most 100 values"):
        load_json(path)


def test_byte_order_mark_and_changed_files(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert load_json(path) == {"a": 1}
    first = load_json(path)
    assert load_json(path) is first, "a file that did not change is parsed once"
    release_json()
    assert load_json(path) is not first
    path.write_bytes(b'\xef\xbb\xbf{"a": 2}')
    os.utime(path, ns=(1, 1))
    assert load_json(path) == {"a": 2}


def test_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffé".encode())
    assert load_text(tmp_path / "a.txt") == "é"
    (tmp_path / "a.txt").write_bytes(b"ok \xff")
    with pytest.raises(InputError, match="byte 0xff at 3"):
        load_text(tmp_path / "a.txt")
