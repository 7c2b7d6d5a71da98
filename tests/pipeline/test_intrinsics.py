"""Which camera is used, what is assumed, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from poselift.errors import InputError
from poselift.pipeline.intrinsics import CameraOptions, choose_camera, common_size
from poselift.structures import DEFAULT_FOV_DEG, Camera

STATED = Camera.from_focal(focal=1145.0, size_wh=(1000, 1002), dist=np.full(5, 0.01))


def chosen(options: CameraOptions, **known):
    return choose_camera(options, **{"stated": None, "size_wh": None, "reach": (600, 400), **known})


@pytest.mark.parametrize(
    ("reach", "size"),
    [
        ((600, 300), (640, 360)),
        ((639, 479), (640, 480)),
        ((640, 479), (854, 480)),
        ((300, 600), (360, 640)),
        ((500, 1900), (1080, 1920)),
        ((9000.2, 100), (9002, 101)),
    ],
)
def test_common_size(reach: tuple[float, float], size: tuple[int, int]):
    assert common_size(reach) == size


@pytest.mark.parametrize("reach", [(1e9, 1.0), (float("inf"), 1.0), (float("nan"), float("nan"))])
def test_absurd_coordinates_are_refused(reach: tuple[float, float]):
    with pytest.raises(InputError, match="pixels up to"):
        common_size(reach)


def test_the_files_camera_is_used_as_it_is():
    found = chosen(CameraOptions(), stated=STATED, size_wh=(1000, 1002))
    assert found.camera is STATED
    assert found.notes == ()
    assert not found.assumed_focal


def test_the_users_camera_comes_first():
    mine = Camera.from_focal(focal=500.0, size_wh=(640, 480))
    assert chosen(CameraOptions(camera=mine), stated=STATED).camera is mine


def test_focal_and_fov_keep_what_else_is_known():
    found = chosen(CameraOptions(focal=900.0), stated=STATED)
    assert found.camera.focal == (900.0, 900.0)
    assert found.camera.size_wh == (1000, 1002)
    assert found.camera.dist is not None
    found = chosen(CameraOptions(fov=90.0), size_wh=(800, 600))
    assert found.camera.focal[0] == pytest.approx(400)
    assert not found.assumed_focal


def test_everything_unknown_is_assumed_and_said():
    found = chosen(CameraOptions())
    assert found.camera.size_wh == (640, 480)
    assert found.camera.focal[0] == pytest.approx(320 / np.tan(np.radians(DEFAULT_FOV_DEG) / 2))
    assert found.assumed_focal
    assert any("640 × 480" in n for n in found.notes)
    assert any(f"{DEFAULT_FOV_DEG:g}°" in n for n in found.notes)


def test_a_given_image_size_is_not_assumed():
    found = chosen(CameraOptions(image_size=(1920, 1080), focal=1500.0))
    assert found.camera.size_wh == (1920, 1080)
    assert found.notes == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"focal": 0.0}, {"focal": -5.0}, {"focal": float("nan")}, {"fov": 0.0}, {"fov": 180.0}, {"fov": float("nan")},
        {"image_size": (0, 480)}, {"image_size": (640, -1)}, {"focal": 500.0, "fov": 60.0},
        {"focal": 500.0, "camera": STATED},
    ],
    ids=str,
)  # fmt: skip
def test_impossible_values_are_refused(wrong: dict):
    with pytest.raises(InputError):
        CameraOptions(**wrong)


def test_camera_file(tmp_path: Path):
    file = tmp_path / "camera.json"
    file.write_text(json.dumps(STATED.to_dict()))
    found = CameraOptions.of(camera=str(file)).camera
    assert found is not None
    assert found.to_dict() == STATED.to_dict()
    assert CameraOptions.of(camera={"focal": 700, "size_wh": [640, 480]}).camera is not None


@pytest.mark.parametrize(
    "text",
    ['{"K": [[0,0,0],[0,0,0],[0,0,0]], "size_wh": [640, 480]}', '{"size_wh": [640, 480]}', "[1, 2]", '{"K": ', ""],
)
def test_a_bad_camera_file_is_named(text: str, tmp_path: Path):
    file = tmp_path / "camera.json"
    file.write_text(text)
    with pytest.raises(InputError, match=r"camera\.json"):
        CameraOptions.of(camera=file)
