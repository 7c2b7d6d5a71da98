"""Where detectors in two stages have their boxes around people from: a network of the user's, or a file of boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from poselift.detect.base import DetectorOptions
from poselift.detect.person_boxes import KINDS, PersonBoxes
from poselift.errors import InputError
from poselift.formats.layouts import frames_of_names
from poselift.formats.rootnet import FoundBox, read_boxes
from poselift.video import Frame

__all__ = ["BoxSource", "GivenBoxes", "SearchedBoxes", "box_source"]


@runtime_checkable
class BoxSource(Protocol):
    """The first stage. `name`: what a note says of it."""

    @property
    def name(self) -> str: ...

    def of(self, frame: Frame) -> Float[np.ndarray, "n 5"]:
        """The people of a frame: x0, y0, x1, y1 in pixels, score."""
        ...

    def end(self) -> None:
        """All frames of a recording (no photograph) were seen. Raises `InputError` where that shows a mistake."""
        ...


class SearchedBoxes:
    """`BoxSource` that looks for people."""

    def __init__(self, find: PersonBoxes) -> None:
        self.find, self.name = find, find.model.path.stem

    def of(self, frame: Frame) -> Float[np.ndarray, "n 5"]:
        return self.find(frame.image)

    def end(self) -> None:
        pass


class GivenBoxes:
    """`BoxSource` from a file: boxes by image.

    Of a picture with a file of its own, an image whose id is a name is the picture of that name, whatever its ending;
    otherwise ids and names are frames as `frames_of_names` tells them.
    Boxes without area, or wholly outside the picture, show nobody.
    """

    def __init__(self, boxes: dict[int | str, list[FoundBox]], *, file: str | Path = "boxes", every: int = 1) -> None:
        if not boxes:
            raise InputError("nobody in any frame: no boxes of people", file=file)
        self.file, self.name, self._every, self._met = file, f"the file {Path(file).name}", every, False
        images = sorted(boxes, key=lambda i: (isinstance(i, str), i))
        frames = frames_of_names([str(i) for i in images]).tolist()
        self._boxes = {n: boxes[i] for n, i in zip(frames, images, strict=True)}
        named = [i for i in images if isinstance(i, str) and not i.isdecimal()]
        stems = {Path(i).stem: boxes[i] for i in named}
        self._named = stems if len(stems) == len(named) else {}  # names of several folders tell nothing

    def of(self, frame: Frame) -> Float[np.ndarray, "n 5"]:
        if frame.file is not None and self._named:
            found = self._named.get(Path(frame.file).stem, [])
        else:
            found = self._boxes.get(frame.number * self._every, [])
        self._met |= bool(found)
        rows = np.array([[*b.box_xywh, b.score] for b in found], np.float64).reshape(-1, 5)
        rows = rows[(rows[:, 2] > 0) & (rows[:, 3] > 0)]
        rows[:, 2:4] += rows[:, :2]
        h, w = frame.image.shape[:2]
        return rows[(rows[:, 0] < w) & (rows[:, 1] < h) & (rows[:, 2] > 0) & (rows[:, 3] > 0)]

    def end(self) -> None:
        if not self._met:
            found = f"frames {min(self._boxes)} to {max(self._boxes)}"
            raise InputError(file=self.file, expected="boxes of frames of this recording", found=found)


def box_source(options: DetectorOptions, detector: str) -> BoxSource:
    """What `options.files` names: an ONNX file rtmdet… or yolox…, a folder with one, or a JSON file with boxes.

    Raises `InputError`, `MissingExtraError`.
    """
    path = options.files
    want = "--detector-files with an ONNX person detector rtmdet… or yolox… (or its folder), or a JSON file of boxes"
    if path is None:
        raise InputError(field=f"detector {detector}", expected=want, found="none")
    if not path.exists():
        raise InputError("no such file or folder", file=path)
    if path.is_dir():
        files = [f for f in sorted(path.glob("*.onnx")) if any(k in f.name.lower() for k in KINDS)]
        if len(files) != 1:
            found = ", ".join(f.name for f in files) or "none"
            raise InputError(file=path, expected="one rtmdet…/yolox….onnx", found=found)
        path = files[0]
    if path.suffix.lower() == ".onnx":
        return SearchedBoxes(PersonBoxes(path, options.device))
    if path.suffix.lower() == ".json":
        return GivenBoxes(read_boxes(path), file=path, every=options.every)
    raise InputError(file=path, expected=want, found="another kind of file")
