from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from parity.fill import fill_state_dict
from parity_vectors import description, fill_as_published, vectors
from poselift.errors import InputError
from poselift.models.lifters import build_lifter
from poselift.models.lifters.lcn import LCN, LCNConfig, neighbourhood, weight_places
from poselift.structures.skeleton import SKELETONS, skeleton

PARITY = {
    "erd_lcn_k1_h8": LCNConfig(channels=8, blocks=3, knn=1, mask_layout="tiled"),
    "erd_lcn_k2_h8": LCNConfig(channels=8, knn=2, mask_layout="tiled"),
    "erd_lcn_k3_h64": LCNConfig(mask_layout="tiled"),
}


@pytest.mark.parametrize("name", PARITY)
def test_parity_of_the_network(name: str):
    """Neighbours, ordered parameter names, shapes, number of parameters and outputs are the published code's."""
    arrays, lifter = vectors(name), LCN(PARITY[name])
    net = lifter.net
    assert np.array_equal(neighbourhood(lifter.skeleton, PARITY[name].knn), arrays["mask"].numpy())
    fill_as_published(net, name)
    with torch.no_grad():
        y = net.eval()(arrays["x0"])
    assert torch.allclose(y, arrays["y0"], atol=5e-6)
    assert arrays["y0"].abs().max() > 0.5


def test_the_other_layout_takes_the_same_weights_and_gives_other_poses():
    """Which is why the layout is written in the config."""
    name = "erd_lcn_k2_h8"
    arrays, right = vectors(name), LCN(PARITY[name])
    fill_state_dict(right.net, **description(name)["fill_overrides"])
    wrong = LCN(dataclasses.replace(PARITY[name], mask_layout="block"))
    wrong.load_state_dict(right.state_dict())
    with torch.no_grad():
        assert (wrong.net.eval()(arrays["x0"]) - arrays["y0"]).abs().max() > 0.1


def test_parity_of_the_whole_lifter():
    name = "erd_lcn_k1_h8"
    arrays, lifter = vectors(name), LCN(PARITY[name]).eval()
    fill_state_dict(lifter.net, **description(name)["fill_overrides"])
    mean, std = torch.randn(17, 3), torch.rand(17, 3) + 0.1
    lifter.set_statistics(mean3d=mean, std3d=std)
    with torch.no_grad():
        p = lifter(arrays["x0"].unflatten(0, (2, 2)))
    assert torch.allclose(p.flatten(0, 1), arrays["y0"] * std + mean, atol=1e-5)


def reach(layout: str) -> np.ndarray:
    """(j, j): the joints that a joint's features depend on after one inner layer of that layout."""
    lifter = LCN(LCNConfig(channels=20, knn=1, mask_layout=layout))  # type: ignore[arg-type]
    matrix = lifter.net.get_submodule("linear_stages.0.w1").matrix.detach()  # type: ignore[operator,union-attr]
    return (matrix.view(17, 20, 17, 20) != 0).any(3).any(1).numpy()  # type: ignore[operator,union-attr]


def test_block_layout_is_local_and_tiled_layout_is_not():
    near = neighbourhood(skeleton("h36m17"), 1)
    assert np.array_equal(reach("block"), near)
    assert not np.array_equal(reach("tiled"), near)
    assert reach("tiled")[0].all(), "the pelvis sees everything"
    masks = np.kron(near, np.ones((7, 3), bool)), np.tile(near, (7, 3))
    for layout, mask in zip(("block", "tiled"), masks, strict=True):
        assert np.array_equal(weight_places(near, 3, 7, layout), np.flatnonzero(mask))  # type: ignore[arg-type]


def test_what_a_joint_sees():
    s = skeleton("h36m17")

    def seen(joint: str, knn: int) -> set[str]:
        return {s.joints[j] for j in np.flatnonzero(neighbourhood(s, knn)[s.index(joint)])}

    assert seen("l_wrist", 0) == {"l_wrist"}
    assert seen("l_wrist", 2) == {"l_wrist", "l_elbow", "l_shoulder"}
    assert seen("spine", 1) == {"pelvis", "l_hip", "r_hip", "spine", "thorax", "l_shoulder", "r_shoulder"}
    assert seen("head_top", 1) == {"head_top", "nose"}


@pytest.mark.parametrize("name", ["h36m16", "coco17", "mpii16", "halpe26"])
def test_other_skeletons(name: str):
    near = neighbourhood(SKELETONS[name], 1)
    assert (near == near.T).all()
    assert near.diagonal().all()
    flip = list(SKELETONS[name].flip)
    assert (near[np.ix_(flip, flip)] == near).all()
    lifter = LCN(LCNConfig(skeleton=name, channels=4)).eval()
    j = len(lifter.skeleton)
    assert lifter(torch.randn(2, 3, j, 2)).shape == (2, 3, j, 3)


def test_batch_norm_is_per_joint_and_blocks_share_their_slope():
    lifter = LCN(LCNConfig(channels=4))
    norms = [m for m in lifter.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    assert {m.num_features for m in norms} == {17}
    assert len(norms) == 5
    slopes = [m for m in lifter.modules() if isinstance(m, torch.nn.PReLU)]
    assert len(slopes) == 3
    lifter.train()(torch.randn(50, 1, 17, 2) * torch.arange(1, 18)[:, None])
    assert norms[0].running_var is not None
    assert len(set(norms[0].running_var.tolist())) == 17


def test_initialisation():
    torch.manual_seed(0)
    net = LCN(LCNConfig()).net
    bound = (1.5 / 64**2) ** 0.5
    weight = net.linear_stages[0].w1.weight  # type: ignore[union-attr]
    assert weight.abs().max().item() == pytest.approx(bound, rel=1e-2)  # type: ignore[union-attr,operator]
    assert net.w2.bias.abs().max().item() <= 192**-0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 0}, "model channels"),
        ({"dropout": 1.0}, "model dropout"),
        ({"knn": -1}, "model knn"),
    ],
)
def test_bad_configs(changes: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        build_lifter(dataclasses.replace(LCNConfig(), **changes))  # type: ignore[arg-type]
