"""The demo's photograph is left out with one line where its detector cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from poselift.cli import main
from poselift.pipeline import demo_photo as photo
from poselift.pipeline.run import Lifted


def test_without_a_network_the_act_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POSELIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    said = photo.demo_photo(tmp_path / "out")
    assert isinstance(said, str)
    assert said.startswith("The photograph is left out: ")
    assert "MediaPipe's pose models are not to be fetched" in said
    assert "\n" not in said
    assert not (tmp_path / "out").exists()


def test_a_clip_of_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    from PIL import Image

    given: list[Path] = []
    monkeypatch.setattr(photo, "lift", lambda path, **_: given.append(path) or Lifted(notes=["Lifted yours."]))
    Image.new("RGB", (64, 48)).save(tmp_path / "me.png")
    argv = ["demo", "--out", str(tmp_path / "out"), "--model", "default", "--clip"]
    assert main([*argv, str(tmp_path / "me.png")]) == 0
    said = capsys.readouterr().out
    assert "MPJPE" in said
    assert "And me.png, people and joints found by a detector:\nLifted yours." in said
    assert "photograph" not in said
    assert given == [tmp_path / "me.png"]


@pytest.mark.parametrize("name", ["not there.mp4", "text.mp4", "text.txt"])
def test_a_clip_that_is_none(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for file in ("text.mp4", "text.txt"):
        (tmp_path / file).write_text("no video")
    assert main(["demo", "--out", str(tmp_path / "out"), "--clip", str(tmp_path / name)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert name in err
    assert not (tmp_path / "out").exists()


def test_without_scikit_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(photo.importlib.util, "find_spec", lambda name: None)
    said = photo.demo_photo(tmp_path / "out")
    assert isinstance(said, str)
    assert "pip install 'poselift[demo]'" in said
