"""What is seen goes through a temporary file: nothing is lost or shifted, and memory does not grow with time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flat_lifter import Flat
from hostile import little_memory
from pipeline.test_live import QUIET, ByTime
from poselift.errors import InputError, OutputError
from poselift.pipeline import recording, sightings
from poselift.pipeline.captured import Captured
from poselift.pipeline.lift import lift
from poselift.pipeline.sightings import Rows, Sightings
from poselift.pipeline.watch import VideoOptions
from poselift.structures import Clip, skeleton
from streams import streamed
from video_files import write_video

BODY = skeleton("coco17")


def head(track: int) -> Clip:
    return Clip(skeleton=BODY, fps=25, kp_img=np.zeros((0, 17, 2)), track_id=track)


def point(number: int, track: int) -> np.ndarray:
    return np.full((17, 2), 10 * number + track, np.float32)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sightings, "_BLOCK_BYTES", 5 * (16 + 17 * 12))


@pytest.mark.usefixtures("small_blocks")
def test_tracks_are_what_was_added(tmp_path: Path):
    seen = Sightings(17, folder=tmp_path)
    there = {4: [*range(10), *range(20, 33)], 7: [*range(3, 40)], 9: [5]}
    for number in range(40):
        for track, numbers in there.items():
            if number in numbers:
                seen.add(number, track, point(number, track), np.full(17, 0.5, np.float32))
    seen.add(40, 7, np.full((17, 2), np.nan), np.ones(17))  # nobody
    assert len(seen) == sum(map(len, there.values()))
    tracks = seen.tracks(np.array([4, 7]), [head(0), head(1)])
    assert list(tmp_path.iterdir()) == []
    for clip, (track, numbers) in zip([t[:] for t in tracks], list(there.items())[:2], strict=True):
        assert clip.frame_numbers.tolist() == list(range(numbers[0], numbers[-1] + 1))
        assert clip.frame_numbers[clip.seen].tolist() == numbers
        assert clip.kp_img[clip.seen, 0, 0].tolist() == [10 * n + track for n in numbers]
        assert (clip.confidence[clip.seen] == 0.5).all()
    assert tracks[0][8:25].frame_numbers.tolist() == list(range(8, 25))


@pytest.mark.usefixtures("small_blocks")
def test_frames_get_other_numbers():
    seen = Sightings(17)
    old, new = np.arange(0, 60, 3), np.arange(20) + 2 * (np.arange(20) > 9)
    for number in old.tolist():
        seen.add(number, 0, point(number, 0), np.ones(17))
    seen.renumber(old, new)
    (clip,) = (t[:] for t in seen.tracks(np.array([0]), [head(0)]))
    assert clip.frame_numbers[clip.seen].tolist() == new.tolist()
    assert clip.kp_img[clip.seen, 0, 0].tolist() == (10.0 * old).tolist()


def test_hours_in_which_hardly_anybody_comes():
    """Ten hours at 60 per second are two million frames; only the time between a person's first and last counts."""
    seen = Sightings(17)
    for first, track in ((0, 0), (2_160_000, 1)):
        for number in range(first, first + 5):
            seen.add(number, track, point(0, track), np.ones(17))
    clips = [t[:] for t in seen.tracks(np.array([0, 1]), [head(0), head(1)])]
    assert [c.frame_numbers[0] for c in clips] == [0, 2_160_000]
    seen.add(9_000_000, 1, point(0, 1), np.ones(17))
    with pytest.raises(InputError, match="gaps that make sense"):
        seen.tracks(np.array([0, 1]), [head(0), head(1)])
    with pytest.raises(InputError, match="infinite"):
        seen.add(9_000_001, 1, np.full((17, 2), np.inf), np.ones(17))


def test_memory_does_not_grow_with_time():
    """4,000 frames of two people are 1.7 MB."""
    seen, captured = Sightings(17), Captured()
    kp, conf = point(1, 1), np.ones(17, np.float32)
    with little_memory(1 << 20):
        for number in range(4_000):
            seen.add(number, 0, kp, conf)
            seen.add(number, 1, kp, conf)
            captured.add(number, number / 25)
    assert len(seen) == 8_000
    assert seen.nbytes > 1.7e6
    fps, old, new = captured.numbers(25)
    assert (fps, old.tolist(), new.tolist()) == (25, [*range(4_000)], [*range(4_000)])


@pytest.fixture
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "a.ts", 50, size_wh=(160, 96), fps=25)


def test_long_ones_go_straight_into_the_file(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recording, "LARGE_BYTES", 0)
    people, out = ByTime(), tmp_path / "out"
    with streamed(video) as address:
        lifted = lift(
            address, model=Flat(), out=out, formats=["npz"], smooth="none", live=QUIET,
            video=VideoOptions(detector=people),
        )  # fmt: skip
    assert lifted.clips == []
    data = np.load(out / "poses.npz")
    assert (data["conf"].max(1) > 0).sum() == len(people.times)
    assert np.isfinite(data["p_root"]).all()
    with streamed(video) as address:  # all formats: the people are in memory at the end
        more = lift(address, model=Flat(), out=out, live=QUIET, video=VideoOptions(detector=ByTime()))
    assert {"npz", "json", "csv", "bvh", "html", "png", "overlay"} == set(more.files)
    assert len(more.clips) == 1


def test_videos_are_the_same_whether_long_or_short(video: Path, monkeypatch: pytest.MonkeyPatch):
    short = lift(video, model=Flat(), video=VideoOptions(detector=ByTime()))
    monkeypatch.setattr(recording, "LARGE_BYTES", 0)
    long = lift(video, model=Flat(), video=VideoOptions(detector=ByTime()))
    for a, b in zip(short.clips, long.clips, strict=True):
        assert a.meta == b.meta
        assert a.frame_numbers.tolist() == b.frame_numbers.tolist()
        assert a.p_root == pytest.approx(b.p_root)


@pytest.mark.usefixtures("small_blocks")
def test_a_full_disk_ends_the_camera_and_what_came_is_kept(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = Rows._store

    def full(self: Rows) -> None:
        if self._stored:
            raise OutputError("cannot be written: no space left", file="/tmp")
        store(self)

    monkeypatch.setattr(Rows, "_store", full)
    with streamed(video) as address:
        lifted = lift(
            address, model=Flat(), out=tmp_path / "out", formats=["npz"], live=QUIET,
            video=VideoOptions(detector=ByTime()),
        )  # fmt: skip
    assert "no space left" in lifted.notes[0]
    assert len(lifted.clips[0].seen) >= 10
