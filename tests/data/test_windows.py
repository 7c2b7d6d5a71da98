"""Windows of training batches: whatever was drawn, every frame of a window must be as true as a single one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from poselift.data import augment, cmu17
from poselift.data.augment import BodyOptions
from poselift.data.bank import ClipBank, MotionBank
from poselift.data.datasets import ClipSource, DataConfig, MotionSource, dataset_source
from poselift.data.drift import stretches, wander
from poselift.data.moving import CameraMotion
from poselift.data.noise import NoiseOptions, box_side
from poselift.data.views import VIEWS, ProtocolViews, WildViews
from poselift.data.windows import Windows
from poselift.errors import InputError
from poselift.geometry.projection import project
from poselift.models.input_frames import INPUT_FRAMES, input_frame
from poselift.structures import skeleton
from poselift.structures.windows import window_indices

H36M = skeleton("h36m17")
AS_IS = BodyOptions(
    p_resample_bones=0, p_scale_bones=0, stature_sd=0, p_swap_legs=0, p_bend=0, p_tilt=0, p_mirror=0, p_markers=0
)
STILL = CameraMotion(p_moving=0, p_follow=0, p_handheld=0)
RESTLESS = CameraMotion(p_moving=1, p_follow=1, p_handheld=1)
EXACT = replace(WildViews(), noise=None, p_wrong_focal=0.0)


@pytest.fixture(scope="module")
def bank() -> MotionBank:
    return MotionBank.from_motions(cmu17.load_motions(None, "train")[:6])


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy(lengths: list[int], fps: float = 50.0) -> MotionBank:
    """Clips whose joints stand at (clip, frame of the clip, 0)."""
    parts = [torch.stack(torch.meshgrid(torch.arange(n) * 1.0, torch.arange(17.0), indexing="ij"), -1) for n in lengths]
    p = torch.cat([torch.stack([torch.full_like(x[..., 0], i), x[..., 0], x[..., 1]], -1) for i, x in enumerate(parts)])
    m = len(lengths)
    return MotionBank(
        skeleton=H36M, p_world=p, starts=torch.tensor([0, *np.cumsum(lengths).tolist()]),
        clip_of=torch.repeat_interleave(torch.arange(m), torch.tensor(lengths)), fps=torch.full((m,), fps),
        names=("x",) * m, subjects=("x",) * m,
    )  # fmt: skip


def shown(bank: MotionBank, windows: Windows, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Clip and frame of the clip (n, t) that the windows around all frames of the bank show."""
    cut = windows.cut(torch.arange(len(bank)), bank.starts, bank.clip_of, bank.fps, gen(seed))
    first = cut.repeat(cut.take(bank.p_world))[:, :, 0]
    return first[..., 0], first[..., 1]


# ---------------------------------------------------------------------- cutting
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("size", [1, 4, 9, 27])
def test_windows_are_those_that_lifting_sees(size: int, causal: bool):
    bank = toy([1, 5, 40, 2])
    clip, frame = shown(bank, Windows(frames=size, causal=causal))
    index = window_indices([1, 5, 40, 2], size, causal=causal)
    assert torch.equal(clip, bank.p_world[index][:, :, 0, 0])
    assert torch.equal(frame, bank.p_world[index][:, :, 0, 1])


def test_reflected_ends_run_backwards_and_show_only_frames_of_the_window():
    frames = shown(toy([40]), Windows(frames=9, pad="reflect"))[1]
    assert frames[0].tolist() == [4, 3, 2, 1, 0, 1, 2, 3, 4]
    assert frames[20].tolist() == list(range(16, 25))
    assert frames[39].tolist() == [35, 36, 37, 38, 39, 38, 37, 36, 35]
    causal = shown(toy([40]), Windows(frames=9, pad="reflect", causal=True))[1]
    assert causal[2].tolist() == [2, 1, 0, 1, 2, 1, 0, 1, 2], "the future must stay unknown"
    assert bool((causal <= torch.arange(40.0)[:, None]).all())
    assert shown(toy([1]), Windows(frames=9, pad="reflect"))[1].unique().tolist() == [0]


