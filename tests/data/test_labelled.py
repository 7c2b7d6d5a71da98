"""3D of some performers, 2D of the others: who has which, and that nobody gets the truth of those without."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from poselift.data.bank import Batch
from poselift.data.datasets import DataConfig, MotionSource, dataset_source
from poselift.data.labelled import PartlyLabelled
from poselift.errors import InputError


@pytest.fixture(scope="module")
def source() -> MotionSource:
    found = dataset_source(DataConfig(input="gt", frames=3), "train")
    assert isinstance(found, MotionSource)
    return found


def gen() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("part", [0.1, 0.5])
def test_a_part_of_the_performers_is_labelled(source: MotionSource, part: float):
    one, two = PartlyLabelled.of(source, part), PartlyLabelled.of(source, part)
    assert isinstance(one.labelled, MotionSource)
    assert isinstance(one.unlabelled, MotionSource)
    assert isinstance(two.labelled, MotionSource)
    known, rest = set(one.labelled.bank.subjects), set(one.unlabelled.bank.subjects)
    assert not known & rest
    assert known | rest == set(source.bank.subjects)
    assert one.labelled.size / source.size == pytest.approx(part, abs=0.02)
    assert one.size == source.size
    assert two.labelled.bank.names == one.labelled.bank.names, "the same ones every time"


def test_labelled_and_others_alternate_and_only_the_former_have_truth(source: MotionSource):
    """Also in the half that each of two processes gets."""
    parts = PartlyLabelled.of(source, 0.3)
    assert parts.unlabelled is not None
    batch = parts.batch(8, gen())
    assert len(batch) == 16
    for share in (batch, batch.part(slice(8)), batch.part(slice(8, None))):
        known, rest = parts.divide(share)
        assert rest is not None
        assert len(known) == len(rest)
        for name in ("p_root", "root_cam"):
            assert torch.isfinite(getattr(known, name)).all()
            assert torch.isnan(getattr(rest, name)).all()
    again = gen()
    known, rest = parts.divide(batch)
    assert rest is not None
    plain = parts.labelled.batch(8, again)
    for name, value in plain.as_dict().items():
        assert torch.equal(getattr(known, name), value)
    assert torch.equal(rest.kp_img, parts.unlabelled.batch(8, again).kp_img)


def test_the_labelled_are_the_same_with_and_without_the_others(source: MotionSource):
    alone = PartlyLabelled.of(source, 0.3, others=False)
    assert alone.unlabelled is None
    batch = alone.batch(8, gen())
    beside, _ = PartlyLabelled.of(source, 0.3).divide(PartlyLabelled.of(source, 0.3).batch(8, gen()))
    assert torch.equal(batch.kp_img, beside.kp_img)
    assert torch.equal(batch.p_root, beside.p_root)
    assert alone.divide(batch)[1] is None


class Recorded:
    size = 5

    def batch(self, b: int, gen: torch.Generator) -> Batch:
        raise AssertionError

    def to(self, device: torch.device | str) -> Recorded:
        return self


def test_everybody_labelled_is_the_source_itself(source: MotionSource):
    whole = PartlyLabelled.of(source, 1)
    assert whole.labelled is source
    assert whole.unlabelled is None
    assert PartlyLabelled.of(Recorded(), 1).size == 5


@pytest.mark.parametrize("part", [0, -0.1, 1.1, float("nan")])
def test_parts_that_are_none_are_refused(source: MotionSource, part: float):
    with pytest.raises(InputError, match=r"objective\.labelled"):
        PartlyLabelled.of(source, part)


def test_recordings_and_single_performers_cannot_be_divided(source: MotionSource):
    with pytest.raises(InputError, match=r"data\.dataset"):
        PartlyLabelled.of(Recorded(), 0.5)
    one = replace(source, bank=replace(source.bank, subjects=("a",) * len(source.bank.subjects)))
    with pytest.raises(InputError, match="two performers"):
        PartlyLabelled.of(one, 0.5)
