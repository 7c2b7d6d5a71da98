"""`lift`: a keypoint file, or Clips, to metric absolute 3D, in memory and as files. The same as `poselift lift`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poselift.errors import InputError
from poselift.formats import ReadOptions, read
from poselift.formats.write_npz import open_poses
from poselift.models.base import Lifter
from poselift.models.devices import find_device
from poselift.models.weights import load_model
from poselift.pipeline.intrinsics import CameraOptions
from poselift.pipeline.outputs import OUTPUTS, choose_outputs, write_outputs
from poselift.pipeline.scenes import Scene, make_scenes
from poselift.pipeline.spool import spool
from poselift.pipeline.stage import MIN_JOINTS, Track, lift_tracks
from poselift.storage.atomic import write_folder_aside
from poselift.structures import Camera, Clip
from poselift.structures.conversions import convert
from poselift.structures.windows import fill_gaps
from poselift.view.notes import standard_notes

__all__ = ["Lifted", "lift"]


@dataclass(eq=False)
class Lifted:
    """What `lift` gives back: clips (one per person, unless only poses.npz was asked for), the files that were
    written, by format, and notes for people: what was found and assumed, what the numbers mean."""

    clips: list[Clip]
    files: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def lift(
    input: str | Path | Clip | Sequence[Clip],
    *,
    out: str | Path | None = None,
    model: str | Path | Lifter = "default",
    skeleton: str | None = None,
    format: str | None = None,
    fps: float | None = None,
    focal: float | None = None,
    fov: float | None = None,
    camera: Camera | Mapping[str, Any] | str | Path | None = None,
    image_size: tuple[int, int] | None = None,
    formats: Sequence[str] | None = None,
    batch: int = 4096,
    device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Lifted:
    """Lift 2D keypoints of people to metric 3D.

    input: a keypoint file or folder that `formats.read` knows, or Clips. out: folder for the files, None for none.
    model: a name of `list_models`, a model folder, a Hub name, or a Lifter. skeleton, format, fps: what the input is,
    where it does not say it. camera, or focal (pixels), or fov (degrees across the larger image side), and
    image_size (width, height): what is known of the camera; `pipeline.intrinsics` says what is assumed otherwise.
    formats: names in `OUTPUTS`; None writes all that can be. batch: frames at once. progress(done, total) in frames.

    The clips have p_root (t, 17, 3) metres in the camera's axes minus the root, root_cam (t, 3) metres, the camera, and
    the keypoints in the model's skeleton. Frames in which nobody was seen have confidence 0 (see `lift_tracks`).
    With `formats=("npz",)` and a large native npz, memory does not grow with its length; `clips` is then empty.
    Raises `InputError`, `OutputError`, `MissingExtraError`.
    """
    if not 0 < batch <= 1 << 20:
        raise InputError(field="batch", expected="1 to 1048576 frames", found=batch)
    cameras = CameraOptions.of(camera=camera, focal=focal, fov=fov, image_size=image_size)
    options = ReadOptions(skeleton=skeleton, fps=fps, camera=cameras.camera, size_wh=image_size)
    names, notes = choose_outputs(formats) if out is not None else ([], [])
    if isinstance(input, (str, Path)) and not Path(input).exists():
        raise InputError("no such file or folder", file=input)
    target = find_device(device)
    lifter = (model if isinstance(model, Lifter) else load_model(model)).to(target).eval()
    tracks = _tracks(input, format, options, lifter.skeleton.name, stored=names == ["npz"])
    scenes = make_scenes(tracks, cameras, file=str(input) if isinstance(input, (str, Path)) else "input")
    began = time.perf_counter()
    run = _Run(scenes, lifter, target, batch, progress)
    result = Lifted(clips=[], notes=notes)
    if out is None:
        for scene in scenes:
            result.clips += run.lift(scene)
    else:
        out = Path(out)
        with write_folder_aside(out) as aside:
            for scene in scenes:
                folder = aside / scene.name
                folder.mkdir(exist_ok=True)
                lifted, files = run.write(scene, folder, names)
                result.clips += lifted
                prefix = f"{scene.name}/" if scene.name else ""
                result.files |= {prefix + name: out / scene.name / path.name for name, path in files.items()}
    result.notes = [*run.notes(time.perf_counter() - began), *result.notes]
    return result


def _tracks(
    input: str | Path | Clip | Sequence[Clip], format: str | None, options: ReadOptions, skeleton: str, *, stored: bool
) -> Sequence[Track]:
    """The people of the input in the model's skeleton; in a temporary file where `stored` and that is possible."""

    def ready(clip: Clip) -> Clip:
        return convert(clip.replace(p_root=None, root_cam=None), skeleton)

    if not isinstance(input, (str, Path)):
        clips = [input] if isinstance(input, Clip) else list(input)
        return [ready(fill_gaps(c if options.fps is None else c.replace(fps=options.fps))) for c in clips]
    if stored and format in (None, "poses-npz"):
        tracks = spool(Path(input), options, ready)
        if tracks is not None:
            return tracks
    return [ready(clip) for clip in read(input, format, options)]


