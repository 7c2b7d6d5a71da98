from __future__ import annotations

from typing import Any

import pytest
import torch

from parity.fill import fill_state_dict
from parity_vectors import description, vectors
from poselift.errors import InputError
from poselift.geometry.projection import project
from poselift.models.predict import Refinement
from poselift.models.refiners.erd import ResidualDescent, ResidualDescentConfig
from poselift.models.roots.trajectory import Trajectory, TrajectoryConfig

PARITY = [f"vp3d_temporal_{form}{n}{kind}" for form in ("", "1f_") for n in (27, 243) for kind in ("", "_causal")]
PARITY.append("vp3d_temporal_27_dense")


def filled(**changes: Any) -> Trajectory:
    model = Trajectory(TrajectoryConfig(**{"channels": 16, **changes})).eval()
    fill_state_dict(model.net)
    return model


@pytest.mark.parametrize("name", PARITY)
def test_parity(name: str):
    """The vectors' last layer is filled row by row, so that a network of one joint gives the first joint of 17."""
    made, arrays = description(name)["constructor"], vectors(name)
    model = filled(
        filter_widths=tuple(made["filter_widths"]), channels=made["channels"], causal=made["causal"],
        dense=made.get("dense", False),
    )  # fmt: skip
    for key in (k for k in arrays if k.startswith("x")):
        with torch.no_grad():
            root = model(arrays[key])
        assert torch.allclose(root, arrays[key.replace("x", "y")][..., 0, :], atol=5e-6)


@pytest.mark.parametrize(
    ("widths", "parameters"), [((3,) * 3, 8_506_371), ((3,) * 4, 12_704_771), ((3,) * 5, 16_903_171)]
)
def test_published_sizes(widths: tuple[int, ...], parameters: int):
    with torch.device("meta"):
        net = Trajectory(TrajectoryConfig(filter_widths=widths)).net
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_the_camera_that_rays_are_seen_by():
    """A camera equal to the one of the picture gives its screen coordinates; missing joints stay 0."""
    K = torch.tensor([[[1100.0, 0, 480], [0, 1090, 410], [0, 0, 1]]])
    model = filled(camera=(2.2, 2.18, -0.04, -0.182))  # of a picture of 1000 x 1002
    kp, conf = 400 + 200 * torch.rand(1, 3, 17, 2), torch.ones(1, 3, 17)
    conf[0, 0, 5] = 0
    want = kp / 500 - torch.tensor([1.0, 1.002])
    want[0, 0, 5] = 0
    assert torch.allclose(model.encode(kp, conf, K), want, atol=1e-5)
    with pytest.raises(InputError, match="model camera: expected four finite numbers"):
        filled(camera=(2.2, float("nan"), 0.0, 0.0))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("t", [1, 5, 40])
def test_every_frame_has_its_root_the_ends_repeated(causal: bool, t: int):
    model = filled(causal=causal)
    kp, conf, p = 400 + 200 * torch.rand(2, t, 17, 2), torch.ones(2, t, 17), torch.zeros(2, t, 17, 3)
    K = torch.tensor([[1100.0, 0, 480], [0, 1090, 410], [0, 0, 1]]).repeat(2, 1, 1)
    with torch.no_grad():
        root = model.locate(kp, conf, p, K)
        assert root.shape == (2, t, 3)
        for i in range(t):
            first = i - (26 if causal else 13)
            window = torch.arange(first, first + 27).clamp(0, t - 1)
            alone = model(model.encode(kp[:, window], conf[:, window], K))
            assert torch.allclose(alone[:, 0], root[:, i], atol=1e-5)


def test_another_camera_changes_nothing():
    """The same people in the same place, seen with another focal length and picture: the network sees the same."""
    model, p_cam = filled(), torch.rand(2, 30, 17, 3) + torch.tensor((0.0, 0.0, 4.0))
    roots = []
    for f, c in ((1100.0, 500.0), (700.0, 320.0)):
        K = torch.tensor([[f, 0, c], [0, f, c], [0, 0, 1]]).repeat(2, 1, 1)
        roots.append(model.locate(project(p_cam, K), torch.ones(2, 30, 17), p_cam, K))
    assert torch.allclose(*roots, atol=1e-5)


def test_a_refiner_of_single_frames_has_no_use_for_it():
    config, refiner = ResidualDescentConfig, ResidualDescent
    with pytest.raises(InputError, match="root model: expected one of single frames, found one of 27 frames"):
        Refinement(refiner=refiner(config()), root_model=filled())
    Refinement(refiner=refiner(config()), root_model=filled(filter_widths=(1,)))


def test_bad_configs():
    with pytest.raises(InputError, match="model channels"):
        Trajectory(TrajectoryConfig(channels=0))
    with pytest.raises(InputError, match="odd numbers"):
        Trajectory(TrajectoryConfig(filter_widths=(2,)))
