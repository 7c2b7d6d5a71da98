"""UGCN: parity with the public implementation's revisions, its graph, any length, and a part of a sequence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from parity.fill import fill_state_dict
from parity_vectors import description, fill_as_published, vectors
from poselift.models.base import Stretch
from poselift.models.graph_time import upsample
from poselift.models.lifters.ugcn import REVISIONS, UGCN, UGCNConfig, UGCNNet
from poselift.models.partitions import partitions
from poselift.structures.skeleton import SKELETONS, skeleton

PARITY = {
    "ugcn": "latest",
    "ugcn_t48": "latest",
    "ugcn_rev_2022_02_23": "2022-02-23",
    "ugcn_rev_2022_02_17": "2022-02-17",
}


def filled(name: str) -> UGCN:
    lifter = UGCN(UGCNConfig(revision=PARITY.get(name, "latest"))).eval()  # type: ignore[arg-type]
    fill_state_dict(lifter.net, **description(name)["fill_overrides"])
    return lifter


def ours(x: Tensor) -> Tensor:
    """Published (b, c, t, j, 1) → b t j c."""
    return x[..., 0].permute(0, 2, 3, 1)


@pytest.mark.parametrize("name", PARITY)
def test_parity_of_the_network_and_its_inference_copy(name: str):
    """Graph, ordered parameter names, shapes, number of parameters and outputs are the published code's."""
    arrays = vectors(name)
    net: UGCNNet = UGCN(UGCNConfig(revision=PARITY[name])).eval().net  # type: ignore[arg-type]
    assert torch.equal(net.A, arrays["A"])
    fill_as_published(net, name)
    want = ours(arrays["y0"])
    assert want.abs().max() > 0.2
    with torch.no_grad():
        assert torch.allclose(net(ours(arrays["x0"])), want, atol=5e-6)
        folded = net.fold()
        assert torch.allclose(folded(ours(arrays["x0"])), want, atol=1e-5)
        assert torch.equal(folded.fold()(want[..., :2]), folded(want[..., :2]))
    assert not any("BatchNorm" in type(m).__name__ for m in folded.modules())


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_inference_copy_of_few_frames_and_of_many(revision: str):
    """Small inputs are laid out for products, large ones convolved; whatever the skeleton."""
    torch.manual_seed(0)
    for name in ("h36m17", "coco17"):
        net = UGCNNet(skeleton=skeleton(name), c_in=2, config=UGCNConfig(revision=revision))  # type: ignore[arg-type]
        with torch.no_grad():
            net(torch.randn(4, 32, 17, 2))
            folded, x = net.eval().fold(), torch.randn(6, 96, 17, 2)
            for few in (x[:1, :16], x[:1], x):
                assert torch.allclose(folded(few), net(few), atol=1e-5)


def test_parity_of_flip_averaging():
    """Through the whole lifter: a picture two pixels wide, whose screen coordinates are its pixels minus 1.

    The published test sets the root to 0 afterwards, as `eval` mode does.
    """
    arrays, lifter = vectors("ugcn_flip"), filled("ugcn_flip")
    x = arrays["x0"]  # b, (original, mirrored), t j c, whatever the note beside it says
    assert torch.equal(x[:, 0, :, list(lifter.skeleton.flip)] * torch.tensor([-1.0, 1]), x[:, 1])
    size = torch.full((2, 2), 2.0)
    K = torch.eye(3).expand(2, 3, 3)
    p = lifter.lift(x[:, 0] + 1, torch.ones(x[:, 0].shape[:3]), K, size, flip_average=True)
    want = ours(arrays["y0"])
    assert torch.allclose(p[:, :, 1:], want[:, :, 1:], atol=1e-5)
    assert (p[:, :, 0] == 0).all()


def test_the_published_graph_forgets_distances_above_one_link():
    """Only the root's neighbours are told from those beyond them; a link farther out is in partition 1 both ways."""
    h36m = skeleton("h36m17")
    A = partitions(h36m, "spatial", reach=1)
    nearer = {(h36m.joints[v], h36m.joints[w]) for v, w in zip(*np.nonzero(A[2]), strict=True)}
    assert nearer == {
        ("pelvis", "r_hip"), ("pelvis", "l_hip"), ("pelvis", "spine"),
        ("r_hip", "r_knee"), ("l_hip", "l_knee"), ("spine", "thorax"),
    }  # fmt: skip
    elbow, wrist = h36m.indices("l_elbow", "l_wrist")
    assert A[1, elbow, wrist] > 0
    assert A[1, wrist, elbow] > 0


