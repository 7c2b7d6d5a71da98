from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from parity.fill import fill_state_dict
from parity_vectors import fill_as_published, vectors
from poselift.errors import InputError
from poselift.models.lifters import build_lifter
from poselift.models.lifters.simple_baseline import (
    FLAVOURS,
    LinearNet,
    MaxNormLinear,
    SimpleBaseline,
    SimpleBaselineConfig,
)

PARITY = {
    "erd_linear_17": SimpleBaselineConfig(),
    "erd_linear_small": SimpleBaselineConfig(width=32),
    "erd_linear_pca30": SimpleBaselineConfig(pca=30),
    "linear_16_pytorch": FLAVOURS["pytorch"],
}


@pytest.mark.parametrize("name", PARITY)
def test_parity_of_the_network(name: str):
    """Ordered parameter names, shapes, number of parameters and outputs are the published code's."""
    arrays, lifter = vectors(name), SimpleBaseline(PARITY[name])
    net = lifter.net
    fill_as_published(net, name)
    with torch.no_grad():
        y = net.eval()(arrays["x0"].flatten(1))
    assert torch.allclose(y, arrays["y0"].flatten(1), atol=5e-6)
    assert arrays["y0"].abs().max() > 0.5


def test_parity_of_the_whole_lifter():
    """ERD through `forward`: 17 joints in and out, statistics undone; the parity input is standardised already."""
    arrays, lifter = vectors("erd_linear_small"), SimpleBaseline(PARITY["erd_linear_small"]).eval()
    fill_state_dict(lifter.net)
    mean, std = torch.randn(17, 3), torch.rand(17, 3) + 0.1
    lifter.set_statistics(mean3d=mean, std3d=std)
    with torch.no_grad():
        p = lifter(arrays["x0"][:, None])
    assert torch.allclose(p[:, 0], arrays["y0"] * std + mean, atol=1e-5)
    assert torch.allclose(lifter.standardize(p[:, 0]), arrays["y0"], atol=1e-4)


def test_sixteen_joints_in_and_out():
    lifter = SimpleBaseline(dataclasses.replace(FLAVOURS["pytorch"], width=32)).eval()
    fill_state_dict(lifter.net)
    s = lifter.skeleton
    published_out = [s.joints[j] for j in lifter.joints_out]
    assert published_out == [
        "r_hip",
        "r_knee",
        "r_ankle",
        "l_hip",
        "l_knee",
        "l_ankle",
        "spine",
        "thorax",
        "nose",
        "head_top",
        "l_shoulder",
        "l_elbow",
        "l_wrist",
        "r_shoulder",
        "r_elbow",
        "r_wrist",
    ]
    x = torch.randn(4, 2, 17, 2)
    with torch.no_grad():
        p = lifter(x)
        moved = x.clone()
        moved[:, :, s.index("nose")] += 5
        assert torch.equal(lifter(moved), p), "the nose is no input"
        moved[:, :, s.index("head_top")] += 5
        assert not torch.equal(lifter(moved), p)
        flat = lifter.net(x[:, 0, [j for j in range(17) if s.joints[j] != "nose"]].flatten(1))
    assert (p[:, :, s.index("pelvis")] == 0).all()
    assert torch.allclose(p[:, 0, 1:].flatten(1), flat)


def test_output_order_is_by_name():
    """joints_out in another order than the skeleton's: each output still lands on the joint of its name."""
    lifter = SimpleBaseline(SimpleBaselineConfig(width=8, joints_out=("r_wrist", "spine"))).eval()
    s = lifter.skeleton
    x = torch.randn(2, 1, 17, 2)
    with torch.no_grad():
        y, p = lifter.net(x.flatten(1)).unflatten(-1, (2, 3)), lifter(x)
    assert torch.allclose(p[:, 0, s.index("r_wrist")], y[:, 0])
    assert torch.allclose(p[:, 0, s.index("spine")], y[:, 1])
    assert (p[:, 0, [j for j in range(17) if s.joints[j] not in ("r_wrist", "spine")]] == 0).all()


def test_a_coordinate_without_variance_comes_out_as_its_mean():
    lifter = SimpleBaseline(SimpleBaselineConfig(width=8)).eval()
    std = torch.ones(17, 3)
    std[0] = 0
    lifter.set_statistics(mean3d=torch.zeros(17, 3), std3d=std)
    p = lifter(torch.randn(3, 1, 17, 2))
    assert (p[:, :, 0] == 0).all()
    assert (p[:, :, 1:] != 0).any()
    assert torch.isfinite(lifter.standardize(p)).all()


