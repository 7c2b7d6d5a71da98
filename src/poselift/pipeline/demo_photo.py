"""The second act of `make demo`: a photograph that anyone may use becomes 3D, or a clip that the user gives.

NASA's portrait of the astronaut Eileen Collins (1999, public domain), as it comes with scikit-image: half a body.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from poselift.errors import InputError, MissingExtraError
from poselift.pipeline.lift import Lifted, lift
from poselift.pipeline.lifters import AUTO
from poselift.pipeline.looking import Progress
from poselift.video import open_frames

__all__ = ["check_clip", "demo_clip", "demo_photo", "photo_path"]


def check_clip(path: Path) -> None:
    """Raises `InputError` for what is no video, picture or folder of pictures, or cannot be opened."""
    open_frames(path)


def demo_clip(path: Path, out: str | Path, *, model: str = AUTO, progress: Progress | None = None) -> Lifted:
    """Lift the user's clip into a folder. Raises `InputError`, `MissingExtraError`."""
    return lift(path, out=out, model=model, progress=progress)


def photo_path() -> Path:
    """The picture's file. Raises `MissingExtraError` without scikit-image."""
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError("scikit-image", "demo", "the photograph")
    path = Path(found.submodule_search_locations[0]) / "data" / "astronaut.png"
    if not path.is_file():
        raise MissingExtraError("scikit-image", "demo", "the photograph")
    return path


def demo_photo(out: str | Path) -> Lifted | str:
    """Lift the photograph into a folder; why not, in a sentence, where the detector or the picture is not to be had."""
    try:
        return lift(photo_path(), out=out)
    except (InputError, MissingExtraError) as error:
        return f"The photograph is left out: {error}"
