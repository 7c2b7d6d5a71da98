"""The camera of people whose camera nobody has told us: what is known is used, the rest is assumed and said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poselift.errors import InputError
from poselift.structures import DEFAULT_FOV_DEG, Camera

__all__ = ["COMMON_SIZES", "CameraOptions", "ChosenCamera", "choose_camera", "common_size"]

COMMON_SIZES = (
    (320, 240), (640, 360), (640, 480), (854, 480), (800, 600), (1000, 1002), (1024, 768), (1280, 720), (1280, 960),
    (1920, 1080), (2560, 1440), (2704, 1520), (3840, 2160), (4096, 2160), (7680, 4320),
)  # fmt: skip
"""Image sizes that cameras give, upright ones are meant too; an unknown size is taken to be one of these."""


@dataclass(frozen=True, kw_only=True)
class CameraOptions:
    """What the user says: a whole camera, or focal length (pixels) or field of view (degrees), and the image size."""

    camera: Camera | None = None
    focal: float | None = None
    fov: float | None = None
    image_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        given = [n for n in ("camera", "focal", "fov") if getattr(self, n) is not None]
        if len(given) > 1:
            raise InputError(field="camera", expected="one of camera, focal, fov", found=" and ".join(given))
        if self.focal is not None and not 0 < self.focal < 1e6:
            raise InputError(field="focal length", expected="a positive number of pixels", found=self.focal)
        if self.fov is not None and not 0 < self.fov < 180:
            raise InputError(field="field of view", expected="degrees between 0 and 180", found=self.fov)
        size = self.image_size
        if size is not None and not (len(size) == 2 and all(0 < v <= 100_000 for v in size)):
            raise InputError(field="image size", expected="width and height, both positive", found=size)

        if self.camera is not None and size is not None and tuple(size) != tuple(self.camera.size_wh):
            want = "{} × {}, the camera's".format(*self.camera.size_wh)
            raise InputError(field="image size", expected=want, found="{} × {}".format(*size))

    @classmethod
    def of(cls, *, camera: Camera | Mapping[str, Any] | str | Path | None, **others: Any) -> CameraOptions:
        """`camera` may be a Camera, its dictionary, or a JSON file with one. Raises `InputError`."""
        if isinstance(camera, (str, Path)):
            from poselift.storage.text import load_json

            camera = Camera.from_dict(load_json(camera), file=str(camera))
        elif isinstance(camera, Mapping):
            camera = Camera.from_dict(dict(camera))
        return cls(camera=camera, **others)


def common_size(reach: Sequence[float]) -> tuple[int, int]:
    """The smallest of `COMMON_SIZES` (lying or upright) that holds pixels up to `reach` = (x, y).

    Where none is large enough, the reach itself. Raises `InputError` for coordinates that are no pixels.
    """
    x, y = (float(v) + 1 for v in reach)
    if not max(x, y) <= 100_000:
        raise InputError(field="keypoints", expected="pixels up to 100000", found=f"{max(x, y):g}")
    sizes = [s for w, h in COMMON_SIZES for s in ((w, h), (h, w)) if s[0] >= x and s[1] >= y]
    if sizes:
        return min(sizes, key=lambda s: (s[0] * s[1], s[0] < s[1]))
    return max(1, int(np.ceil(x))), max(1, int(np.ceil(y)))


@dataclass(frozen=True, kw_only=True)
class ChosenCamera:
    """The camera to lift with; notes: a sentence about each thing in it that was assumed."""

    camera: Camera
    notes: tuple[str, ...] = ()
    assumed_focal: bool = False


def choose_camera(
    options: CameraOptions,
    *,
    stated: Camera | None,
    size_wh: tuple[int, int] | None,
    reach: Sequence[float],
    assumed_focal: bool = False,
) -> ChosenCamera:
    """The camera from what the user says, else from what the file says, else from assumptions.

    stated: the file's camera; assumed_focal: its focal length was assumed by whoever wrote the file, which holds for as
    long as that camera is used; size_wh: the image size that the file states; reach: largest x and y of the keypoints,
    pixels. A stated pose in the world and lens distortion are kept where only the focal length is given anew.
    """
    if options.camera is not None:
        return ChosenCamera(camera=options.camera)
    if stated is not None and options.focal is None and options.fov is None:
        return ChosenCamera(camera=stated, assumed_focal=assumed_focal)
    notes: tuple[str, ...] = ()
    size = options.image_size or size_wh or (None if stated is None else stated.size_wh)
    if size is None:
        size = common_size(reach)
        notes = (
            f"The image size is not known: taken as {size[0]} × {size[1]} px, the smallest common one that holds all "
            "keypoints; --image-size gives the real one.",
        )
    known: dict[str, Any] = {} if stated is None else {"T_cam_world": stated.T_cam_world, "dist": stated.dist}
    if options.focal is not None:
        return ChosenCamera(camera=Camera.from_focal(focal=options.focal, size_wh=size, **known), notes=notes)
    if options.fov is not None:
        return ChosenCamera(camera=Camera.from_fov(fov_deg=options.fov, size_wh=size, **known), notes=notes)
    notes += (
        f"The focal length is not known: {DEFAULT_FOV_DEG:g}° of view across the larger image side are assumed; "
        "--focal, --fov or --camera give the real one. Poses and sizes hardly depend on it, distances from the camera "
        "grow with it.",
    )
    return ChosenCamera(camera=Camera.from_fov(size_wh=size), notes=notes, assumed_focal=True)
