from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from parity_vectors import vectors
from poselift.errors import InputError
from poselift.models.heatmaps import (
    argmax,
    deconvolutions,
    flip_heatmaps,
    gaussian_targets,
    marginal_soft_argmax,
    quarter_cell,
    soft_argmax,
)  # fmt: skip
from poselift.structures import skeleton


def test_soft_argmax_parity():
    v = vectors("softargmax")
    assert_close(soft_argmax(v["x0"].double()), v["y0"], atol=1e-9, rtol=0)
    assert_close(soft_argmax(v["x0"]).double(), v["y0"], atol=2e-6, rtol=0)
    assert_close(marginal_soft_argmax(v["x1"]), v["y1"], atol=1e-5, rtol=0)
    assert (v["y1"] - v["c1"]).abs().max() < 0.6


def test_unrounded_targets_parity():
    v = vectors("heatmap_target")
    target, weight = gaussian_targets(v["x0"] / 4, torch.ones(1, 17), (96, 96), rounded=False)
    assert_close(target, v["y0"], atol=1e-6, rtol=0)
    assert (weight == 1).all()


def test_rounded_targets_parity():
    """Joints beyond the map and on its edge are among them, and one that is not visible."""
    v = vectors("mpii_decode")
    target, weight = gaussian_targets(v["joints_in_256"].float() / 4, v["joints_vis"].float(), (64, 64))
    assert_close(target, v["target"], atol=1e-6, rtol=0)
    assert torch.equal(weight, v["target_weight"][:, 0])
    assert 0 < int(weight.sum()) < 16


def test_what_an_invisible_joint_holds_is_not_looked_at():
    kp = torch.tensor([[[float("nan"), 3.0], [5.0, 4.0]]])
    visible = torch.tensor([[0.0, 1.0]])
    target, weight = gaussian_targets(kp, visible, (8, 8))
    assert torch.equal(weight, visible)
    assert not target[0, 0].any()
    assert target[0, 1, 4, 5] == 1
    assert torch.isfinite(gaussian_targets(kp, visible, (8, 8), rounded=False)[0]).all()


def test_argmax_parity():
    v = vectors("mpii_decode")
    xy, height = argmax(v["x0"])
    assert torch.equal(xy, v["argmax"])
    assert torch.equal(height, v["maxval"][..., 0])
    assert torch.equal(argmax(-v["x0"].abs())[0], torch.zeros(2, 16, 2))


@pytest.mark.parametrize(("column", "moved"), [(0, False), (1, False), (2, True), (6, True), (7, False)])
def test_quarter_cells(column: int, moved: bool):
    heat = torch.zeros(1, 8, 8)
    heat[0, 3, column] = 1.0
    heat[0, 4, column] = 0.5
    heat[0, 3, max(column - 1, 0)] += 0.25
    xy, height = quarter_cell(heat)
    shift = torch.tensor([-0.25, 0.25]) if moved else torch.zeros(2)
    assert torch.equal(xy[0], torch.tensor([column, 3.0]) + shift)
    assert float(height) >= 1


def test_mirrored_maps_parity():
    v, flip = vectors("mpii_decode"), skeleton("mpii16").flip
    for name, shift in (("y1_flip_back", False), ("y1_shifted", True)):
        assert torch.equal(flip_heatmaps(v["x0"][:1], flip, shift=shift)[:, :2], v[name]), name


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_deconvolutions_double_the_size(kernel: int):
    net = deconvolutions(8, (4, 4), (kernel, kernel))
    assert net(torch.randn(1, 8, 3, 5)).shape == (1, 4, 12, 20)
    assert (net.get_submodule("0").bias is not None) is False
    assert deconvolutions(8, (4,), (4,), bias=True).get_submodule("0").bias is not None


@pytest.mark.parametrize(("filters", "kernels"), [((4,), (5,)), ((4, 4), (4,)), ((), ()), ((0,), (4,))])
def test_other_kernels_are_refused(filters: tuple[int, ...], kernels: tuple[int, ...]):
    with pytest.raises(InputError, match="a kernel of 2, 3 or 4 for each filter"):
        deconvolutions(8, filters, kernels)
