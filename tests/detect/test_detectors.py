"""The table of detectors, keypoints that are given, and bodies found twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flat_lifter import save_keypoints, walking_clip, with_gap
from poselift.detect import DETECTORS, DetectorOptions, Person, build_detector
from poselift.detect.base import box_around, without_doubles
from poselift.detect.given import Given
from poselift.errors import InputError
from poselift.video import Frame

BLANK = np.zeros((4, 4, 3), np.uint8)


def frames(*numbers: int) -> list[Frame]:
    return [Frame(number=n, seconds=n / 25, image=BLANK) for n in numbers]


def test_every_entry_says_what_it_is():
    for name, entry in DETECTORS.items():
        assert entry.summary
        assert entry.licence
        assert entry.module.startswith("poselift.detect.")
        assert name == name.lower()
    with pytest.raises(InputError, match="did you mean 'mediapipe'"):
        build_detector("mediapip")


def test_given_keypoints_come_back_frame_by_frame(tmp_path: Path):
    clips = [with_gap(walking_clip(12, track_id=3), 4, 6), walking_clip(5, start=6, track_id=8, seed=1)]
    file = save_keypoints(tmp_path / "people.npz", clips)
    detector = build_detector("given", DetectorOptions(files=file))
    got = list(detector.detect(frames(*range(14))))
    assert [[p.identity for p in people] for people in got] == [
        *[[3]] * 4, [], [], *[[3, 8]] * 5, [3], [], [],
    ]  # fmt: skip
    assert np.array_equal(got[7][1].kp_img, clips[1].kp_img[1])
    assert detector.skeleton.name == "h36m17"


def test_given_keypoints_and_every_third_frame():
    clip = walking_clip(12)
    (a, b) = Given([clip], every=3).detect(frames(1, 3))
    assert np.array_equal(a[0].kp_img, clip.kp_img[3])
    assert np.array_equal(b[0].kp_img, clip.kp_img[9])


def test_given_keypoints_of_another_recording(tmp_path: Path):
    file = save_keypoints(tmp_path / "people.npz", [walking_clip(5, start=1000)])
    with pytest.raises(InputError, match="frames 1000 to 1004"):
        list(build_detector("given", DetectorOptions(files=file)).detect(frames(0, 1, 2)))
    with pytest.raises(InputError, match="--detector-files"):
        build_detector("given")


def person(at: float, score: float, seen: int = 17) -> Person:
    kp = np.random.default_rng(0).uniform(0, 100, (17, 2)).astype(np.float32) + np.float32(at)
    conf = (np.arange(17) < seen).astype(np.float32)
    return Person(kp_img=kp, conf=conf, box=box_around(kp, conf), score=score)


def test_a_body_found_twice_counts_once():
    assert [p.score for p in without_doubles([person(0, 0.3), person(3, 0.9), person(40, 0.5)])] == [0.9, 0.5]
    assert len(without_doubles([person(0, 0.3, seen=2), person(0, 0.9)])) == 2


def test_options_that_cannot_be():
    with pytest.raises(InputError, match="max_people"):
        DetectorOptions(max_people=0)
    with pytest.raises(InputError, match="detect_every"):
        DetectorOptions(detect_every=0)
    for name in ("mediapipe", "given"):
        with pytest.raises(InputError, match="detect_every"):
            build_detector(name, DetectorOptions(detect_every=2))
