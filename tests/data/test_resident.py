"""Data that lives on another device: batches are made there, and nothing on the way is left on the CPU.

No GPU is needed for that: `meta` tensors have a device of their own and refuse to be mixed with others.
"""

from __future__ import annotations

import pytest
import torch

from poselift.data.datasets import DataConfig, MotionSource, dataset_source, resident
from poselift.data.labelled import PartlyLabelled
from poselift.data.unpaired import Unpaired

ON_THE_SPOT = {
    "gt": {},
    "det": {"frames": 9, "flip": True},
    "wild": {"frames": 9, "fps": (24.0, 60.0), "reverse": True},
}


def source(name: str) -> MotionSource:
    found = dataset_source(DataConfig(input=name, **ON_THE_SPOT[name]), "train")  # type: ignore[arg-type]
    assert isinstance(found, MotionSource)
    return found


@pytest.mark.parametrize("name", ON_THE_SPOT)
@pytest.mark.parametrize("kind", ["plain", "unpaired", "labelled"])
def test_everything_is_drawn_where_the_data_is(name: str, kind: str) -> None:
    whole = source(name)
    of = {"plain": whole, "unpaired": Unpaired.of(whole, 0.5), "labelled": PartlyLabelled.of(whole, 0.5)}[kind]
    here = of.batch(4, torch.Generator().manual_seed(0))
    there = of.to("meta").batch(4, torch.Generator())
    assert {v.device.type for v in there.as_dict().values()} == {"meta"}
    assert {k: v.shape for k, v in there.as_dict().items()} == {k: v.shape for k, v in here.as_dict().items()}
    assert {k: v.dtype for k, v in there.as_dict().items()} == {k: v.dtype for k, v in here.as_dict().items()}


class Pictures:
    """A source that stays where it is."""

    size = 3

    def batch(self, b: int, gen: torch.Generator) -> object:
        raise AssertionError


class Movable(Pictures):
    place = torch.device("cpu")

    def to(self, device: torch.device | str) -> Movable:
        moved = Movable()
        moved.place = torch.device(device)
        return moved


def test_only_cuda_is_worth_it() -> None:
    for place in ("cpu", "mps"):
        stays = Movable()
        assert resident(stays, torch.device(place)) == (stays, torch.device("cpu"))
    moved, draws = resident(Movable(), torch.device("cuda:1"))
    assert moved.place == draws == torch.device("cuda:1")
    pictures = Pictures()
    assert resident(pictures, torch.device("cuda")) == (pictures, torch.device("cpu"))
