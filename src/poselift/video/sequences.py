"""Pictures as recordings: one photograph, a moving picture (GIF, WebP, APNG), a folder of pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from poselift.errors import InputError
from poselift.video.frames import Frame, FrameSource, Selection
from poselift.video.pictures import focal_of, open_picture, read_picture, to_rgb, upright_size
from poselift.video.recognise import pictures_in

__all__ = ["ASSUMED_FPS", "Photograph", "open_pictures"]

ASSUMED_FPS = 30.0
MAX_PICTURES = 1_000_000


def open_pictures(path: Path, selection: Selection, *, fps: float | None) -> list[FrameSource]:
    """The recordings in a picture or a folder of pictures: see `open_frames`. Raises `InputError`."""
    if not path.is_dir():
        with open_picture(path) as image:
            if getattr(image, "n_frames", 1) > 1 and image.format not in ("MPO", "TIFF"):
                return [MovingPicture(path, selection)]
        return [Photograph(path)]
    files = pictures_in(path)
    if len(files) > MAX_PICTURES:
        raise InputError(file=path, expected=f"at most {MAX_PICTURES:,} pictures", found=f"{len(files):,}")
    heads = [Photograph(file) for file in files]
    if len(files) == 1:
        return [heads[0]]
    if len({h.size_wh for h in heads}) > 1:
        for head in heads:
            head.name = head.path.name
        return [*heads]
    return [PictureFolder(path, files, heads[0], selection, fps=fps)]


class Photograph:
    """A single picture; only its header is read before `frames`."""

    fps, assumed_fps, count, still = 1.0, False, 1, True

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.stem
        with open_picture(path) as image:
            self.size_wh, self.focal = upright_size(image), focal_of(image)

    @property
    def notes(self) -> list[str]:
        return []

    def frames(self) -> Iterator[Frame]:
        yield Frame(number=0, seconds=0.0, image=read_picture(self.path), file=self.path.name)


class PictureFolder:
    """Pictures of one size in one folder: a recording, in the order of the numbers in their names."""

    still = False

    def __init__(
        self, path: Path, files: list[Path], first: Photograph, selection: Selection, *, fps: float | None
    ) -> None:
        self.path, self.name, self.files, self.selection = path, path.name, files, selection
        self.rate = fps or ASSUMED_FPS
        self.fps, self.assumed_fps = self.rate / selection.every, fps is None
        self.size_wh, self.focal = first.size_wh, first.focal
        self.count: int | None = sum(1 for _ in self._chosen())
        if not self.count:
            raise InputError(file=path, field="start", expected="a picture in the time asked for", found="none")

    @property
    def notes(self) -> list[str]:
        said = f"{len(self.files)} pictures, in the order of the numbers in their names."
        numbers = [int(n[-1]) for n in (re.findall(r"[0-9]+", f.stem) for f in self.files) if n]
        if len(numbers) == len(self.files) and any(b - a > 1 for a, b in pairwise(numbers)):
            said += " These leave some out: frames are counted from 0 without a gap."
        return [said]

    def _chosen(self) -> Iterator[tuple[int, float, Path]]:
        for i, file in enumerate(self.files):
            number = self.selection.number(i, i / self.rate)
            if number is not None:
                yield number, i / self.rate, file

    def frames(self) -> Iterator[Frame]:
        for number, seconds, file in self._chosen():
            yield Frame(number=number, seconds=seconds, image=read_picture(file), file=file.name)


class MovingPicture:
    """A moving GIF, WebP or PNG. Its images stand for different times: they are numbered by them."""

    still, focal = False, None

    def __init__(self, path: Path, selection: Selection) -> None:
        self.path, self.name, self.selection = path, path.stem, selection
        steps: list[float] = []
        with open_picture(path) as image:
            self.size_wh = upright_size(image)
            for i in range(image.n_frames):
                image.seek(i)
                image.load()  # WebP tells the time of an image that has been decoded
                steps.append(_shown(image.info.get("duration")))
        self.rate = 1.0 / float(np.median(steps))
        self.fps, self.assumed_fps = self.rate / selection.every, False
        self.times = np.concatenate([[0.0], np.cumsum(steps)[:-1]])
        self.count: int | None = len(steps) // selection.every or 1

    @property
    def notes(self) -> list[str]:
        return []

    def frames(self) -> Iterator[Frame]:
        last = -1
        with open_picture(self.path) as image:
            for i, seconds in enumerate(self.times.tolist()):
                number = self.selection.number(round(seconds * self.rate), seconds)
                if number is not None and number > last:
                    image.seek(i)
                    last = number
                    yield Frame(number=number, seconds=seconds, image=to_rgb(image, self.path))


def _shown(milliseconds: object) -> float:
    """Seconds that an image is shown; browsers take 0.1 s for less than 11 ms."""
    ms = float(milliseconds) if isinstance(milliseconds, (int, float)) else 0.0
    return ms / 1000 if ms > 10 else 0.1
