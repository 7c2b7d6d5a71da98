from __future__ import annotations

import pytest
import torch

from parity_vectors import description
from poselift.models.resnet import ResNet, ResNetConfig
from poselift.models.weights import expected_shapes

PUBLISHED = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}
"""Parameters with the classifier of 1000 classes, as torchvision counts them."""


@pytest.mark.parametrize("depth", PUBLISHED)
def test_as_many_parameters_as_published(depth: int):
    with torch.device("meta"):
        net = ResNet(ResNetConfig(depth=depth))  # type: ignore[arg-type]
    assert sum(p.numel() for p in net.parameters()) == PUBLISHED[depth] - 1000 * (net.features + 1)


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_published_names(depth: int):
    stored = {k.removeprefix("backbone."): tuple(v) for k, v in description(f"rootnet{depth}")["state_dict"].items()}
    stored = {k: v for k, v in stored.items() if not k.startswith("root.")}
    assert expected_shapes(ResNet, ResNetConfig(depth=depth)) == stored  # type: ignore[arg-type]


@pytest.mark.parametrize("style", ["pytorch", "caffe"])
def test_where_the_stride_is(style: str):
    """The same weights, but another function: only a 3 × 3 convolution without stride looks at every cell."""
    net = ResNet(ResNetConfig(depth=50, style=style)).eval()  # type: ignore[arg-type]
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert net(x).shape == (1, 2048, 2, 2)
    first, second = net.get_submodule("layer2.0.conv1"), net.get_submodule("layer2.0.conv2")
    want = ((1, 1), (2, 2)) if style == "pytorch" else ((2, 2), (1, 1))
    assert (first.stride, second.stride) == want


def test_odd_sizes():
    net = ResNet(ResNetConfig(depth=18)).eval()
    with torch.no_grad():
        assert net(torch.randn(1, 3, 70, 33)).shape == (1, 512, 3, 2)
