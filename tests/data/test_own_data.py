"""Human3.6M from a user's files, a user's own motion, preparing and describing files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from poselift.data import cmu17, human36m, motion
from poselift.data.datasets import DataConfig, dataset_clips, dataset_source
from poselift.data.info import describe
from poselift.data.prepare import prepare
from poselift.errors import InputError
from poselift.formats import read_motion
from poselift.formats.motion_npz import write_motion
from poselift.formats.videopose3d_3d import KEPT
from poselift.structures import Motion, skeleton

H36M = skeleton("h36m17")
PARITY = Path(__file__).parents[1] / "parity"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Human3.6M of made-up takes in VideoPose3D's layout: CMU motion under the names of its subjects."""
    root = tmp_path_factory.mktemp("h36m")
    clips = cmu17.load_motions(None, "train")[:8]
    names = [("S1", "Walking 1"), ("S5", "WalkingDog"), ("S8", "Eating 2"), ("S9", "TakingPhoto 1"), ("S11", "Sitting")]
    positions: dict[str, dict[str, np.ndarray]] = {}
    for (subject, action), m in zip(names, clips, strict=False):
        raw = np.zeros((40, 32, 3), np.float32)
        raw[:, KEPT] = m.p_world[:40]
        positions.setdefault(subject, {})[action] = raw
    np.savez(root / "data_3d_h36m.npz", positions_3d=np.array(positions, dtype=object))
    rng = np.random.default_rng(0)
    found = {
        s: {a: [rng.uniform(200, 800, (42, 17, 2)).astype(np.float32) for _ in range(4)] for a in takes}
        for s, takes in positions.items()
    }
    meta = {
        "layout_name": "h36m",
        "num_joints": 17,
        "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]],
    }
    np.savez(
        root / "data_2d_h36m_cpn.npz", positions_2d=np.array(found, dtype=object), metadata=np.array(meta, dtype=object)
    )
    return root


def test_subjects_cameras_and_names(folder: Path) -> None:
    test = human36m.clips(folder, "test")
    assert [c.meta["name"] for c in test[:2]] == ["S9/TakingPhoto 1.0", "S9/TakingPhoto 1.1"]
    assert [c.meta["action"] for c in test[::4]] == ["Photo", "Sitting"]
    assert len(test) == 8
    assert {c.meta["subject"] for c in human36m.clips(folder, "train")} == {"S1", "S5"}
    assert test[0].camera is not None
    assert test[0].camera.size_wh == (1000, 1002)
    assert test[0].fps == 50


def test_cameras_agree_with_the_parity_vectors() -> None:
    """World → camera → image, against outputs of the published conventions (subject S9)."""
    z = np.load(PARITY / "cameras.npz")
    for i, (bent, straight) in enumerate(
        zip(human36m.cameras("S9"), human36m.cameras("S9", distorted=False), strict=True)
    ):
        p = bent.world_to_cam(z["x_world"].astype(np.float64))
        assert p == pytest.approx(z[f"y_cam{i}"], abs=1e-4)
        inside = (np.abs(p[..., :2] / p[..., 2:]) < 1).all((-1, -2))  # the published function clamps at 1
        assert inside.any()
        assert bent.project(p)[inside] == pytest.approx(z[f"y_pixel{i}"][inside], abs=0.02)
        w, h = bent.size_wh
        linear = (z[f"y_proj_linear{i}"] + [1, h / w]) * w / 2
        assert straight.project(p)[inside] == pytest.approx(linear[inside], abs=0.02)


def test_detections_are_cut_to_the_truth_and_missing_ones_are_named(folder: Path, tmp_path: Path) -> None:
    clips = human36m.clips(folder, "validation", keypoints="cpn")
    assert len(clips) == 4
    assert len(clips[0]) == 40
    stored = np.load(folder / "data_2d_h36m_cpn.npz", allow_pickle=True)["positions_2d"].item()
    assert np.array_equal(clips[2].kp_img, stored["S8"]["Eating 2"][2][:40])
    with pytest.raises(InputError, match="data_2d_h36m_none"):
        human36m.clips(folder, "test", keypoints="none")
    with pytest.raises(InputError, match="no such file"):
        human36m.clips(tmp_path, "test")


def test_human36m_through_the_table(folder: Path) -> None:
    config = DataConfig(dataset="human36m", path=str(folder), flip=True)
    source = dataset_source(config, "train")
    assert source.size == 2 * 4 * 40
    batch = source.batch(64, torch.Generator().manual_seed(0))
    assert batch.kp_img.shape == (64, 1, 17, 2)
    # truth and (mirrored) input belong together: the linear projection is within the distortion's few pixels
    p = batch.p_root + batch.root_cam[:, :, None]
    kp = p[..., :2] / p[..., 2:] * batch.K[:, None, None, [0, 1], [0, 1]] + batch.K[:, None, None, :2, 2]
    assert float((kp - batch.kp_img).norm(dim=-1).median()) < 15
    assert len(dataset_clips(config, "test", 10)) == 8