@pytest.mark.parametrize("pad", ["edge", "reflect"])
@pytest.mark.parametrize("reverse", [False, True])
def test_other_frame_rates_lie_between_frames_and_within_the_clip(pad: str, reverse: bool):
    lengths = [1, 7, 300, 64]
    bank = toy(lengths, fps=50.0)
    windows = Windows(frames=31, fps=(24, 60), reverse=reverse, pad=pad)  # type: ignore[arg-type]
    cut = windows.cut(torch.arange(len(bank)), bank.starts, bank.clip_of, bank.fps, gen())
    clip, frame = shown(bank, windows)
    assert torch.allclose(clip, bank.clip_of[:, None].float(), atol=1e-5), "no window crosses clips"
    longest = torch.tensor(lengths)[bank.clip_of][:, None] - 1
    assert bool(((frame >= 0) & (frame <= longest)).all())
    own = torch.arange(len(bank)) - bank.starts[bank.clip_of]
    assert torch.allclose(frame[:, 15], own.float(), atol=1e-4), "the drawn frame is in the middle, exactly"
    inside = (own > 40) & (own < 250) & (bank.clip_of == 2)
    step = frame[inside].diff(dim=1)
    rate = 50 / step.abs().mean(1)
    assert 24 <= float(rate.min()) < 30 < 50 < float(rate.max()) <= 60.01
    assert torch.allclose(step.abs(), (50 / rate)[:, None].expand_as(step), atol=1e-3)
    assert torch.allclose(cut.seconds[inside].diff(dim=1), (1 / rate)[:, None].expand_as(step), atol=1e-4)
    backwards = (step.mean(1) < 0).float().mean()
    assert 0.3 < float(backwards) < 0.7 if reverse else float(backwards) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 0}, "data.frames: expected 1 to 4096, found 0"),
        ({"fps": (60.0, 24.0)}, "data.fps"),
        ({"fps": (0.0, 24.0)}, "data.fps"),
    ],
)
def test_windows_that_cannot_be_are_refused(change: dict, message: str):
    with pytest.raises(InputError, match=message):
        dataset_source(DataConfig(**change), "train")


# ---------------------------------------------------------------------- recorded views
def test_recorded_windows_hold_the_frames_of_their_clip(bank: MotionBank):
    clips = cmu17.views(cmu17.load_motions(None, "train")[:2], noise=True)
    source = ClipSource(ClipBank.from_clips(clips), windows=Windows(frames=27))
    frames = torch.randint(source.size, (200,), generator=gen(3))
    batch = source.batch(200, gen(3))
    index = torch.from_numpy(window_indices([len(c) for c in clips], 27))[frames]
    for name in ("kp_img", "p_root", "root_cam"):
        whole = torch.from_numpy(np.concatenate([getattr(c, name) for c in clips]))
        assert torch.equal(getattr(batch, name), whole[index])
    moved = replace(source, flip=True, windows=Windows(frames=27, fps=(24, 60), reverse=True)).batch(200, gen())
    kp = project(moved.p_root + moved.root_cam[:, :, None], moved.K)
    error = (kp - moved.kp_img).norm(dim=-1)
    assert 0.1 < float(error.median()) < 10, "detector noise, and mirrored like the truth"


def test_a_thinned_clip_has_a_lower_rate():
    clip = cmu17.views(cmu17.load_motions(None, "train")[:1], noise=False)[0]
    assert ClipBank.from_clips([clip, clip[::5]]).fps.tolist() == [50, 10]


def test_between_a_seen_and_an_unseen_frame_a_joint_is_missing():
    clip = cmu17.views(cmu17.load_motions(None, "train")[:1], noise=False)[0][:40]
    conf = np.ones_like(clip.confidence)
    conf[20, 3] = 0
    source = ClipSource(ClipBank.from_clips([clip.replace(conf=conf)]), windows=Windows(frames=5, fps=(60, 60)))
    batch = source.batch(400, gen())
    assert set(batch.conf.unique().tolist()) == {0.0, 1.0}
    assert int((batch.conf[:, :, [0, 4]] == 0).sum()) == 0
    assert int((batch.conf[:, :, 3] == 0).sum()) > 10


