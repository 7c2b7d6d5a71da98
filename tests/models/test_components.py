"""Principal components as input: a number of them, or as few as keep a fraction of the variance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from poselift.errors import InputError
from poselift.models.components import principal_components
from poselift.models.lifters import LIFTERS, build_lifter
from poselift.models.lifters.residual_mlp import ResidualMLPConfig
from poselift.models.lifters.simple_baseline import SimpleBaselineConfig
from poselift.models.refiners.erd import ResidualDescent, ResidualDescentConfig
from poselift.models.weights import load_model, load_refiner, save_model

VARIANCE = torch.tensor([50.0, 30.0, 15.0, 4.0, 1.0])
"""In hundredths, of five directions out of 34; the others have none."""

LIFTER_CONFIGS: dict[str, Any] = {
    "simple_baseline": lambda pca: SimpleBaselineConfig(width=8, blocks=1, pca=pca),
    "residual_mlp": lambda pca: ResidualMLPConfig(
        width=8, hidden=8, blocks=1, pca=pca, confidence=False, scale_feature=False, input_frame="screen"
    ),
}
taking = pytest.mark.parametrize("name", LIFTER_CONFIGS)


def inputs() -> Tensor:
    """(400, 34) whose covariance has exactly these variances, about a mean of its own."""
    g = torch.Generator().manual_seed(0)
    a = torch.randn(400, 5, generator=g, dtype=torch.float64)
    a = torch.linalg.qr(a - a.mean(0))[0] * (VARIANCE * 4).sqrt()
    axes = torch.linalg.qr(torch.randn(34, 5, generator=g, dtype=torch.float64))[0]
    return (a @ axes.mT + torch.randn(34, generator=g, dtype=torch.float64)).float()


@pytest.mark.parametrize(
    ("pca", "count"),
    [(1, 1), (3, 3), (34, 34), (0.3, 1), (0.49, 1), (0.51, 2), (0.79, 2), (0.9, 3), (0.985, 4), (0.999, 5)],
)  # fmt: skip
def test_the_least_number_that_keeps_the_fraction(pca: int | float, count: int):
    x = inputs()
    mean, components = principal_components(x, pca)
    assert components.shape == (count, 34)
    torch.testing.assert_close(components @ components.mT, torch.eye(count, dtype=torch.float64))
    y = (x.double() - mean) @ components.mT
    kept = y.square().sum() / (x.double() - mean).square().sum()
    assert float(kept) == pytest.approx(float(VARIANCE[:count].sum()) / 100, abs=1e-5)
    assert isinstance(pca, int) or kept >= pca


def test_lifters_that_have_the_field_are_tested_here():
    assert {n for n, (c, _) in LIFTERS.items() if "pca" in c.__dataclass_fields__} == LIFTER_CONFIGS.keys()


@taking
def test_a_fraction_becomes_a_number_when_it_is_fitted(name: str, tmp_path: Path):
    torch.manual_seed(0)
    lifter: Any = build_lifter(LIFTER_CONFIGS[name](0.9))
    kp_norm = inputs().reshape(100, 4, 17, 2)
    assert lifter(kp_norm).shape == (100, 4, 17, 3)
    lifter.fit_pca(kp_norm)
    assert lifter.config == LIFTER_CONFIGS[name](3)
    assert lifter.pca_components.shape == (3, 34)
    assert sum(p.numel() for p in lifter.parameters()) == sum(
        p.numel() for p in build_lifter(LIFTER_CONFIGS[name](3)).parameters()
    )
    lifter.eval()
    low = kp_norm.flatten(-2)
    low = ((low - lifter.pca_mean) @ lifter.pca_components.mT @ lifter.pca_components + lifter.pca_mean).unflatten(
        -1, (17, 2)
    )
    assert not torch.allclose(low, kp_norm, atol=0.1)
    assert torch.allclose(lifter(low), lifter(kp_norm), atol=1e-4), "what is not kept is not seen"
    again: Any = load_model(save_model(lifter, tmp_path / name))
    assert type(again.config.pca) is int
    assert torch.equal(again(kp_norm), lifter(kp_norm))
    lifter.fit_pca(kp_norm)  # a second time changes nothing
    assert all(torch.equal(again.state_dict()[k], v) for k, v in lifter.state_dict().items())


@taking
def test_a_run_that_goes_on_settles_as_the_stored_one_did(name: str):
    lifter: Any = build_lifter(LIFTER_CONFIGS[name](0.9))
    lifter.fit_pca(inputs().reshape(400, 1, 17, 2))
    fresh: Any = build_lifter(LIFTER_CONFIGS[name](0.9))
    fresh.load_state_dict(lifter.state_dict())
    assert fresh.config.pca == 3
    x = torch.randn(2, 1, 17, 2)
    assert torch.equal(fresh.eval()(x), lifter.eval()(x))


@taking
@pytest.mark.parametrize("pca", [35, -1, 1.0, -0.5, 30.0, float("nan")])
def test_what_is_neither_a_number_nor_a_fraction(name: str, pca: int | float):
    with pytest.raises(InputError, match=r"model pca: expected 0 to 34 components, or a fraction .* found"):
        build_lifter(LIFTER_CONFIGS[name](pca))


def test_components_of_all_channels():
    lifter: Any = build_lifter(ResidualMLPConfig(width=8, hidden=8, blocks=1, pca=0.99))
    kp_norm = torch.randn(200, 1, 17, 4)
    kp_norm[..., 3] = kp_norm[:, :, :1, 3]
    lifter.fit_pca(kp_norm)
    assert 1 < lifter.config.pca < 52
    assert lifter(kp_norm).shape == (200, 1, 17, 3)
    with pytest.raises(InputError, match="0 to 52"):
        build_lifter(ResidualMLPConfig(pca=53))


@pytest.mark.parametrize("features", ["delta", "cat"])
def test_the_refiner_too(features: Any, tmp_path: Path):
    torch.manual_seed(0)
    refiner = ResidualDescent(ResidualDescentConfig(features=features, steps=2, width=8, pca=0.9)).eval()
    refiner.fit_pca(inputs().reshape(400, 17, 2))
    assert refiner.config.pca == 3
    assert [r.w1[0].in_features for r in refiner.model] == [6 if features == "cat" else 3] * 2  # type: ignore[index]
    K = torch.tensor([[1000.0, 0, 500], [0, 1000, 500], [0, 0, 1]])[None]
    given = (torch.rand(1, 2, 17, 2) * 900, torch.ones(1, 2, 17), torch.randn(1, 2, 17, 3) / 3)
    root = torch.tensor([0.0, 0, 5]).expand(1, 2, 3)
    pose = refiner.refine(*given, root, K)
    assert not torch.equal(pose, given[2])
    again = load_refiner(save_model(refiner, tmp_path / "refiner"))
    assert torch.equal(again.refine(*given, root, K), pose)
    fresh = ResidualDescent(ResidualDescentConfig(features=features, steps=2, width=8, pca=0.9)).eval()
    fresh.load_state_dict(refiner.state_dict())
    assert torch.equal(fresh.refine(*given, root, K), pose)
