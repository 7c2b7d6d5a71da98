from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from parity_vectors import fill_as_published, vectors
from poselift.errors import InputError
from poselift.models.heatmaps import flip_heatmaps
from poselift.models.images.pose_resnet import PoseResNet, PoseResNetConfig

deep = pytest.mark.parametrize("name", ["pose_resnet50", pytest.param("pose_resnet101", marks=pytest.mark.slow)])


@cache
def filled(name: str) -> PoseResNet:
    config = PoseResNetConfig.flavour_of("human36m", depth=int(name.removeprefix("pose_resnet")))  # type: ignore[arg-type]
    model = PoseResNet(config)
    fill_as_published(model.net, name)
    return model.eval()


@deep
def test_parity(name: str):
    """Parameter names, shapes and number, heatmaps, their mean with the mirrored picture's, and its joints."""
    model, v = filled(name), vectors(name)
    with torch.no_grad():
        heat = model(v["x0"])
        mean = (heat + flip_heatmaps(model(v["x0"].flip(-1)), model.skeleton.flip)) / 2
    assert_close(heat, v["y0"], atol=1e-5, rtol=0)
    assert_close(mean, v["y1"], atol=1e-5, rtol=0)
    kp, conf = model.decode(v["y1"])
    assert_close(kp, 4 * v["y2"], atol=1e-4, rtol=0)
    assert_close(conf, v["y1"].amax((-2, -1)).clamp(0, 1))


def test_flip_average_is_that_of_the_parity_vector():
    model = filled("pose_resnet50")
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        x = model.normalize(image)
        want = (model(x) + flip_heatmaps(model(x.flip(-1)), model.skeleton.flip)) / 2
        assert torch.equal(model.heatmaps(image, flip_average=True), want)


@pytest.mark.parametrize(
    ("other", "complaint"),
    [({"filters": (256, 256), "kernels": (4, 4)}, "filters"), ({"final_kernel": 2}, "final_kernel"),
     ({"kernels": (4, 4, 5)}, "kernel of 2, 3 or 4"), ({"skeleton": "h36m18"}, "skeleton")],
)  # fmt: skip
def test_impossible_heads_are_refused(other: dict[str, Any], complaint: str):
    with torch.device("meta"), pytest.raises(InputError, match=complaint):
        PoseResNet(PoseResNetConfig(depth=18, **other))


def test_flavours():
    assert PoseResNetConfig.flavour_of("mpii").skeleton == "mpii16"
    with pytest.raises(InputError, match="flavour of Pose ResNet 'coco'"):
        PoseResNetConfig.flavour_of("coco")
