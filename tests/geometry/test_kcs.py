"""Kinematic chain space: parity with both published matrices, and what it says of a pose."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from parity_vectors import vectors
from poselift.errors import InputError
from poselift.geometry.bones import bone_lengths
from poselift.geometry.kcs import chain_matrix, kcs
from poselift.geometry.rotations import axis_angle_to_matrix
from poselift.structures import skeleton


def test_parity():
    v = vectors("kcs")
    for c, y in (("C_variant", "y0"), ("C_original", "y1")):
        assert_close(kcs(v["x0"].double(), v[c]), v[y], rtol=1e-6, atol=1e-6)
    s = skeleton("h36m16")
    assert_close(kcs(v["x0"], s.chain_matrix).diagonal(dim1=-2, dim2=-1), bone_lengths(v["x0"], s.parents).square())


@pytest.mark.parametrize("name", ["h36m17", "coco17", "body25"])
def test_the_matrix_of_a_tree_from_its_pairs(name: str):
    s = skeleton(name)
    pairs = [(parent, child) for child, parent in s.bones]
    assert torch.equal(chain_matrix(pairs, len(s)), torch.from_numpy(s.chain_matrix))


def test_a_sum_is_no_length():
    c = chain_matrix([(0, 1), (0, 1)], 2, sums=[1])
    assert c.tolist() == [[1, 1], [-1, 1]]
    x = torch.tensor([[1.0, 0, 0], [0, 2, 0]])
    assert kcs(x, c).diagonal().tolist() == [5, 5]
    moved = kcs(x + 1, c).diagonal()
    assert moved[0] == 5, "a bone does not care where the pose stands"
    assert moved[1] != 5


def test_turning_changes_nothing():
    s, x = skeleton("h36m17"), torch.randn(3, 17, 3, dtype=torch.float64)
    R = axis_angle_to_matrix(torch.tensor([0.3, -1.1, 0.7], dtype=torch.float64))
    assert_close(kcs(x @ R.mT, s.chain_matrix), kcs(x, s.chain_matrix))


@pytest.mark.parametrize(("bones", "sums"), [([(0, 0)], []), ([(0, 3)], []), ([(-1, 0)], []), ([(0, 1)], [1])])
def test_what_is_no_bone_is_refused(bones: list[tuple[int, int]], sums: list[int]):
    with pytest.raises(InputError, match="expected"):
        chain_matrix(bones, 3, sums=sums)
