"""One call of `lift` from its scenes to what it gives back: poses slice by slice, files, notes, times."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poselift.formats.write_npz import open_poses
from poselift.pipeline.lifters import Lifters
from poselift.pipeline.locate import Placing
from poselift.pipeline.outputs import OUTPUTS, Caption, write_output
from poselift.pipeline.plant import PlantFeet
from poselift.pipeline.refine import Refining
from poselift.pipeline.scenes import Scene
from poselift.pipeline.smooth import Smoothing
from poselift.pipeline.stage import MIN_JOINTS, lift_tracks
from poselift.pipeline.watch import Progress
from poselift.structures import Clip
from poselift.structures.uncertainty import FOCAL_SD, RootError
from poselift.video import FrameSource
from poselift.view.notes import standard_notes

__all__ = ["Lifted", "Run", "timed"]


@dataclass(eq=False, kw_only=True)
class Lifted:
    """What `lift` gives back.

    clips: one per person (none if they went from one large file straight into another); files: by format, or by
    scene/format where the input holds several scenes; notes: what was found and assumed, and what the numbers mean;
    seconds: wall time by stage (read, model, lift) and format.
    """

    clips: list[Clip] = field(default_factory=list)
    files: dict[str, list[Path]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def timed(result: Lifted, stage: str) -> Iterator[None]:
    """Adds the wall time of what is done within to the result's seconds."""
    began = time.perf_counter()
    yield
    result.seconds[stage] = result.seconds.get(stage, 0.0) + time.perf_counter() - began


class Run:
    """One call of `lift`: its scenes on their way through lifter, refiner and files."""

    def __init__(
        self,
        scenes: Sequence[Scene],
        lifters: Lifters,
        refining: Refining | None,
        placing: Placing | None,
        smoothing: Smoothing | None,
        planting: PlantFeet | None,
        device: torch.device,
        batch: int,
        progress: Progress | None,
        result: Lifted,
        sources: Mapping[str, FrameSource | Path] | None = None,
    ) -> None:
        self.scenes, self.lifters, self.refining, self.device = scenes, lifters, refining, device
        self.placing, self.smoothing, self.planting = placing, smoothing, planting
        self.batch, self.progress, self.result = batch, progress, result
        self.sources = sources or {}
        self.total, self.done = sum(s.frames for s in scenes), 0
        self.first: Clip | None = None

    def pieces(self, scene: Scene) -> Iterator[tuple[int, Clip]]:
        """Lifted slices of the scene's tracks, in order, with what was assumed in their meta."""
        cameras = [scene.camera.camera] * len(scene.tracks)
        assumed = scene.camera.assumed_focal
        said: dict[str, Any] = RootError(focal=FOCAL_SD if assumed else 0.0).to_meta()
        said |= {"assumed_focal": True} if assumed else {}
        for stage in (self.refining, self.placing):
            said |= {} if stage is None else stage.meta
        for lifter, a, b in self.lifters.groups(scene.tracks):
            for i, clip in lift_tracks(
                lifter,
                scene.tracks[a:b],
                scene.surveys[a:b],
                cameras[a:b],
                refine=self.refining,
                root_model=None if self.placing is None else self.placing.model,
                batch=self.batch,
                device=self.device,
            ):
                self.done += len(clip)
                if self.progress is not None:
                    self.progress(self.done, self.total, "lifting")
                rest = {k: v for k, v in clip.meta.items() if k != "assumed_focal"}
                clip = clip.replace(meta={**rest, **said})
                self.first = self.first or clip[:1]
                yield a + i, clip

    def lift(self, scene: Scene) -> list[Clip]:
        """The scene's people, lifted, in memory."""
        pieces: list[list[Clip]] = [[] for _ in scene.tracks]
        with timed(self.result, "lift"):
            for i, clip in self.pieces(scene):
                pieces[i].append(clip)
            clips = [_join(p) for p in pieces]
            clips = clips if self.smoothing is None else [self.smoothing(clip) for clip in clips]
            return clips if self.planting is None else self.planting(clips)

    def stream(self, scene: Scene, folder: Path) -> None:
        """poses.npz, slice by slice."""
        path = folder / OUTPUTS["npz"].file
        with timed(self.result, "lift"), open_poses(path) as add:
            for _, clip in self.pieces(scene):
                add(clip)
        self.result.files[_key(scene, "npz")] = [path]

    def write(self, scene: Scene, folder: Path, names: Sequence[str], truth: Sequence[Clip]) -> None:
        """The scene's clips and files."""
        clips = self.lift(scene)
        self.result.clips += clips
        notes = [*self.refined(), *scene.camera.notes, *standard_notes(clips)]
        told = self.progress
        caption = Caption(
            title=scene.name or "poselift", notes=notes, truth=truth,
            frames=self.sources.get(str(scene.tracks[0][:1].meta.get("name"))),
            progress=None if told is None else lambda done, total: told(done, total, "drawing"),
        )  # fmt: skip
        for name in names:
            with timed(self.result, name):
                self.result.files[_key(scene, name)] = write_output(name, clips, folder, caption)

    def refined(self) -> list[str]:
        """Notes about refiner, root model, smoothing and planted feet, if there are any."""
        refiner = [] if self.refining is None else self.refining.all_notes()
        stages = (self.placing, self.smoothing, self.planting)
        return [*refiner, *(stage.note for stage in stages if stage is not None)]

    def notes(self) -> list[str]:
        """What was found and assumed, and what the numbers mean, for people."""
        people = sum(len(s.tracks) for s in self.scenes)
        seen = sum(int(v.seen.sum()) for s in self.scenes for v in s.surveys)
        who = f"{people} {'person' if people == 1 else 'people'}"
        where = "" if len(self.scenes) == 1 else f" in {len(self.scenes)} scenes"
        poses = "1 pose" if seen == 1 else f"{seen:,} poses"
        lines = [f"Lifted {poses} of {who}{where} in {self.result.seconds['lift']:.1f} s."]
        if seen < self.total:
            lines.append(
                f"Under {self.total - seen:,} frame numbers nobody was seen (fewer than {MIN_JOINTS} joints, or the "
                "recording has no such frame): their confidence is 0, their pose leads from the last seen to the next."
            )
        lines += self.lifters.notes([t for s in self.scenes for t in s.tracks])
        lines += self.refined()
        lines += dict.fromkeys(n for s in self.scenes for n in s.camera.notes)
        return [*lines, *standard_notes(self.result.clips or [self.first])] if self.first is not None else lines


def _key(scene: Scene, name: str) -> str:
    return f"{scene.name}/{name}" if scene.name else name


def _join(pieces: Sequence[Clip]) -> Clip:
    """Consecutive slices of a clip as one."""
    if len(pieces) == 1:
        return pieces[0]
    names = ("kp_img", "conf", "p_root", "root_cam", "frames")
    return pieces[0].replace(**{n: np.concatenate([getattr(p, n) for p in pieces]) for n in names})
