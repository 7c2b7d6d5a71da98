"""From pixels to Clips: frames are decoded, people found in them and followed, one recording after the other."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poselift.detect import Detector, DetectorOptions, Person, build_detector
from poselift.errors import InputError
from poselift.formats import ReadOptions
from poselift.formats.people import clips_from_rows
from poselift.structures import Camera, Clip
from poselift.structures.tracks import Tracker
from poselift.video import Frame, FrameSource, Selection, kind_of, open_frames
from poselift.video.ahead import ahead
from poselift.video.cuts import Cuts
from poselift.video.live import LiveSource

__all__ = ["Progress", "Recording", "VideoOptions", "Watched", "built_detector", "has_pixels", "watch"]

SHORTEST_S = 0.1
"""Whoever was seen for less than this, in a longer recording, was no person."""

Progress = Callable[[int, int | None, str], None]
"""(done, total or None, stage): frames done, of how many, of what is being done."""


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """How videos and pictures are looked at.

    detector: a name in `DETECTORS`, or a Detector; detector_files: its files, where it needs any; detector_model: the
    model that it uses, where there is a choice, and detector_flip: on mirrored crops, too; max_people: at most so many
    at once; start, end: seconds; every: use one frame in so many; detect_every: look for people in one frame of so
    many and follow them in between (detectors in two stages).
    """

    detector: str | Detector = "mediapipe"
    detector_files: Path | None = None
    detector_model: str | None = None
    detector_flip: bool = False
    max_people: int | None = None
    start: float | None = None
    end: float | None = None
    every: int = 1
    detect_every: int = 1

    def refuse(self) -> None:
        """Raises `InputError` if anything is asked that only pixels could answer."""
        plain = VideoOptions()
        for name in (
            "start", "end", "every", "detect_every", "max_people", "detector_files", "detector_model", "detector_flip",
            "detector",
        ):  # fmt: skip
            if getattr(self, name) != getattr(plain, name):
                want = "a video or pictures as input"
                raise InputError(field=name, expected=want, found="keypoints, which are lifted as they are")


@dataclass(eq=False, kw_only=True)
class Watched:
    """Clips in the detector's skeleton; the recordings they are of, by the name in their meta; notes; seconds.

    drawn: overlays that were made while a camera ran, by the same names; they last as long as this object.
    """

    clips: list[Clip] = field(default_factory=list)
    sources: dict[str, FrameSource] = field(default_factory=dict)
    drawn: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    frames: int = 0

    def times(self, others: dict[str, float]) -> str:
        """A sentence about where the time went: these stages and the others."""
        each = f", {1000 * self.seconds.get('detect', 0) / max(self.frames, 1):.0f} ms a frame"
        spent = {n: s for n, s in {**self.seconds, **others}.items() if s >= 0.05 or n == "detect"}
        return f"Time: {'; '.join(f'{n} {s:.1f} s' + (each if n == 'detect' else '') for n, s in spent.items())}."


def has_pixels(input: Any) -> bool:
    """True for the path of a video, a picture or a folder of pictures."""
    return isinstance(input, (str, Path)) and kind_of(input) is not None


def watch(
    path: str | Path, options: VideoOptions, known: ReadOptions, *, device: str | None, progress: Progress | None = None
) -> Watched:
    """The people in a video, a picture or a folder of pictures, as Clips whose frame numbers are the video's.

    known: what the user says of frame rate, skeleton and camera. Raises `InputError` where nobody is seen at all.
    """
    selection = Selection(start=options.start, end=options.end, every=options.every)
    began = time.perf_counter()
    sources = open_frames(path, selection, fps=known.fps)
    for source in sources:
        _check_size(source, known)
    detector = built_detector(options, known, device, progress)
    out = Watched(seconds={"start": time.perf_counter() - began, "decode": 0.0, "detect": 0.0, "track": 0.0})
    empty = []
    try:
        for source in sources:
            found = Recording(source, detector, options, known, out, progress).clips()
            if not found:
                empty.append(source.path.name)
            out.clips += found
            out.sources[source.name] = source
            out.notes += [n for n in source.notes if n not in out.notes]
    finally:
        detector.close()
    if not out.clips:
        found = f"nobody in {out.frames:,} {'frame' if out.frames == 1 else 'frames'}"
        raise InputError(file=path, expected="people that the detector can see", found=found)
    if empty:
        out.notes.append(f"Nobody was seen in {', '.join(empty[:5])}{' and others' if len(empty) > 5 else ''}.")
    out.notes += detector.notes
    return out


def built_detector(
    options: VideoOptions, known: ReadOptions, device: str | None, progress: Progress | None
) -> Detector:
    """The detector that the options name, or are. Raises `InputError`, `MissingExtraError`."""
    if not isinstance(options.detector, str):
        return options.detector
    asked = DetectorOptions(
        max_people=options.max_people, detect_every=options.detect_every, device=device, files=options.detector_files,
        model=options.detector_model, flip_average=options.detector_flip, skeleton=known.skeleton, every=options.every,
        say=None if progress is None else lambda text: progress(0, None, text),
    )  # fmt: skip
    return build_detector(options.detector, asked)


def _check_size(source: FrameSource, known: ReadOptions) -> None:
    """What the user says of the image size must be so."""
    if known.image_size is not None and tuple(known.image_size) != tuple(source.size_wh):
        w, h = source.size_wh
        said = "{} × {}".format(*known.image_size)
        raise InputError(file=source.path, field="image size", expected=f"{w} × {h}, that of the frames", found=said)


@dataclass(eq=False)
class Recording:
    """One recording, or a running camera, on its way to Clips."""

    source: FrameSource | LiveSource
    detector: Detector
    options: VideoOptions
    known: ReadOptions
    out: Watched
    progress: Progress | None
    number: list[int] = field(default_factory=list)
    track: list[int] = field(default_factory=list)
    kp: list[np.ndarray] = field(default_factory=list)
    conf: list[np.ndarray] = field(default_factory=list)
    waiting: deque[int] = field(default_factory=deque)
    cuts: set[int] = field(default_factory=set)
    is_ours: bool = False  # the numbers of the tracks are our own: they then count from 0 without a gap

    @property
    def fps(self) -> float:
        """That of the recording, or what the user says it was, both at the frames that are used."""
        return self.source.fps if self.known.fps is None else self.known.fps / self.options.every

    def clips(self) -> list[Clip]:
        """The people of the recording; none if nobody was seen."""
        tracker = Tracker(fps=self.fps)
        seconds, frames = self.out.seconds, 0
        with closing(self.decoded()) as images, closing(self.detector.detect(images, still=self.source.still)) as found:  # type: ignore[type-var]
            while True:
                began, waited = time.perf_counter(), seconds["decode"]
                people = next(found, None)
                seconds["detect"] += time.perf_counter() - began - (seconds["decode"] - waited)
                if people is None:
                    break
                began = time.perf_counter()
                number = self.waiting.popleft()
                if number in self.cuts:
                    tracker.end()
                self.take(number, people, tracker)
                seconds["track"] += time.perf_counter() - began
                frames += 1
                if self.progress is not None:
                    self.progress(frames, self.source.count, "finding people")
        self.out.frames += frames
        w, h = self.source.size_wh
        if not self.source.still:
            self.out.notes.append(
                f"{frames:,} {'frame' if frames == 1 else 'frames'} of {w} × {h} at {self.fps:.5g} per second."
            )
        if self.cuts and self.is_ours:
            times = ", ".join(f"{n / self.fps:.1f} s" for n in sorted(self.cuts)[:5])
            more = " and others" if len(self.cuts) > 5 else ""
            self.out.notes.append(
                f"The recording is cut at {times}{more}: who is seen after that counts as somebody new."
            )
        return self.chosen(frames) if self.number else []

    def decoded(self) -> Iterator[Frame]:
        """Frames that a thread decodes; the time spent waiting for it is kept."""
        cuts = Cuts()
        with closing(ahead(self.source.frames)) as frames:  # type: ignore[type-var]
            while True:
                began = time.perf_counter()
                frame = next(frames, None)
                self.out.seconds["decode"] += time.perf_counter() - began
                if frame is None:
                    return
                self.waiting.append(frame.number)
                if cuts.look(frame.image):
                    self.cuts.add(frame.number)
                yield frame

    def take(self, number: int, people: Sequence[Person], tracker: Tracker) -> list[int]:
        """Note the people of a frame under their tracks; the track of each, -1 for nobody."""
        if not people:
            return []
        ids = [p.identity for p in people]
        if None in ids:
            found = tracker.see(number, np.stack([p.kp_img for p in people]), np.stack([p.conf for p in people]))
            ids, self.is_ours = found.tolist(), True
        for person, who in zip(people, ids, strict=True):
            if who is not None and who >= 0:
                self.number.append(number)
                self.track.append(who)
                self.kp.append(person.kp_img)
                self.conf.append(person.conf)
        return [-1 if who is None else who for who in ids]

    def renumber(self, numbers: Mapping[int, int]) -> None:
        """Give frames their final numbers; tracks, which have been shown, keep theirs."""
        self.number = [numbers[n] for n in self.number]
        self.is_ours = False

    def chosen(self, frames: int) -> list[Clip]:
        """Clips of those who were seen long enough, and of no more at once than asked for."""
        number, track = np.array(self.number), np.array(self.track)
        kp, conf = np.stack(self.kp).astype(np.float32), np.stack(self.conf).astype(np.float32)
        ids, counts = np.unique(track, return_counts=True)
        least = SHORTEST_S * self.fps if frames > 2 * SHORTEST_S * self.fps else 0
        keep = ids[counts >= min(least, counts.max())]
        if self.options.max_people is not None:
            keep = _at_most(self.options.max_people, keep, track, number, conf.sum(1))
        if len(keep) < len(ids):
            left = len(ids) - len(keep)
            were = "track was" if left == 1 else "tracks were"
            self.out.notes.append(f"{left} {were} left out: too short, or more people than asked for.")
        rows = np.isin(track, keep)
        source = self.source
        camera = None if source.focal is None else Camera.from_focal(focal=source.focal, size_wh=source.size_wh)
        if camera is not None and self.known.camera is None:
            self.out.notes.append("The focal length is the one that the picture's EXIF data state for it uncropped.")
        return clips_from_rows(
            file=source.path, skeleton=self.detector.skeleton, frame=number[rows], kp_img=kp[rows], conf=conf[rows],
            track=np.unique(track[rows], return_inverse=True)[1] if self.is_ours else track[rows],
            options=ReadOptions(fps=self.fps, camera=self.known.camera), camera=camera, size_wh=source.size_wh,
            meta={"name": source.name, "detector": self.detector.name, "size_wh": source.size_wh}
            | ({"assumed_fps": True} if source.assumed_fps else {}),
        )  # fmt: skip


def _at_most(most: int, ids: np.ndarray, track: np.ndarray, number: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The tracks seen most, left out where already `most` of them are there in one frame."""
    taken: dict[int, int] = {}
    kept = []
    for who in sorted(ids.tolist(), key=lambda i: -float(weight[track == i].sum())):
        when = number[track == who].tolist()
        if all(taken.get(n, 0) < most for n in when):
            kept.append(who)
            for n in when:
                taken[n] = taken.get(n, 0) + 1
    return np.array(kept)
