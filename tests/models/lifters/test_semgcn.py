from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from parity.fill import fill_state_dict
from parity_vectors import description, fill_as_published, vectors
from poselift.errors import InputError
from poselift.models.lifters import build_lifter
from poselift.models.lifters.semgcn import FLAVOURS, NonLocal, SemGCN, SemGCNConfig, SemGraphConv

PARITY = {
    "erd_semgcn_nl": FLAVOURS["erd"],
    "erd_semgcn_small": SemGCNConfig(channels=16, blocks=2),
    "erd_semgcn_nononlocal": SemGCNConfig(channels=16, blocks=2, non_local="none"),
    "semgcn_original": FLAVOURS["original"],
    "semgcn_original_nonlocal": FLAVOURS["original-nonlocal"],
}


def filled(name: str) -> SemGCN:
    lifter = SemGCN(PARITY[name]).eval()
    fill_state_dict(lifter.net, **description(name)["fill_overrides"])
    return lifter


@pytest.mark.parametrize("name", PARITY)
def test_parity_of_the_network(name: str):
    """Links, ordered parameter names, shapes, number of parameters and outputs are the published code's."""
    arrays, net = vectors(name), SemGCN(PARITY[name]).net
    assert torch.equal(net.gconv_output.linked, arrays["adj"] > 0)
    fill_as_published(net, name)
    with torch.no_grad():
        y = net.eval()(arrays["x0"])
    assert torch.allclose(y, arrays["y0"], atol=5e-6)
    assert arrays["y0"].abs().max() > 0.5


def test_parity_of_the_whole_lifter():
    """ERD's output is standardised, the authors' in metres with its own root subtracted in the test."""
    mean, std = torch.randn(17, 3), torch.rand(17, 3) + 0.1
    name = "erd_semgcn_small"
    arrays, lifter = vectors(name), filled(name)
    lifter.set_statistics(mean3d=mean, std3d=std)
    with torch.no_grad():
        p = lifter(arrays["x0"].unflatten(0, (2, 2)))
    assert torch.allclose(p.flatten(0, 1), arrays["y0"] * std + mean, atol=1e-5)
    name = "semgcn_original"
    arrays, lifter = vectors(name), filled(name)
    lifter.set_statistics(mean3d=mean[1:], std3d=std[1:])
    with torch.no_grad():
        p = lifter(arrays["x0"][None])[0]
    assert torch.allclose(p, arrays["y0"] - arrays["y0"][:, :1], atol=1e-5)
    assert lifter.skeleton.root == 0
    lifter.train()
    assert (lifter(arrays["x0"][None])[:, :, 0] != 0).any()


def conv(per_link: bool) -> SemGraphConv:
    linked = np.eye(4, dtype=bool)
    for i, k in ((0, 1), (1, 2), (1, 3)):
        linked[i, k] = linked[k, i] = True
    torch.manual_seed(0)
    return SemGraphConv(linked=linked, c_in=2, c_out=3, edges="links" if per_link else "matrix")


@pytest.mark.parametrize("per_link", [True, False])
def test_graph_convolution_by_hand(per_link: bool):
    layer = conv(per_link)
    with torch.no_grad():
        layer.e.normal_()
    x = torch.randn(4, 5, 2)
    y = layer(x)
    e, n = torch.full((4, 4), -torch.inf), 0
    for i in range(4):
        for k in range(4):
            if layer.linked[i, k]:
                e[i, k] = layer.e[0, n] if per_link else layer.e[i, k]
                n += 1
    for i in range(4):
        weights = e[i].exp() / e[i].exp().sum()
        want = layer.bias + sum(weights[k] * x[k] @ layer.W[int(i != k)] for k in range(4))
        assert torch.allclose(y[i], want, atol=1e-6)


@pytest.mark.parametrize("per_link", [True, False])
def test_a_layer_reaches_as_far_as_its_links(per_link: bool):
    x = torch.randn(4, 1, 2, requires_grad=True)
    conv(per_link)(x)[0].sum().backward()
    assert x.grad is not None
    assert (x.grad[:, 0].abs().sum(1) > 0).tolist() == [True, True, False, False]


def test_weights_outside_of_the_links_have_no_effect():
    layer = conv(False)
    x = torch.randn(4, 2, 2)
    before = layer(x)
    with torch.no_grad():
        layer.e[~layer.linked] = 1e6
    assert torch.equal(layer(x), before)
    layer(x).sum().backward()
    assert layer.e.grad is not None
    assert (layer.e.grad[~layer.linked] == 0).all()


