"""One picture of any kind as upright RGB of 8 bits: EXIF rotation, grey, palettes, CMYK, transparency, 16 bits.

The header is read first; what it declares beyond the cap is refused before memory is taken.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from poselift.errors import InputError, MissingExtraError
from poselift.video.frames import MAX_PIXELS, check_size

__all__ = ["focal_of", "open_picture", "read_picture", "upright_size"]

_ORIENTATION, _EXIF, _FOCAL_35MM = 0x0112, 0x8769, 0xA405
_FULL_FRAME_DIAGONAL_MM = math.hypot(36, 24)


@contextmanager
def open_picture(path: str | Path) -> Iterator[Any]:
    """Pillow's image, its header checked, its pixels not read yet. Every complaint is an `InputError` of that file."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingExtraError("pillow", "video", "reading pictures") from None
    path = Path(path)
    if path.is_file() and path.stat().st_size == 0:
        raise InputError("an empty file", file=path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own cap is below Pillow's error and above its warning
            opened = Image.open(path)
        with opened as image:
            check_size(*image.size, path)
            yield image
    except UnidentifiedImageError:
        raise InputError("no picture that can be read", file=path) from None
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))  # it comes before the size can be asked for
        found = f"{int(pixels[0]) / 1e6:.0f} megapixels" if pixels else "more"
        want = f"at most {MAX_PIXELS / 1e6:.0f} megapixels"
        raise InputError(file=path, field="size", expected=want, found=found) from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, OverflowError) as error:
        if isinstance(error, FileNotFoundError):
            raise InputError("no such file", file=path) from None
        raise InputError(f"damaged or cut off: {error}", file=path) from None


def upright_size(image: Any) -> tuple[int, int]:
    """Width and height of an opened picture after its EXIF rotation."""
    w, h = image.size
    return (h, w) if image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8) else (w, h)


def focal_of(image: Any) -> float | None:
    """Focal length in pixels of an opened picture from EXIF's 35 mm equivalent (by the diagonal), None if unknown."""
    try:
        mm = float(image.getexif().get_ifd(_EXIF).get(_FOCAL_35MM, 0))
    except (TypeError, ValueError, ArithmeticError):
        return None
    return mm / _FULL_FRAME_DIAGONAL_MM * math.hypot(*image.size) if 4 <= mm <= 2000 else None


def read_picture(path: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """RGB of a picture file (of the first image in it). Raises `InputError`, `MissingExtraError`."""
    with open_picture(path) as image:
        return to_rgb(image, path)


def to_rgb(image: Any, path: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """RGB of an opened picture, upright; transparent parts on grey, 16 bits scaled to 8."""
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I;16", "I")):
        values = np.asarray(upright)
        values = np.clip(values, 0, 65535) if values.dtype.itemsize > 2 else values
        grey = (values.astype(np.uint32) * 255 + 32767) // 65535
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1)
    if upright.mode == "F":
        raise InputError(file=path, field="pixels", expected="8 or 16 bits per channel", found="floating-point numbers")
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        ground = Image.new("RGBA", upright.size, (128, 128, 128, 255))
        upright = Image.alpha_composite(ground, upright)
    return np.array(upright.convert("RGB"))
