"""Root models in `lift`: they say where people stand, whatever the pieces, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flat_lifter import CAMERA, Flat, FlatConfig, pose, root, walking_clip, with_gap
from poselift.errors import InputError
from poselift.models.roots.trajectory import Trajectory, TrajectoryConfig
from poselift.models.weights import save_model
from poselift.pipeline.lift import lift
from poselift.pipeline.locate import choose_root
from poselift.structures import Clip


def trajectory(**changes: Any) -> Trajectory:
    """A trajectory network with weights from nothing, folded statistics and all."""
    torch.manual_seed(3)
    return Trajectory(TrajectoryConfig(**{"channels": 16, "filter_widths": (3, 3), **changes})).eval()


class Ahead:
    """A root model of single frames: depth from the height in the image, per frame by itself."""

    def locate(self, kp_img: Tensor, conf: Tensor, p_root: Tensor, K: Tensor) -> Tensor:
        assert kp_img.shape[:2] == conf.shape[:2] == p_root.shape[:2]
        z = 1 + kp_img[..., 0, 1] / 1000
        return torch.stack((z - z, z - z, z * K[:, None, 0, 0] / 1000), -1)


def whole(model: Any, clip: Clip) -> np.ndarray:
    """The model's roots of all frames at once."""
    kp, conf = torch.from_numpy(clip.kp_img)[None], torch.from_numpy(clip.confidence)[None]
    K = torch.tensor(CAMERA.K, dtype=torch.float32)[None]
    with torch.no_grad():
        return model.locate(kp, conf, torch.from_numpy(pose(clip))[None], K)[0].numpy()


@pytest.mark.parametrize("field", [1, 9])
@pytest.mark.parametrize("batch", [5, 16, 1000])
@pytest.mark.parametrize("causal", [False, True])
def test_a_model_of_several_frames_places_without_seams(field: int, batch: int, causal: bool):
    model = trajectory(causal=causal)
    clip = walking_clip(40)
    lifted = lift(clip, model=Flat(FlatConfig(field=field)), root_model=model, camera=CAMERA, batch=batch).clips[0]
    got = root(lifted)
    if field == 1:  # with a lifter of several frames roots are steadied as well
        assert np.abs(got - whole(model, lifted)).max() < 1e-4
    ref = lift(clip, model=Flat(FlatConfig(field=field)), root_model=model, camera=CAMERA, batch=10_000).clips[0]
    assert np.abs(got - root(ref)).max() < 1e-4
    solved = lift(clip, model=Flat(FlatConfig(field=field)), camera=CAMERA).clips[0]
    assert np.allclose(pose(solved), pose(lifted), atol=1e-6)
    assert np.abs(root(solved) - got).max() > 0.1


@pytest.mark.parametrize("batch", [7, 1000])
def test_a_model_of_single_frames_places_many_people(batch: int):
    people = [walking_clip(20), walking_clip(9, track_id=1, seed=1)]
    result = lift(people, model=Flat(FlatConfig()), root_model=Ahead(), camera=CAMERA, batch=batch)
    for clip in result.clips:
        assert np.allclose(root(clip), whole(Ahead(), clip), atol=1e-5)
        assert clip.meta["root_model"] == "Ahead"
    assert "Where people stand is found by Ahead." in result.notes


def test_frames_without_anybody_are_bridged():
    """The path goes on through a gap, and is the model's outside of its reach."""
    model, clip = trajectory(), walking_clip(60)
    cut = lift(with_gap(clip, 20, 30), model=Flat(FlatConfig()), root_model=model, camera=CAMERA).clips[0]
    ref = lift(clip, model=Flat(FlatConfig()), root_model=model, camera=CAMERA).clips[0]
    far = np.r_[0:16, 34:60]
    assert np.abs(root(cut) - root(ref))[far].max() < 1e-5
    step = np.diff(root(cut)[19:31], axis=0)
    assert np.allclose(step, step[0], atol=1e-5)


def test_a_folder_is_named_and_lifting_again_forgets_it(tmp_path: Path):
    folder = save_model(trajectory(), tmp_path / "paths" / "model")
    lifted = lift(walking_clip(12), model=Flat(FlatConfig()), root_model=folder, camera=CAMERA)
    assert lifted.clips[0].meta["root_model"] == "paths/model"
    assert "root_model" not in lift(lifted.clips, model=Flat(FlatConfig())).clips[0].meta


def test_other_joints_and_numbers_that_are_none_are_refused():
    with pytest.raises(InputError, match=r"root model.*poses of coco17.*a lifter of h36m17"):
        choose_root(trajectory(skeleton="coco17"), Flat(FlatConfig()))
    broken = trajectory()
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    with pytest.raises(InputError, match=r"root model.*NaN"):
        lift(walking_clip(12), model=Flat(FlatConfig()), root_model=broken, camera=CAMERA)
    with pytest.raises(InputError, match="no such model"):
        lift(walking_clip(12), model=Flat(FlatConfig()), root_model="no/such", camera=CAMERA)
