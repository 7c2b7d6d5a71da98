"""Arguments of `poselift lift`, `demo`, `view` and `models`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from poselift.errors import InputError

if TYPE_CHECKING:
    from poselift.pipeline.lift import Lifted

__all__ = ["Demo", "Lift", "Models", "View", "show_progress"]

Out = Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
Number = Annotated[float | None, arg(metavar="NUMBER")]
Name = Annotated[str | None, arg(metavar="NAME")]
Chain = Annotated[tuple[str, ...], UseAppendAction, arg(metavar="NAME|DIR")]
File = Annotated[Path | None, arg(metavar="FILE")]
Size = Annotated[tuple[int, int] | None, arg(metavar="W H")]


@dataclass(frozen=True, kw_only=True)
class Lift:
    """Lift the people in a video, a picture, a folder of pictures, before a camera, or in keypoints into metric 3D.

    Writes poses.npz, poses.json, poses.csv, BVH, a web page and a contact sheet into DIR, and of a video or picture
    an overlay with the 2D skeletons.
    """

    input: Positional[Annotated[str, arg(metavar="INPUT")]]
    """Video, picture, folder of pictures; what runs: a camera (0, webcam, /dev/video0) or a stream (rtsp://...,
    http://...), seen live in the browser until Ctrl-C; or keypoints: native npz or JSON, COCO, OpenPose, AlphaPose,
    mmpose, MediaPipe, VideoPose3D, array."""
    out: Out
    """Folder for the results; made if it is not there."""
    model: Annotated[str, arg(metavar="NAME|DIR")] = "auto"
    """Weights: a name of `poselift models`, a folder, or a Hugging Face repository; auto: default-sequence for people
    who are followed over several frames, default for single pictures."""
    refine: Chain = ()
    """Refiner that corrects the lifted poses: a name, a folder, or a Hugging Face repository; given again, the next."""
    root_model: Annotated[str | None, arg(metavar="NAME|DIR")] = None
    """Model that tells a refiner where the person stands, or says so itself where there is none (solved otherwise)."""
    smooth: Name = None
    """Smooth the result over time: savgol, gaussian (no lag), one_euro (causal; of a camera, unless this is none)."""
    smooth_hz: Number = None
    """Cut-off of the smoothing in Hz: less is smoother (6; one_euro 1.5, and more in movement)."""
    plant_feet: Annotated[bool, arg(name="plant-feet")] = False
    """Feet that stand stay where they are: root and legs give way, bones keep their lengths. Best with --smooth."""
    skeleton: Name = None
    """Joint layout of the input where the file does not say it: coco17, h36m17, halpe26, body25, ..."""
    format: Name = None
    """Format of the input where it is not recognised."""
    fps: Number = None
    """Frames per second of the input where the file does not say it (30 otherwise); a camera is asked for them, and
    of a stream at most so many are looked at."""
    focal: Number = None
    """Focal length in pixels."""
    fov: Number = None
    """Field of view in degrees across the larger image side (55 where nothing is known)."""
    camera: File = None
    """JSON file with the camera: size_wh and one of K, focal, fov_deg; optionally dist and T_cam_world."""
    image_size: Size = None
    """Image width and height in pixels where the file does not say them; a camera is asked for them, and of anything
    else with pixels it must be the frames' own."""
    formats: Annotated[str, arg(metavar="LIST")] = ""
    """What to write, with commas: npz,json,csv,bvh,html,png,overlay (these where nothing is said), glb,trc,mot,c3d."""
    batch: Annotated[int, arg(metavar="N")] = 4096
    """Frames lifted at once."""
    device: Name = None
    """cpu, cuda, cuda:1, mps; the first accelerator where nothing is said."""
    detector: Annotated[str, arg(metavar="NAME")] = "mediapipe"
    """What finds people and 2D joints in pixels: mediapipe; rtmpose (published models, or your ONNX files); resnet (a
    Pose ResNet of yours); vitpose (of the Hugging Face Hub); given (your keypoint file)."""
    detector_files: Annotated[Path | None, arg(metavar="DIR|FILE")] = None
    """Folder with your own ONNX files (rtmpose), the ONNX person detector or a JSON file of boxes (resnet,
    vitpose), or the keypoint file of this video (given)."""
    detector_model: Annotated[str | None, arg(metavar="NAME|DIR")] = None
    """Model that finds the joints: a folder of `poselift train pose-resnet` or `poselift import` (resnet); one in the
    form of the transformers library (vitpose), or hf:ORGANISATION/NAME of the Hugging Face Hub; a set of published
    models (rtmpose): balanced where nothing is said, lightweight, performance."""
    detector_flip: bool = False
    """Average with the mirrored crop (resnet, vitpose)."""
    max_people: Annotated[int | None, arg(metavar="N")] = None
    """At most so many people at once (mediapipe: 1 where nothing is said)."""
    start: Number = None
    """Second of the video at which to start."""
    end: Number = None
    """Second of the video at which to end."""
    every: Annotated[int, arg(metavar="N")] = 1
    """Use one frame in N."""
    detect_every: Annotated[int, arg(metavar="N")] = 1
    """Look for people in one frame in N and follow them in between (rtmpose, resnet, vitpose)."""
    seconds: Number = None
    """A camera or stream ends after so many seconds (at Ctrl-C where nothing is said)."""
    view: bool = True
    """Serve a live page of a camera or stream to browsers on this machine."""
    port: int = 8080
    """Port of the live page; the next free one."""

    def run(self) -> None:
        from functools import partial

        from poselift.pipeline.lift import lift
        from poselift.pipeline.live import LiveOptions
        from poselift.pipeline.watch import VideoOptions

        video = VideoOptions(
            detector=self.detector, detector_files=self.detector_files, detector_model=self.detector_model,
            detector_flip=self.detector_flip, max_people=self.max_people, start=self.start,
            end=self.end, every=self.every, detect_every=self.detect_every,
        )  # fmt: skip
        live = LiveOptions(seconds=self.seconds, view=self.view, port=self.port, say=partial(print, flush=True))

        formats = tuple(f.strip() for f in self.formats.split(",") if f.strip()) or None
        with show_progress() as progress:
            lifted = lift(
                self.input, out=self.out, model=self.model, refine=self.refine, root_model=self.root_model,
                smooth=self.smooth, smooth_hz=self.smooth_hz,
                plant_feet=self.plant_feet, skeleton=self.skeleton, format=self.format, fps=self.fps,
                focal=self.focal, fov=self.fov, camera=self.camera, image_size=self.image_size, formats=formats,
                batch=self.batch, device=self.device, video=video, live=live, progress=progress,
            )  # fmt: skip
        _report(lifted)


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Lift the clip that comes with poselift, seen by a virtual camera with detector-like noise, and a photograph or a
    clip of yours."""

    out: Out = Path("out/demo")
    """Folder for the results."""
    clip: Annotated[Path | None, arg(metavar="FILE|DIR")] = None
    """A video, picture or folder of pictures of yours, lifted instead of the photograph."""
    model: Annotated[str, arg(metavar="NAME|DIR")] = "auto"
    """Weights: a name of `poselift models`, a folder, or a Hugging Face repository; auto: default-sequence for people
    who are followed over several frames, default for single pictures."""

    def run(self) -> None:
        from poselift.pipeline.demo import demo
        from poselift.pipeline.demo_photo import check_clip, demo_clip, demo_photo

        if self.clip is not None:
            check_clip(self.clip)
        lifted, errors = demo(self.out, model=self.model)
        _report(lifted)
        for name, value in errors.items():
            print(f"{name:>10}  {value:6.1f} mm   mean over all joints and frames of the clip")
        if self.clip is not None:
            print(f"\nAnd {self.clip.name}, people and joints found by a detector:")
            with show_progress() as progress:
                yours = demo_clip(self.clip, self.out / "clip", model=self.model, progress=progress)
            _report(yours)
            return
        photo = demo_photo(self.out / "photo")
        print("\nAnd a photograph, people and joints found by a detector:")
        if isinstance(photo, str):
            print(photo)
        else:
            _report(photo)


@dataclass(frozen=True, kw_only=True)
class View:
    """Open the live viewer on a folder that `poselift lift` wrote (or on a poses file)."""

    folder: Positional[Annotated[Path, arg(metavar="DIR")]]
    """Folder with poses.npz, or the file itself."""
    port: int = 8080
    """Port of the viewer's web server."""
    host: str = "127.0.0.1"
    """Address it listens on: this machine only; 0.0.0.0 for all its addresses."""

    def run(self) -> None:
        from poselift.formats import read
        from poselift.view.live import serve

        path = self.folder / "poses.npz" if self.folder.is_dir() else self.folder
        scenes = sorted(p.parent.name for p in self.folder.glob("*/poses.npz"))
        if not path.exists() and scenes:
            raise InputError(file=self.folder, expected="one of its scenes", found=", ".join(scenes[:5]))
        clips = read(path)
        if any(c.p_root is None for c in clips):
            raise InputError(file=path, expected="lifted poses (poselift lift writes them)", found="2D keypoints only")
        view = serve(clips, title=self.folder.resolve().name, host=self.host, port=self.port)
        print(f"Open {view.url} in a browser; Ctrl-C ends", flush=True)
        view.wait()


@dataclass(frozen=True, kw_only=True)
class Models:
    """List the weights at hand: their kind, what they are, the licence of their data, their error."""

    def run(self) -> None:
        from rich.console import Console
        from rich.table import Table

        from poselift.models.weights import list_models

        table = Table("name", "kind", "what", "trained on", "data licence", "error", "size", box=None, pad_edge=False)
        for model in list_models():
            errors = ", ".join(f"{k} {v:.1f}" if isinstance(v, float) else f"{k} {v}" for k, v in model.errors.items())
            size = f"{model.bytes / 1e6:.1f} MB"
            table.add_row(model.name, model.kind, model.summary, model.data, model.data_licence, errors, size)
        Console().print(table)


def _report(lifted: Lifted) -> None:
    """What was found, what the numbers mean, and where the files are."""
    from rich.console import Console

    from poselift.pipeline.outputs import OUTPUTS

    console = Console(highlight=False, soft_wrap=True)
    for line in lifted.notes:
        console.print(line, markup=False)
    width = max((len(str(path)) for paths in lifted.files.values() for path in paths), default=0)
    for name, paths in lifted.files.items():
        for path in paths:
            console.print(f"  {path!s:<{width}}  {OUTPUTS[name.rpartition('/')[2]].summary}", markup=False)
    if "html" in lifted.files:
        console.print(f"Look at it: {lifted.files['html'][0].resolve().as_uri()} in a browser", markup=False)
    if "bvh" in lifted.files:
        console.print("In Blender: File > Import > Motion Capture (.bvh)", markup=False)


def show_progress(what: str = "frames"):
    """A bar with the stage, frames (or what there is) per second and the time left, on a terminal only."""
    import contextlib
    import sys

    @contextlib.contextmanager
    def bar():
        if not sys.stderr.isatty():
            said: set[str] = set()

            def say(done: int, total: int | None, stage: str) -> None:
                if stage.startswith("fetching") and stage not in said:  # what takes minutes is said once even so
                    said.add(stage)
                    print(f"poselift: {stage}", file=sys.stderr, flush=True)

            yield say
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(what + "{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
            tasks: dict[str, Any] = {}

            def tell(done: int, total: int | None, stage: str) -> None:
                if stage not in tasks:
                    for other in tasks.values():
                        shown.update(other, visible=False)
                    tasks[stage] = shown.add_task(stage, total=None, rate="")
                speed = shown.tasks[shown.task_ids.index(tasks[stage])].speed
                rate = f", {speed:.0f}/s" if speed else ""
                shown.update(tasks[stage], completed=done, total=total, rate=rate)

            yield tell

    return bar()
