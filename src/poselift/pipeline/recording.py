"""One recording, or a running camera, on its way to tracks: people are found in its frames and followed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from poselift.detect import Detector, Person
from poselift.errors import InputError
from poselift.formats import ReadOptions
from poselift.pipeline.looking import Progress, VideoOptions, Watched
from poselift.pipeline.sightings import Sightings
from poselift.pipeline.spool import LARGE_BYTES
from poselift.pipeline.stage import Track
from poselift.structures import Camera, Clip
from poselift.structures.tracks import Tracker
from poselift.video import Frame, FrameSource
from poselift.video.ahead import ahead
from poselift.video.cuts import Cuts
from poselift.video.live import LiveSource

__all__ = ["Recording"]

SHORTEST_S = 0.1
"""Whoever was seen for less than this, in a longer recording, was no person."""


@dataclass(eq=False)
class Recording:
    """One recording, or a running camera, on its way to tracks.

    folder: where what is seen is stored for the time being; None for the system's own place.
    """

    source: FrameSource | LiveSource
    detector: Detector
    options: VideoOptions
    known: ReadOptions
    out: Watched
    progress: Progress | None
    folder: Path | None = None
    waiting: deque[int] = field(default_factory=deque)
    cuts: set[int] = field(default_factory=set)
    is_ours: bool = False  # the numbers of the tracks are our own: they then count from 0 without a gap

    def __post_init__(self) -> None:
        self.seen = Sightings(len(self.detector.skeleton), folder=self.folder)

    @property
    def fps(self) -> float:
        """That of the recording, or what the user says it was, both at the frames that are used."""
        return self.source.fps if self.known.fps is None else self.known.fps / self.options.every

    def tracks(self) -> list[Track]:
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
        return self.chosen(frames) if len(self.seen) else []

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
        mine: dict[int, Person] = {}
        for person, who in zip(people, ids, strict=True):
            if who is not None and who >= 0 and (who not in mine or person.conf.sum() > mine[who].conf.sum()):
                mine[who] = person
        for who, person in mine.items():
            self.seen.add(number, who, person.kp_img, person.conf)
        return [-1 if who is None else who for who in ids]

    def chosen(self, frames: int) -> list[Track]:
        """Those who were seen long enough, and no more at once than asked for; from `LARGE_BYTES` on, stored."""
        number, track, weight = self.seen.columns()
        ids, counts = np.unique(track, return_counts=True)
        least = SHORTEST_S * self.fps if frames > 2 * SHORTEST_S * self.fps else 0
        keep = ids[counts >= min(least, counts.max())]
        if self.options.max_people is not None:
            keep = _at_most(self.options.max_people, keep, track, number, weight)
        if len(keep) < len(ids):
            left = len(ids) - len(keep)
            were = "track was" if left == 1 else "tracks were"
            self.out.notes.append(f"{left} {were} left out: too short, or more people than asked for.")
        source, body = self.source, self.detector.skeleton
        camera = None if source.focal is None else Camera.from_focal(focal=source.focal, size_wh=source.size_wh)
        if camera is not None and self.known.camera is None:
            self.out.notes.append("The focal length is the one that the picture's EXIF data state for it uncropped.")
        meta = {"name": source.name, "detector": self.detector.name, "size_wh": source.size_wh}
        nobody = Clip(
            skeleton=body, fps=self.fps, kp_img=np.zeros((0, len(body), 2)), camera=self.known.camera or camera,
            meta=meta | ({"assumed_fps": True} if source.assumed_fps else {}),
        )  # fmt: skip
        names = range(len(keep)) if self.is_ours else keep.tolist()
        try:
            tracks = self.seen.tracks(keep, [nobody.replace(track_id=n) for n in names])
            return [*tracks] if self.seen.nbytes >= LARGE_BYTES else [t[:] for t in tracks]
        except InputError as error:
            raise InputError(str(error), file=source.path) from None


def _at_most(most: int, ids: np.ndarray, track: np.ndarray, number: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The tracks seen most, left out where already `most` of them are there in one frame; in order."""
    frame = np.unique(number, return_inverse=True)[1]
    taken = np.zeros(len(frame), np.int64)
    kept = []
    for who in sorted(ids.tolist(), key=lambda i: -float(weight[track == i].sum())):
        when = frame[track == who]
        if (taken[when] < most).all():
            kept.append(who)
            taken[when] += 1
    return np.array(sorted(kept))