@pytest.mark.parametrize("name", SKELETONS)
@pytest.mark.parametrize(("kind", "reach", "count"), [("spatial", 1, 3), ("distance", 6, 7)])
def test_partitions_share_out_one(name: str, kind: str, reach: int, count: int):
    A = partitions(skeleton(name), kind, reach=reach)  # type: ignore[arg-type]
    assert len(A) == count
    assert np.allclose(A.sum((0, 1)), 1, atol=1e-6)
    assert ((A > 0).sum(0) <= 1).all()


def test_another_skeletons_graph_is_not_taken():
    net, state = UGCN(UGCNConfig()).net, UGCN(UGCNConfig()).net.state_dict()
    state["A"] = state["A"].flip(1)
    with pytest.raises(RuntimeError, match="another skeleton"):
        net.load_state_dict(state)
    state["A"] = net.A.half()
    net.load_state_dict(state)  # what 16 bits take away is no other graph
    net.load_state_dict({**state, "A": state["A"].float()})


@pytest.mark.parametrize("t", [1, 15, 16, 17, 40])
def test_any_length_is_padded_at_its_end_with_the_last_frame(t: int):
    lifter, x = filled("ugcn"), torch.randn(1, t, 17, 2)
    whole = torch.cat((x, x[:, -1:].expand(-1, -t % 16, -1, -1)), 1)
    with torch.no_grad():
        assert torch.allclose(lifter(x), lifter(whole)[:, :t], atol=1e-6)
        assert lifter(x).shape == (1, t, 17, 3)


def test_upsampling_is_that_with_aligned_corners_and_of_a_part_the_same():
    x = torch.randn(3, 2, 7, 5, dtype=torch.float64)
    for factor in (2, 4, 16):
        image = x.permute(0, 1, 3, 2).flatten(0, 1)
        want = torch.nn.functional.interpolate(image, scale_factor=factor, mode="linear", align_corners=True)
        found = upsample(x, factor)
        assert torch.allclose(found, want.unflatten(0, (3, 2)).mT, atol=1e-6)
        part = upsample(x[:, :, 2:6], factor, start=2, total=7)
        inside = slice(factor, -factor)
        assert torch.allclose(part[:, :, inside], found[:, :, 2 * factor : 6 * factor][:, :, inside], atol=1e-6)
    assert torch.equal(upsample(x[:, :, :1], 4), x[:, :, :1].expand(-1, -1, 4, -1))


def test_in_training_the_root_is_learned_as_published():
    lifter = filled("ugcn")
    x = torch.randn(2, 32, 17, 2)
    with torch.no_grad():
        assert (lifter(x)[:, :, 0] == 0).all()
        lifter.net.eval()
        lifter.training = True
        assert (lifter(x)[:, :, 0] != 0).any()


def test_a_published_window_is_not_what_the_whole_sequence_gives():
    """The published test takes frame 47 of 96 around every frame; here every frame is computed once.

    A sequence of 96 frames is a window. In a longer one no frame agrees: a window ends before all that a pose depends
    on, it may begin between two coarse frames of the sequence's, and where these lie in time depends on the length.
    With the random weights of the parity vectors the two are as far apart as the poses move. A part that begins on a
    coarse frame, has the context and is told its place does agree.
    """
    lifter = filled("ugcn")
    g = torch.Generator().manual_seed(0)
    t = 480
    steps = 0.05 * torch.randn(1, t, 17, 2, generator=g)
    x = 0.3 * torch.randn(1, 1, 17, 2, generator=g) + steps.cumsum(1) / 5
    with torch.no_grad():
        whole = lifter(x)
        index = (torch.arange(t)[:, None] + torch.arange(-47, 49)).clamp(0, t - 1)
        windows = lifter(x[0, index[::8]])[:, 47]
        apart = (windows - whole[0, ::8]).norm(dim=-1)[:, 1:]
        moves = (whole - whole.mean(1, keepdim=True)).norm(dim=-1)[:, :, 1:].mean()
        assert torch.allclose(lifter(x[:, :96])[:, 47], lifter(x[:, index[47]])[:, 47], atol=1e-6)
        assert apart[8:-8].min() > 1e-4
        assert 0.2 * moves < apart[8:-8].mean() < 2 * moves
        a = 240
        first, last = lifter.needs(a, a + 8, t)
        part = lifter(x[:, first:last], Stretch(start=first, total=t))
    assert torch.allclose(part[:, a - first : a + 8 - first], whole[:, a : a + 8], atol=1e-6)
