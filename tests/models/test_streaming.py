from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from flat_lifter import Flat, FlatConfig
from parity.fill import fill_state_dict
from poselift.errors import InputError
from poselift.models.lifters import LIFTERS, build_lifter
from poselift.models.lifters.temporal_conv import TemporalConv, TemporalConvConfig
from poselift.models.predict import lift_frames
from poselift.models.streaming import CausalLifter

FORMS: list[dict[str, Any]] = [
    {}, {"causal": True}, {"filter_widths": (3, 3, 3, 3, 3), "causal": True}, {"causal": True, "dense": True},
    {"dense": True}, {"filter_widths": (3, 1, 5), "causal": True}, {"filter_widths": (5, 3)}, {"filter_widths": (7,)},
    {"causal": True, "input_frame": "look_at", "confidence": True, "scale_feature": True},
    {"input_frame": "look_at"}, {"causal": True, "input_frame": "pixels"}, {"filter_widths": (1,)},
]  # fmt: skip
forms = pytest.mark.parametrize("form", FORMS, ids=str)
CAUSAL: dict[str, Any] = {"causal": True, "input_frame": "look_at"}


def filled(changes: dict[str, Any]) -> TemporalConv:
    lifter = TemporalConv(TemporalConvConfig(**{"channels": 16, **changes}))
    fill_state_dict(lifter.net)
    lifter.set_statistics(
        mean3d=torch.zeros(17, 3), std3d=torch.ones(17, 3), mean2d=torch.full((17, 2), 450.0),
        std2d=torch.full((17, 2), 120.0),
    )  # fmt: skip
    return lifter.eval()


