"""What a file format is: a `Reader` or a `Writer` entry that names the module doing the work.

A format module has `sniff(path) -> bool` and `read(path, options) -> list[Clip] | list[Motion]`, or
`write(clips, path) -> list[Path]`. Entries import their module when they are used, so that the
tables cost nothing.

* `sniff` is cheap, never raises and is true only for a file that is surely of this format.
* `read` raises `InputError` for anything that it cannot read, and never returns an empty list.
* `picture_names(path)`, where there is one, tells which picture (file name) each frame number of `read` is.
* `write` writes aside and renames (`storage.atomic`), returns the files it wrote, and raises `OutputError` where
  it cannot write.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from poselift.errors import InputError, MissingExtraError
from poselift.storage.text import release_json
from poselift.structures import Camera, Clip, Motion, Skeleton, skeleton

__all__ = ["DEFAULT_FPS", "UNSTATED", "ReadOptions", "Reader", "Writer"]

DEFAULT_FPS = 30.0
"""Frame rate of a file that states none; the clip's meta then says `assumed_fps`."""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What the user says about a file that the file itself may not say.

    skeleton: name of the joint layout; fps: frame rate; camera: intrinsics and pose; size_wh: image
    width and height in pixels. Raises `InputError` for values that cannot be.
    """

    skeleton: str | None = None
    fps: float | None = None
    camera: Camera | None = None
    size_wh: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.skeleton is not None:
            skeleton(self.skeleton)
        if self.fps is not None and not (math.isfinite(self.fps) and 0 < self.fps <= 10_000):
            raise InputError(field="fps", expected="a positive number up to 10000", found=self.fps)
        if self.size_wh is not None and not all(0 < v <= 100_000 for v in self.size_wh):
            raise InputError(field="image size", expected="two positive numbers up to 100000", found=self.size_wh)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Image size from `size_wh` or else from the camera."""
        return self.size_wh or (None if self.camera is None else self.camera.size_wh)

    def skeleton_or(self, stated: Skeleton | None, *, file: str | Path, joints: int) -> Skeleton:
        """The skeleton the user names, else the one that the file states; raises if neither or if it does not fit."""
        chosen = stated if self.skeleton is None else skeleton(self.skeleton)
        if chosen is None:
            hint = f"a name for its {joints} joints (--skeleton NAME): the file states none"
            raise InputError(file=file, field="skeleton", expected=hint)
        if len(chosen) != joints:
            raise InputError(
                file=file, field="joints", expected=f"{len(chosen)} of {chosen.name}", found=f"{joints} per person"
            )
        return chosen


UNSTATED = ReadOptions()
"""The user says nothing: what the file states holds."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One row of `READERS`; `module` has `sniff` and `read`."""

    name: str
    summary: str
    module: str
    gives: Literal["clips", "motion"] = "clips"

    def load(self) -> ModuleType:
        return importlib.import_module(self.module)

    def sniff(self, path: str | Path) -> bool:
        """True if the file or folder is surely of this format. Never raises."""
        return self.load().sniff(Path(path))

    def read(self, path: str | Path, options: ReadOptions = UNSTATED) -> list[Clip] | list[Motion]:
        """The people in the file. Raises `InputError` (naming the file) for one that cannot be read."""
        path = Path(path)
        if not path.exists():
            raise InputError("no such file or folder", file=path)
        try:
            return self.load().read(path, options)
        except InputError as error:
            if error.file is not None:
                raise
            raise InputError(str(error), file=path) from error
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", file=path) from error
        finally:
            release_json()


@dataclass(frozen=True, kw_only=True)
class Writer:
    """One row of `WRITERS`; `module` has `write(clips, path)`.

    asked: written only where somebody asks for it by name; library: what it needs, of the extra `export`.
    """

    name: str
    suffix: str
    summary: str
    module: str
    asked: bool = False
    library: str | None = None

    def write(self, clips: list[Clip], path: str | Path) -> list[Path]:
        """Write a scene; returns the files made. Raises `OutputError` where one cannot be; never half a file.

        Raises `MissingExtraError` where the library is not installed.
        """
        if self.library is not None and importlib.util.find_spec(self.library) is None:
            raise MissingExtraError(self.library, "export", f"writing {self.suffix}")
        return importlib.import_module(self.module).write(clips, Path(path))
