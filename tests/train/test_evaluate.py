"""Evaluation: what a perfect lifter gets, and what a report is made of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from poselift.data import cmu17
from poselift.data.human36m import cameras
from poselift.models.lifters import build_lifter
from poselift.models.lifters.residual_mlp import ResidualMLPConfig
from poselift.models.lifters.ugcn import UGCNConfig
from poselift.structures import Clip
from poselift.train import evaluate


@pytest.fixture
def clip() -> Clip:
    """Motion seen by a camera of Human3.6M, with its lens distortion."""
    motion = cmu17.load_motions(None, "test")[0]
    camera = cameras("S9")[0]
    assert camera.dist is not None
    assert np.abs(camera.dist).max() > 0.1
    return motion.seen_by(camera)[:30].replace(meta={"name": "clip", "action": "Walking"})


def test_a_perfect_lifter_has_no_error_and_its_root_none_from_the_lens(clip: Clip, monkeypatch: pytest.MonkeyPatch):
    assert clip.p_root is not None
    truth = torch.from_numpy(clip.p_root)
    monkeypatch.setattr(evaluate, "predictions", lambda *_, **__: [truth])
    lifter = build_lifter(ResidualMLPConfig(width=8, hidden=8, blocks=1)).eval()
    report = evaluate.evaluate_clips(lifter, [clip], absolute=True)
    assert report.value("mpjpe_mm", "frame") == 0
    assert report.value("mrpe_mm", "frame") < 1


def test_one_batch_gives_what_clips_one_by_one_give(clip: Clip, tmp_path: Path):
    lifter = build_lifter(ResidualMLPConfig(width=8, hidden=8, blocks=1)).eval()
    clips = [clip, clip[:7], clip[7:20]]
    together = list(evaluate.predictions(lifter, clips))
    for one, p in zip(clips, together, strict=True):
        assert torch.allclose(next(iter(evaluate.predictions(lifter, [one]))), p, atol=1e-5)
    evaluate.save_report(evaluate.evaluate_clips(lifter, clips), tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["clips"] == 3
    assert {p.name for p in tmp_path.iterdir()} == {"report.json", "report.md", "per_action.png", "per_joint.png"}


def test_a_lifter_of_sequences_gets_every_clip_whole(clip: Clip):
    lifter = build_lifter(UGCNConfig()).eval()
    clips = [clip, clip[:7]]
    found = list(evaluate.predictions(lifter, clips))
    for one, p in zip(clips, found, strict=True):
        assert p.shape == (len(one), 17, 3)
        assert torch.allclose(next(iter(evaluate.predictions(lifter, [one]))), p, atol=1e-6)
    assert not torch.allclose(found[0][:7], found[1], atol=1e-6), "frames after the seventh count"


def test_the_report_knows_the_clips_subjects(clip: Clip):
    lifter = build_lifter(ResidualMLPConfig(width=8, hidden=8, blocks=1)).eval()
    clips = [clip.replace(meta={**clip.meta, **more}) for more in ({"subject": "S11"}, {"subject": "S9"}, {})]
    assert evaluate.evaluate_clips(lifter, clips).subjects == ("", "S9", "S11")