def people(t: int, b: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(t, b) keypoints and confidences, K and picture of each person; somebody is not seen in some frames."""
    g = torch.Generator().manual_seed(t)
    kp = torch.tensor((500.0, 400.0)) + 100 * torch.randn(t, b, 17, 2, generator=g)
    conf = 0.2 + 0.8 * torch.rand(t, b, 17, generator=g)
    conf[t // 2, 0], conf[t // 3, :, 5] = 0, 0
    kp[conf == 0] = torch.nan
    K = torch.tensor([[1100.0, 0, 480], [0, 1090, 410], [0, 0, 1]]).repeat(b, 1, 1)
    K[:, 0, 0] += 100 * torch.arange(b)
    return kp, conf, K, torch.tensor((1000.0, 800.0)).repeat(b, 1) + torch.arange(b)[:, None]


def offline(lifter: TemporalConv, kp: Tensor, conf: Tensor, K: Tensor, size: Tensor) -> Tensor:
    each = [lift_frames(lifter, kp[:, i], conf[:, i], K[i : i + 1], size[i : i + 1]) for i in range(kp.shape[1])]
    return torch.stack(each, 1)  # t b j 3


@forms
@pytest.mark.parametrize("t", [1, 5, 60, 300])
def test_the_stream_is_the_whole_sequence(form: dict[str, Any], t: int):
    """Every frame, the first and last ones too, in sequences shorter and longer than the receptive field."""
    lifter = filled(form)
    kp, conf, K, size = people(t, 3)
    want = offline(lifter, kp, conf, K, size)
    stream = CausalLifter(lifter)
    assert stream.latency == (0 if lifter.causal else lifter.receptive_field // 2)
    steps = torch.stack([stream.step(kp[i], conf[i], K, size) for i in range(t)])
    got = torch.cat((steps, stream.flush()))
    assert got.shape == (t + stream.latency, 3, 17, 3)
    assert torch.isnan(got[: stream.latency]).all()
    assert torch.allclose(got[stream.latency :], want, atol=1e-5)
    assert want.abs().max() > 0.2


def test_one_person_without_a_batch():
    lifter = filled(CAUSAL)
    kp, conf, K, size = people(40, 1)
    stream = CausalLifter(lifter)
    got = torch.stack([stream.step(kp[i, 0], conf[i, 0], K[0], size[0]) for i in range(40)])
    assert torch.allclose(got, offline(lifter, kp, conf, K, size)[:, 0], atol=1e-5)
    assert stream.flush().shape == (0, 17, 3)


def test_one_camera_for_all():
    lifter = filled(CAUSAL)
    kp, conf, K, size = people(30, 3)
    a, b = CausalLifter(lifter), CausalLifter(lifter)
    for i in range(30):
        one = a.step(kp[i], conf[i], K[:1], size[:1])
        assert torch.equal(one, b.step(kp[i], conf[i], K[:1].repeat(3, 1, 1), size[:1].repeat(3, 1)))


def test_reset():
    lifter = filled(CAUSAL)
    kp, conf, K, size = people(40, 2)
    stream = CausalLifter(lifter)
    for i in range(10):
        stream.step(kp[i], conf[i], K, size)
    stream.reset()
    got = torch.stack([stream.step(kp[i, :1], conf[i, :1], K[:1], size[:1]) for i in range(40)])
    assert torch.allclose(got, offline(lifter, kp[:, :1], conf[:, :1], K[:1], size[:1]), atol=1e-5)


@pytest.mark.parametrize("form", [CAUSAL, {"input_frame": "look_at"}], ids=str)
def test_another_person_takes_a_place(form: dict[str, Any]):
    """A reset of one place of the batch leaves the others alone; the newcomer's past is not that of the former one."""
    lifter = filled(form)
    kp, conf, K, size = people(60, 2)
    stream = CausalLifter(lifter)
    got = []
    for i in range(60):
        if i == 20:
            stream.reset(torch.tensor([False, True]))
        got.append(stream.step(kp[i], conf[i], K, size))
    got, late = torch.stack([*got, *stream.flush()]), stream.latency
    assert torch.allclose(got[late:, 0], offline(lifter, kp, conf, K, size)[:, 0], atol=1e-5)
    newcomer = offline(lifter, kp[20:], conf[20:], K, size)[:, 1]
    assert torch.isnan(got[20 : 20 + late, 1]).all()
    assert torch.allclose(got[20 + late :, 1], newcomer, atol=1e-5)


def test_memory_does_not_grow():
    lifter = filled({"causal": True})
    kp, conf, K, size = people(1, 2)
    stream = CausalLifter(lifter)

    def held() -> list[int]:
        assert stream._net is not None
        return [r.frames.data_ptr() for r in stream._net.rings if r.frames is not None]

    stream.step(kp[0], conf[0], K, size)
    first = held()
    for _ in range(100):
        stream.step(kp[0], conf[0], K, size)
    assert held() == first, "the rings are where they were"
    assert stream._net is not None
    assert [r.frames.shape[::2] for r in stream._net.rings if r.frames is not None] == [
        (1, 2, 34),
        (3, 2, 16),
        (9, 2, 16),
    ]


@pytest.mark.parametrize("name", [n for n, (c, _) in LIFTERS.items() if n != "temporal_conv"])
def test_lifters_of_single_frames(name: str):
    torch.manual_seed(0)
    lifter = build_lifter(LIFTERS[name][0]()).eval()
    if lifter.receptive_field > 1 or getattr(lifter, "sequence", False):
        with pytest.raises(InputError, match="temporal_conv"):
            CausalLifter(lifter)
        return
    kp = 400 + 100 * torch.rand(4, len(lifter.skeleton), 2)
    conf, K = torch.ones(kp.shape[:2]), torch.tensor([[1100.0, 0, 480], [0, 1090, 410], [0, 0, 1]])
    size = torch.tensor((1000.0, 800.0))
    stream = CausalLifter(lifter)
    got = torch.stack([stream.step(k, c, K, size) for k, c in zip(kp, conf, strict=True)])
    assert stream.latency == 0
    assert torch.allclose(got, lift_frames(lifter, kp, conf, K[None], size[None]), rtol=1e-5, atol=1e-4)
    assert len(stream.flush()) == 0


def test_what_cannot_be_streamed():
    with pytest.raises(InputError, match="temporal_conv"):
        CausalLifter(Flat(FlatConfig(field=9)))
    stream = CausalLifter(filled({"causal": True}))
    with pytest.raises(InputError, match="nothing has been streamed"):
        stream.flush()
    kp, conf, K, size = people(1, 2)
    stream.step(kp[0], conf[0], K, size)
    with pytest.raises(InputError, match=r"streamed people.*\(2,\), found \(1,\)"):
        stream.step(kp[0, :1], conf[0, :1], K[:1], size[:1])


def test_the_lifter_is_left_alone():
    """Its mode and weights; and what is done to it later does not reach the stream."""
    lifter = filled({"causal": True}).train()
    kp, conf, K, size = people(2, 1)
    stream = CausalLifter(lifter)
    assert lifter.training
    before = stream.step(kp[0], conf[0], K, size)
    with torch.no_grad():
        for p in lifter.parameters():
            p.zero_()
    stream.reset()
    assert torch.equal(stream.step(kp[0], conf[0], K, size), before)
