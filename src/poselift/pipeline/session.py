"""One run of a camera: each frame is looked at, lifted and shown; at the end they are a recording."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from poselift.detect import Person
from poselift.errors import InputError, OutputError
from poselift.models.base import Lifter
from poselift.pipeline.captured import Captured
from poselift.pipeline.causal import LivePoses
from poselift.pipeline.intrinsics import CameraOptions, choose_camera
from poselift.pipeline.looking import Progress, Watched
from poselift.pipeline.recording import Recording
from poselift.pipeline.refine import Refining
from poselift.structures import Clip
from poselift.structures.conversions import convert
from poselift.structures.tracks import REENTRY_S, Tracker
from poselift.video import Frame
from poselift.video.ahead import Behind
from poselift.video.live import LiveSource

__all__ = ["LiveCamera", "LiveOptions", "Session"]

_PORT = 8080


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """How a camera or stream is watched.

    seconds: it ends after so many (None: at Ctrl-C, or when the camera ends); view: a live page is served, from `port`
    on; say: called with a line as soon as there is something to know.
    """

    seconds: float | None = None
    view: bool = True
    port: int = _PORT
    say: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not 0 < self.seconds < 1e9:
            raise InputError(field="seconds", expected="a positive number", found=self.seconds)

        if not self.view and self.port != _PORT:
            raise InputError(field="port", expected="none without the live page", found=self.port)

    def refuse(self) -> None:
        """Raises `InputError` if anything is asked that only a camera or stream could answer."""
        for name, asked in (("port", self.port != _PORT), ("view", not self.view)):
            if asked:
                want = "a camera or stream as input, which has a live page"
                raise InputError(field=name, expected=want, found=f"{getattr(self, name)} with a file")
        if self.seconds is not None:
            want = "a camera or stream as input (of a video, --start and --end say which part)"
            raise InputError(field="seconds", expected=want, found=f"{self.seconds:g} with a file")


@dataclass(eq=False, kw_only=True)
class LiveCamera:
    """What is done with each frame: the lifter (as `check_causal` allows), refiners, what is known of the camera.

    overlay: the frames are also encoded with the 2D skeletons drawn in.
    """

    lifter: Lifter
    cameras: CameraOptions
    refining: Refining | None = None
    smoothing_hz: float | None = None
    overlay: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


class Session:
    """One run of a camera."""

    def __init__(
        self,
        source: LiveSource,
        recording: Recording,
        camera: LiveCamera,
        live: LiveOptions,
        out: Watched,
        latency: int,
    ) -> None:
        self.source, self.recording, self.camera, self.live, self.out = source, recording, camera, live, out
        chosen = choose_camera(camera.cameras, stated=None, size_wh=source.size_wh, reach=(0.0, 0.0))
        self.poses = LivePoses(
            camera.lifter, camera=chosen.camera, fps=source.fps, refine=camera.refining, hz=camera.smoothing_hz,
            device=camera.device,
        )  # fmt: skip
        self.late = f"The model looks ahead: the 3D figures are {latency} frames late." if latency else ""
        self.tan = source.size_wh[0] / 2 / chosen.camera.focal[0]
        self.waiting: deque[tuple[Frame, float]] = deque()
        self.captured, self.asked = Captured(folder=recording.folder), list[str]()
        self.page = self.video = None
        self.warm_up()

    def warm_up(self) -> None:
        """Everything once, so that the first frames do not wait for libraries."""
        body, (w, h) = self.recording.detector.skeleton, self.source.size_wh
        kp = np.random.default_rng(0).uniform((0, 0), (w, h), (len(body), 2)).astype(np.float32)
        person = Person(kp_img=kp, conf=np.ones(len(body), np.float32), box=np.array([0.0, 0, w, h]))
        tracker = Tracker(fps=self.source.fps)
        for number in range(2):
            tracker.see(number, kp[None], person.conf[None])
        for _ in range(2):
            self.poses.step(0.0, self.clips([person], [0]))
        self.poses.forget()
        if self.camera.refining is not None:
            self.camera.refining.kept = False  # that was nobody

    @contextmanager
    def open(self) -> Iterator[None]:
        """With the live page and the overlay's encoder, where they are wanted."""
        with ExitStack() as stack:
            if self.live.view:
                from poselift.view.stream import LivePage

                notes = ["The newest frame; those that came while it was being worked on are left out."]
                notes += [
                    "Thin bones end in joints that were not seen.",
                    "Up is the camera's; one line per half metre.",
                ]
                self.page = LivePage(
                    title="poselift live", notes=[*notes, *filter(None, [self.late])], port=self.live.port
                )
                stack.callback(lambda: self.page and self.page.close(f"ended: {self.why()}"))
                self.say(f"Open {self.page.url} in a browser; Ctrl-C ends and writes the files.")
            else:
                self.say(f"Looking at {self.source.capture.said}; Ctrl-C ends and writes the files.")
            if self.camera.overlay:
                from poselift.video.encode import open_video

                folder = tempfile.mkdtemp(prefix="poselift-")
                weakref.finalize(self.out, shutil.rmtree, folder, True)
                self.out.drawn[self.source.name] = path = Path(folder) / "overlay.mp4"
                video = stack.enter_context(open_video(path, self.source.fps))
                self.video = stack.enter_context(Behind(lambda item: _draw(video, *item)))
            yield

    def say(self, text: str) -> None:
        if self.live.say is not None:
            self.live.say(text)

    def why(self) -> str:
        """Why it ended."""
        return self.source.ended or "as asked for"

    def frames(self) -> Generator[Frame]:
        """The source's frames; the time spent waiting for them is kept."""
        with closing(self.source.frames()) as frames:
            while True:
                began = time.perf_counter()
                frame = next(frames, None)
                self.out.seconds["wait"] += time.perf_counter() - began
                if frame is None:
                    return
                self.waiting.append((frame, time.monotonic() - self.source.age_s))
                yield frame

    def run(self, found: Iterator[list[Person]], progress: Progress | None) -> None:
        """Everything that happens to a frame, until they end."""
        spent, fps = self.out.seconds, self.source.fps
        tracker, last = Tracker(fps=fps), 0
        while True:
            began, waited = time.perf_counter(), spent["wait"]
            people = next(found, None)
            spent["detect"] += time.perf_counter() - began - (spent["wait"] - waited)
            if people is None:
                return
            began = time.perf_counter()
            frame, came = self.waiting.popleft()
            tracker.max_gap_s = max(REENTRY_S, 3 * (frame.number - last) / fps)  # where few frames are looked at
            last = frame.number
            try:
                self.captured.add(frame.number, frame.seconds)
                ids = self.recording.take(frame.number, people, tracker)
            except OutputError as error:  # a full disk: what came until then can still become files
                self.source.ended = str(error)
                return
            spent["track"] += time.perf_counter() - began
            began = time.perf_counter()
            clips = self.poses.step(frame.seconds, self.clips(people, ids))
            spent["lift live"] += time.perf_counter() - began
            began = time.perf_counter()
            self.show(frame, time.monotonic() - came, clips)
            spent["show"] += time.perf_counter() - began
            if progress is not None:
                progress(len(self.captured), None, "live")

    def clips(self, people: Sequence[Person], ids: Sequence[int]) -> list[Clip]:
        """The people of a frame as Clips of that frame alone, in the lifter's skeleton."""
        body, target = self.recording.detector.skeleton, self.camera.lifter.skeleton.name
        return [
            convert(
                Clip(skeleton=body, fps=self.source.fps, kp_img=p.kp_img[None], conf=p.conf[None], track_id=who), target
            )
            for p, who in zip(people, ids, strict=True)
            if who >= 0
        ]

    def show(self, frame: Frame, behind: float, clips: list[Clip]) -> None:
        self.captured.shown(behind)
        if self.page is not None:
            facts = {"seconds": frame.seconds, "behind_ms": 1000 * behind, "tan": self.tan}
            self.page.show(frame.image, clips, {**facts, "rate": self.captured.rate_now})
        if self.video is not None:
            self.video.put((frame, clips))

    def finish(self) -> Watched:
        """The recording: numbers by the true times, notes. Raises `InputError` where nobody was seen."""
        out, source, captured, n = self.out, self.source, self.captured, len(self.captured)
        if source.ended is not None:
            out.notes.append(f"{source.capture.said}: {source.ended} after {source.seconds:.1f} s; what came is kept.")
        if not len(self.recording.seen):
            why = "" if source.ended is None else f"; {source.ended}"
            found = f"nobody in {n:,} {'frame' if n == 1 else 'frames'}{why}"
            raise InputError(file=source.capture.said, expected="people that the detector can see", found=found)
        given = source.rate
        source.fps, *numbers = captured.numbers(given if source.most is None else min(given, source.most))
        self.recording.seen.renumber(*numbers)
        self.recording.is_ours = False  # people keep the numbers under which they were shown
        w, h = source.size_wh
        out.notes.append(
            f"{n:,} frames of {w} × {h} in {captured.span:.1f} s: {captured.rate:.3g} of the camera's {given:.3g} a "
            f"second, numbered by their times at {source.fps:.4g} per second."
        )
        half, most = captured.behind_ms(0.5), captured.behind_ms(0.95)
        if half is not None:
            out.notes.append(f"A pose was ready {half} ms after its frame had come (median; 95 % within {most} ms).")
        if source.most is not None:
            slower = "" if source.most < 1.1 * given else f", and the stream gives {given:.3g}"
            out.notes.append(f"At most {source.most:g} frames a second were asked for{slower}.")
        out.notes += [*([self.late] if self.late else []), *self.asked, *source.notes]
        out.frames = n
        out.tracks = self.recording.chosen(n)
        out.notes += self.recording.detector.notes
        return out


def _draw(video: object, frame: Frame, clips: Sequence[Clip]) -> None:
    """In the overlay's thread."""
    from poselift.view.overlay import draw_frame

    video.add(frame.number, draw_frame(frame.image, clips))  # type: ignore[attr-defined]