# ---------------------------------------------------------------------- virtual cameras
VIEWS_OF_WINDOWS = {
    "gt": ProtocolViews(p_mirror=0.5),
    "still": replace(EXACT, motion=STILL),
    "restless": replace(EXACT, motion=RESTLESS),
}


@pytest.mark.parametrize("name", sorted(VIEWS_OF_WINDOWS))
def test_truth_projects_onto_the_keypoints_in_every_frame(bank: MotionBank, name: str):
    windows = Windows(frames=27, fps=(24, 60), reverse=True)
    b = MotionSource(bank, VIEWS_OF_WINDOWS[name], windows).batch(128, gen())
    assert b.kp_img.shape == (128, 27, 17, 2)
    kp = project(b.p_root + b.root_cam[:, :, None], b.K)
    assert float((kp - b.kp_img).abs().max()) < 0.05
    assert float((b.p_root + b.root_cam[:, :, None])[..., 2].min()) > 0.1
    assert float(b.p_root[:, :, H36M.root].abs().max()) < 1e-6


def rigid_error(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Largest distance (n,) after the best rotation and shift of a (n, k, 3) onto b."""
    a, b = (x.double() - x.double().mean(1, keepdim=True) for x in (a, b))
    u, _, vt = torch.linalg.svd(a.mT @ b)
    sign = torch.linalg.det(u @ vt)
    u = torch.cat([u[..., :2], u[..., 2:] * sign[:, None, None]], -1)
    return (a @ (u @ vt) - b).norm(dim=-1).amax(1)


@pytest.mark.parametrize("views", [ProtocolViews(), replace(EXACT, bodies=AS_IS, motion=STILL)], ids=["gt", "wild"])
def test_a_still_camera_sees_the_motion_as_one_rigid_whole(
    bank: MotionBank, views: ProtocolViews | WildViews, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(augment, "_MAX_FLEXION", 3.2)  # joints bent further are straightened, drawn or not
    windows = Windows(frames=27)
    index = torch.randint(len(bank), (64,), generator=gen(1))
    cut = windows.cut(index, bank.starts, bank.clip_of, bank.fps, gen())
    b = views.batch(bank, index, gen(), windows)
    p_cam = (b.p_root + b.root_cam[:, :, None]).flatten(1, 2)
    assert float(rigid_error(cut.repeat(cut.take(bank.p_world)).flatten(1, 2), p_cam).max()) < 2e-3


def test_a_moving_camera_changes_the_view_smoothly_and_no_pose(bank: MotionBank, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(augment, "_MAX_FLEXION", 3.2)
    windows = Windows(frames=27)
    index = torch.randint(len(bank), (64,), generator=gen(1))
    cut = windows.cut(index, bank.starts, bank.clip_of, bank.fps, gen())
    b = replace(EXACT, bodies=AS_IS, motion=RESTLESS).batch(bank, index, gen(), windows)
    world = cut.repeat(cut.take(bank.p_world))
    p_cam = b.p_root + b.root_cam[:, :, None]
    each = rigid_error(world.flatten(0, 1), p_cam.flatten(0, 1))
    whole = rigid_error(world.flatten(1, 2), p_cam.flatten(1, 2))
    assert float(each.max()) < 2e-3
    assert float(whole.median()) > 0.02
    seen = b.root_cam.diff(n=2, dim=1).norm(dim=-1)
    assert float(seen.amax(1).median()) < 0.03, "metres from frame to frame"


def test_a_body_keeps_its_bones_for_the_whole_window(bank: MotionBank):
    bodies = replace(BodyOptions(), p_markers=0.0)
    b = MotionSource(bank, replace(EXACT, bodies=bodies), Windows(frames=27)).batch(256, gen())
    length = bank.tree.split(b.p_root).norm(dim=-1)
    # the source's own bones vary where its joints are no fixed points of the skeleton
    own = bank.tree.split(bank.p_world[:2000]).norm(dim=-1).std(0) / 0.1
    limbs = bank.tree.bone("l_knee", "r_knee", "l_ankle", "r_ankle", "l_elbow", "r_elbow", "l_wrist", "r_wrist")
    assert float((length.std(1) / length.mean(1))[:, limbs].max()) < max(1e-3, float(own[limbs].max()))
    assert float(length.mean(1)[:, limbs[0]].std()) > 0.02, "from window to window they must vary"


def test_changed_bodies_move_without_jumps(bank: MotionBank):
    def jerk(bodies: BodyOptions) -> torch.Tensor:
        b = MotionSource(bank, replace(EXACT, bodies=bodies, motion=STILL), Windows(frames=27)).batch(512, gen())
        return b.p_root.diff(n=2, dim=1).norm(dim=-1).amax((1, 2))

    plain, varied = jerk(AS_IS), jerk(replace(BodyOptions(), p_bend=1.0))
    for q in (0.5, 0.95, 1.0):  # the recordings have jumps of their own
        assert float(varied.quantile(q)) < 2.5 * float(plain.quantile(q))


# ---------------------------------------------------------------------- damage
def test_windows_of_det_have_the_noise_of_the_evaluation(bank: MotionBank):
    """Student-t, each frame by its own box, independent from frame to frame: quantiles as in `cmu17.views`."""
    motions = cmu17.load_motions(None, "train")[:6]
    error = []
    for exact, noisy in zip(cmu17.views(motions, noise=False), cmu17.views(motions, noise=True), strict=True):
        side = box_side(torch.from_numpy(exact.kp_img)[None], torch.ones(1, *exact.kp_img.shape[:2]))[0]
        error.append(torch.from_numpy(noisy.kp_img - exact.kp_img) / side[:, None, None])
    b = MotionSource(bank, VIEWS["det"], Windows(frames=27)).batch(512, gen())
    kp = project(b.p_root + b.root_cam[:, :, None], b.K)
    mine = (b.kp_img - kp) / box_side(kp, b.conf)[..., None, None]
    assert bool((b.conf == 1).all())
    q = torch.tensor([0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99])
    theirs = np.quantile(torch.cat(error).numpy(), q.numpy())
    assert np.quantile(mine.numpy(), q.numpy()) == pytest.approx(theirs, rel=0.04, abs=2e-4)
    inner = mine[(mine[:, 1:] != mine[:, :-1]).flatten(1).all(1)].clamp(-0.05, 0.05)  # windows without copies
    assert len(inner) > 100
    assert abs(float((inner[:, 1:] * inner[:, :-1]).mean() / inner.square().mean())) < 0.01


def test_what_stands_beyond_an_end_is_a_copy_noise_and_all(bank: MotionBank):
    for views in VIEWS.values():
        b = views.batch(bank, bank.starts[:-1], gen(), Windows(frames=9))
        for x in (b.kp_img, b.conf, b.p_root, b.root_cam):
            assert torch.equal(x[:, :4], x[:, 4:5].expand_as(x[:, :4]))
        assert not torch.equal(b.kp_img[:, 4], b.kp_img[:, 5])


def test_stretches_are_stretches():
    on = stretches((4000, 30, 2), gen(), torch.device("cpu"), p_whole=0.2)
    begins = (on[:, 1:] & ~on[:, :-1]).sum(1) + on[:, 0].long()
    assert torch.equal(begins, torch.ones_like(begins)), "each is one run, and none is empty"
    whole = on.all(1).float().mean()
    assert 0.17 < float(whole) < 0.23
    assert bool(on.float().mean((0, 2)).std() < 0.05), "no part of a window is favoured"
    short = stretches((4000, 30, 1), gen(), torch.device("cpu"), up_to=0.3)
    assert 8 <= int(short.sum(1).max()) <= 9


def test_wandering_has_its_variance_and_its_speed():
    seconds = (torch.arange(200) / 50).expand(2000, 200)
    slow, fast = (wander(seconds, 3, hz, gen()) for hz in (0.3, 3.0))
    for x in (slow, fast):
        assert float(x.std()) == pytest.approx(1, rel=0.05)
    # the speed of a curve with a Gaussian spectrum of width hz is 2 pi hz
    for x, hz in ((slow, 0.3), (fast, 3.0)):
        assert float(x.diff(dim=1).mul(50).std()) == pytest.approx(2 * torch.pi * hz, rel=0.1)


def test_wild_windows_lose_joints_for_stretches_and_sometimes_everybody(bank: MotionBank):
    b = MotionSource(bank, WildViews(), Windows(frames=27)).batch(1500, gen())
    seen = b.conf > 0
    count = seen.sum(-1)
    assert int(count[count > 0].min()) >= 3
    gaps = (count == 0).any(1)
    assert 0.02 < float(gaps.float().mean()) < 0.1
    assert bool((count > 0).any(1).all()), "nobody is unseen for a whole window"
    comes_and_goes = seen.any(1) & ~seen.all(1)
    assert 0.03 < float(comes_and_goes.float().mean()) < 0.5
    assert bool((b.kp_img[~seen] == 0).all())
    assert bool(torch.isfinite(b.kp_img).all())


def test_swaps_hold_for_a_stretch(bank: MotionBank):
    noise = NoiseOptions(scale=(0.0, 0.0), p_swap=1.0, p_whole=0.0)
    b = MotionSource(bank, replace(EXACT, noise=noise), Windows(frames=27)).batch(300, gen())
    kp = project(b.p_root + b.root_cam[:, :, None], b.K)
    left, right = H36M.index("l_ankle"), H36M.index("r_ankle")
    away = (kp[:, :, left] - b.kp_img[:, :, left]).norm(dim=-1)
    other = (kp[:, :, left] - b.kp_img[:, :, right]).norm(dim=-1)
    swapped = (other < 0.1) & (away > 1)
    assert bool(((away < 0.1) | swapped).all())
    assert float((swapped.any(1) & ~swapped.all(1)).float().mean()) > 0.05


# ---------------------------------------------------------------------- what a lifter makes of them
@pytest.mark.parametrize("name", sorted(INPUT_FRAMES))
def test_input_frames_see_each_frame_of_a_window_as_they_would_alone(bank: MotionBank, name: str):
    b = MotionSource(bank, WildViews(), Windows(frames=9)).batch(64, gen())
    frame = input_frame(name, joints=17, confidence=True, scale_feature=name == "look_at")
    whole, R = frame(b.kp_img, b.conf, b.K, b.size_wh)
    assert bool(torch.isfinite(whole).all())
    for k in (0, 4, 8):
        alone, R_alone = frame(b.kp_img[:, [k]], b.conf[:, [k]], b.K, b.size_wh)
        assert torch.allclose(whole[:, [k]], alone, atol=1e-5)
        if R is not None and R_alone is not None:
            assert torch.allclose(R[:, [k]], R_alone, atol=1e-6)


# ---------------------------------------------------------------------- single frames
SINGLE = {
    "gt": (502.680, 1.0, 368.667, 1001.0, 0.188573, 2.00801),
    "det": (502.652, 1.0, 368.667, 1001.0, 0.188573, 2.00801),
    "wild": (571.526, 0.697443, 474.665, 1350.62, 0.197087, 1.70780),
}
"""Mean absolute values of the fields of a batch of 64 single frames, recorded before there were windows."""


@pytest.mark.parametrize("name", sorted(SINGLE))
def test_single_frames_are_what_they_were_before_there_were_windows(bank: MotionBank, name: str):
    for windows in (Windows(), Windows(frames=1, fps=(24, 60), reverse=True, causal=True)):
        batch = MotionSource(bank, VIEWS[name], windows).batch(64, gen(7))
        found = [float(x.double().abs().mean()) for x in batch.as_dict().values()]
        assert found == pytest.approx(SINGLE[name], rel=2e-5)