def test_max_norm_is_inside_the_graph():
    torch.manual_seed(0)
    config = dataclasses.replace(FLAVOURS["original"], width=64)
    net = LinearNet(in_features=32, out_features=48, config=config).eval()
    layers = {n: m for n, m in net.named_modules() if isinstance(m, MaxNormLinear)}
    assert set(layers) == {"w1", "w2", *(f"linear_stages.{i}.w{k}" for i in (0, 1) for k in (1, 2))}
    with torch.no_grad():
        layers["w2"].weight.mul_(0.01 / layers["w2"].weight.norm())
    for name, layer in layers.items():
        norm, effective = layer.weight.norm(), layer.effective_weight
        assert (norm > 1) == (name != "w2"), "one case on either side of the limit"
        assert effective.norm().item() == pytest.approx(min(1.0, norm.item()), rel=1e-5)
        assert torch.allclose(effective, layer.weight / max(1.0, norm.item()))
    plain = LinearNet(in_features=32, out_features=48, config=dataclasses.replace(config, max_norm=False)).eval()
    state = net.state_dict()
    assert list(state) == list(plain.state_dict())
    x = torch.randn(5, 32)
    plain.load_state_dict(state)
    assert not torch.allclose(plain(x), net(x), atol=1e-3)
    plain.load_state_dict({**state, **{f"{n}.weight": m.effective_weight.detach() for n, m in layers.items()}})
    assert torch.allclose(plain(x), net(x), atol=1e-5)


def test_max_norm_gradient_is_that_of_the_clipped_weight():
    layer = MaxNormLinear(6, 5).double()
    with torch.no_grad():
        layer.weight.mul_(3)
    x = torch.randn(4, 6, dtype=torch.float64)
    layer(x).square().sum().backward()
    assert layer.weight.grad is not None
    assert (layer.weight.grad * layer.weight).sum().abs() < 1e-12, "scaling a matrix beyond norm 1 changes nothing"
    assert layer.weight.grad.norm() > 1e-3


@pytest.mark.parametrize(
    ("flavour", "dropout", "eps", "momentum"),
    [("erd", 0.25, 1e-5, 0.1), ("original", 0.5, 1e-3, 0.01), ("pytorch", 0.5, 1e-5, 0.1), ("gluon", 0.5, 1e-5, 0.1)],
)
def test_flavours(flavour: str, dropout: float, eps: float, momentum: float):
    net = SimpleBaseline(SimpleBaselineConfig.flavour_of(flavour)).net
    assert sum(p.numel() for p in net.parameters()) == (4_296_755 if flavour == "erd" else 4_291_632)
    drops = [m for m in net.modules() if isinstance(m, torch.nn.Dropout)]
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    assert {m.p for m in drops} == {dropout}
    assert {(m.eps, m.momentum) for m in norms} == {(eps, momentum)}
    assert len(norms) == 5


def test_initialisations():
    torch.manual_seed(0)
    first = {f: SimpleBaseline(c).net.w1 for f, c in FLAVOURS.items()}
    kaiming = math.sqrt(2 / 32)
    assert first["pytorch"].weight.std().item() == pytest.approx(kaiming, rel=0.03)
    assert first["gluon"].weight.std().item() == pytest.approx(math.sqrt(2 / 1.0625 / 528), rel=0.03)
    assert (first["gluon"].bias == 0).all()
    assert first["original"].weight.abs().max().item() <= 2 * kaiming
    assert first["original"].weight.std().item() == pytest.approx(0.8796 * kaiming, rel=0.03)
    assert first["original"].bias.std().item() == pytest.approx(0.8796 * math.sqrt(2 / 1024), rel=0.1)
    assert first["erd"].weight.abs().max().item() <= 1 / math.sqrt(34)


def test_pca_input():
    torch.manual_seed(0)
    lifter = SimpleBaseline(SimpleBaselineConfig(width=16, pca=5)).eval()
    low = torch.randn(400, 5) @ torch.randn(5, 34) + torch.randn(34)
    kp_norm = low.reshape(100, 4, 17, 2)
    lifter.fit_pca(kp_norm)
    f = lifter.features(kp_norm).flatten(0, 1)
    assert f.shape == (400, 5)
    assert f.mean(0).abs().max() < 1e-4
    cov = f.T @ f / 400
    assert (cov - cov.diag().diag()).abs().max() < 1e-3 * cov.max(), "components are uncorrelated"
    assert (cov.diag().diff() < 0).all(), "largest variance first"
    assert torch.allclose(f @ lifter.pca_components + lifter.pca_mean, low, atol=1e-3), "five are enough for rank five"
    assert lifter(kp_norm).shape == (100, 4, 17, 3)


def test_scale_feature_enters_once():
    lifter = SimpleBaseline(SimpleBaselineConfig(width=8, input_frame="look_at", confidence=True, scale_feature=True))
    assert lifter.net.w1.in_features == 17 * 3 + 1
    kp_norm = torch.randn(2, 1, 17, 4)
    kp_norm[..., 3] = 0.7
    flat = lifter.flat(kp_norm)[0, 0]
    assert flat[-1] == pytest.approx(0.7)
    assert torch.equal(flat[:-1], kp_norm[0, 0, :, :3].flatten())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "model width"),
        ({"dropout": 1.5}, "model dropout"),
        ({"pca": 99}, "0 to 34"),
        ({"skeleton": "h36m18"}, "did you mean 'h36m1"),
        ({"joints_in": ("wrist",)}, "joint of h36m17"),
        ({"joints_out": ("nose", "nose")}, "different joints"),
        ({"scale_feature": True}, "only look_at"),
    ],
)
def test_bad_configs(changes: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        build_lifter(dataclasses.replace(SimpleBaselineConfig(), **changes))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="did you mean 'gluon'"):
        SimpleBaselineConfig.flavour_of("gluton")
