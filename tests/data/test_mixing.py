"""Mixing picture sets: parity with RootNet's released code."""

from __future__ import annotations

import pytest
import torch

from parity_vectors import vectors
from poselift.data.mixing import mixed_order
from poselift.errors import InputError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_order_is_the_published_one_except_where_that_is_random() -> None:
    v = vectors("multi_sampling")
    found = mixed_order([10], [4], generator())
    fixed = ~torch.as_tensor(v["random_positions"])
    assert found.shape == (20, 2)
    assert torch.equal(found[fixed], torch.as_tensor(v["two_sets_10_4"])[fixed])
    assert torch.equal(mixed_order([7], [3, 4], generator()), torch.as_tensor(v["nested_7_then_3_4"]))


def test_the_rest_is_drawn_from_the_shorter_part() -> None:
    draws = torch.stack([mixed_order([10], [4], generator(s))[18:] for s in range(60)])
    assert (draws[..., 0] == 1).all()
    assert set(draws[..., 1].flatten().tolist()) == {0, 1, 2, 3}


def test_one_part_is_itself_and_empty_sets_are_refused() -> None:
    assert mixed_order([2, 1], [], generator()).tolist() == [[0, 0], [0, 1], [1, 0]]
    for parts in (([], []), ([3], [0])):
        with pytest.raises(InputError, match="picture sets"):
            mixed_order(*parts, generator())
