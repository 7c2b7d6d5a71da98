"""Which lifter a track gets."""

from __future__ import annotations

import numpy as np
import torch

from flat_lifter import Flat, walking_clip
from poselift.models.weights import load_model
from poselift.pipeline import lifters
from poselift.pipeline.demo import demo_clip
from poselift.pipeline.lift import lift
from poselift.pipeline.lifters import FEW_FRAMES, Lifters, choose_lifters

CPU = torch.device("cpu")


def test_tracks_are_grouped_in_their_order():
    pair = Lifters(Flat(), Flat())
    tracks = [walking_clip(n) for n in (50, FEW_FRAMES, FEW_FRAMES - 1, 1, 9)]
    found = [(lifter is pair.sequences, a, b) for lifter, a, b in pair.groups(tracks)]
    assert found == [(True, 0, 2), (False, 2, 4), (True, 4, 5)]
    assert "2 with fewer than" in pair.notes(tracks)[0]
    assert "by itself" in pair.notes(tracks[2:4])[0]
    assert Lifters(pair.sequences, pair.sequences).notes(tracks) == []


def test_a_named_model_is_for_all():
    chosen = choose_lifters("default", CPU)
    assert chosen.sequences is chosen.pictures


def test_by_default_sequences_and_pictures_have_lifters_of_their_own():
    chosen = choose_lifters("auto", CPU)
    assert chosen.pictures.single_frame
    assert not chosen.sequences.single_frame


def test_each_track_is_lifted_as_it_would_be_alone():
    long, short = walking_clip(40), walking_clip(FEW_FRAMES - 1, track_id=1, seed=2)
    known = {"focal": 1000.0, "image_size": (1280, 720)}
    a, b = lift([long, short], **known).clips  # type: ignore[arg-type]
    for clip, got, name in ((long, a, lifters.SEQUENCES), (short, b, lifters.PICTURES)):
        want = lift(clip, model=load_model(name), **known).clips[0].p_root
        assert want is not None
        assert got.p_root is not None
        assert np.allclose(got.p_root, want, atol=1e-5)


def test_sparse_detections_are_lifted_as_well_as_dense_ones():
    """Every second frame without anybody: what is between is bridged before the frames around are asked."""
    clip = demo_clip()[:120]
    assert clip.p_root is not None
    sparse = clip.confidence.copy()
    sparse[1::2] = 0
    off = []
    for conf in (clip.confidence, sparse):
        found = lift(clip.replace(conf=conf), camera=clip.camera).clips[0].p_root
        assert found is not None
        off.append(float(np.linalg.norm(found - clip.p_root, axis=-1).mean()))
    assert off[0] < 0.045
    assert off[1] < 1.1 * off[0]
