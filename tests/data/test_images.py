from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from poselift.data.images import ImageBatch
from poselift.errors import InputError
from poselift.structures import skeleton


def batch(b: int = 3, *, name: str = "h36m17", size: int = 32, **other: Any) -> ImageBatch:
    j = len(skeleton(name))
    fields = {
        "image": torch.randint(0, 256, (b, 3, size, size), dtype=torch.uint8), "kp_patch": torch.rand(b, j, 2) * size,
        "visible": torch.ones(b, j), "root_patch": torch.rand(b, 2) * size, "root_visible": torch.ones(b),
        "root_z": 4 + torch.rand(b), "has_depth": torch.ones(b, dtype=torch.bool), "k": torch.full((b,), 5.0),
        "box_xywh": torch.tensor([10.0, 20.0, 300.0, 300.0]).repeat(b, 1), "K": torch.eye(3).repeat(b, 1, 1),
    }  # fmt: skip
    return ImageBatch(skeleton=skeleton(name), **{**fields, **other})


def test_cat_and_select_are_inverse():
    a, c = batch(3), batch(2)
    both = ImageBatch.cat([a, c])
    assert len(both) == 5
    for f in dataclasses.fields(ImageBatch):
        if f.name != "skeleton":
            assert torch.equal(getattr(both.part(slice(3, 5)), f.name), getattr(c, f.name))
            assert torch.equal(getattr(both.part(torch.tensor([2, 0])), f.name)[1], getattr(a, f.name)[0])


@pytest.mark.parametrize("name", ["kp_patch", "visible", "root_z", "K"])
def test_a_wrong_shape_is_named(name: str):
    a = batch(3)
    with pytest.raises(Exception, match=name):  # InputError, or the shape check of the tests before it
        dataclasses.replace(a, **{name: getattr(a, name)[:2]})


def test_what_cannot_be_one_batch():
    with pytest.raises(InputError, match="skeleton h36m17, found mpii16"):
        ImageBatch.cat([batch(), batch(name="mpii16")])
    with pytest.raises(InputError, match=r"\(32, 32\), found \(64, 64\)"):
        ImageBatch.cat([batch(), batch(size=64)])
    with pytest.raises(InputError, match="at least one"):
        ImageBatch.cat([])
