"""Crops that are learned from several times."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from poselift.data.images import ImageBatch
from poselift.data.rendered import rendered_source
from poselift.data.reused import ReusedPictures, mirrored
from poselift.errors import InputError
from poselift.geometry.crops import distance_measure
from poselift.geometry.projection import unproject
from poselift.structures import Skeleton


@pytest.fixture(scope="module")
def crops() -> ImageBatch:
    return rendered_source(None, "train", crop=32).batch(6, torch.Generator().manual_seed(0))


def roots(b: ImageBatch) -> torch.Tensor:
    part = b.root_patch / b.image.shape[-1]
    return unproject(part * b.box_xywh[:, 2:] + b.box_xywh[:, :2], b.root_z, b.K)


def test_the_mirrored_crop_is_the_picture_of_the_mirrored_scene(crops: ImageBatch):
    which = torch.tensor([True, False, True, True, False, False])
    other = mirrored(crops, which)
    x = torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(roots(other)[which], roots(crops)[which] * x, atol=1e-4)
    assert torch.allclose(distance_measure(other.box_xywh, other.K), crops.k, rtol=1e-5)
    left, right = (crops.skeleton.index(n) for n in ("l_wrist", "r_wrist"))
    assert torch.equal(other.kp_patch[which, left, 0], 31 - crops.kp_patch[which, right, 0])
    assert torch.equal(other.visible[which, left], crops.visible[which, right])
    assert torch.equal(other.image[which], crops.image[which].flip(-1))
    for name, value in other.as_dict().items():
        assert torch.equal(value[~which], crops.as_dict()[name][~which]), name
    again = mirrored(other, which)
    assert all(torch.allclose(v, crops.as_dict()[k], atol=1e-3) for k, v in again.as_dict().items())


@dataclass
class Counted:
    """Crops whose depth is their number."""

    like: ImageBatch
    drawn: int = 0

    @property
    def size(self) -> int:
        return 1000

    @property
    def skeleton(self) -> Skeleton:
        return self.like.skeleton

    def batch(self, b: int, gen: torch.Generator) -> ImageBatch:
        self.drawn += b
        one = self.like.part(torch.zeros(b, dtype=torch.long))
        return replace(one, root_z=torch.arange(self.drawn - b, self.drawn).float())


def test_crops_are_replaced_as_they_are_used(crops: ImageBatch):
    source = Counted(crops)
    reused, gen = ReusedPictures(source, times=4, held=32), torch.Generator().manual_seed(0)
    seen = []
    for step in range(400):
        numbers = reused.batch(8, gen).root_z
        assert len(numbers.unique()) == 8
        assert numbers.min() >= source.drawn - 32  # the oldest are gone
        assert source.drawn <= 32 + 8 * step / 4
        seen.append(numbers)
    assert source.drawn == 32 + 32 * int(8 * 399 / 4 / 32)
    counts = torch.cat(seen).long().bincount()[200:600].float()
    assert counts.mean() == pytest.approx(4, abs=0.3)


def test_the_generator_decides(crops: ImageBatch):
    a, b = (ReusedPictures(Counted(crops), times=2, held=8).batch(4, torch.Generator().manual_seed(s)) for s in (1, 1))
    assert all(torch.equal(v, b.as_dict()[k]) for k, v in a.as_dict().items())
    for wrong in ({"times": 0}, {"times": 2, "held": 0}):
        with pytest.raises(InputError, match="expected 1 or more, found 0"):
            ReusedPictures(Counted(crops), **wrong)
