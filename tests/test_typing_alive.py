"""The shape and type checks of the test run are switched on: a wrong call must be refused."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from poselift.geometry.bones import bone_lengths
from poselift.geometry.roots import root_from_z


def test_right_shapes_pass():
    assert bone_lengths(torch.zeros(2, 2, 3), (-1, 0)).shape == (2, 1)


def test_wrong_rank_is_refused():
    with pytest.raises(TypeCheckError):
        root_from_z(torch.zeros(5, 3), torch.zeros(5), torch.eye(3))  # a pixel has two coordinates


def test_sizes_that_disagree_are_refused():
    with pytest.raises(TypeCheckError):
        root_from_z(torch.zeros(5, 2), torch.zeros(4), torch.eye(3))


def test_wrong_type_is_refused():
    with pytest.raises(TypeCheckError):
        bone_lengths([[0.0, 0.0, 0.0]], (-1,))  # type: ignore[arg-type]
