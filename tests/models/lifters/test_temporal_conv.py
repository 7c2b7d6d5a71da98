from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from parity.fill import fill_state_dict
from parity_vectors import description, fill_as_published, vectors
from poselift.errors import InputError
from poselift.models.lifters import build_lifter
from poselift.models.lifters.temporal_conv import FoldedNet, TemporalConv, TemporalConvConfig, TemporalConvNet
from poselift.models.predict import lift_frames

PARITY = [f"vp3d_temporal_{form}{n}{kind}" for form in ("", "1f_") for n in (27, 243) for kind in ("", "_causal")]
PARITY.append("vp3d_temporal_27_dense")
FORMS: list[dict[str, Any]] = [
    {}, {"causal": True}, {"dense": True}, {"causal": True, "dense": True}, {"filter_widths": (3, 1, 5)},
    {"filter_widths": (5, 3), "causal": True}, {"filter_widths": (1,)}, {"filter_widths": (7,)},
]  # fmt: skip
"""Changes of the config that go another way through the code."""
forms = pytest.mark.parametrize("form", FORMS, ids=str)


def published(name: str) -> TemporalConvConfig:
    made = description(name)["constructor"]
    names = ("causal", "dropout", "channels", "dense")
    return TemporalConvConfig(filter_widths=tuple(made["filter_widths"]), **{k: made[k] for k in names if k in made})


def filled(changes: dict[str, Any]) -> TemporalConv:
    lifter = TemporalConv(TemporalConvConfig(**{"channels": 16, **changes})).eval()
    fill_state_dict(lifter.net)
    return lifter


