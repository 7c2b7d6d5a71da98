"""The critics' networks: parity of values, kinematic chain space and gradient penalty; both matrices."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from parity_vectors import fill_as_published, vectors
from poselift.errors import InputError
from poselift.geometry.kcs import kcs
from poselift.losses_adversarial import gradient_penalty
from poselift.models.critics.base import Critic
from poselift.models.critics.motion import MotionCritic, MotionCriticConfig
from poselift.models.critics.repnet import FLAVOURS, RepNetCritic, RepNetCriticConfig
from poselift.structures import skeleton

PARITY: dict[str, type[Critic]] = {
    "repnet_critic": RepNetCritic, "video_gan_critic": RepNetCritic, "video_gan_temporal_critic": MotionCritic,
}  # fmt: skip


def whole(flat: torch.Tensor) -> torch.Tensor:
    """(n, 48) or (n, t, 48) → (n, t, 17, 3): the published joints behind a pelvis, which is not looked at."""
    pose = flat.view(len(flat), -1, 16, 3)
    return torch.cat((torch.full_like(pose[:, :, :1], 7.0), pose), 2)


def filled(name: str) -> Critic:
    critic: Critic = (
        RepNetCritic(RepNetCriticConfig()) if "temporal" not in name else MotionCritic(MotionCriticConfig())
    )
    assert type(critic) is PARITY[name]
    net = critic.net
    fill_as_published(net, name)
    return critic.eval()


@pytest.mark.parametrize("name", PARITY)
def test_parity_of_the_values(name: str):
    arrays = vectors(name)
    with torch.no_grad():
        assert_close(filled(name)(whole(arrays["x0"])), arrays["y0"], rtol=0, atol=2e-5)


def test_parity_of_chain_space_and_gradient_penalty():
    arrays, critic = vectors("repnet_critic"), filled("repnet_critic")
    assert isinstance(critic, RepNetCritic)
    assert_close(kcs(arrays["x0"].view(-1, 16, 3), critic.net.chain), arrays["y1"], rtol=0, atol=1e-5)
    real, fake = whole(arrays["x1"]), whole(arrays["x2"])
    penalty = 10 * gradient_penalty(critic, real, fake, arrays["x3"][:, 0])
    assert float(penalty.detach()) == pytest.approx(float(arrays["y2"]), rel=1e-5)


def test_both_published_matrices():
    v = vectors("kcs")
    variant = RepNetCritic(RepNetCriticConfig(width=8, chain_width=8)).net.chain
    assert torch.equal(variant.double(), v["C_variant"])
    original = RepNetCritic(replace(FLAVOURS["original"], width=8, chain_width=8)).net.chain
    assert torch.equal(original.double(), v["C_original"])


def test_the_originals_layout():
    """x1 … x16 y1 … z16: the same as the other layout with the first layer's columns in the other order."""
    torch.manual_seed(0)
    config = replace(FLAVOURS["original"], width=8, chain_width=8)
    critic, other = RepNetCritic(config), RepNetCritic(replace(config, layout="joints"))
    state = critic.net.state_dict()
    state["w11.weight"] = state["w11.weight"].view(8, 3, 16).mT.reshape(8, 48)
    other.net.load_state_dict(state)
    p = torch.randn(4, 2, 17, 3)
    assert_close(critic(p), other(p))
    v = vectors("kcs")
    assert torch.equal(v["x0"].mT.flatten(1), v["x1"])


def test_the_last_activation_of_the_chain_path():
    torch.manual_seed(0)
    config = RepNetCriticConfig(width=8, chain_width=8)
    with_end, without = RepNetCritic(config), RepNetCritic(replace(config, chain_end=False))
    without.load_state_dict(with_end.state_dict())
    p = torch.randn(4, 1, 17, 3)
    assert not torch.allclose(with_end(p), without(p))


@pytest.mark.parametrize("name", ["h36m17", "h36m16", "body25", "coco17"])
def test_the_tree_of_any_skeleton(name: str):
    """Squared lengths of all bones are on the diagonal, those of the root among them."""
    s = skeleton(name)
    critic = RepNetCritic(RepNetCriticConfig(skeleton=name, chain="tree", width=8, chain_width=8))
    p = torch.randn(2, 1, len(s), 3)
    p[:, :, s.root] = 0
    assert critic(p).shape == (2, 1)
    psi = kcs(p[:, 0, critic.joints], critic.net.chain)
    lengths = torch.stack([(p[:, 0, c] - p[:, 0, q]).square().sum(-1) for c, q in s.bones], -1)
    assert_close(psi.diagonal(dim1=-2, dim2=-1), lengths)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match=r"expected tree, as there is no .*nose"):
        RepNetCritic(RepNetCriticConfig(skeleton="h36m16"))
    with pytest.raises(InputError, match="different joints"):
        RepNetCritic(RepNetCriticConfig(joints=("nose", "nose")))
    with pytest.raises(InputError, match="side"):
        MotionCritic(MotionCriticConfig(side=0))
    with pytest.raises(InputError, match="flavour of RepNet's critic"):
        RepNetCriticConfig.flavour_of("keras")


def test_motion_is_all_that_the_motion_critic_sees():
    torch.manual_seed(0)
    critic = MotionCritic(MotionCriticConfig(width=8, last_width=8, side=2))
    p = torch.randn(2, 7, 17, 3)
    values = critic(p)
    assert values.shape == (2, 3)
    assert_close(critic(p + torch.randn(2, 1, 17, 3)), values, rtol=0, atol=1e-5)
    assert_close(critic(p[:, 1:6]), values[:, 1:2])
