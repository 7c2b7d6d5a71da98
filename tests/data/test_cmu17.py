"""The open benchmark: split, cameras, noise exactly as its definition says, worked out here a second time."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np
import pytest

from poselift.data import cmu17
from poselift.data.datasets import DATASETS, DataConfig, dataset_clips, dataset_source
from poselift.errors import InputError
from poselift.structures import Motion

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_split_is_by_performer() -> None:
    parts = {s: {m.subject for m in cmu17.load_motions(None, s)} for s in cmu17.SPLITS}
    assert parts["test"] == {"cmu05", "cmu09", "cmu14", "cmu-martial"}
    assert parts["validation"] == {"cmu08", "cmu13", "cmu-salsaB"}
    assert not parts["train"] & (parts["test"] | parts["validation"])
    assert len(cmu17.load_motions(None)) == sum(len(cmu17.load_motions(None, s)) for s in cmu17.SPLITS)


def test_a_users_own_download_is_split_alike() -> None:
    """CMU numbers its performers; those that the benchmark names must not slip into training by their number."""
    assert cmu17.split_of("cmu135") == "test"
    assert cmu17.split_of("cmu61") == "validation"
    assert cmu17.split_of("cmu60") == cmu17.split_of("cmu94") == cmu17.split_of("cmu141") == "train"
    some = cmu17.load_motions(None, "test")[0]
    numbered = Motion(skeleton=some.skeleton, fps=120, p_world=some.p_world, name="cmu/61/61_02#1", subject="cmu61")
    named = cmu17.of_benchmark(numbered)
    assert named is not None
    assert (named.name, named.subject, named.fps) == ("cmu-salsa/17#1", "cmu-salsaB", 50)
    other = Motion(skeleton=some.skeleton, fps=120, p_world=some.p_world, name="cmu/86/86_01", subject="cmu86")
    assert cmu17.of_benchmark(other) is None, "CMU has 2,000 recordings more than the benchmark"
    own = cmu17.load_motions(Path(__file__).parents[1] / "fixtures" / "cmu_asfamc", "train")
    assert {m.subject for m in own} == {"cmu02", "cmu03"}
    assert {m.fps for m in own} == {50.0}
    if (SHARED / "cmu.npz").exists():  # the recordings' first clean frames are the benchmark's
        whole = {m.name: m.p_world for m in cmu17.load_motions(SHARED, "train")}
        first = next(m for m in own if m.name == "cmu/02/02_01")
        offset = (first.p_world[:20] - whole[first.name][:20]).reshape(-1, 3)  # the floor is told from 60 frames only
        assert float(np.abs(offset - offset.mean(0)).max()) < 1e-5


def test_cameras_are_those_of_the_definition() -> None:
    motion = cmu17.load_motions(None, "test")[0]
    root = motion.p_world[:, 0].astype(float)
    mean = root.mean(0)
    radius = 4.5 + max(math.hypot(*(r - mean)[:2]) for r in root)
    for azimuth, camera in zip((45, 135, 225, 315), cmu17.protocol_cameras(motion), strict=True):
        a = math.radians(azimuth)
        eye = [mean[0] + radius * math.cos(a), mean[1] + radius * math.sin(a), 1.6]
        assert camera.centre_world == pytest.approx(eye, abs=1e-6)
        assert camera.K.tolist() == [[1145, 0, 512], [0, 1145, 515], [0, 0, 1]]
        assert camera.size_wh == (1000, 1002)
        assert camera.project(camera.world_to_cam(mean[None]))[0] == pytest.approx((512, 515), abs=1e-6)
        above = camera.project(camera.world_to_cam(mean[None] + (0, 0, 0.5)))[0]
        assert above[0] == pytest.approx(512, abs=1e-6)
        assert above[1] < 515, "upright"


def test_noise_is_seeded_and_has_the_stated_scale() -> None:
    motion = cmu17.load_motions(None, "test")[0]
    gt, det, again = (cmu17.views([motion], noise=n)[2] for n in (False, True, True))
    assert np.array_equal(det.kp_img, again.kp_img)
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(f"{motion.name}/2".encode())))
    kp = gt.kp_img.astype(np.float64)
    side = np.ptp(kp, axis=1).max(-1)
    want = kp + rng.standard_t(3, kp.shape) * (0.008 * side)[:, None, None]
    assert det.kp_img == pytest.approx(want, abs=1e-3)
    assert np.array_equal(gt.p_root, det.p_root)  # type: ignore[arg-type]


def test_subsampling_keeps_cameras_and_noise_of_the_whole_clip() -> None:
    motion = cmu17.load_motions(None, "test")[1]
    whole, thin = (cmu17.views([motion], noise=True, every=e)[1] for e in (1, 5))
    assert np.array_equal(whole.kp_img[::5], thin.kp_img)
    assert np.array_equal(thin.frame_numbers, np.arange(0, len(whole), 5))


def test_a_view_knows_its_truth() -> None:
    clip = cmu17.views(cmu17.load_motions(None, "test")[:1], noise=False)[0]
    assert clip.camera is not None
    assert clip.p_cam is not None
    assert clip.camera.project(clip.p_cam) == pytest.approx(clip.kp_img, abs=0.01)
    assert clip.meta["subject"] in cmu17.TEST
    assert clip.fps == 50


@pytest.mark.skipif(not (SHARED / "cmu.npz").exists(), reason="the whole database is not part of the repository")
def test_the_sample_is_a_subset_of_the_database() -> None:
    whole = {m.name: m.p_world for m in cmu17.load_motions(SHARED)}
    for motion in cmu17.load_motions(None):
        assert motion.p_world == pytest.approx(whole[motion.name][: len(motion)], abs=6e-5)


def test_unknown_split_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one of train, validation, test"):
        cmu17.load_motions(None, "tset")
    with pytest.raises(InputError, match="no such file"):
        cmu17.load_motions(tmp_path / "none")


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_every_data_set_needs_its_path_or_works_without(name: str) -> None:
    config = DataConfig(dataset=name)  # type: ignore[arg-type]
    if name == "cmu17":
        assert dataset_source(config, "train").size > 10_000
        assert len(dataset_clips(config, "test", 50)) == 4 * len(cmu17.load_motions(None, "test"))
    else:
        with pytest.raises(InputError, match=r"data\.path"):
            dataset_clips(config, "test")
