"""Cameras and streams: the newest frame wins, times are those of the frames, and every end is a clear one."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostile import little_memory
from poselift.errors import InputError
from poselift.video import capture, live
from poselift.video.capture import Capture
from poselift.video.clock import StreamClock
from poselift.video.live import LiveSource
from poselift.video.recognise import is_live
from streams import streamed
from video_files import write_video

FPS = 25


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds, whose grey tells the number of the frame."""
    return write_video(tmp_path_factory.mktemp("videos") / "a.ts", 24, size_wh=(64, 48), fps=FPS)


def index(image: np.ndarray) -> int:
    """Which frame of `red_corner` this is (below 25)."""
    return round((float(image[30:, 40:].mean()) - 40) / 8)


def test_the_newest_frame_wins_and_times_are_the_frames_own(video: Path):
    with streamed(video) as address:
        source = LiveSource(address)
        assert (source.size_wh, source.fps, source.name) == ((64, 48), FPS, "live")
        seen, ages = [], []
        for frame in source.frames():
            seen.append((index(frame.image), frame.number, frame.seconds))
            ages.append(source.age_s)
            time.sleep(0.15)
        source.close()
    which = np.array([i for i, *_ in seen])
    assert len(seen) < 16, "a slow consumer gets fewer"
    assert which[0] <= 2
    assert which[-1] == 23, "the last frame is not lost"
    assert source.dropped == source.arrived - len(seen) > 0
    times = np.array([s for *_, s in seen])
    assert times == pytest.approx((which - which[0]) / FPS, abs=0.021)
    assert [n for _, n, _ in seen] == (which - which[0]).tolist()
    assert np.median(ages) < 0.1, "and never an old one"
    assert source.ended == "the stream ended"
    assert source.seconds == times[-1]


def test_it_ends_after_its_seconds(video: Path):
    with streamed(video) as address:
        source = LiveSource(address, seconds=0.3)
        assert max(f.seconds for f in source.frames()) < 0.3
        source.close()
        assert source.ended is None, "as asked for"


def test_stopped_from_elsewhere(video: Path):
    with streamed(video) as address:
        source = LiveSource(address)
        threads = threading.active_count()
        count = sum(1 for _ in source.frames() if source.stop() is None)
        assert count == 1
        source.close()
        assert threading.active_count() < threads


def test_who_ends_it_is_not_told_that_the_stream_did(video: Path, monkeypatch: pytest.MonkeyPatch):
    """A camera, which goes on giving frames until it is told to stop."""
    of, decoded = Capture.of, LiveSource._decoded

    def endless(source: LiveSource, container: Any, stream: Any) -> Iterator[Any]:
        frames = list(decoded(source, container, stream))
        while not source._stop.wait(0.01):
            yield frames[0]

    monkeypatch.setattr(Capture, "of", lambda *a, **k: replace(of(*a, **k), paced=False))
    monkeypatch.setattr(LiveSource, "_decoded", endless)
    with streamed(video) as address:
        source = LiveSource(address)
        assert sum(1 for _ in source.frames() if source.stop() is None) == 1
        source.close()
    assert not source._thread.is_alive()
    assert source.ended is None


def test_cut_off_in_the_middle(video: Path):
    with streamed(video, part=0.5) as address:
        source = LiveSource(address)
        frames = list(source.frames())
        assert 0 < len(frames) < 20
        assert source.ended == "the connection was lost"
        source.close()


def test_silence_is_an_end(video: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live, "SILENCE_S", 0.5)
    monkeypatch.setattr(capture, "READ_S", 1.0)
    with streamed(video, part=0.6, hang=True) as address:
        source = LiveSource(address)
        assert list(source.frames())
        assert source.ended in ("no frame for 0.5 s", "no answer in time")


def test_memory_does_not_grow_while_nobody_takes_frames(tmp_path: Path):
    """150 frames of 320 × 240 are 35 MB of pixels."""
    path = write_video(tmp_path / "long.ts", 150, size_wh=(320, 240), fps=100)
    with streamed(path) as address, little_memory(3 << 20):
        source = LiveSource(address)
        for _ in source.frames():
            time.sleep(0.3)
        source.close()
    assert source.arrived == 150


REFUSED = {
    "http://127.0.0.1:9/a.ts": "refused",
    "rtsp://127.0.0.1:9/a": "refused",
}
if sys.platform == "linux" and not os.path.exists("/dev/video97"):
    REFUSED |= {"97": "expected a camera, found no /dev/video97", "/dev/video97": "no /dev/video97"}


@pytest.mark.parametrize(("address", "expected"), REFUSED.items())
def test_no_such_camera(address: str, expected: str):
    threads = threading.active_count()
    with pytest.raises(InputError, match=expected) as caught:
        LiveSource(address)
    assert "\n" not in str(caught.value)
    assert threading.active_count() == threads


def test_what_is_no_stream(tmp_path: Path):
    (tmp_path / "a.ts").write_text("no video\n" * 99)
    with streamed(tmp_path / "a.ts") as address, pytest.raises(InputError, match="cannot be opened"):
        LiveSource(address)


def test_a_password_is_not_repeated():
    made = Capture.of("rtsp://me:secret@camera.local/stream")
    assert made.said == "rtsp://camera.local/stream"
    assert "secret" in made.file
    assert Capture.of("rtsp://me:p@ss@camera.local/stream").said == "rtsp://camera.local/stream"
    assert Capture.of("http://camera.local/stream?to=a@b").said == "http://camera.local/stream?to=a@b"


def test_a_stream_leads_to_no_file_of_this_machine():
    allowed = Capture.of("http://somewhere/playlist.m3u8").options["protocol_whitelist"].split(",")
    assert not {"file", "concat", "subfile", "pipe"} & set(allowed)


def test_what_is_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for text in ("0", "12", "webcam", "/dev/video0", "rtsp://a/b", "HTTP://a", "https://a/b.m3u8", "udp://@:1234"):
        assert is_live(text)
    for text in ("a.mp4", "0.mp4", "file:///a.mp4", "concat://a", "C://videos", "/dev/null", "-1", "2024"):
        assert not is_live(text)
    monkeypatch.chdir(tmp_path)
    Path("0").mkdir()
    assert not is_live("0"), "a folder of that name goes first"


def test_the_clock_of_a_stream():
    clock = StreamClock(trusted=True)
    assert clock.seconds(100.0, 5.0) == 0
    assert clock.seconds(100.04, 5.3) == pytest.approx(0.04), "stamps, not when they come"
    assert clock.early(5.01) == pytest.approx(0.03)
    assert clock.seconds(None, 5.4) == pytest.approx(0.14), "a stamp that is missing"
    again = clock.seconds(7.0, 5.5)
    assert again == pytest.approx(0.24), "stamps that begin anew"
    assert clock.seconds(7.04, 5.6) == pytest.approx(again + 0.04)
    assert clock.seconds(7.04, 5.6) > again + 0.04, "always growing"
    made_up = StreamClock(trusted=False)
    assert [made_up.seconds(t, now) for t, now in ((0.0, 3.0), (0.04, 3.5))] == [0.0, 0.5]
