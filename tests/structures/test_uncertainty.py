"""The stated uncertainty of the root: what it is made of, and that it holds before cameras of random view."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from motion_fixtures import lifted_clip
from poselift.formats import WRITERS, read
from poselift.pipeline.place import place_root
from poselift.structures import Camera, Clip
from poselift.structures.uncertainty import FOCAL_SD, SIZE_SD, RootError, root_sd
from poselift.view.notes import standard_notes


def stated(error: RootError, **meta: object) -> Clip:
    clip = lifted_clip()
    return clip.replace(meta={**clip.meta, **error.to_meta(), **meta})


def test_a_known_camera_leaves_the_body() -> None:
    clip = stated(RootError())
    sd = root_sd(clip)
    assert sd is not None
    assert clip.root_cam is not None
    np.testing.assert_allclose(sd, SIZE_SD * np.abs(clip.root_cam), rtol=1e-6)


def test_an_assumed_focal_length_adds_to_depth_alone() -> None:
    clip = stated(RootError(size=0.06, focal=0.08))
    sd = root_sd(clip)
    assert sd is not None
    assert clip.root_cam is not None
    np.testing.assert_allclose(sd[:, 2], 0.1 * clip.root_cam[:, 2], rtol=1e-6)
    np.testing.assert_allclose(sd[:, :2], 0.06 * np.abs(clip.root_cam[:, :2]), rtol=1e-6)


@pytest.mark.parametrize("meta", [{}, {"size_sd": "7 %", "focal_sd": 0}, {"size_sd": -1.0, "focal_sd": 0.0}])
def test_nothing_stated_nothing_said(meta: dict[str, object]) -> None:
    assert root_sd(lifted_clip().replace(meta=meta)) is None
    assert root_sd(stated(RootError()).replace(root_cam=None)) is None


def test_the_focal_part_is_that_of_the_field_of_view() -> None:
    """35° and 90° are 0.50 and -0.65 from 55° in logarithms; the root mean square is between."""
    ends = [math.log(math.tan(math.radians(27.5)) / math.tan(math.radians(f / 2))) for f in (35, 90)]
    assert ends == pytest.approx([0.501, -0.653], abs=0.01)
    assert abs(FOCAL_SD - 0.35) < 0.01


@pytest.mark.parametrize("known", [True, False])
def test_two_thirds_of_the_truth_are_within_it(known: bool) -> None:
    """Bodies of random stature before cameras of random view, placed by a pose of average size."""
    rng = np.random.default_rng(0)
    p = torch.from_numpy(lifted_clip(noise_m=0.0).p_root[:1])  # type: ignore[index]
    hits, n = 0, 400
    error = RootError(focal=0.0 if known else FOCAL_SD)
    for _ in range(n):
        camera = Camera.from_fov(fov_deg=rng.uniform(35, 90), size_wh=(1920, 1080))
        told = camera if known else Camera.from_fov(size_wh=(1920, 1080))
        root = np.array([rng.uniform(-1, 1), 0.2, rng.uniform(3, 8)])
        kp = camera.project(p.numpy()[0] * np.exp(rng.normal(0, SIZE_SD)) + root)
        found = place_root(
            torch.from_numpy(kp)[None].float(), torch.ones(1, 17), p, torch.from_numpy(told.K)[None].float()
        )
        z = float(found[0, 2])
        hits += abs(z - root[2]) < error.depth * z
    assert 0.60 < hits / n < 0.78


@pytest.mark.parametrize("form", ["json", "npz"])
def test_files_hold_it_and_can_be_read_again(tmp_path: Path, form: str) -> None:
    clip = stated(RootError(focal=FOCAL_SD), assumed_focal=True)
    path = tmp_path / f"poses.{form}"
    WRITERS[form].write([clip, clip.replace(track_id=1)], path)
    want = root_sd(clip)
    assert want is not None
    if form == "npz":
        found = np.load(path)["root_sd"]
        assert found.shape == (2 * len(clip), 3)
        found = found[: len(clip)]
    else:
        found = np.array([f["root_sd"] for f in json.loads(path.read_text())["tracks"][0]["frames"]])
    np.testing.assert_allclose(found, want, atol=1e-5)
    again = read(path)[0]
    assert RootError.of(again.meta) == RootError(focal=FOCAL_SD)


def test_the_report_says_it() -> None:
    known = " ".join(standard_notes([stated(RootError())]))
    assert "± 7 %" in known
    assert "focal length, " not in known
    assumed = " ".join(standard_notes([stated(RootError(focal=FOCAL_SD), assumed_focal=True)]))
    assert "from the assumed focal length" in assumed
