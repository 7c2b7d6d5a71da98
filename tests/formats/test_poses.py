"""The native files: what is written comes back, and the simple form anybody can make by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keypoint_files import people
from motion_fixtures import lifted_clip
from poselift.errors import InputError
from poselift.formats import WRITERS, ReadOptions, read
from poselift.structures import Clip, skeleton

FORMS = pytest.mark.parametrize("form", ["npz", "json"])


def save(folder: Path, form: str, **columns: Any) -> Path:
    """Columns and facts as one of the two files."""
    path = folder / f"k.{form}"
    if form == "npz":
        np.savez(path, **{k: np.asarray(v) for k, v in columns.items()})  # pyright: ignore[reportArgumentType]
    else:
        path.write_text(json.dumps({k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in columns.items()}))
    return path


@FORMS
def test_the_least_that_is_needed(form: str, tmp_path: Path) -> None:
    p = people("coco17")[0]
    (clip,) = read(save(tmp_path, form, kp_img=p[..., :2], skeleton="coco17"))
    np.testing.assert_allclose(clip.kp_img, p[..., :2], atol=1e-3)
    assert clip.seen.all()
    assert (clip.fps, clip.camera, clip.meta) == (30, None, {"assumed_fps": True})
    (named,) = read(save(tmp_path, form, kp_img=p[..., :2]), options=ReadOptions(skeleton="h36m17"))
    assert named.skeleton.name == "h36m17"
    (listed,) = read(save(tmp_path, form, kp_img=p[..., :2], joints=list(skeleton("coco17").joints)))
    assert listed.skeleton.name == "coco17"


@FORMS
def test_all_columns(form: str, tmp_path: Path) -> None:
    p = people("coco17")
    rows = p.reshape(-1, 17, 3)
    order = np.random.default_rng(0).permutation(len(rows))
    path = save(
        tmp_path, form, kp_img=rows[order, :, :2], conf=rows[order, :, 2], frame=np.tile(np.arange(5, 17), 2)[order],
        track_id=np.repeat([4, 9], 12)[order], skeleton="coco17", fps=24, size_wh=[1000, 800],
        K=[[1200.0, 0, 500], [0, 1200, 400], [0, 0, 1]],
    )  # fmt: skip
    first, second = read(path)
    assert (first.track_id, second.track_id) == (4, 9)
    for clip, person in ((first, p[0]), (second, p[1])):
        np.testing.assert_allclose(clip.kp_img, person[..., :2], atol=1e-3)
        np.testing.assert_allclose(clip.confidence, person[..., 2], atol=1e-4)
        assert clip.frame_numbers.tolist() == list(range(5, 17))
        assert clip.camera is not None
        assert clip.camera.size_wh == (1000, 800)
        assert clip.camera.focal == (1200, 1200)


@FORMS
def test_people_without_identities(form: str, tmp_path: Path) -> None:
    p = people("coco17")
    rows = np.stack([p[:, t][:: 1 if t % 2 else -1] for t in range(12)]).reshape(-1, 17, 3)
    found = read(save(tmp_path, form, kp_img=rows[..., :2], frame=np.repeat(np.arange(12), 2), skeleton="coco17"))
    assert len(found) == 2
    assert all(len(c) == 12 for c in found)


@FORMS
def test_intrinsics_without_an_image_size(form: str, tmp_path: Path) -> None:
    """The principal point is taken for the middle of the image, and the clip says so."""
    k = [[1200.0, 0, 499.5], [0, 1200, 399.5], [0, 0, 1]]
    p = people("coco17")[0][..., :2]
    (clip,) = read(save(tmp_path, form, kp_img=p, skeleton="coco17", K=k))
    assert clip.camera is not None
    assert clip.camera.size_wh == (1000, 800)
    assert clip.meta["assumed_size"] is True
    (sized,) = read(save(tmp_path, form, kp_img=p, skeleton="coco17", K=k), options=ReadOptions(size_wh=(1920, 1080)))
    assert sized.camera is not None
    assert sized.camera.size_wh == (1920, 1080)


@FORMS
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"fps": 0}, "fps"), ({"fps": -30}, "fps"), ({"size_wh": [0, 100]}, "size_wh"),
        ({"size_wh": [1, 2, 3]}, "size_wh"), ({"K": [[0, 0, 0], [0, 1, 0], [0, 0, 1]]}, "focal"),
        ({"K": [[1, 2], [3, 4]]}, "camera K"), ({"K": [[1, 0, 0], [0, 1, 0], [0, 5, 1]]}, "camera K"),
        ({"skeleton": "coco-17"}, "did you mean 'coco17'"), ({"skeleton": "halpe26"}, "26 of halpe26, found 17"),
        ({"joints": ["a", "b"], "skeleton": None}, "joints"), ({"conf": [[1.0]]}, "conf"),
        ({"conf": np.ones((12, 16))}, "conf"), ({"frame": [0, 1]}, "frame"), ({"frame": [0.5] * 12}, "frame"),
        ({"frame": [0] * 11 + [10**9]}, "frame"), ({"track_id": ["x"] * 12}, "track_id"), ({"kp_img": 3}, "kp_img"),
        ({"kp_img": np.ones((12, 17))}, "kp_img"), ({"kp_img": np.ones((12, 17, 4))}, "kp_img"),
        ({"kp_img": np.full((12, 17, 2), 1e300)}, "finite"), ({"p_root": np.ones((12, 16, 3))}, "p_root"),
        ({"root_cam": np.ones((12, 2)), "p_root": np.ones((12, 17, 3))}, "root_cam"), ({"meta": 5}, "meta"),
        ({"skeleton": 17}, "skeleton"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)  # fmt: skip
def test_columns_that_cannot_be(form: str, wrong: dict[str, Any], says: str, tmp_path: Path) -> None:
    good = {"kp_img": people("coco17")[0][..., :2], "skeleton": "coco17", "fps": 30, "size_wh": [1000, 800]}
    columns = {k: v for k, v in {**good, **wrong}.items() if v is not None}
    with pytest.raises(InputError, match=says) as told:
        read(save(tmp_path, form, **columns), f"poses-{form}")
    assert f"k.{form}" in str(told.value)


def test_a_written_scene_with_gaps(tmp_path: Path) -> None:
    """A person who misses frames: they come back as unseen frames, with 3D in between."""
    first, second = lifted_clip(0), lifted_clip(1, track_id=5)
    keep = np.array([0, 1, 5, 6])
    assert second.p_root is not None
    assert second.root_cam is not None
    second = second.replace(
        kp_img=second.kp_img[keep], conf=second.confidence[keep], p_root=second.p_root[keep],
        root_cam=second.root_cam[keep], frames=second.frame_numbers[keep],
    )  # fmt: skip
    for form in ("npz", "json"):
        WRITERS[form].write([first, second], tmp_path / f"a.{form}")
        a, b = read(tmp_path / f"a.{form}")
        assert a.seen.all()
        assert b.root_cam is not None
        assert second.root_cam is not None
        assert b.frame_numbers.tolist() == list(range(7))
        assert b.seen.tolist() == [True, True, False, False, False, True, True]
        np.testing.assert_allclose(b.root_cam[keep], second.root_cam, atol=1e-5)


def test_unknown_roots(tmp_path: Path) -> None:
    """Roots that nobody knows are NaN in the columns and nothing in the clip."""
    for form in ("npz", "json"):
        WRITERS[form].write([lifted_clip(0).replace(root_cam=None)], tmp_path / f"a.{form}")
        (clip,) = read(tmp_path / f"a.{form}")
        assert clip.p_root is not None
        assert clip.root_cam is None


@pytest.mark.parametrize("rows", [200_000])
def test_long_files_are_read_without_loops(rows: int, tmp_path: Path) -> None:
    """Many rows go through few array operations (counted, not timed: a loop over rows would call millions)."""
    import cProfile
    import pstats

    kp = np.ones((rows, 17, 2), np.float32)
    np.savez(tmp_path / "a.npz", kp_img=kp, skeleton="h36m17", frame=np.arange(rows), track_id=np.zeros(rows, int))
    with cProfile.Profile() as profile:
        (clip,) = read(tmp_path / "a.npz")
    assert len(clip) == rows
    assert pstats.Stats(profile).total_calls < rows  # type: ignore[attr-defined]
    assert isinstance(clip, Clip)
