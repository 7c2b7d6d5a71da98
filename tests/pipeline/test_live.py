"""Live: the poses of afterwards, frame by frame; files with true times; every way in which a camera can end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flat_lifter import CAMERA, Flat, pose, root, walking_clip
from models.test_streaming import filled
from onnx_detectors import boxes_model, pose_model
from pipeline.test_refine import erd
from pipeline.test_watch import BODY
from poselift.detect import Person
from poselift.detect.base import box_around
from poselift.errors import InputError, OutputError
from poselift.models.predict import Refinement
from poselift.models.weights import load_model
from poselift.pipeline.captured import Captured, renumbered
from poselift.pipeline.causal import LivePoses
from poselift.pipeline.lift import lift
from poselift.pipeline.live import LiveOptions
from poselift.pipeline.stage import lift_tracks, survey
from poselift.pipeline.watch import VideoOptions
from poselift.structures import skeleton
from poselift.structures.smoothing import OneEuro, smooth
from poselift.video import Frame
from streams import streamed
from video_files import write_video

QUIET = LiveOptions(view=False)


class ByTime:
    """A detector that sees one person, who moves 40 pixels a second to the right; frames take their time."""

    name = "by time"
    notes = ()

    def __init__(self, *, slow: float = 0.0, press: int | None = None, people: int = 1) -> None:
        self.skeleton, self.slow, self.press, self.people = skeleton("coco17"), slow, press, people
        self.times: list[float] = []
        self.closed = 0

    def detect(self, frames: Iterable[Frame], *, still: bool = False) -> Iterator[list[Person]]:
        for i, frame in enumerate(frames):
            self.times.append(frame.seconds)
            time.sleep(self.slow)
            if i == self.press:
                os.kill(os.getpid(), signal.SIGINT)
            kp = BODY + np.array([20 + 40 * frame.seconds, 48], np.float32)
            conf = np.full(17, 0.9, np.float32)
            yield [Person(kp_img=kp, conf=conf, box=box_around(kp, conf), score=0.9)] * self.people

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "a.ts", 50, size_wh=(160, 96), fps=25)


def test_files_as_of_a_video_with_true_times(video: Path, tmp_path: Path):
    people, out = ByTime(slow=0.1), tmp_path / "out"
    with streamed(video) as address:
        lifted = lift(
            address, model=Flat(), out=out, formats=["npz", "csv", "overlay"], smooth="none", live=QUIET,
            video=VideoOptions(detector=people),
        )  # fmt: skip
    (clip,) = lifted.clips
    assert people.closed == 1
    assert sorted(p.name for p in out.iterdir()) == ["overlay.mp4", "poses.csv", "poses.npz"]
    assert clip.camera is not None
    assert clip.camera.size_wh == (160, 96)
    assert 3 < clip.fps <= 25
    seen = clip.frame_numbers[clip.seen]
    assert len(seen) == len(people.times) < 30
    assert seen / clip.fps == pytest.approx(np.array(people.times), abs=1.01 / clip.fps)
    hip = clip.kp_img[clip.seen, clip.skeleton.index("l_hip"), 0]
    assert (hip - hip[0]) / 40 == pytest.approx(seen / clip.fps, abs=1.01 / clip.fps)
    said = " ".join(lifted.notes)
    for word in ("of the camera's 25 a second", "A pose was ready", "the stream ended after", "what came is kept"):
        assert word in said
    import av

    with av.open(str(out / "overlay.mp4")) as overlay:
        drawn = [f.time for f in overlay.decode(video=0)]
    assert drawn == pytest.approx(people.times, abs=0.03)


def test_one_euro_unless_said_otherwise(video: Path):
    with streamed(video) as address:
        lifted = lift(
            address, model=Flat(), image_size=(160, 96), live=LiveOptions(view=False, seconds=0.5), video=watching()
        )
    assert not any("was asked for" in note for note in lifted.notes), "a stream cannot be asked for a size"
    assert lifted.clips[0].meta["smoothed"].startswith("one_euro")
    assert (lifted.clips[0].frame_numbers / lifted.clips[0].fps).max() < 0.6


def test_a_stream_is_looked_at_as_often_as_asked_for(video: Path):
    people = ByTime()
    with streamed(video) as address:
        lifted = lift(address, model=Flat(), fps=5, live=QUIET, video=VideoOptions(detector=people))
    assert 4 <= len(people.times) <= 11
    assert (np.diff(people.times) > 0.11).all()
    assert lifted.clips[0].fps == pytest.approx(5, rel=0.3)
    assert "At most 5 frames a second were asked for." in lifted.notes
    with streamed(video) as address:
        more = lift(
            address,
            model=Flat(),
            fps=60,
            live=LiveOptions(view=False, seconds=0.5),
            video=VideoOptions(detector=ByTime()),
        )
    assert "At most 60 frames a second were asked for, and the stream gives 25." in more.notes


def test_a_stream_has_the_size_that_it_has(video: Path):
    camera = {"size_wh": [64, 48], "focal": 60.0}
    for asked in ({"image_size": (64, 48)}, {"camera": camera}):
        with streamed(video) as address, pytest.raises(InputError, match=r"image size: expected 160 × 96.*64 × 48"):
            lift(address, model=Flat(), live=QUIET, video=watching(), **asked)  # type: ignore[arg-type]


def watching(**options: object) -> VideoOptions:
    return VideoOptions(detector=ByTime(**options))  # type: ignore[arg-type]


def test_ctrl_c_ends_the_camera_and_keeps_what_came(video: Path, tmp_path: Path):
    said: list[str] = []
    handler, threads = signal.getsignal(signal.SIGINT), threading.active_count()
    with streamed(video) as address:
        lifted = lift(
            address, model=Flat(), out=tmp_path / "out", formats=["npz"], video=watching(press=4),
            live=LiveOptions(view=False, say=said.append),
        )  # fmt: skip
    assert len(lifted.clips[0].seen) >= 5
    assert (tmp_path / "out" / "poses.npz").is_file()
    assert any("Ending" in line for line in said)
    assert signal.getsignal(signal.SIGINT) is handler
    assert threading.active_count() == threads


def test_ctrl_c_again_drops_it(video: Path, tmp_path: Path):
    def press(done: int, total: int | None, stage: str) -> None:
        if stage == "lifting":
            os.kill(os.getpid(), signal.SIGINT)

    with streamed(video) as address, pytest.raises(KeyboardInterrupt):
        lift(
            address, model=Flat(), out=tmp_path / "out", formats=["npz", "overlay"], video=watching(press=4),
            live=QUIET, progress=press,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_from_a_shell(video: Path, tmp_path: Path):
    """The command itself, with a detector of ONNX files and its live page."""
    onnx = tmp_path / "onnx"
    onnx.mkdir()
    boxes_model(onnx / "yolox.onnx", np.array([[5.0, 5, 30, 40, 0.9]]), [0])
    pose_model(onnx / "pose.onnx")
    path = write_video(tmp_path / "long.ts", 2000, size_wh=(64, 48), fps=25)
    out = tmp_path / "out"
    with streamed(path) as address:
        argv = [sys.executable, "-m", "poselift", "lift", address, "-o", str(out), "--formats", "npz"]
        argv += ["--detector", "rtmpose", "--detector-files", str(onnx), "--port", "18180"]
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
        running = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        assert running.stdout is not None
        assert running.stdout.readline().startswith("Open http://127.0.0.1:")
        time.sleep(2)
        running.send_signal(signal.SIGINT)
        said, complaints = running.communicate(timeout=120)
    assert running.returncode == 0, complaints
    assert complaints == ""
    assert "Ending" in said
    data = np.load(out / "poses.npz")
    assert len(data["frame"]) > 0
    assert np.isfinite(data["p_root"]).all()


def test_lost_in_the_middle(video: Path, tmp_path: Path):
    with streamed(video, part=0.5) as address:
        lifted = lift(address, model=Flat(), out=tmp_path / "out", formats=["npz"], live=QUIET, video=watching())
    assert "what came is kept" in lifted.notes[0]
    assert (tmp_path / "out" / "poses.npz").is_file()


def test_nobody_before_the_camera(video: Path, tmp_path: Path):
    with streamed(video) as address, pytest.raises(InputError, match=r"nobody in .* frames; the stream ended"):
        lift(address, model=Flat(), out=tmp_path / "out", live=QUIET, video=watching(people=0))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_asked_of_a_camera(video: Path, tmp_path: Path):
    with pytest.raises(InputError, match="start: expected a video"):
        lift("97", live=QUIET, video=VideoOptions(start=3.0))
    with pytest.raises(InputError, match=r"detector_files: expected what finds .*boxes\.json"):
        lift("97", live=QUIET, video=VideoOptions(detector="resnet", detector_files=tmp_path / "boxes.json"))
    with pytest.raises(InputError, match="lifter of single frames"):
        lift("97", model="default-sequence", live=QUIET)
    with pytest.raises(InputError, match="--start and --end"):
        lift(video, model=Flat(), live=LiveOptions(seconds=3.0), video=watching())
    each: tuple[dict[str, Any], ...] = ({"port": 9000}, {"view": False})
    for given in each:
        with pytest.raises(InputError, match=f"{next(iter(given))}: expected a camera or stream"):
            lift(video, model=Flat(), live=LiveOptions(**given), video=watching())
    with pytest.raises(InputError, match="port: expected none"):
        LiveOptions(view=False, port=9000)
    with pytest.raises(InputError, match="seconds"):
        LiveOptions(seconds=0.0)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a file of that name"):
        lift("97", model=Flat(), out=tmp_path / "file", live=QUIET)


def live(poses: LivePoses, clip_frames: list, fps: float) -> tuple[np.ndarray, np.ndarray]:
    done = [poses.step(i / fps, [c])[0] for i, c in enumerate(clip_frames)]
    none = np.full((1, 17, 3), np.nan)
    p = [none if c.p_root is None else c.p_root for c in done]
    r = [none[:, 0] if c.root_cam is None else c.root_cam for c in done]
    return np.concatenate(p), np.concatenate(r)


@pytest.mark.parametrize("name", ["default", "causal", "ahead"])
def test_live_poses_are_those_of_afterwards(name: str):
    clip = walking_clip(60)
    lifter = load_model("default") if name == "default" else filled({"causal": name == "causal"})
    poses = LivePoses(lifter.eval(), camera=CAMERA, fps=25)
    assert poses.latency == (13 if name == "ahead" else 0)
    p, r = live(poses, [clip[i : i + 1] for i in range(60)], 25)
    ((_, whole),) = lift_tracks(lifter, [clip], [survey(clip)], [CAMERA])
    late = poses.latency
    assert np.isnan(p[:late]).all()
    assert p[late:] == pytest.approx(pose(whole)[: 60 - late], abs=1e-4)
    if name == "default":  # the roots of lifters of several frames are steadied afterwards
        assert r == pytest.approx(root(whole), abs=1e-3)


def test_live_smoothing_is_that_of_afterwards_and_people_come_and_go():
    clip, other = walking_clip(40), walking_clip(40, track_id=1, seed=5)
    poses = LivePoses(Flat(), camera=CAMERA, fps=25, hz=1.5)
    for i in range(40):
        here = [clip[i : i + 1], other[i : i + 1]] if 10 <= i < 30 else [clip[i : i + 1]]
        done = poses.step(i / 25, here)
        if i == 29:
            theirs = pose(done[1])
    ((_, plain),) = lift_tracks(Flat(), [clip], [survey(clip)], [CAMERA])
    expected = smooth("one_euro", pose(plain), fps=25, hz=1.5)[-1]
    assert pose(done[0])[0] == pytest.approx(expected, abs=1e-4)
    ((_, plain),) = lift_tracks(Flat(), [other[10:30]], [survey(other[10:30])], [CAMERA])
    assert theirs[0] == pytest.approx(smooth("one_euro", pose(plain), fps=25, hz=1.5)[-1], abs=1e-4)


def test_too_few_joints_have_no_pose_and_the_gone_are_forgotten():
    clip = walking_clip(3)
    conf = clip.confidence.copy()
    conf[1, 3:] = 0
    poses = LivePoses(Flat(), camera=CAMERA, fps=25)
    frames = [clip.replace(conf=conf)[i : i + 1] for i in range(3)]
    done = [poses.step(i / 25, [c])[0] for i, c in enumerate(frames)]
    assert [c.p_root is None for c in done] == [False, True, False]
    poses.step(10.0, [])
    assert poses._people == {}


def test_nothing_is_refined_before_its_first_pose():
    clip, given = walking_clip(20), []

    def refine(kp: Tensor, conf: Tensor, p: Tensor, K: Tensor) -> Tensor:
        given.append(p.clone())
        return p

    poses = LivePoses(filled({"causal": False}).eval(), camera=CAMERA, fps=25, refine=refine)
    live(poses, [clip[i : i + 1] for i in range(20)], 25)
    assert len(given) == 20 - poses.latency
    assert all(bool(p.isfinite().all()) for p in given)


class Leap(Refinement):
    """Moves joints further than a refiner may, of keypoints all over the picture, which the first go is made with."""

    def frames(self, kp_img: Tensor, conf: Tensor, p_root: Tensor, K: Tensor) -> Tensor:
        wide = (kp_img[..., 0].amax(1) - kp_img[..., 0].amin(1)) > 80
        far = 5 * torch.arange(p_root.shape[1])[:, None]
        return torch.where(wide[:, None, None], p_root + far, p_root)


def test_the_first_go_leaves_no_note(video: Path):
    with streamed(video) as address:
        lifted = lift(
            address,
            model=Flat(),
            refine=Leap(refiner=erd(still=True)),
            live=LiveOptions(view=False, seconds=0.5),
            video=watching(),
        )
    assert not any("Where refining would have moved" in line for line in lifted.notes)


def test_one_euro_over_a_gap():
    x = np.cumsum(np.random.default_rng(0).normal(0, 0.02, (30, 4, 3)), 0)
    weight = np.ones((30, 4))
    weight[12:15] = 0
    whole = smooth("one_euro", x, fps=30, weight=weight)
    each = OneEuro(fps=30, hz=1.5)
    steps = [each.step(x[i], weight[i], 4.0 if i == 15 else 1.0) for i in range(30) if not 12 <= i < 15]
    assert np.stack(steps[12:]) == pytest.approx(whole[15:], abs=1e-12)


def test_numbers_from_times():
    rng = np.random.default_rng(0)
    steady = np.arange(300) / 30 + rng.normal(0, 0.003, 300)
    fps, numbers = renumbered(np.sort(steady), 30)
    assert fps == pytest.approx(30, rel=0.01)
    assert np.ptp(numbers - np.arange(300)) <= 1
    third = np.arange(0, 300, 3) / 30
    fps, numbers = renumbered(third, 30)
    assert fps == pytest.approx(10)
    assert numbers.tolist() == list(range(100))
    mixed = np.cumsum(rng.choice([1, 2, 3], 200)) / 30
    fps, numbers = renumbered(mixed, 30)
    assert fps == pytest.approx(30)
    assert numbers / fps == pytest.approx(mixed - mixed[0], abs=1 / fps)
    assert renumbered(np.zeros(0), 30)[1].tolist() == []
    assert renumbered(np.array([3.0]), 30)[1].tolist() == [0]
    faster = np.arange(100) / 60  # than the camera says
    fps, numbers = renumbered(faster, 30)
    assert numbers / fps == pytest.approx(faster, abs=1 / fps)


def test_latency_is_counted_in_constant_memory():
    captured = Captured()
    assert captured.behind_ms(0.5) is None
    for i in range(100):
        captured.add(i, i / 25)
        captured.shown(5.0 if i < 3 else 0.030 + 0.0005 * (i % 20))
    assert captured.behind_ms(0.5) in (35, 36)
    assert captured.behind_ms(0.95) in (39, 40)
    assert captured.rate == pytest.approx(25)
    assert captured.rate_now == pytest.approx(25)