class _Run:
    def __init__(
        self,
        scenes: Sequence[Scene],
        lifter: Lifter,
        device: torch.device,
        batch: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.scenes, self.lifter, self.device, self.batch, self.progress = scenes, lifter, device, batch, progress
        self.total, self.done = sum(s.frames for s in scenes), 0
        self.first: Clip | None = None

    def pieces(self, scene: Scene) -> Iterator[tuple[int, Clip]]:
        """Lifted slices of the scene's tracks, in order, with what was assumed in their meta."""
        cameras = [scene.camera.camera] * len(scene.tracks)
        assumed = {"assumed_focal": True} if scene.camera.assumed_focal else {}
        for i, clip in lift_tracks(
            self.lifter, scene.tracks, scene.surveys, cameras, batch=self.batch, device=self.device
        ):
            self.done += len(clip)
            if self.progress is not None:
                self.progress(self.done, self.total)
            clip = clip.replace(meta={**clip.meta, **assumed})
            self.first = self.first or clip[:1]
            yield i, clip

    def lift(self, scene: Scene) -> list[Clip]:
        """The scene's people, lifted, in memory."""
        pieces: list[list[Clip]] = [[] for _ in scene.tracks]
        for i, clip in self.pieces(scene):
            pieces[i].append(clip)
        return [_join(p) for p in pieces]

    def write(self, scene: Scene, folder: Path, names: Sequence[str]) -> tuple[list[Clip], dict[str, Path]]:
        """Write the scene's files; its clips too, unless poses.npz is all that is wanted."""
        if list(names) == ["npz"]:
            path = folder / OUTPUTS["npz"].file
            with open_poses(path) as add:
                for _, clip in self.pieces(scene):
                    add(clip)
            return [], {"npz": path}
        clips = self.lift(scene)
        notes = [*scene.camera.notes, *standard_notes(clips)]
        return clips, write_outputs(clips, folder, names, notes)

    def notes(self, seconds: float) -> list[str]:
        """What was found and assumed, and what the numbers mean, for people."""
        people = sum(len(s.tracks) for s in self.scenes)
        seen = sum(int(v.seen.sum()) for s in self.scenes for v in s.surveys)
        where = "" if len(self.scenes) == 1 else f" in {len(self.scenes)} scenes"
        lines = [
            f"Lifted {seen:,} poses of {people} {'person' if people == 1 else 'people'}{where} in {seconds:.1f} s."
        ]
        if seen < self.total:
            lines.append(
                f"In {self.total - seen:,} frames nobody was seen (fewer than {MIN_JOINTS} joints): "
                "their confidence is 0, their pose leads from the last one seen to the next."
            )
        lines += dict.fromkeys(n for s in self.scenes for n in s.camera.notes)
        return [*lines, *standard_notes([self.first])] if self.first is not None else lines


def _join(pieces: Sequence[Clip]) -> Clip:
    """Consecutive slices of a clip as one."""
    if len(pieces) == 1:
        return pieces[0]
    names = ("kp_img", "conf", "p_root", "root_cam", "frames")
    return pieces[0].replace(**{n: np.concatenate([getattr(p, n) for p in pieces]) for n in names})
