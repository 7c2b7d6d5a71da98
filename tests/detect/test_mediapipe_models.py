"""MediaPipe's models: fetched once, checked, kept, mended; no network here, pip is given a made-up wheel."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from poselift.detect import mediapipe_models as models
from poselift.errors import InputError
from poselift.storage.cache import cache_folder

CONTENT = {m.member: np.random.default_rng(i).bytes(5000) for i, m in enumerate(models.MODELS)}
NAMES = [m.name for m in models.MODELS]
WHEEL = "mediapipe-0.10.21-cp312-cp312-manylinux_2_28_x86_64.whl"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; pip sees nothing but a folder that is empty; the made-up models are the right ones."""
    monkeypatch.setenv("POSELIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    made_up = [dataclasses.replace(m, sha256=hashlib.sha256(CONTENT[m.member]).hexdigest()) for m in models.MODELS]
    monkeypatch.setattr(models, "MODELS", tuple(made_up))
    return cache_folder("mediapipe-0.10.21")


def wheel(folder: Path, content: dict[str, bytes] = CONTENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    info = "mediapipe-0.10.21.dist-info/"
    files = {
        **content,
        info + "METADATA": b"Metadata-Version: 2.1\nName: mediapipe\nVersion: 0.10.21\n",
        info + "WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp312-cp312-manylinux_2_28_x86_64\n",
    }
    record = "".join(
        f"{n},sha256={base64.urlsafe_b64encode(hashlib.sha256(d).digest()).rstrip(b'=').decode()},{len(d)}\n"
        for n, d in files.items()
    )
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name, data in {**files, info + "RECORD": record.encode()}.items():
            archive.writestr(name, data)
    return folder / WHEEL


def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("pip was asked")

    monkeypatch.setattr(subprocess, "run", never)


def test_fetched_once_by_pip_and_then_from_the_cache(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wheel(tmp_path / "index")
    said: list[str] = []
    assert list(models.model_files(say=said.append).values()) == list(CONTENT.values())
    assert said == ["fetching MediaPipe's pose models, once (36 MB)"]
    assert sorted(p.name for p in cache.iterdir()) == sorted(NAMES)
    no_pip(monkeypatch)
    assert list(models.model_files(say=said.append).values()) == list(CONTENT.values())
    assert len(said) == 1


def test_a_damaged_cache_is_fetched_again(cache: Path, tmp_path: Path):
    wheel(tmp_path / "index")
    models.model_files()
    (cache / NAMES[1]).write_bytes(b"damaged")
    assert list(models.model_files().values()) == list(CONTENT.values())
    assert (cache / NAMES[1]).read_bytes() == list(CONTENT.values())[1]


def test_without_a_network(cache: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"not to be fetched.*No matching distribution.*put a wheel of") as caught:
        models.model_files()
    assert str(caught.value).count("\n") == 0
    assert not cache.exists()
    wheel(tmp_path / "index")
    models.model_files()
    (tmp_path / "index" / WHEEL).unlink()
    (cache / NAMES[0]).write_bytes(b"damaged")
    with pytest.raises(InputError, match=rf"damaged in the cache \({NAMES[0]}\)"):
        models.model_files()


def test_a_wheel_put_into_the_cache_will_do(cache: Path, monkeypatch: pytest.MonkeyPatch):
    wheel(cache)
    no_pip(monkeypatch)
    assert list(models.model_files()) == NAMES


@pytest.mark.parametrize("change", ["other bytes", "missing"])
def test_a_wheel_with_something_else_in_it(change: str, cache: Path):
    first = next(iter(CONTENT))
    others = {k: v for k, v in CONTENT.items() if k != first}
    wheel(cache, {first: b"evil", **others} if change == "other bytes" else others)
    with pytest.raises(InputError, match="SHA-256" if change == "other bytes" else "found none"):
        models.model_files()
    assert [p.name for p in cache.iterdir()] == [WHEEL], "nothing of it is kept"


def test_the_task_file_holds_the_models_aligned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wheel(tmp_path / "index")
    monkeypatch.setattr(models, "_with_normalisation", lambda data, model: data + b"!")
    task = models.landmarker_task()
    (tmp_path / "pose.task").write_bytes(task)
    with zipfile.ZipFile(tmp_path / "pose.task") as archive:
        assert archive.namelist() == ["pose_detector.tflite", "pose_landmarks_detector.tflite"]
        for name, data in zip(archive.namelist(), CONTENT.values(), strict=True):
            assert archive.read(name) == data + b"!"
            assert task.index(data) % 16 == 0
