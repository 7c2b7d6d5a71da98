from __future__ import annotations

import socket
import time
import urllib.request

import pytest

from poselift.errors import InputError, OutputError
from poselift.view.live import serve
from view import scenes

pytest.importorskip("viser")


@pytest.fixture
def port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_the_viewer_answers_plays_and_stops(port, capfd):
    clips = [scenes.clip(60), scenes.hide(scenes.clip(60, track_id=1, start=(1.0, 0.0)), 10, 20)]
    view = serve(clips, truth=[clips[0]], title="test", port=port)
    try:
        with urllib.request.urlopen(view.url, timeout=10) as answer:
            assert b"<html" in answer.read(400)
        first, end = view.frame, time.monotonic() + 10
        while view.frame == first and time.monotonic() < end:
            time.sleep(0.02)
        assert view.frame != first
        view.play(False)
        view.show(15)
        time.sleep(0.1)
        assert view.frame == 15
        assert "<line" in view._image.content
        assert [p._shown for p, _ in view._puppets] == [True, False, True]
        assert view._clock.content.startswith("frame 15")
        view.show(10_000)
        assert view.frame == 59
    finally:
        view.stop()
    view.stop()
    assert capfd.readouterr().out == ""
    with pytest.raises(OSError):  # noqa: PT011
        urllib.request.urlopen(view.url, timeout=2)


def test_two_viewers_take_two_ports(port):
    views = [serve([scenes.clip(2)], port=port) for _ in range(2)]
    try:
        assert views[0].url != views[1].url
    finally:
        for view in views:
            view.stop()


def test_live_refusals(port):
    with pytest.raises(InputError, match="3D"):
        serve([scenes.clip(2).replace(p_root=None)], port=port)
    with pytest.raises(OutputError, match="port 99999"):
        serve([scenes.clip(2)], port=99_999)
    with pytest.raises(OutputError, match="cannot listen on 203"):
        serve([scenes.clip(2)], host="203.0.113.7", port=port)  # an address of nobody


def test_a_single_frame_does_not_play(port):
    view = serve([scenes.clip(1)], port=port)
    try:
        view.play(True)
        time.sleep(0.1)
        assert view.frame == 0
    finally:
        view.stop()
