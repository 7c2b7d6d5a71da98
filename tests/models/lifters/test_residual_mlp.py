from __future__ import annotations

import pytest
import torch

from poselift.errors import InputError
from poselift.models.lifters.residual_mlp import ResidualMLP, ResidualMLPConfig


def test_root_is_exactly_zero_and_statistics_are_undone():
    torch.manual_seed(0)
    lifter = ResidualMLP(ResidualMLPConfig(width=16, hidden=16)).eval()
    x = torch.randn(3, 2, 17, 4)
    p = lifter(x)
    assert (p[:, :, lifter.skeleton.root] == 0).all()
    lifter.set_statistics(mean3d=torch.randn(17, 3), std3d=torch.full((17, 3), 2.0))
    moved = lifter(x)
    offset = lifter.mean3d - lifter.mean3d[lifter.skeleton.root]
    assert torch.allclose(moved, 2 * p + offset, atol=1e-5)


def test_training_result_of_a_frame_does_not_depend_on_its_batch():
    torch.manual_seed(0)
    lifter = ResidualMLP(ResidualMLPConfig(width=16, hidden=16, dropout=0.0)).train()
    x = torch.randn(6, 1, 17, 4)
    assert torch.allclose(lifter(x)[:1], lifter(x[:1]), atol=1e-6)


def test_starts_with_outputs_of_the_size_of_the_data():
    torch.manual_seed(0)
    lifter = ResidualMLP(ResidualMLPConfig())
    p = lifter(torch.randn(64, 1, 17, 4))
    assert 0.1 < p[:, :, 1:].std().item() < 2


def test_size_is_in_the_width():
    lifter = ResidualMLP(ResidualMLPConfig(width=8, hidden=24, blocks=2, confidence=False, scale_feature=False))
    assert lifter.w_in.in_features == 34
    assert [tuple(b.w1.weight.shape) for b in lifter.blocks] == [(24, 8)] * 2  # type: ignore[union-attr]
    with pytest.raises(InputError, match="model hidden"):
        ResidualMLP(ResidualMLPConfig(hidden=0))
