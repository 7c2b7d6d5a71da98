"""What every entry of `DATASETS` promises. A new one is tested by being in the table and having an example here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import erd_folder
from poselift.data import cmu17
from poselift.data.bank import Batch
from poselift.data.datasets import DATASETS, DataConfig, dataset_clips, dataset_source
from poselift.errors import InputError
from poselift.formats.motion_npz import write_motion
from poselift.formats.videopose3d_3d import KEPT
from poselift.structures import Motion, skeleton

FRAMES = 40
SPLITS = ("train", "validation", "test")


def walkers(n: int) -> list[Motion]:
    """Pieces of real motion under the names of n performers."""
    motions = cmu17.load_motions(None, "train")[:n]
    cut = [replace(m, p_world=m.p_world[:FRAMES], name=f"take{i}", subject=f"s{i}") for i, m in enumerate(motions)]
    assert len(cut) == n
    return cut


def human36m(folder: Path) -> str:
    positions: dict[str, dict[str, np.ndarray]] = {}
    for subject, motion in zip(("S1", "S8", "S9"), walkers(3), strict=True):
        raw = np.zeros((FRAMES, 32, 3), np.float32)
        raw[:, KEPT] = motion.p_world
        positions[subject] = {"Walking 1": raw}
    np.savez(folder / "data_3d_h36m.npz", positions_3d=np.array(positions, dtype=object))
    return str(folder)


def own_motion(folder: Path) -> str:
    write_motion(walkers(3), folder / "motion.npz")
    return str(folder)


def erd(folder: Path) -> str:
    first, second, third = walkers(3)
    train = erd_folder.sequences({("S1", "Walking 1"): first, ("S8", "Walking 1"): second})
    test = erd_folder.sequences({("S9", "Walking 1"): third})
    names = [f"{split}_custom_{d}_unnorm" for split in ("train", "test") for d in ("2d", "3d")]
    return str(erd_folder.write(folder, dict(zip(names, (*train, *test), strict=True))))


EXAMPLES: dict[str, Callable[[Path], str | None]] = {
    "cmu17": lambda _: None, "human36m": human36m, "erd": erd, "motion": own_motion,
}  # fmt: skip


@pytest.fixture(params=sorted(DATASETS))
def config(request: pytest.FixtureRequest, tmp_path: Path) -> DataConfig:
    name = request.param
    assert name in EXAMPLES, f"tests/contracts/test_datasets.py needs an example of the data set '{name}'"
    return DataConfig(dataset=name, path=EXAMPLES[name](tmp_path))


def test_clips_hold_2d_3d_and_the_camera_that_leads_from_one_to_the_other(config: DataConfig) -> None:
    for split in SPLITS:
        clips = dataset_clips(config, split, 10)
        assert clips
        for clip in clips[:8]:
            assert clip.skeleton == skeleton("h36m17")
            assert clip.camera is not None
            assert clip.p_cam is not None
            assert clip.camera.project(clip.p_cam) == pytest.approx(clip.kp_img, abs=0.02)
            assert {"name", "subject", "action"} <= clip.meta.keys()
        names = [c.meta["name"] for c in clips]
        assert len(set(names)) == len(names)


def test_nobody_is_in_two_splits(config: DataConfig) -> None:
    people = [{c.meta["subject"] for c in dataset_clips(config, split, 50)} for split in SPLITS]
    assert sum(map(len, people)) == len(set().union(*people))


def test_every_keeps_each_so_many_th_frame(config: DataConfig) -> None:
    whole, thin = (dataset_clips(config, "test", every)[0] for every in (1, 7))
    assert np.array_equal(thin.kp_img, whole.kp_img[::7])
    assert np.array_equal(thin.frame_numbers, whole.frame_numbers[::7])


@pytest.mark.parametrize("frames", [1, 9])
@pytest.mark.parametrize("flip", [False, True])
def test_batches_are_the_generators_and_truth_belongs_to_input(config: DataConfig, flip: bool, frames: int) -> None:
    source = dataset_source(replace(config, flip=flip, frames=frames, projection="linear"), "train")
    assert source.size > 0

    def draw(seed: int) -> Batch:
        return source.batch(33, torch.Generator().manual_seed(seed))

    batch = draw(0)
    assert batch.kp_img.shape == (33, frames, 17, 2)
    assert batch.p_root.shape == (33, frames, 17, 3)
    assert (batch.p_root[:, :, skeleton("h36m17").root] == 0).all()
    p = batch.p_root + batch.root_cam[:, :, None]
    kp = p[..., :2] / p[..., 2:] * batch.K[:, None, None, [0, 1], [0, 1]] + batch.K[:, None, None, :2, 2]
    assert float((kp - batch.kp_img).norm(dim=-1).max()) < 0.1
    assert all(torch.equal(a, draw(0).as_dict()[k]) for k, a in batch.as_dict().items())
    assert not torch.equal(batch.kp_img, draw(1).kp_img)


def test_a_missing_folder_and_an_unknown_split_are_named(config: DataConfig) -> None:
    for call in (lambda c, s: dataset_clips(c, s), dataset_source):
        with pytest.raises(InputError, match="no_such_folder"):
            call(replace(config, path="no_such_folder"), "train")
        with pytest.raises(InputError, match="tset"):
            call(config, "tset")
