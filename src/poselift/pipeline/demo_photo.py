"""The second act of `make demo`: a photograph that anyone may use becomes 3D.

NASA's portrait of the astronaut Eileen Collins (1999, public domain), as it comes with scikit-image: half a body.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from poselift.errors import InputError, MissingExtraError
from poselift.pipeline.lift import Lifted, lift

__all__ = ["demo_photo", "photo_path"]


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
