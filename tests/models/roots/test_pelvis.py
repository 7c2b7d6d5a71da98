from __future__ import annotations

from pathlib import Path

import pytest
import torch

from parity.fill import fill_state_dict
from parity_vectors import description, vectors
from poselift.models.base import RootModel
from poselift.models.roots import ROOTS
from poselift.models.roots.pelvis import PelvisRegressor, PelvisRegressorConfig
from poselift.models.weights import load_root, save_model


def small() -> PelvisRegressor:
    torch.manual_seed(0)
    model = PelvisRegressor(PelvisRegressorConfig(width=64))
    model.set_statistics(
        mean2d=torch.full((17, 2), 500.0), std2d=torch.full((17, 2), 120.0),
        mean_root=torch.tensor((0.1, 0.2, 5.0)), std_root=torch.tensor((0.5, 0.4, 0.0)),
    )  # fmt: skip
    return model.eval()


def test_parity():
    about, arrays, model = description("erd_regress_pelvis"), vectors("erd_regress_pelvis"), small()
    net = model.net
    assert [(k, list(v.shape)) for k, v in net.state_dict().items()] == list(about["state_dict"].items())
    assert sum(p.numel() for p in net.parameters()) == about["parameters"]
    assert fill_state_dict(net) == pytest.approx(about["fill_checksum"], rel=1e-9)
    y = net(arrays["x0"].flatten(1))
    assert torch.allclose(y, arrays["y0"][:, 0], atol=5e-6)
    kp = (arrays["x0"] * model.std2d + model.mean2d)[:, None]
    located = model.locate(kp, torch.ones(4, 1, 17), torch.zeros(4, 1, 17, 3), torch.eye(3).repeat(4, 1, 1))
    assert torch.allclose(located, arrays["y0"] * model.std_root + model.mean_root, atol=1e-5)


def test_published_size():
    net = PelvisRegressor(PelvisRegressorConfig()).net
    assert sum(p.numel() for p in net.parameters()) == 2_144_259


@pytest.mark.parametrize("name", ROOTS)
def test_every_root_model(name: str, tmp_path: Path):
    model = small() if name == "pelvis" else ROOTS[name][1](ROOTS[name][0]()).eval()
    assert isinstance(model, RootModel)
    kp, conf, p = 400 + 200 * torch.rand(3, 2, 17, 2), torch.ones(3, 2, 17), torch.rand(3, 2, 17, 3)
    K = torch.tensor([[1100.0, 0, 480], [0, 1090, 410], [0, 0, 1]]).repeat(3, 1, 1)
    conf[0, :, 4], conf[2, 0] = 0, 0
    results = []
    for garbage in (0.0, float("nan"), 1e7):
        kp[conf == 0] = garbage
        results.append(model.locate(kp, conf, p, K))
    assert results[0].shape == (3, 2, 3)
    assert torch.isnan(results[0][2, 0]).all()
    assert torch.isfinite(results[0].flatten(0, 1)[[0, 1, 2, 3, 5]]).all()
    assert all(torch.equal(r.nan_to_num(), results[0].nan_to_num()) for r in results)
    again = load_root(save_model(model, tmp_path / name))
    assert torch.equal(again.locate(kp, conf, p, K).nan_to_num(), results[0].nan_to_num())
