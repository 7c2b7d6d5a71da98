"""MediaPipe's landmarks as joints; and the real detector, where its models are in the cache already."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from poselift.detect.mediapipe import MediaPipe, _person
from poselift.detect.mediapipe_models import MODELS, landmarker_task
from poselift.storage.cache import cache_folder
from poselift.video import open_frames

CACHED = all((cache_folder("mediapipe-0.10.21") / m.name).is_file() for m in MODELS)


def mark(x: float, y: float, visibility: float = 0.9, presence: float = 0.9) -> SimpleNamespace:
    return SimpleNamespace(x=x, y=y, visibility=visibility, presence=presence)


def test_landmarks_become_pixels_and_what_is_not_in_the_picture_is_missing():
    marks = [mark(0.5, 0.25), mark(0, 1), mark(0.2, 1.01), mark(0.5, 0.5, 0.95, 0.1), mark(0.5, 0.5, 0.3, 0.9)]
    person = _person([*marks, *[mark(0.5, 0.5)] * 28], 640, 480)
    assert person.kp_img[:2] == pytest.approx(np.array([[319.5, 119.5], [-0.5, 479.5]]))
    assert person.conf[:5] == pytest.approx([0.9, 0.9, 0, 0, 0.3])
    assert person.box == pytest.approx([-0.5, 119.5, 319.5, 479.5])


@pytest.mark.skipif(not CACHED, reason="MediaPipe's models have not been fetched on this machine")
def test_the_astronaut():
    pytest.importorskip("mediapipe")
    from poselift.pipeline.demo_photo import photo_path

    (source,) = open_frames(photo_path())
    detector = MediaPipe(landmarker_task())
    ((person,),) = detector.detect(source.frames(), still=True)
    joints = dict(zip(detector.skeleton.joints, zip(person.kp_img, person.conf, strict=True), strict=True))
    places = {"nose": (222, 127), "l_shoulder": (306, 256), "r_shoulder": (112, 239), "r_elbow": (63, 410)}
    for name, place in places.items():
        assert np.linalg.norm(joints[name][0] - place) < 10, name
        assert joints[name][1] > 0.4
    for name in ("l_hip", "r_hip", "l_knee", "r_ankle"):
        assert joints[name][1] == 0, "below the picture's edge"
    for still in (False, True):
        assert len(list(detector.detect(source.frames(), still=still))) == 1
