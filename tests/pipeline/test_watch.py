"""From pixels to files: numbers never shift, people keep their identity, nothing is half-written."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flat_lifter import Flat, save_keypoints, walking_clip
from hostile import little_memory
from poselift.detect import Person
from poselift.detect.base import box_around
from poselift.errors import InputError
from poselift.pipeline.lift import lift
from poselift.pipeline.watch import VideoOptions
from poselift.structures import skeleton
from poselift.video import Frame, open_frames
from video_files import red_corner, write_video

BODY = np.random.default_rng(0).uniform((-8, -20), (8, 20), (17, 2)).astype(np.float32)


class Paths:
    """A detector that knows where people are: paths of (number → x, y), None where nobody is."""

    name = "paths"
    notes = ("2D joints: made up.",)

    def __init__(self, *paths: dict[int, tuple[float, float]], hidden: int = 0) -> None:
        self.skeleton = skeleton("coco17")
        self.paths, self.hidden = paths, hidden
        self.seen: list[int] = []
        self.closed = 0

    def detect(self, frames: Iterable[Frame], *, still: bool = False) -> Iterator[list[Person]]:
        for i, frame in enumerate(frames):
            self.seen.append(frame.number)
            people = []
            for path in self.paths if i % 2 else self.paths[::-1]:  # in any order
                if frame.number in path:
                    kp = BODY + np.array(path[frame.number], np.float32)
                    conf = np.where(np.arange(17) < 17 - self.hidden, 0.9, 0).astype(np.float32)
                    people.append(Person(kp_img=kp, conf=conf, box=box_around(kp, conf), score=0.9))
            yield people

    def close(self) -> None:
        self.closed += 1


def line(
    frames: Iterable[int], start: tuple[float, float], step: tuple[float, float]
) -> dict[int, tuple[float, float]]:
    return {n: (start[0] + n * step[0], start[1] + n * step[1]) for n in frames}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "two people.mp4", 60, size_wh=(160, 96))


def test_people_cross_and_keep_their_numbers(video: Path):
    people = Paths(line(range(60), (20, 48), (2, 0)), line(range(60), (140, 50), (-2, 0)))
    lifted = lift(video, model=Flat(), video=VideoOptions(detector=people))
    assert [c.track_id for c in lifted.clips] == [0, 1]
    assert people.closed == 1
    for clip in lifted.clips:
        assert clip.frame_numbers.tolist() == list(range(60))
        assert clip.fps == 25
        assert clip.camera is not None
        assert clip.camera.size_wh == (160, 96)
        steps = np.diff(clip.kp_img[:, clip.skeleton.index("l_hip"), 0])
        assert (np.sign(steps) == np.sign(steps[0])).all(), "nobody turns round where they meet"
        assert "assumed_fps" not in clip.meta
    said = " ".join(lifted.notes)
    for word in ("60 frames of 160 × 96 at 25 per second", "2D joints: made up", "Time: ", "detect"):
        assert word in said


def test_gone_for_less_than_a_second_and_for_more(video: Path):
    """25 frames are a second: 20 without the person do not end a track, 30 do; frames in between have confidence 0."""
    away = [n for n in range(60) if not 20 <= n < 40]
    (clip,) = lift(video, model=Flat(), video=VideoOptions(detector=Paths(line(away, (40, 48), (1, 0))))).clips
    assert clip.frame_numbers.tolist() == list(range(60))
    assert (clip.confidence[20:40] == 0).all()
    assert (clip.confidence[[19, 40]] > 0).any(1).all()
    longer = [n for n in range(60) if not 10 <= n < 40]
    first, second = lift(video, model=Flat(), video=VideoOptions(detector=Paths(line(longer, (40, 48), (1, 0))))).clips
    assert (first.frame_numbers[-1], second.frame_numbers[0]) == (9, 40)
    assert (first.track_id, second.track_id) == (0, 1)


def test_somebody_comes_late(video: Path):
    people = Paths(line(range(60), (30, 48), (0, 0)), line(range(33, 60), (120, 48), (0, 0)))
    clips = lift(video, model=Flat(), video=VideoOptions(detector=people)).clips
    assert [c.frame_numbers[0] for c in clips] == [0, 33]


def test_a_cut_ends_all_tracks(tmp_path: Path):
    """Somebody stands where somebody else stood in the shot before: only the pixels tell."""
    rng = np.random.default_rng(0)
    shots = [Image.fromarray(rng.integers(0, 255, (6, 10, 3), dtype=np.uint8)).resize((160, 96)) for _ in range(2)]
    for i in range(40):
        shots[i >= 15].save(tmp_path / f"{i:03}.png")
    people = Paths(line(range(40), (80, 48), (0, 0)))
    lifted = lift(tmp_path, model=Flat(), fps=25, video=VideoOptions(detector=people))
    assert [(c.track_id, c.frame_numbers[0], len(c)) for c in lifted.clips] == [(0, 0, 15), (1, 15, 25)]
    assert "The recording is cut at 0.6 s: " in " ".join(lifted.notes)


def test_flickers_are_nobody_and_max_people_keeps_those_seen_most(video: Path):
    people = Paths(line(range(60), (30, 48), (0, 0)), line(range(5, 50), (80, 48), (0, 0)), {7: (130, 48)})
    lifted = lift(video, model=Flat(), video=VideoOptions(detector=people))
    assert len(lifted.clips) == 2
    assert "1 track was left out" in " ".join(lifted.notes)
    (one,) = lift(video, model=Flat(), video=VideoOptions(detector=people, max_people=1)).clips
    assert len(one) == 60
    returns = Paths(line([*range(10), *range(45, 60)], (30, 48), (0, 0)))
    assert len(lift(video, model=Flat(), video=VideoOptions(detector=returns, max_people=1)).clips) == 2


def test_a_selection_keeps_the_numbers(video: Path):
    people = Paths(line(range(60), (30, 48), (0, 0)))
    (clip,) = lift(video, model=Flat(), video=VideoOptions(detector=people, start=0.8, end=1.6)).clips
    assert clip.frame_numbers.tolist() == list(range(20, 40))
    (clip,) = lift(video, model=Flat(), video=VideoOptions(detector=people, every=3)).clips
    assert len(clip) == 20
    assert clip.fps == pytest.approx(25 / 3)
    (slow,) = lift(video, model=Flat(), fps=240, video=VideoOptions(detector=people, every=3)).clips
    assert slow.fps == pytest.approx(80)


def test_variable_frame_rate_keeps_time(tmp_path: Path):
    pts = np.cumsum([0, *[40] * 10, 200, *[40] * 10]).tolist()
    path = write_video(tmp_path / "vfr.mp4", len(pts), pts_ms=pts)
    numbers = [round(t / 40) for t in pts]
    lifted = lift(path, model=Flat(), video=VideoOptions(detector=Paths(line(numbers, (30, 24), (0.2, 0)))))
    (clip,) = lifted.clips
    assert clip.frame_numbers[clip.seen].tolist() == numbers
    assert (clip.confidence[11:15] == 0).all()
    assert "frame rate varies" in " ".join(lifted.notes)


def test_joints_that_nobody_saw_stay_unseen(video: Path):
    """Half a body: the legs of coco17 are its last four joints; the hips above them are seen."""
    (clip,) = lift(
        video, model=Flat(), video=VideoOptions(detector=Paths(line(range(60), (60, 48), (0, 0)), hidden=4))
    ).clips
    legs = clip.skeleton.indices("l_knee", "r_knee", "l_ankle", "r_ankle")
    assert (clip.confidence[:, legs] == 0).all()
    assert (np.delete(clip.confidence, legs, axis=1) > 0).all()
    assert clip.p_root is not None
    assert np.isfinite(clip.p_root).all()


def test_all_files_and_the_overlay(video: Path, tmp_path: Path):
    people = Paths(line(range(10, 60), (40, 48), (1, 0)))
    out = tmp_path / "out mit Größe"
    lifted = lift(video, model=Flat(), out=out, formats=["npz", "overlay"], video=VideoOptions(detector=people))
    assert sorted(p.name for p in out.iterdir()) == ["overlay.mp4", "poses.npz"]
    assert lifted.files["overlay"] == [out / "overlay.mp4"]
    assert np.load(out / "poses.npz")["frame"].tolist() == list(range(10, 60))
    plain = [f.image for f in open_frames(video)[0].frames()]
    drawn = [f.image for f in open_frames(out / "overlay.mp4")[0].frames()]
    assert len(drawn) == 60
    changes = [float(np.abs(a.astype(int) - b).max()) for a, b in zip(plain, drawn, strict=True)]
    assert max(changes[:8]) < 60, "nobody is there yet"
    assert min(changes[12:]) > 80
    around = np.abs(drawn[40].astype(int) - plain[40]).max(-1) > 80
    x = np.nonzero(around)[1]
    assert 60 < x.mean() < 100
    assert "overlay" in lifted.seconds


def test_a_photograph(tmp_path: Path):
    Image.fromarray(red_corner(3, 161, 97)).save(tmp_path / "photo.jpg")
    out = tmp_path / "out"
    lifted = lift(tmp_path / "photo.jpg", model=Flat(), out=out, video=VideoOptions(detector=Paths({0: (80, 48)})))
    assert (out / "overlay.png").is_file()
    assert not (out / "overlay.mp4").exists()
    assert Image.open(out / "overlay.png").size == (161, 97)
    assert len(lifted.clips) == 1
    assert "Frame rate" not in " ".join(lifted.notes)


def test_a_folder_of_pictures(tmp_path: Path):
    folder = tmp_path / "shots"
    folder.mkdir()
    for i in range(12):
        Image.fromarray(red_corner(i, 64, 64)).save(folder / f"{i}.png")
    people = Paths(line(range(12), (32, 32), (0, 0)))
    lifted = lift(
        folder, model=Flat(), out=tmp_path / "out", formats=["npz", "overlay"], video=VideoOptions(detector=people)
    )
    assert people.seen == list(range(12))
    assert (tmp_path / "out" / "overlay.mp4").is_file()
    assert lifted.clips[0].meta["assumed_fps"]
    assert "30 per second is assumed" in " ".join(lifted.notes)


def test_photographs_of_several_sizes_are_scenes_of_their_own(tmp_path: Path):
    for i, size in enumerate([(64, 64), (80, 64), (64, 80)]):
        Image.fromarray(red_corner(i, *size)).save(tmp_path / f"{i}.png")
    made = Paths({0: (32, 32)})
    lifted = lift(
        tmp_path, model=Flat(), out=tmp_path / "out", formats=["npz", "overlay"], video=VideoOptions(detector=made)
    )
    assert len(list((tmp_path / "out").glob("*/overlay.png"))) == 3
    assert len(lifted.clips) == 3


def test_given_keypoints_are_drawn_on_their_video(video: Path, tmp_path: Path):
    clip = walking_clip(30, start=5, track_id=7)
    keypoints = save_keypoints(tmp_path / "k.npz", [clip.replace(kp_img=clip.kp_img / 10)], size_wh=[160, 96])
    options = VideoOptions(detector="given", detector_files=keypoints)
    lifted = lift(video, model=Flat(), out=tmp_path / "out", formats=["npz", "overlay"], video=options)
    assert [c.track_id for c in lifted.clips] == [7]
    assert lifted.clips[0].frame_numbers.tolist() == list(range(5, 35))


def named_pictures(folder: Path, count: int, *, size: tuple[int, int] | None = None) -> Path:
    folder.mkdir()
    for i in range(count):
        w, h = size or (64 + i, 64)
        Image.fromarray(red_corner(i, w, h)).save(folder / f"{i + 1:04}.png")
    return folder


def flat_points(x: float) -> list[float]:
    return (np.concatenate([BODY / 2 + (x, 32), np.ones((17, 1))], 1)).ravel().tolist()


def alphapose(folder: Path, at: dict[str, float]) -> Path:
    (folder / "k.json").write_text(json.dumps([
        {"image_id": f"{name}.jpg", "keypoints": flat_points(x), "score": 1, "idx": 1} for name, x in at.items()
    ]))  # fmt: skip
    return folder / "k.json"


def coco(folder: Path, at: dict[str, float]) -> Path:
    images = [{"id": 70 + i, "file_name": f"shots/{name}.jpg"} for i, name in enumerate(at)]
    people = [{"image_id": 70 + i, "keypoints": flat_points(x)} for i, x in enumerate(at.values())]
    (folder / "k.json").write_text(json.dumps({"images": images, "annotations": people}))
    return folder / "k.json"


def openpose(folder: Path, at: dict[str, float]) -> Path:
    (folder / "openpose").mkdir()
    for name, x in at.items():
        kp = np.ones((25, 3)) * (x, 32, 1) + np.random.default_rng(0).uniform(-8, 8, (25, 3)) * (1, 1, 0)
        value = {"people": [{"pose_keypoints_2d": kp.ravel().tolist()}]}
        (folder / "openpose" / f"{name}_keypoints.json").write_text(json.dumps(value))
    return folder / "openpose"


@pytest.mark.parametrize("write", [alphapose, coco, openpose])
def test_given_keypoints_belong_to_the_pictures_of_their_names(write: Callable[..., Path], tmp_path: Path):
    """Names count from 1, frames from 0; in 0002 and 0003 nobody was found."""
    names = [f"{i:04}" for i in (1, 4, 5, 6)]
    at = {name: 20.0 + 4 * i for i, name in enumerate(names)}
    given = VideoOptions(detector="given", detector_files=write(tmp_path, at))
    (clip,) = lift(named_pictures(tmp_path / "shots", 6, size=(64, 64)), model=Flat(), video=given).clips
    assert clip.frame_numbers[clip.seen].tolist() == [0, 3, 4, 5]
    hips = clip.kp_img[clip.seen, clip.skeleton.index("pelvis"), 0]
    assert (hips - hips[0]).tolist() == pytest.approx([0, 4, 8, 12], abs=1e-3)
    apart = lift(named_pictures(tmp_path / "apart", 6), model=Flat(), video=given).clips  # sizes differ
    assert [c.meta["name"] for c in apart] == [f"{n}.png" for n in names]
    hips = np.array([c.kp_img[0, c.skeleton.index("pelvis"), 0] for c in apart])
    assert (hips - hips[0]).tolist() == pytest.approx([0, 4, 8, 12], abs=1e-3)


def test_given_keypoints_without_names_go_by_the_place_of_pictures(tmp_path: Path):
    frames = [[{"keypoints": np.reshape(flat_points(20 + 4 * i), (17, 3))[:, :2].tolist()}] for i in range(4)]
    (tmp_path / "k.json").write_text(json.dumps([
        {"frame_id": i, "instances": [{**f, "keypoint_scores": [1.0] * 17} for f in each]}
        for i, each in enumerate(frames)
    ]))  # fmt: skip
    given = VideoOptions(detector="given", detector_files=tmp_path / "k.json")
    for folder, size in (("shots", (64, 64)), ("apart", None)):
        clips = lift(
            named_pictures(tmp_path / folder, 4, size=size), model=Flat(), skeleton="coco17", video=given
        ).clips
        hips = np.concatenate([c.kp_img[:, c.skeleton.index("pelvis"), 0] for c in clips])
        assert (hips - hips[0]).tolist() == pytest.approx([0, 4, 8, 12], abs=1e-3)


def test_what_means_nothing_for_single_pictures(tmp_path: Path):
    Image.fromarray(red_corner(3, 161, 97)).save(tmp_path / "photo.jpg")
    for name, value in (("start", 1.0), ("end", 2.0), ("every", 2), ("detect_every", 2)):
        options = VideoOptions(detector=Paths({0: (80, 48)}), **{name: value})  # type: ignore[arg-type]
        with pytest.raises(InputError, match=rf"photo\.jpg.*{name}: expected a video"):
            lift(tmp_path / "photo.jpg", model=Flat(), video=options)
    for more in ({"fps": 25.0}, {"smooth": "savgol"}, {"plant_feet": True}):
        options = VideoOptions(detector=Paths({0: (80, 48)}))
        with pytest.raises(InputError, match=f"{next(iter(more))}: expected a video"):
            lift(tmp_path / "photo.jpg", model=Flat(), video=options, **more)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="smooth_hz"):
        lift(tmp_path / "photo.jpg", model=Flat(), smooth="none", smooth_hz=3.0)
    with pytest.raises(InputError, match="skeleton: expected mediapipe33"):
        lift(tmp_path / "photo.jpg", model=Flat(), skeleton="coco17")
    with pytest.raises(InputError, match="detector files: expected a detector that takes files"):
        lift(tmp_path / "photo.jpg", model=Flat(), video=VideoOptions(detector_files=tmp_path))
    with pytest.raises(InputError, match="image size: expected 1000 × 1000"):
        lift(tmp_path / "photo.jpg", model=Flat(), image_size=(9, 9), camera={"size_wh": [1000, 1000], "focal": 900.0})


def test_nobody_in_it(video: Path, tmp_path: Path):
    with pytest.raises(InputError, match="nobody in 60 frames"):
        lift(video, model=Flat(), out=tmp_path / "out", video=VideoOptions(detector=Paths()))
    assert not list(tmp_path.iterdir())


def test_options_that_need_pixels(video: Path, tmp_path: Path):
    file = save_keypoints(tmp_path / "k.npz", [walking_clip(5)])
    with pytest.raises(InputError, match="start: expected a video"):
        lift(file, model=Flat(), video=VideoOptions(start=1.0))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="nothing: an empty folder"):
        lift(tmp_path / "nothing", model=Flat(), video=VideoOptions(detector="rtmpose"))
    with pytest.raises(InputError, match="overlay: expected a video"):
        lift(file, model=Flat(), out=tmp_path / "out", formats=["overlay"])
    with pytest.raises(InputError, match="160 × 96"):
        lift(
            video,
            model=Flat(),
            image_size=(96, 160),
            video=VideoOptions(detector=Paths(line(range(60), (9, 9), (0, 0)))),
        )


def test_ctrl_c_leaves_nothing(video: Path, tmp_path: Path):
    threads = threading.active_count()
    for stage in ("finding people", "lifting", "drawing"):

        def press(done: int, total: int | None, what: str, stage: str = stage) -> None:
            if what == stage and done > 5:
                os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            lift(
                video, model=Flat(), out=tmp_path / "out", formats=["overlay"], progress=press,
                video=VideoOptions(detector=Paths(line(range(60), (30, 48), (0, 0)))),
            )  # fmt: skip
        assert list(tmp_path.iterdir()) == [], stage
        assert threading.active_count() == threads, stage


def test_memory_does_not_grow_with_the_video(tmp_path: Path):
    """600 frames of 320 × 240 are 138 MB of pixels."""
    path = write_video(tmp_path / "long.mp4", 600, size_wh=(320, 240))
    people = Paths(line(range(600), (60, 60), (0.2, 0.1)))
    with little_memory(20 << 20):
        lift(path, model=Flat(), out=tmp_path / "out", formats=["overlay"], video=VideoOptions(detector=people))