def trained(groups: Tensor | None) -> NonLocal:
    torch.manual_seed(0)
    block = NonLocal(channels=6, groups=groups).eval()
    with torch.no_grad():
        for p in block.parameters():
            p.normal_()
    return block


def test_non_local_block_by_hand():
    groups = torch.tensor([[0, 2], [1, 1]])
    block, x = trained(groups), torch.randn(3, 5, 6)
    with torch.no_grad():
        out, h = block(x)[:, 4], x[:, 4].mT
        theta, phi, g = block.theta(h), block.phi(h), block.g(h)
        w = block.concat_project[0].weight.flatten()  # type: ignore[union-attr,operator]
        pool = [h[:, [0, 2]].amax(1) for h in (phi, g)], [h[:, 1] for h in (phi, g)]
        for i in range(3):
            y = sum(torch.relu(w @ torch.cat((theta[:, i], p))) / 2 * v for p, v in pool)
            want = x[i, 4] + block.W(y[None, :, None])[0, :, 0]  # type: ignore[index]
            assert torch.allclose(out[i], want, atol=1e-5)


@pytest.mark.parametrize("groups", [None, torch.tensor([[0, 2], [1, 1]])])
def test_non_local_block_starts_as_the_identity(groups: Tensor | None):
    block, x = NonLocal(channels=6, groups=groups), torch.randn(3, 5, 6)
    assert torch.equal(block(x), x)
    assert not torch.allclose(trained(groups)(x), x, atol=1e-2)


@pytest.mark.parametrize("name", ["h36m17", "coco17", "halpe26"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_other_skeletons(name: str, flavour: str):
    """The nose of h36m17 and the joints of others that have no partner stand alone."""
    config = dataclasses.replace(FLAVOURS[flavour], skeleton=name, channels=8, blocks=1, dropout=0.1)
    lifter = SemGCN(config)
    j = len(lifter.skeleton)
    p = lifter(torch.randn(2, 3, j, 2))
    assert p.shape == (2, 3, j, 3)
    p.square().sum().backward()
    if config.non_local == "pairs":
        groups = next(m.groups for m in lifter.modules() if isinstance(m, NonLocal))
        assert groups is not None
        assert sorted(set(groups.flatten().tolist())) == list(range(j))


def test_published_name_that_is_a_keyword(tmp_path: Path):
    """State dicts spell it, both ways and strictly; the module does not, so the lifter exports to ONNX."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    from poselift.models.onnx import export_onnx

    config = dataclasses.replace(FLAVOURS["original-nonlocal"], channels=8, blocks=1)
    lifter, other = SemGCN(config), SemGCN(config)
    fill_state_dict(lifter.net)
    state = lifter.state_dict()
    names = [k for k in state if "nonlocal" in k]
    assert names
    assert all(".nonlocal." in k for k in names)
    other.load_state_dict(state)
    assert all(".nonlocal." in k for k in state if "nonlocal" in k), "loading leaves what it is given alone"
    x = torch.randn(2, 1, 16, 2)
    assert torch.equal(other.eval()(x), lifter.eval()(x))
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict({k: v for k, v in state.items() if k != names[0]})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        other.load_state_dict({**state, f"{names[0]}.more": state[names[0]]})
    assert export_onnx(lifter.eval(), tmp_path / "lifter.onnx") <= 1e-4


def test_initialisation():
    torch.manual_seed(0)
    net = SemGCN(FLAVOURS["original"]).net
    layer = net.get_submodule("gconv_layers.0.gconv1.gconv")
    bound = 1.414 * math.sqrt(6 / (128 * 128 + 2 * 128))
    assert layer.W.abs().max().item() == pytest.approx(bound, rel=1e-2)  # type: ignore[union-attr,operator]
    assert (layer.e == 1).all()  # type: ignore[union-attr]
    assert layer.bias.abs().max().item() <= 128**-0.5  # type: ignore[union-attr,operator]


def test_bad_configs():
    for changes, message in (({"channels": 0}, "model channels"), ({"dropout": 1.0}, "model dropout")):
        with pytest.raises(InputError, match=message):
            build_lifter(dataclasses.replace(SemGCNConfig(), **changes))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="did you mean 'original"):
        SemGCNConfig.flavour_of("orignal")
