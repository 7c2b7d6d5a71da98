"""`lift`: a keypoint file, or Clips, to metric absolute 3D, in memory and as files. The same as `poselift lift`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from poselift.errors import InputError, OutputError
from poselift.formats import ReadOptions, read
from poselift.models.base import Lifter, RootModel
from poselift.models.devices import find_device
from poselift.pipeline.intrinsics import CameraOptions
from poselift.pipeline.lifters import AUTO, PICTURES, SEQUENCES, choose_lifters
from poselift.pipeline.live import LiveCamera, LiveOptions, watch_live
from poselift.pipeline.locate import PLACED, choose_root
from poselift.pipeline.outputs import choose_outputs
from poselift.pipeline.pictures import check_pictures
from poselift.pipeline.plant import PLANTED, PlantFeet
from poselift.pipeline.refine import REFINED, Refinable, choose_refinement
from poselift.pipeline.run import Lifted, Run, timed
from poselift.pipeline.scenes import make_scenes
from poselift.pipeline.smooth import SMOOTHED, Smoothing
from poselift.pipeline.spool import StoredTrack, spool
from poselift.pipeline.stage import Track
from poselift.pipeline.watch import Progress, VideoOptions, has_pixels, watch
from poselift.storage.atomic import check_folder, write_folder_aside
from poselift.structures import Camera, Clip
from poselift.structures.conversions import convert
from poselift.structures.windows import fill_gaps
from poselift.video.recognise import is_live

__all__ = ["Lifted", "lift"]


def lift(
    input: str | Path | Clip | Sequence[Clip],
    *,
    out: str | Path | None = None,
    model: str | Path | Lifter = AUTO,
    refine: Refinable | Sequence[Refinable] | None = None,
    root_model: str | Path | RootModel | None = None,
    smooth: str | None = None,
    smooth_hz: float | None = None,
    plant_feet: bool = False,
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
    truth: Sequence[Clip] = (),
    video: VideoOptions | None = None,
    live: LiveOptions | None = None,
    progress: Progress | None = None,
) -> Lifted:
    """Lift people in a video, in pictures, before a camera, or in 2D keypoints, to metric 3D.

    input: a video, a picture, a folder of pictures, a keypoint file or folder that `formats.read` knows, Clips, or what
    runs: a camera ("0", "webcam", "/dev/video0") or a stream ("rtsp://…", "http://…"), which is lifted frame by frame
    until it ends, with the one euro filter where no other is named ("none" for none).
    video: how pixels are looked at; live: how a camera is watched. out: folder for the files, None for none.
    model: a name of `list_models`, a model folder, a Hub name, or a Lifter; "auto" is the embedded default of sequences
    or of single pictures, whichever fits (`pipeline.lifters`). refine: a refiner of its poses, likewise,
    or several, one after the other; root_model: gives them the root,
    which is solved for otherwise; without a refiner it says where people stand. smooth: a name in
    `SMOOTHERS`, applied to what these give; smooth_hz: its cut-off, if not its own; plant_feet: feet that
    stand do not slide (`pipeline.plant`), after that. skeleton, format, fps: what the
    input is, where it does not say it. camera, or focal (pixels), or fov (degrees across the larger image side), and
    image_size (width, height): what is known of the camera; `pipeline.intrinsics` says what is assumed otherwise.
    formats: names in `OUTPUTS`; None writes the usual ones. batch: frames at once. truth: the true motion, drawn into
    page and contact sheet. progress(done, total or None, stage) in frames.

    The clips have p_root (t, 17, 3) metres in the camera's axes minus the root, root_cam (t, 3) metres, the camera, and
    the keypoints in the model's skeleton. Frames in which nobody was seen have confidence 0 (see `lift_tracks`).
    With `formats=("npz",)` and a large native npz, memory does not grow with its length (`pipeline.spool`), unless
    `smooth` is given, which takes each person's whole sequence.
    Raises `InputError`, `OutputError`, `MissingExtraError`.
    """
    if not 0 < batch <= 1 << 20:
        raise InputError(field="batch", expected="1 to 1048576 frames", found=batch)
    running = format is None and isinstance(input, str) and is_live(input)
    if running:
        model, smooth = PICTURES if model == AUTO else model, smooth or "one_euro"
    elif live is not None:
        live.refuse()
    size = None if running else image_size  # a camera is asked for it, and may give another one
    cameras = CameraOptions.of(camera=camera, focal=focal, fov=fov, image_size=size)
    options = ReadOptions(skeleton=skeleton, fps=fps, camera=cameras.camera, size_wh=image_size)
    if smooth in (None, "none") and smooth_hz is not None:
        raise InputError(field="smooth_hz", expected="none without a smoother", found=smooth_hz)
    smoothing = None if smooth in (None, "none") else Smoothing(smooth, smooth_hz)
    planting = PlantFeet() if plant_feet else None
    if isinstance(input, (str, Path)) and not running and not Path(input).exists():
        raise InputError("no such file or folder", file=input)
    pixels = running or (format is None and has_pixels(input))
    if video is not None and not pixels:
        if isinstance(input, (str, Path)) and Path(input).is_dir() and not any(Path(input).iterdir()):
            raise InputError("an empty folder", file=input)
        video.refuse()
    names, left_out = choose_outputs(formats, pixels=pixels) if out is not None else ([], [])
    if out is not None:
        check_folder(out)
    source = str(input) if isinstance(input, (str, Path)) else "input"
    result = Lifted()
    with timed(result, "model"):
        target = find_device(device)
        lifters = choose_lifters(model, target)
        lifter, known = lifters.sequences, SEQUENCES if model == AUTO else model
        placing = None if root_model is None or refine else choose_root(root_model, lifter, target)
        given = None if placing else root_model
        refining = choose_refinement(refine, given, lifter=lifter, source=known, device=target)
    seen = None
    if pixels and isinstance(input, (str, Path)):
        looking, aside = video or VideoOptions(), None if out is None else _existing(Path(out))
        if running:
            hz = None if smoothing is None else smoothing.live_hz
            each = LiveCamera(
                lifter=lifter, cameras=cameras, refining=refining, smoothing_hz=hz, overlay="overlay" in names,
                device=target,
            )  # fmt: skip
            seen = watch_live(
                str(input), looking, live or LiveOptions(), options, each,
                device=device, progress=progress, folder=aside,
            )  # fmt: skip
        else:
            over_time = (*(() if smoothing is None else ("smooth",)), *(("plant_feet",) if plant_feet else ()))
            seen = watch(input, looking, options, device=device, progress=progress, folder=aside, over_time=over_time)
        result.seconds |= seen.seconds
        options = replace(options, fps=None)
    with timed(result, "read"):
        store = names == ["npz"] and smoothing is None and planting is None
        found = input if seen is None else seen.tracks
        tracks, stored = _tracks(found, format, options, lifter.skeleton.name, store=store)
        scenes = make_scenes(tracks, cameras, file=source)
        if refining is not None:
            check_pictures(refining, [(t, s.camera.camera) for s in scenes for t in s.tracks])
    sources = {**seen.sources, **seen.drawn} if seen else None
    run = Run(scenes, lifters, refining, placing, smoothing, planting, target, batch, progress, result, sources)
    if out is None:
        result.clips = [clip for scene in scenes for clip in run.lift(scene)]
    else:
        with write_folder_aside(out) as aside, _named(aside, Path(out)):
            for scene in scenes:
                (aside / scene.name).mkdir(exist_ok=True)
                if stored:
                    run.stream(scene, aside / scene.name)
                else:
                    run.write(scene, aside / scene.name, names, truth)
        result.files = {k: [Path(out) / f.relative_to(aside) for f in files] for k, files in result.files.items()}
        _drop_stale(result.files)
    result.notes = [*run.notes(), *left_out]
    if seen is not None:
        result.notes = [*seen.notes, *result.notes, seen.times(result.seconds)]
    return result


def _drop_stale(files: Mapping[str, list[Path]]) -> None:
    """Remove the files of people whom an earlier result in the same folders had and this one has not."""
    written = {f for made in files.values() for f in made}
    for folder, suffix in {(f.parent, f.suffix) for f in written if f.stem.startswith("poses_track")}:
        for file in folder.glob(f"poses_track*{suffix}"):
            if file not in written:
                file.unlink()


@contextmanager
def _named(aside: Path, out: Path) -> Iterator[None]:
    """Complaints about files in the temporary folder name them as they would have been called."""
    try:
        yield
    except OutputError as error:
        raise OutputError(str(error).replace(str(aside), str(out))) from error


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next((f for f in (folder, *folder.absolute().parents) if f.is_dir()), Path())


@dataclass(frozen=True)
class _Changed:
    """A stored track, each slice of which is passed through `change`."""

    track: StoredTrack
    change: Callable[[Clip], Clip]

    def __len__(self) -> int:
        return len(self.track)

    def __getitem__(self, frames: slice, /) -> Clip:
        return self.change(self.track[frames])


def _tracks(
    input: str | Path | Clip | Sequence[Track], format: str | None, options: ReadOptions, skeleton: str, *, store: bool
) -> tuple[Sequence[Track], bool]:
    """The people of the input in the model's skeleton, and whether they are in a temporary file (tried if `store`)."""

    stale = {*REFINED, PLACED, SMOOTHED, PLANTED} | (set() if options.fps is None else {"assumed_fps"})

    def ready(clip: Clip) -> Clip:
        meta = {k: v for k, v in clip.meta.items() if k not in stale}
        return convert(clip.replace(p_root=None, root_cam=None, meta=meta), skeleton)

    def filled(clip: Clip) -> Clip:
        return ready(fill_gaps(clip if options.fps is None else clip.replace(fps=options.fps)))

    if not isinstance(input, (str, Path)):
        each = [input] if isinstance(input, Clip) else list(input)
        stored = [isinstance(t, StoredTrack) for t in each]
        return [_Changed(t, ready) if isinstance(t, StoredTrack) else filled(t[:]) for t in each], store and any(stored)
    if store and format in (None, "poses-npz"):
        tracks = spool(Path(input), options, ready)
        if tracks is not None:
            return tracks, True
    return [ready(clip) for clip in read(input, format, options)], False
