"""Arguments of `poselift roots` and `poselift eval roots`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from poselift.cli.lifting import Name, Number, show_progress

__all__ = ["EvalRoots", "Roots"]


@dataclass(frozen=True, kw_only=True)
class Roots:
    """Where people's roots are in space, by a RootNet, of annotated pictures or of pictures with a file of boxes.

    Writes FILE in RootNet's layout: a list of image_id, bbox (extended), root_cam, and ann_id and score as the data
    set's published files have them.
    """

    input: Positional[Annotated[Path, arg(metavar="INPUT")]]
    """Annotations in COCO's form (JSON), a folder of pictures (with --boxes), or with --data the folder of a set."""
    out: Annotated[Path, arg(aliases=["-o"], metavar="FILE")]
    """The JSON file to write."""
    model: Annotated[str, arg(metavar="NAME|DIR")]
    """A RootNet: a folder of `poselift train rootnet` or `poselift import`, or a Hugging Face repository."""
    data: Name = None
    """INPUT is the folder of a published set: human36m, mpii, mscoco, muco, mupots, pw3d; or of coco, with
    SPLIT.json."""
    split: Literal["train", "validation", "test"] = "test"
    """Which part of the set (mscoco has train and validation)."""
    boxes: Annotated[str, arg(metavar="gt|published|FILE")] = "gt"
    """Annotated boxes, those of the set's own box file, or a JSON file of image_id, bbox (not extended) and score."""
    pictures: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of the pictures of a file in COCO's form, where they are not beside it."""
    focal: Number = None
    """Focal length in pixels of pictures whose camera is not known (1500 where nothing is said)."""
    unit: Literal["mm", "m"] | None = None
    """Unit of root_cam (mm; of pw3d m, as published)."""
    skip: bool = False
    """Leave out what cannot be used (pictures missing or damaged, boxes that show nothing), and say how much it is."""
    batch: Annotated[int, arg(metavar="N")] = 32
    """Crops that go through the network together."""
    device: Name = None
    """cpu, cuda, cuda:1, mps; the first accelerator where nothing is said."""

    def run(self) -> None:
        from poselift.models.devices import find_device
        from poselift.models.weights import load_image_root
        from poselift.pipeline.root_tasks import RootTaskOptions
        from poselift.pipeline.roots import write_root_file

        model = load_image_root(self.model, device=find_device(self.device))
        options = RootTaskOptions(
            data=self.data, split=self.split, boxes=self.boxes, pictures=self.pictures, skip=self.skip
        )
        with show_progress("pictures") as progress:
            done = write_root_file(
                model, self.input, self.out, options, focal=self.focal, unit=self.unit, batch=self.batch,
                progress=progress,
            )  # fmt: skip
        print(f"{done.file}: roots of {done.people:,} people in {done.pictures:,} pictures")
        if done.left_out:
            print("  left out: " + ", ".join(f"{n:,} {reason}" for reason, n in sorted(done.left_out.items())))
        for note in done.notes:
            print(f"  {note}")


@dataclass(frozen=True, kw_only=True)
class EvalRoots:
    """Compare a file of roots (`poselift roots`, or RootNet's) with an annotated set: MRPE, its x, y, z, and AP_25."""

    input: Positional[Annotated[Path, arg(metavar="FILE")]]
    """JSON list of image_id, root_cam, bbox, and ann_id and score where they are known."""
    data: Annotated[str, arg(metavar="NAME")]
    """Set with known places: human36m, mupots, muco, pw3d, or coco, your own file with keypoints_cam."""
    path: Annotated[Path, arg(metavar="DIR")]
    """Folder of the set (coco: or the file)."""
    split: Literal["train", "validation", "test"] = "test"
    """Which part of it."""
    unit: Literal["mm", "m"] | None = None
    """Unit of the file's root_cam (mm; of pw3d m)."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        from poselift.pipeline.root_scores import score_roots

        found = score_roots(self.input, self.data, self.path, split=self.split, unit=self.unit)
        if self.json:
            print(json.dumps(found.to_dict(), indent=1))
            return
        print(f"{found.file}: {found.predictions:,} roots; {found.people:,} people in {found.data}, {found.split}")
        print(f"  {found.pairs:,} roots belong to one person by their id, or as the only ones in their picture")
        if found.assumed_cameras:
            n = found.assumed_cameras
            print(f"  pictures whose focal length nobody states: {n:,}; their roots have an assumed one")
        for name, value in {**found.figures, **{f"mrpe_mm {k}": v for k, v in found.actions.items()}}.items():
            print(f"  {name:<24}{value:8.1f}")
