"""The demo's photograph is left out with one line where its detector cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from poselift.pipeline import demo_photo as photo


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


def test_without_scikit_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(photo.importlib.util, "find_spec", lambda name: None)
    said = photo.demo_photo(tmp_path / "out")
    assert isinstance(said, str)
    assert "pip install 'poselift[demo]'" in said
