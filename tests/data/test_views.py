"""Virtual cameras and their damage: geometry must hold in every batch, whatever was drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from poselift.data import cmu17
from poselift.data.augment import BodyOptions, BoneTree, vary_bodies
from poselift.data.bank import MotionBank
from poselift.data.cmu17 import load_motions
from poselift.data.markers import vary_markers
from poselift.data.noise import NoiseOptions, box_side, degrade, student_t
from poselift.data.views import VIEWS, ProtocolViews, WildViews
from poselift.geometry.projection import project
from poselift.structures import skeleton

H36M = skeleton("h36m17")


@pytest.fixture(scope="module")
def bank() -> MotionBank:
    return MotionBank.from_motions(load_motions(None, "train")[:6])


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(bank: MotionBank, n: int = 256, seed: int = 0) -> torch.Tensor:
    return torch.randint(len(bank), (n,), generator=gen(seed))


def test_exact_views_project_onto_their_input(bank: MotionBank) -> None:
    b = VIEWS["gt"].batch(bank, draw(bank), gen())
    kp = project(b.p_root[:, 0] + b.root_cam, b.K)
    assert torch.allclose(kp, b.kp_img[:, 0], atol=1e-2)
    assert bool((b.conf == 1).all())
    assert bool((b.p_root[:, :, H36M.root] == 0).all())


def test_protocol_views_are_those_of_the_benchmark(bank: MotionBank, monkeypatch: pytest.MonkeyPatch) -> None:
    """At an azimuth of 45 degrees the training code must see exactly what the first camera of the evaluation sees."""
    motion = load_motions(None, "train")[0]
    monkeypatch.setattr(torch, "rand", lambda b, **_: torch.full((b,), 45 / 360))
    b = ProtocolViews().batch(bank, torch.arange(len(motion)), gen())
    clip = cmu17.views([motion], noise=False)[0]
    assert b.kp_img[:, 0].numpy() == pytest.approx(clip.kp_img, abs=0.01)
    assert b.p_root[:, 0].numpy() == pytest.approx(clip.p_root, abs=1e-5)
    assert b.root_cam[:, 0].numpy() == pytest.approx(clip.root_cam, abs=1e-4)
    assert clip.camera is not None
    assert b.K[0].numpy() == pytest.approx(clip.camera.K)


def test_same_seed_same_batch_other_seed_other_batch(bank: MotionBank) -> None:
    for views in VIEWS.values():
        a, b, c = (views.batch(bank, draw(bank), gen(s)) for s in (1, 1, 2))
        assert torch.equal(a.kp_img, b.kp_img)
        assert torch.equal(a.p_root, b.p_root)
        assert not torch.equal(a.kp_img, c.kp_img)


def test_wild_views_stay_in_front_of_the_camera_and_plausible(bank: MotionBank) -> None:
    b = WildViews().batch(bank, draw(bank, 4096), gen())
    assert bool(torch.isfinite(b.kp_img).all())
    assert bool(torch.isfinite(b.p_root).all())
    assert float((b.p_root + b.root_cam[:, :, None])[..., 2].min()) >= 0.1 - 1e-4
    assert int((b.conf > 0).sum(-1).min()) >= 3
    assert bool((b.kp_img[b.conf == 0] == 0).all())
    thigh = (b.p_root[:, 0, H36M.index("l_knee")] - b.p_root[:, 0, H36M.index("l_hip")]).norm(dim=-1)
    assert float(thigh.min()) > 0.25
    assert float(thigh.max()) < 0.75
    assert float(thigh.std()) > 0.02, "bone lengths must vary"


def test_joints_keep_their_limits(bank: MotionBank) -> None:
    p = bank.p_world[draw(bank, 2048)]
    p = p - p[:, :1]
    options = BodyOptions(p_bend=1.0, bend_sd_deg=40.0, p_mirror=0, p_swap_legs=0)
    still = torch.zeros(len(p), 1, 3)
    out = vary_bodies(p[:, None], still, still[..., 0], bank.tree, options, gen())[0][:, 0]

    def flexion(x: torch.Tensor, a: str, b: str, c: str) -> torch.Tensor:
        u = x[:, H36M.index(b)] - x[:, H36M.index(a)]
        w = x[:, H36M.index(c)] - x[:, H36M.index(b)]
        return torch.atan2(torch.linalg.cross(u, w).norm(dim=-1), (u * w).sum(-1))

    before, after = flexion(p, "l_hip", "l_knee", "l_ankle"), flexion(out, "l_hip", "l_knee", "l_ankle")
    assert float((before - after).abs().mean()) > 0.1, "knees must have been bent"
    assert float(after.max()) <= max(2.61, float(before.max()) + 1e-3)


def test_knees_never_bend_backwards(bank: MotionBank, monkeypatch: pytest.MonkeyPatch) -> None:
    from poselift.data import augment

    monkeypatch.setattr(augment, "_BALL", {})  # hinges alone: their axes must stay where they are
    bones = bank.tree.split(bank.p_world[draw(bank, 2048)])
    options = BodyOptions(p_bend=1.0, bend_sd_deg=60.0)
    out = augment._bend(bank.tree, bones[:, None], torch.zeros(len(bones), 1), options, gen())[:, 0]
    thigh, shin = bank.tree.bone("l_knee")[0], bank.tree.bone("l_ankle")[0]
    before, after = (torch.linalg.cross(b[:, thigh], b[:, shin]) for b in (bones, out))
    bent = (before.norm(dim=-1) > 0.03) & (after.norm(dim=-1) > 1e-3)
    assert int(bent.sum()) > 500
    assert float((out - bones).abs().max()) > 0.1
    assert bool(((before * after).sum(-1)[bent] > 0).all())


def test_bone_tree_round_trip(bank: MotionBank) -> None:
    p = bank.p_world[:50] - bank.p_world[:50, :1]
    tree = BoneTree(H36M)
    assert torch.allclose(tree.join(tree.split(p)), p, atol=1e-5)


def test_markers_move_joints_but_not_the_body(bank: MotionBank) -> None:
    p = bank.p_world[draw(bank, 512)][:, None]
    p = p - p[:, :, :1]
    same = vary_markers(p, BodyOptions(p_markers=0), gen())
    moved = vary_markers(p, BodyOptions(p_markers=1), gen())
    assert torch.allclose(same, p, atol=1e-6)
    shift = (moved - moved[:, :, :1] - p).norm(dim=-1).mean()
    assert 0.005 < float(shift) < 0.1


def test_detector_noise_has_the_stated_scale() -> None:
    n = 4000
    kp = torch.rand(n, 1, 17, 2) * 200 + 300
    conf, size = torch.ones(n, 1, 17), torch.full((n, 2), 1000.0)
    noisy, _ = degrade(kp, conf, size, H36M, NoiseOptions(), gen())
    z = (noisy - kp) / (0.008 * box_side(kp, conf))[..., None, None]
    # median of |t| with 3 degrees of freedom is 0.7649
    assert float(z.abs().median()) == pytest.approx(0.7649, rel=0.03)
    assert float(student_t((200_000,), 3, gen(), torch.device("cpu")).abs().median()) == pytest.approx(0.7649, rel=0.03)


def test_lost_parts_are_lost_and_enough_remains() -> None:
    kp = torch.rand(500, 2, 17, 2) * 200
    conf, size = torch.ones(500, 2, 17), torch.full((500, 2), 1000.0)
    opt = replace(NoiseOptions(), p_part=1.0, p_drop=1.0, drop_up_to=0.99, p_whole=1.0)
    _, c = degrade(kp, conf, size, H36M, opt, gen())
    assert float((c == 0).float().mean()) > 0.3
    assert int((c > 0).sum(-1).min()) >= 3
    assert torch.equal(c[:, 0] > 0, c[:, 1] > 0), "what is lost for a whole window is lost in all its frames"


def test_swapped_sides_swap_only_the_input(bank: MotionBank) -> None:
    views = replace(WildViews(), noise=NoiseOptions(scale=(0.0, 0.0), p_swap=1.0))
    b = views.batch(bank, draw(bank, 300), gen())
    kp = project(b.p_root[:, 0] + b.root_cam, b.K * 1.0)
    swapped = (kp[:, H36M.index("l_ankle")] - b.kp_img[:, 0, H36M.index("r_ankle")]).norm(dim=-1)
    right_focal = (b.K[:, 0, 0] > 0) & (swapped < 0.5)
    assert 0.1 < float(right_focal.float().mean()) < 0.9