def test_own_motion_splits_by_performer_or_not_at_all(tmp_path: Path) -> None:
    one = cmu17.load_motions(None, "test")[:1]
    write_motion(one, tmp_path / "one.npz")
    assert len(motion.load(tmp_path, "train")) == len(motion.load(tmp_path, "test")) == 1
    many = [Motion(skeleton=H36M, fps=50, p_world=one[0].p_world[:5], name=f"n{i}", subject=f"s{i}") for i in range(60)]
    write_motion(many, tmp_path / "one.npz")
    parts = [{m.subject for m in motion.load(tmp_path, s)} for s in ("train", "validation", "test")]
    assert all(parts)
    assert not (parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2])
    assert sum(map(len, parts)) == 60
    write_motion(many[:3], tmp_path / "one.npz")
    few = [[m.subject for m in motion.load(tmp_path, s)] for s in ("train", "validation", "test")]
    assert sorted(s for part in few for s in part) == ["s0", "s1", "s2"], "three performers: one for each split"
    assert all(few)
    write_motion(many, tmp_path / "one.npz")
    config = DataConfig(dataset="motion", path=str(tmp_path), input="wild")
    assert dataset_source(config, "train").batch(8, torch.Generator().manual_seed(0)).kp_img.shape == (8, 1, 17, 2)


def test_prepare_round_trip_and_rate(tmp_path: Path) -> None:
    source = cmu17.load_motions(None, "test")[:2]
    write_motion(source, tmp_path / "in.npz")
    out, motions = prepare(tmp_path / "in.npz", tmp_path / "sub" / "out.npz", fps=25.0, cut=False)
    back = read_motion(out)
    assert [m.name for m in back] == [m.name for m in source]
    assert {m.fps for m in back} == {25.0}
    assert back[0].p_world == pytest.approx(source[0].p_world[::2], abs=1e-5)
    assert len(motions) == 2
    with pytest.raises(InputError, match="no such file"):
        prepare(tmp_path / "nothing", tmp_path / "x.npz")
    assert not (tmp_path / "x.npz").exists()


def test_glitches_are_cut_unless_they_are_to_be_kept(tmp_path: Path) -> None:
    """Of ASF/AMC too, whose reader cuts by itself."""
    source = Path(__file__).parents[1] / "fixtures" / "cmu_asfamc" / "subjects"
    for name in ("02.asf", "02_01.amc"):
        (tmp_path / name).write_bytes((source / "02" / name).read_bytes())
    lines = (tmp_path / "02_01.amc").read_text().splitlines()
    roots = [i for i, line in enumerate(lines) if line.startswith("root ")]
    middle = roots[len(roots) // 2]
    words = lines[middle].split()
    lines[middle] = " ".join([words[0], str(float(words[1]) + 40), *words[2:]])
    (tmp_path / "02_01.amc").write_text("\n".join(lines) + "\n")
    kept = prepare(tmp_path / "02_01.amc", tmp_path / "kept.npz", fps=None, cut=False)[1]
    assert [len(m) for m in kept] == [len(roots)]
    with pytest.raises(InputError, match="half a second without a glitch"):  # what is left on both sides is too short
        prepare(tmp_path / "02_01.amc", tmp_path / "cut.npz", fps=None)
    assert not (tmp_path / "cut.npz").exists()


def test_describe_finds_what_is_wrong(tmp_path: Path) -> None:
    good = cmu17.load_motions(None, "test")[:2]
    write_motion(good, tmp_path / "good.npz")
    told = describe(tmp_path / "good.npz")
    assert told.plausible
    assert told.holds == "3D motion"
    assert told.frames == sum(map(len, good))
    assert told.fps == (50.0,)
    json.dumps(told.to_dict())
    wrong = {
        "metres": lambda p: p * 1000,
        "z up": lambda p: p[..., [0, 2, 1]] * (1, 1, -1),
        "limbs keep their length": lambda p: p + np.random.default_rng(0).normal(0, 0.03, p.shape),
        "speed": lambda p: np.concatenate([p[:20], p[20:] + np.array([3.0, 0, 0])]),
    }
    for name, spoil in wrong.items():
        spoilt = [Motion(skeleton=H36M, fps=50, p_world=spoil(m.p_world.astype(float)), name=m.name) for m in good]
        write_motion(spoilt, tmp_path / "bad.npz")
        verdicts = {c.name: c.verdict for c in describe(tmp_path / "bad.npz").checks}
        assert verdicts[name] == "warning", name


def test_describe_keypoints(tmp_path: Path) -> None:
    clip = cmu17.views(cmu17.load_motions(None, "test")[:1], noise=True)[0]
    kp = np.concatenate([clip.kp_img, clip.confidence[..., None]], -1)
    kp[10:15] = np.nan
    np.save(tmp_path / "kp.npy", kp)
    from poselift.formats import ReadOptions

    told = describe(tmp_path / "kp.npy", options=ReadOptions(skeleton="h36m17", fps=50))
    assert told.holds == "2D keypoints"
    assert told.gaps == 5
    assert told.tracks == 1
    assert told.plausible
    kp[..., 1] = 1000 - kp[..., 1]
    np.save(tmp_path / "kp.npy", kp)
    told = describe(tmp_path / "kp.npy", options=ReadOptions(skeleton="h36m17", fps=50))
    assert {c.name: c.verdict for c in told.checks}["upright"] == "warning"


def test_a_cut_recording_in_a_cmu_download_is_named(tmp_path: Path) -> None:
    source = Path(__file__).parents[1] / "fixtures" / "cmu_asfamc"
    cut = next(iter(sorted(source.rglob("*.amc"))))
    folder = tmp_path / "subjects" / cut.parent.name
    folder.mkdir(parents=True)
    for skeleton_file in cut.parent.glob("*.asf"):
        (folder / skeleton_file.name).write_bytes(skeleton_file.read_bytes())
    (folder / cut.name).write_bytes(cut.read_bytes()[:4000])
    with pytest.raises(InputError, match=cut.name):
        prepare(tmp_path / "subjects", tmp_path / "motion.npz")
    assert not (tmp_path / "motion.npz").exists()
