"""Reading videos: numbers and times are the true ones, frames are upright, bad files are one clear line."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from poselift.errors import InputError
from poselift.video import Selection, kind_of, open_frames
from poselift.video.ahead import Behind, ahead
from poselift.video.decode import VideoFile, timing_of
from video_files import no_frames, red_corner, turn_header, write_sound, write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "walk.mp4")


def numbers(path: Path, **selection: object) -> list[int]:
    (source,) = open_frames(path, Selection(**selection))  # type: ignore[arg-type]
    return [f.number for f in source.frames()]


def test_a_video(video: Path):
    (source,) = open_frames(video)
    assert (source.size_wh, source.fps, source.count, source.still) == ((64, 48), 25.0, 20, False)
    for _ in range(2):  # as often as one likes
        frames = list(source.frames())
        assert [f.number for f in frames] == list(range(20))
        assert [f.seconds for f in frames] == pytest.approx([i / 25 for i in range(20)])
    for f in frames:
        assert np.abs(f.image.astype(int) - red_corner(f.number, 64, 48))[::8, ::8].mean() < 12
    assert source.notes == []


@pytest.mark.parametrize("name", ["a b.mkv", "Größe 動画.mp4", "x.avi", "x.mov"])
def test_containers_and_names(name: str, tmp_path: Path):
    path = write_video(tmp_path / name, 7)
    assert kind_of(path) == "video"
    assert numbers(path) == list(range(7))


def test_a_selection_keeps_the_numbers_of_the_whole(video: Path):
    assert numbers(video, start=0.2, end=0.4) == [5, 6, 7, 8, 9]
    assert numbers(video, every=4) == [0, 1, 2, 3, 4]
    assert numbers(video, start=0.2, end=0.6, every=2) == [3, 4, 5, 6, 7]
    (source,) = open_frames(video, Selection(every=4))
    assert source.fps == pytest.approx(6.25)
    assert source.count == 5
    assert [f.seconds for f in source.frames()] == pytest.approx([0, 0.16, 0.32, 0.48, 0.64])


def test_seeking_gives_the_same_frames(tmp_path: Path):
    path = write_video(tmp_path / "long.mp4", 400, size_wh=(32, 32), fps=50)
    (whole,) = open_frames(path)
    (part,) = open_frames(path, Selection(start=5.0, end=5.2))
    expected = {f.number: f.image for f in whole.frames()}
    got = list(part.frames())
    assert [f.number for f in got] == list(range(250, 260))
    assert all(np.array_equal(f.image, expected[f.number]) for f in got)


def test_rotation_from_the_header(tmp_path: Path):
    (source,) = open_frames(turn_header(write_video(tmp_path / "upright.mp4", 5), 48))
    assert source.size_wh == (48, 64)
    for f in source.frames():
        assert f.image.shape == (64, 48, 3)
        assert f.image[8, 40, 0] > 200, "the upper left corner has gone to the upper right"
        assert f.image[8, 40, 1] < 60
        assert f.image[8, 8, 1] > 30


def test_pixels_that_are_not_square(tmp_path: Path):
    (source,) = open_frames(write_video(tmp_path / "wide.mp4", 3, aspect=Fraction(3, 2)))
    assert source.size_wh == (96, 48)
    assert [f.image.shape for f in source.frames()] == [(48, 96, 3)] * 3


@pytest.mark.parametrize("size", [(65, 49), (33, 64), (17, 17)])
def test_odd_sizes(size: tuple[int, int], tmp_path: Path):
    (source,) = open_frames(write_video(tmp_path / "odd.avi", 3, size_wh=size, codec="ffv1", pix_fmt="bgr0"))
    assert [f.image.shape for f in source.frames()] == [(size[1], size[0], 3)] * 3


def test_variable_frame_rate_is_numbered_by_time(tmp_path: Path):
    steps = [40, 40, 40, 80, 40, 40, 120, 40, 42, 38, 40, 40]
    pts = np.cumsum([0, *steps]).tolist()
    (source,) = open_frames(write_video(tmp_path / "vfr.mp4", len(pts), pts_ms=pts))
    frames = list(source.frames())
    assert source.fps == pytest.approx(25)
    assert [f.number for f in frames] == [0, 1, 2, 3, 5, 6, 7, 10, 11, 12, 13, 14, 15]
    assert [f.seconds for f in frames] == pytest.approx([t / 1000 for t in pts])
    assert "frame rate varies" in source.notes[0]


def test_times_of_a_constant_rate():
    for fps in (24000 / 1001, 25.0, 30000 / 1001, 59.94, 240.0):
        for jitter in (0.0, 0.0005):  # Matroska rounds to milliseconds
            t = 1.4 + np.arange(5000) / fps + np.random.default_rng(0).uniform(-jitter, jitter, 5000)
            timing = timing_of(np.sort(t), fps)
            assert not timing.variable
            assert timing.fps == pytest.approx(fps)
            assert [timing.number(x) for x in t[::99].tolist()] == list(range(0, 5000, 99))
    wrong = timing_of(np.arange(100) / 25, 1000.0)
    assert wrong.fps == pytest.approx(25), "what the times say goes before what the container claims"
    assert timing_of(np.zeros(0), None).count == 0


def test_a_cut_video_gives_what_is_left(tmp_path: Path):
    path = write_video(tmp_path / "cut.mkv", 120, size_wh=(320, 240))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (source,) = open_frames(path)
    got = [f.number for f in source.frames()]
    assert 5 < len(got) < 120
    assert got == list(range(len(got)))
    assert "damaged or cut off" in " ".join(source.notes), "its header states 4.8 s"


def no_moov(folder: Path) -> Path:
    path = write_video(folder / "cut.mp4", 60)
    path.write_bytes(path.read_bytes()[:-800])
    return path


def text(folder: Path) -> Path:
    (folder / "notes.mp4").write_text("not a video at all\n" * 50)
    return folder / "notes.mp4"


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def damaged(folder: Path) -> Path:
    path = write_video(folder / "noise.mkv", 30)
    data = bytearray(path.read_bytes())
    data[700:] = np.random.default_rng(0).bytes(len(data) - 700)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (no_moov, "cut off"),
        (text, "no video that can be read"),
        (empty, "empty file"),
        (lambda folder: no_frames(folder / "none.mkv"), "no video that can be read"),
        (damaged, "frame"),
        (lambda folder: write_sound(folder / "sound.mp4"), "only sound"),
        (lambda folder: write_sound(folder / "sound.m4a"), "only sound"),
    ],
)
def test_bad_videos(make, expected: str, tmp_path: Path):
    path = make(tmp_path)
    with pytest.raises(InputError, match=expected) as caught:
        list(open_frames(path)[0].frames())
    assert path.name in str(caught.value)


def test_a_time_outside_the_video(video: Path):
    with pytest.raises(InputError, match=r"0\.8 s"):
        open_frames(video, Selection(start=3.0))
    for bad in ({"start": -1.0}, {"start": 2.0, "end": 1.0}, {"every": 0}, {"end": float("nan")}):
        with pytest.raises(InputError):
            Selection(**bad)  # type: ignore[arg-type]


def test_a_size_beyond_the_cap(video: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("poselift.video.frames.MAX_PIXELS", 1000)
    with pytest.raises(InputError, match="megapixels"):
        VideoFile(video, Selection())


def test_ahead_ends_its_thread_and_passes_errors_on():
    before = threading.active_count()
    assert list(ahead(lambda: iter(range(100)))) == list(range(100))
    endless = ahead(lambda: iter(int, 1), depth=2)
    assert next(endless) == 0
    endless.close()  # type: ignore[attr-defined]

    def broken():
        yield 1
        raise InputError("broken")

    items = ahead(broken)
    assert next(items) == 1
    with pytest.raises(InputError, match="broken"):
        next(items)
    assert threading.active_count() == before


def test_behind_does_all_or_tells_why():
    done: list[int] = []
    with Behind(done.append) as behind:
        for i in range(50):
            behind.put(i)
    assert done == list(range(50))

    def fails(item: int) -> None:
        raise InputError(f"cannot {item}")

    def feed() -> None:
        with Behind(fails) as behind:
            for i in range(50):
                behind.put(i)

    with pytest.raises(InputError, match="cannot 0"):
        feed()
