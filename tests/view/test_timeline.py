from __future__ import annotations

import numpy as np
import pytest

from poselift.errors import InputError
from poselift.view.timeline import Timeline, check_clips
from view import scenes


def test_union_of_frames_and_rows_of_each_clip():
    a = scenes.clip(10)
    b = scenes.clip(6).replace(frames=np.arange(7, 13))
    line = Timeline.of([a, b])
    assert line.frames.tolist() == list(range(13))
    assert line.rows(a).tolist() == [*range(10), -1, -1, -1]
    assert line.rows(b).tolist() == [-1] * 7 + list(range(6))
    assert line.seconds[3] == pytest.approx(0.1)
    assert line.duration == pytest.approx(13 / 30)


def test_an_unseen_person_has_no_row():
    line = Timeline.of([c := scenes.hide(scenes.clip(8), 2, 5)])
    assert line.rows(c).tolist() == [0, 1, -1, -1, -1, 5, 6, 7]


def test_a_jump_in_the_source_freezes_nobody():
    c = scenes.clip(6).replace(frames=np.array([0, 1, 2, 50, 51, 52]))
    line = Timeline.of([c])
    assert line.frames.tolist() == [0, 1, 2, 3, 50, 51, 52]
    assert line.rows(c).tolist() == [0, 1, 2, -1, 3, 4, 5]
    assert line.total == 6


def test_stride_and_cut():
    c = scenes.clip(40)
    line = Timeline.of([c], stride=4)
    assert line.frames.tolist() == list(range(0, 40, 4))
    assert line.duration == pytest.approx(40 / 30)
    short = Timeline.of([c], stride=2, last=10)
    assert short.cut
    assert not line.cut
    assert short.frames.tolist() == [0, 2, 4, 6, 8]


def test_a_single_frame_has_no_duration():
    assert Timeline.of([scenes.clip(1)]).duration == 0


@pytest.mark.parametrize(
    ("clips", "says"),
    [
        ([], "at least one person"),
        ([scenes.clip(3).replace(p_root=None, root_cam=None)], "3D joints"),
        ([scenes.clip(3)[:0]], "at least one frame"),
        ([scenes.clip(3), scenes.clip(3).replace(fps=25)], "30 frames per second"),
    ],
)
def test_nothing_to_show_is_one_clear_line(clips, says):
    with pytest.raises(InputError, match=says) as error:
        check_clips(clips)
    assert "\n" not in str(error.value)
