"""What every entry of `IMPORTERS` must do. A new importer needs an example in `EXAMPLES`, and is tested then."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
from torch import Tensor

from poselift.errors import InputError
from poselift.models.importers import IMPORTERS, ImportOptions, detect
from poselift.models.importers.base import Weights
from poselift.models.importers.checkpoints import read_weights
from poselift.models.lifters.lcn import MaskLayout
from poselift.models.refiners.erd import Features
from published_checkpoints import FAMILIES, FIXTURES, state_of

EXAMPLES = {"linear-gluon": FIXTURES / "gluon.params", "linear-original": FIXTURES / "tf_v2.index"}
families = pytest.mark.parametrize("family", IMPORTERS)


@cache
def example(family: str) -> Weights:
    if family in EXAMPLES:
        return dataclasses.replace(read_weights(EXAMPLES[family])[1], family=family)
    return Weights(file=Path("c.pth.tar"), tensors=state_of(FAMILIES[family][0]), family=family)


def build(family: str, tensors: Mapping[str, Tensor]) -> Any:
    weights = dataclasses.replace(example(family), tensors=dict(tensors))
    options = ImportOptions(no_stats="no_stats" in IMPORTERS[family].options)
    return IMPORTERS[family].build(weights, options).model


def complaint(family: str, tensors: Mapping[str, Tensor]) -> str:
    with pytest.raises(InputError) as told:
        build(family, tensors)
    assert "\n" not in str(told.value)
    assert str(example(family).file) in str(told.value)
    return str(told.value)


@families
def test_it_is_told_from_all_others(family: str):
    names = FAMILIES.get(family, [])
    for shapes in [example(family).shapes, *({k: tuple(v.shape) for k, v in state_of(n).items()} for n in names)]:
        assert detect(IMPORTERS[family].container, shapes) == [family]


@families
def test_row(family: str):
    row = IMPORTERS[family]
    known = {f.name for f in dataclasses.fields(ImportOptions)}
    assert row.summary
    assert row.needs
    assert row.options <= known
    model = build(family, example(family).tensors)
    assert not model.training
    assert all(torch.isfinite(p).all() for p in model.parameters())


@families
def test_options_without_use_are_refused(family: str):
    values: dict[str, Any] = {
        "stats_2d": Path("a"), "stats_3d": Path("a"), "pca": Path("a"), "no_stats": True, "features": "delta",
        "mask_layout": "block", "max_norm": False, "causal": True, "part": "model_traj",
    }  # fmt: skip
    assert set(values) == {f.name for f in dataclasses.fields(ImportOptions)}
    for name in set(values) - IMPORTERS[family].options:
        with pytest.raises(InputError, match=f"--{name.replace('_', '-')}: of no use to a {family}"):
            IMPORTERS[family].build(example(family), ImportOptions(**{name: values[name]}))


@families
def test_statistics_are_asked_for(family: str):
    if "stats_2d" not in IMPORTERS[family].options:
        build(family, example(family).tensors)
        return
    with pytest.raises(InputError, match=r"--stats-2d: expected the file with mean and deviation.*or --no-stats"):
        IMPORTERS[family].build(example(family), ImportOptions())
    options = ImportOptions(no_stats=True)
    assert any(
        "without the statistics of keypoints" in n for n in IMPORTERS[family].build(example(family), options).notes
    )


@families
def test_keys_that_do_not_fit_are_named(family: str):
    tensors = example(family).tensors
    large = [k for k, v in tensors.items() if v.numel() > 60 and "Adam" not in k]
    some = large[len(large) // 2]
    without = {k: v for k, v in tensors.items() if k != some}
    assert "missing" in complaint(family, without) or family == "linear-gluon"
    assert "left over" in complaint(family, {**tensors, "elsewhere.weight2": torch.ones(2)})
    misshapen = complaint(family, {**tensors, some: torch.ones(*tensors[some].shape[:-1], tensors[some].shape[-1] + 1)})
    assert "not (" in misshapen or "expected" in misshapen


@families
def test_numbers_that_are_no_weights(family: str):
    tensors = example(family).tensors
    name = next(k for k, v in tensors.items() if v.is_floating_point() and v.ndim and "Adam" not in k)
    for bad in (float("nan"), float("inf")):
        spoilt = tensors[name].clone()
        spoilt.view(-1)[0] = bad
        assert "finite weights" in complaint(family, {**tensors, name: spoilt})
    assert "expected torch.float32" in complaint(family, {**tensors, name: tensors[name].long()})


@families
def test_other_number_types(family: str):
    tensors = example(family).tensors
    model, same = (
        build(family, tensors),
        build(family, {k: v.double() if v.is_floating_point() else v for k, v in tensors.items()}),
    )
    for key, value in model.state_dict().items():
        assert torch.equal(value, same.state_dict()[key])
        assert value.dtype in (torch.float32, torch.int64)


@families
def test_counters_of_batches_may_be_missing(family: str):
    """torch before 0.4.1 had none."""
    tensors = {k: v for k, v in example(family).tensors.items() if not k.endswith("num_batches_tracked")}
    model, same = build(family, tensors), build(family, example(family).tensors)
    assert all(torch.equal(v, same.state_dict()[k]) for k, v in model.state_dict().items())


def test_options_are_those_of_the_models():
    hints = get_type_hints(ImportOptions)
    assert get_args(get_args(hints["features"])[0]) == get_args(Features)
    assert set(get_args(get_args(hints["mask_layout"])[0])) == set(get_args(MaskLayout))
