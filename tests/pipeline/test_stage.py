"""The lifting stage: slices, batches and gaps change nothing but what they must."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from flat_lifter import CAMERA, Flat, FlatConfig, pose, root, walking_clip, with_gap
from parity.fill import fill_state_dict
from poselift.models.base import Lifter
from poselift.models.lifters.temporal_conv import TemporalConv, TemporalConvConfig
from poselift.models.lifters.ugcn import UGCN, UGCNConfig
from poselift.models.predict import lift_frames
from poselift.pipeline.stage import lift_tracks, survey
from poselift.structures import Camera, Clip


def lifted(lifter: Lifter, tracks: list[Clip], *, batch: int, cameras: list[Camera] | None = None) -> list[Clip]:
    pieces: list[list[Clip]] = [[] for _ in tracks]
    views = [survey(t) for t in tracks]
    for i, clip in lift_tracks(lifter, tracks, views, cameras or [CAMERA] * len(tracks), batch=batch):
        pieces[i].append(clip)
    out = []
    for track, parts in zip(tracks, pieces, strict=True):
        assert sum(map(len, parts)) == len(track)
        fields = ("kp_img", "conf", "p_root", "root_cam", "frames")
        out.append(parts[0].replace(**{f: np.concatenate([getattr(p, f) for p in parts]) for f in fields}))
    return out


@pytest.mark.parametrize("config", [FlatConfig(), FlatConfig(field=9), FlatConfig(field=9, causal=True)], ids=str)
@pytest.mark.parametrize("batch", [1, 7, 16, 1000])
def test_batch_size_changes_nothing(config: FlatConfig, batch: int):
    tracks = [with_gap(walking_clip(40), 10, 25), walking_clip(3, track_id=1, seed=1), with_gap(walking_clip(23), 0, 5)]
    whole = lifted(Flat(config), tracks, batch=10_000)
    for a, b in zip(whole, lifted(Flat(config), tracks, batch=batch), strict=True):
        assert np.allclose(pose(a), pose(b), atol=1e-6)
        assert np.allclose(root(a), root(b), atol=1e-4)
        assert (a.confidence == b.confidence).all()
        assert (a.frame_numbers == b.frame_numbers).all()


@pytest.mark.parametrize("batch", [100, 333])
def test_a_lifter_of_sequences_sees_no_seam(batch: int):
    """Pieces with what is around them give the poses of the whole, also where a gap is led over."""
    torch.manual_seed(0)
    lifter = UGCN(UGCNConfig()).eval()
    tracks = [with_gap(walking_clip(700), 90, 250), walking_clip(3, track_id=1, seed=1)]
    whole = lifted(lifter, tracks, batch=10_000)
    for a, b in zip(whole, lifted(lifter, tracks, batch=batch), strict=True):
        assert np.allclose(pose(a), pose(b), atol=1e-5)
        assert np.allclose(root(a), root(b), rtol=1e-3, atol=1e-3)
    assert np.ptp(pose(whole[0]), axis=0).max() > 1e-2


@pytest.mark.parametrize("config", [FlatConfig(), FlatConfig(field=9)], ids=str)
def test_an_hour_without_anybody_costs_the_lifter_nothing(config: FlatConfig):
    """Only the pieces with somebody in them, and what the ends of the gap need, go through the network."""
    hour = 3600 * 30
    first, last = walking_clip(50), walking_clip(50, seed=1)
    empty = {n: np.zeros((hour, *getattr(first, n).shape[1:]), np.float32) for n in ("kp_img", "confidence")}
    track = first.replace(
        kp_img=np.concatenate([first.kp_img, empty["kp_img"], last.kp_img]),
        conf=np.concatenate([first.confidence, empty["confidence"], last.confidence]),
        frames=np.arange(hour + 100),
    )
    lifter = Flat(config)
    (clip,) = lifted(lifter, [track], batch=4096)
    assert sum(lifter.calls) < 30_000
    assert np.allclose(pose(clip)[:50], pose(lifted(Flat(config), [track[:4096]], batch=4096)[0])[:50], atol=1e-6)
    assert (clip.confidence[50:-50] == 0).all()
    assert np.isfinite(pose(clip)).all()
    assert np.isfinite(root(clip)).all()


def test_short_tracks_share_a_batch():
    lifter = Flat()
    lifted(lifter, [walking_clip(3, track_id=i) for i in range(20)], batch=60)
    assert lifter.calls == [60]


def test_root_and_camera():
    (clip,) = lifted(Flat(), [walking_clip(30, noise=0)], batch=100)
    assert clip.camera is CAMERA
    assert np.allclose(root(clip)[:, 2], 1000 / 500, atol=1e-3)  # 500 px a metre at f = 1000
    assert np.allclose(np.diff(root(clip)[:, 0]), 3 / 500, atol=1e-3)


def test_each_track_has_its_own_camera():
    wide = Camera.from_focal(focal=500.0, size_wh=(1280, 720))
    a, b = lifted(Flat(), [walking_clip(9), walking_clip(9)], batch=100, cameras=[CAMERA, wide])
    assert np.allclose(root(a)[:, 2], 2 * root(b)[:, 2], rtol=0.02)


def test_distortion_is_taken_out():
    lens = CAMERA.from_focal(focal=1000.0, size_wh=(1280, 720), dist=np.array([-0.2, 0.05, 0, 0.001, 0.001]))
    exact = walking_clip(5, noise=0)
    p = np.concatenate([(exact.kp_img - (639.5, 359.5)) / 1000, np.ones((5, 17, 1))], -1)
    bent = exact.replace(kp_img=lens.project(p))
    assert np.abs(bent.kp_img - exact.kp_img).max() > 1
    a = lifted(Flat(), [exact], batch=10)[0]
    b = lifted(Flat(), [bent], batch=10, cameras=[lens])[0]
    assert np.allclose(pose(a), pose(b), atol=1e-4)


class TestGaps:
    def test_confidence_is_zero_and_the_pose_leads_over(self):
        clip = with_gap(walking_clip(30), 10, 20)
        (found,) = lifted(Flat(), [clip], batch=100)
        assert (found.confidence[10:20] == 0).all()
        assert (found.confidence[:10] > 0).all()
        steps = np.diff(root(found)[9:21], axis=0)
        assert np.allclose(steps, steps[:1], atol=1e-5)  # a straight line
        assert np.isfinite(pose(found)).all()

    def test_held_before_the_first_and_after_the_last(self):
        clip = with_gap(with_gap(walking_clip(30), 0, 5), 25, 30)
        (found,) = lifted(Flat(), [clip], batch=100)
        assert np.allclose(pose(found)[:5], pose(found)[5], atol=1e-6)
        assert np.allclose(root(found)[25:], root(found)[24], atol=1e-6)

    def test_too_few_joints_count_as_nobody(self):
        clip = walking_clip(5)
        conf = clip.confidence.copy()
        conf[2, 3:] = 0  # three joints are left
        (found,) = lifted(Flat(), [clip.replace(conf=conf)], batch=100)
        assert (found.confidence[2] == 0).all()

    def test_a_gap_longer_than_many_batches(self):
        clip = with_gap(walking_clip(100), 5, 95)
        lifter = Flat()
        (found,) = lifted(lifter, [clip], batch=4)
        assert np.allclose(np.diff(root(found)[4:96], axis=0).std(0), 0, atol=1e-5)

    def test_one_frame_only(self):
        (found,) = lifted(Flat(), [walking_clip(1)], batch=100)
        assert len(found) == 1


def test_a_model_that_gives_nan_is_an_error():
    from poselift.errors import InputError

    class Broken(Flat):
        def lift(self, *args, **kwargs):
            return super().lift(*args, **kwargs) * float("nan")

    with pytest.raises(InputError, match="NaN"):
        lifted(Broken(), [walking_clip(3)], batch=10)


def temporal(**changes: Any) -> TemporalConv:
    lifter = TemporalConv(TemporalConvConfig(channels=16, **changes)).eval()
    fill_state_dict(lifter.net)
    return lifter


class TestTemporalConvolutions:
    """A real temporal lifter: what it gives does not depend on how its sequence was cut."""

    @pytest.mark.parametrize("causal", [False, True])
    @pytest.mark.parametrize("batch", [1, 10, 64])
    def test_long_clips_in_overlapping_windows_have_no_seam(self, causal: bool, batch: int):
        lifter = temporal(causal=causal, input_frame="look_at", confidence=True)
        tracks = [with_gap(walking_clip(150), 60, 75), walking_clip(70, track_id=1, seed=1)]
        whole = lifted(lifter, tracks, batch=10_000)
        for a, b in zip(whole, lifted(lifter, tracks, batch=batch), strict=True):
            assert np.allclose(pose(a), pose(b), atol=1e-5)
            assert np.allclose(root(a), root(b), atol=1e-3)

    @pytest.mark.parametrize("t", [1, 2, 20])
    def test_shorter_than_the_receptive_field(self, t: int):
        lifter, clip = temporal(), walking_clip(t)
        (found,) = lifted(lifter, [clip], batch=100)
        K, size = torch.tensor(CAMERA.K, dtype=torch.float32), torch.tensor(CAMERA.size_wh, dtype=torch.float32)
        kp, conf = torch.from_numpy(clip.kp_img), torch.from_numpy(clip.confidence)
        assert np.allclose(pose(found), lift_frames(lifter, kp, conf, K[None], size[None]).numpy(), atol=1e-6)
        assert len(found) == t

    @pytest.mark.parametrize("causal", [False, True])
    def test_folded(self, causal: bool):
        lifter, clip = temporal(causal=causal), walking_clip(60)
        a, b = (lifted(x, [clip], batch=25)[0] for x in (lifter, lifter.fold()))
        assert np.allclose(pose(a), pose(b), atol=1e-5)


def test_missing_joints_are_bridged_for_lifters_that_do_not_know_of_confidence():
    torch.manual_seed(0)
    lifter = TemporalConv(TemporalConvConfig(channels=16)).eval()
    whole = walking_clip(120, noise=0)
    conf = whole.confidence.copy()
    conf[50:56, 3:9] = 0
    kp = np.where(conf[..., None] > 0, whole.kp_img, np.nan)
    (want,), (got,) = (
        lifted(lifter, [whole], batch=1000),
        lifted(lifter, [whole.replace(kp_img=kp, conf=conf)], batch=7),
    )
    assert np.abs(pose(got) - pose(want)).max() < 0.02 * np.ptp(pose(want), axis=0).max()
    assert (got.confidence == conf).all()
