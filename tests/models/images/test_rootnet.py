from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from parity_vectors import fill_as_published, vectors
from poselift.models.images.base import ImageConfig, ImageRoot
from poselift.models.images.rootnet import RootNet, RootNetConfig

slow = pytest.mark.slow
deep = pytest.mark.parametrize(
    "name", ["rootnet50", pytest.param("rootnet101", marks=slow), pytest.param("rootnet152", marks=slow)]
)


@cache
def filled(name: str) -> RootNet:
    depth: Any = int(name.removeprefix("rootnet"))
    model = RootNet(RootNetConfig(depth=depth))
    fill_as_published(model.net, name)
    return model.eval()


@deep
def test_parity(name: str):
    """Parameter names, shapes and number, and outputs for crops of 64 × 64, 256 × 256 and 128 × 96, k in mm."""
    model, v = filled(name), vectors(name)
    for i in range(sum(k.startswith("x") for k in v)):
        with torch.no_grad():
            y = model(v[f"x{i}"], v[f"k{i}"][:, 0])
        assert_close(y, v[f"y{i}"], atol=1e-4, rtol=2e-6)


class Known(ImageRoot):
    """Says what it was told."""

    def __init__(self, found: Tensor) -> None:
        super().__init__(ImageConfig())
        self.found = found

    def forward(self, image_norm: Tensor, k: Tensor) -> Tensor:
        return self.found


def test_cells_to_camera_parity():
    """Network output → image → camera, as in the published evaluation."""
    v = {k: x.float() for k, x in vectors("mrpe").items()}
    b = len(v["bbox"])
    K = torch.eye(3).repeat(b, 1, 1)
    K[:, 0, 0], K[:, 1, 1] = v["focal"].unbind(1)
    K[:, :2, 2] = v["princpt"]
    image = torch.zeros(b, 3, 256, 256, dtype=torch.uint8)
    at = Known(v["pred_out"]).locate(image, torch.ones(b), v["bbox"], K)
    assert_close(at, v["pred_cam"], atol=1e-2, rtol=2e-6)
