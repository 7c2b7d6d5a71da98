"""Arguments of `poselift roots`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from poselift.cli.lifting import Name, Number, show_progress

__all__ = ["Roots"]


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