def clip(t: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keypoints, confidence, K and picture of one person in t frames."""
    g = torch.Generator().manual_seed(seed)
    kp = torch.tensor((500.0, 400.0)) + 100 * torch.randn(t, 17, 2, generator=g)
    K = torch.tensor([[1100.0, 0, 480], [0, 1090, 410], [0, 0, 1]])[None]
    return kp, 0.2 + 0.8 * torch.rand(t, 17, generator=g), K, torch.tensor([[1000.0, 800.0]])


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("name", PARITY)
def test_parity_of_the_network(name: str, folded: bool):
    """Ordered parameter names, shapes, number of parameters and outputs are the published code's, in every form."""
    arrays = vectors(name)
    lifter = TemporalConv(published(name)).eval()
    net = lifter.net
    assert isinstance(net, TemporalConvNet)
    fill_as_published(net, name)
    run = net.fold() if folded else net
    for key in (k for k in arrays if k.startswith("x")):
        want = arrays[key.replace("x", "y")]
        with torch.no_grad():
            y = run(arrays[key].flatten(-2), strided="_1f_" in name)
        assert y.shape == want.shape
        assert torch.allclose(y, want, atol=5e-6)
        assert want.abs().max() > 0.5


def test_parity_of_the_whole_lifter():
    """Metres as they are; only the root is put at 0, and that not in training."""
    lifter, arrays = TemporalConv(published("vp3d_temporal_27")).eval(), vectors("vp3d_temporal_27")
    fill_state_dict(lifter.net)
    with torch.no_grad():
        p, want = lifter(arrays["x1"]), arrays["y1"]
    assert (p[..., 0, :] == 0).all()
    assert torch.allclose(p[..., 1:, :], want[..., 1:, :], atol=5e-6)
    assert (lifter.train()(arrays["x1"])[..., 0, :] != 0).all()


@pytest.mark.parametrize(
    ("widths", "parameters"), [((3,) * 3, 8_555_571), ((3,) * 4, 12_753_971), ((3,) * 5, 16_952_371)]
)
def test_published_sizes(widths: tuple[int, ...], parameters: int):
    with torch.device("meta"):
        net = TemporalConv(TemporalConvConfig(filter_widths=widths)).net
    assert sum(p.numel() for p in net.parameters()) == parameters


@forms
def test_each_output_sees_its_window_and_nothing_else(form: dict[str, Any]):
    lifter = filled(form)
    field, out = lifter.receptive_field, 4
    x = torch.randn(1, field + out - 1, 17, 2, requires_grad=True)
    y = lifter(x)
    assert y.shape == (1, out, 17, 3)
    for i in range(out):
        (grad,) = torch.autograd.grad(y[0, i].square().sum(), x, retain_graph=True)
        seen = grad[0].abs().sum((-2, -1)) > 0
        assert seen.nonzero().flatten().tolist() == list(range(i, i + field))


@pytest.mark.parametrize("form", [f for f in FORMS if "dense" not in f], ids=str)
def test_strided_form_is_the_same(form: dict[str, Any]):
    net = filled(form).net
    field = filled(form).receptive_field
    x = torch.randn(3, 2 * field, 34)
    with torch.no_grad():
        whole = net(x)
        assert torch.allclose(net(x[:, :field], strided=True), whole[:, :1], atol=1e-5)
        assert torch.allclose(net(x, strided=True), whole[:, [0, field]], atol=1e-5), "windows side by side"


def test_one_window_takes_the_strided_form():
    """In training its batch norm counts only what the output needs: 9 frames of 27 in the first layer, not 25."""
    lifter = filled({"dropout": 0.0}).train()
    net = lifter.net
    assert isinstance(net, TemporalConvNet)
    frames: list[int] = []
    net.expand_bn.register_forward_hook(lambda _, args, __: frames.append(args[0].shape[-1]))
    lifter(torch.randn(4, 27, 17, 2))
    lifter(torch.randn(4, 28, 17, 2))
    lifter.eval()(torch.randn(4, 27, 17, 2))
    assert frames == [9, 26, 9]
    dense = filled({"dense": True}).net
    assert isinstance(dense, TemporalConvNet)
    dense.expand_bn.register_forward_hook(lambda _, args, __: frames.append(args[0].shape[-1]))
    lifter = filled({"dense": True})
    lifter.net = dense
    lifter(torch.randn(4, 27, 17, 2))
    assert frames[-1] == 25


def test_training_in_both_forms_reaches_every_parameter():
    for frames in (27, 29):
        lifter = filled({}).train()
        lifter(torch.randn(4, frames, 17, 2)).square().mean().backward()
        for key, parameter in lifter.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.abs().sum() > 0, key


@forms
def test_folded(form: dict[str, Any]):
    """The copy has no batch norm, gives the same to 1e-5, and leaves the lifter as it was."""
    lifter = filled({**form, "input_frame": "look_at", "confidence": True})
    before = {k: v.clone() for k, v in lifter.state_dict().items()}
    folded = lifter.train().fold()
    assert isinstance(folded.net, FoldedNet)
    assert not folded.training
    assert lifter.training
    assert all(torch.equal(v, before[k]) for k, v in lifter.state_dict().items())
    assert not any(isinstance(m, nn.BatchNorm1d) for m in folded.modules())
    assert not any(p.requires_grad for p in folded.parameters())
    inputs = clip(40)
    p, q = lift_frames(lifter.eval(), *inputs), lift_frames(folded, *inputs)
    assert torch.allclose(p, q, atol=1e-5)
    assert p.abs().max() > 0.1
    assert torch.equal(lift_frames(folded.fold(), *inputs), q)


@forms
@pytest.mark.parametrize("t", [1, 2, 13, 60])
def test_whole_sequence_is_every_window_by_itself(form: dict[str, Any], t: int):
    """One frame, fewer frames than the receptive field, and more; the ends are repeated."""
    lifter = filled(form)
    kp, conf, K, size = clip(t)
    p = lift_frames(lifter, kp, conf, K, size)
    assert p.shape == (t, 17, 3)
    field = lifter.receptive_field
    before = field - 1 if lifter.causal else field // 2
    for i in range(t):
        window = torch.arange(i - before, i - before + field).clamp(0, t - 1)
        with torch.no_grad():
            alone = lifter.lift(kp[None, window], conf[None, window], K, size)
        assert torch.allclose(alone[0, 0], p[i], atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 0}, "model channels"),
        ({"dropout": 1.0}, "model dropout"),
        ({"filter_widths": ()}, "odd numbers"),
        ({"filter_widths": (3, 4)}, "odd numbers"),
        ({"filter_widths": (3, -3)}, "odd numbers"),
        ({"filter_widths": (1,) * 101}, "odd numbers"),
        ({"filter_widths": (3,) * 12}, "at most 20,000, found 531441"),
    ],
)
def test_bad_configs(changes: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        build_lifter(dataclasses.replace(TemporalConvConfig(), **changes))
