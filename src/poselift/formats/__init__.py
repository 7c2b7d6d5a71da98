"""File formats: `READERS` and `WRITERS`, one line and one module per format.

`read` gives the people of any keypoint file as Clips in the file's own skeleton, `read_motion` the 3D motions
of a motion file. The order of `READERS` is the order in which formats are tried.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from poselift.errors import InputError, unknown_name
from poselift.formats.base import DEFAULT_FPS, UNSTATED, Reader, ReadOptions, Writer
from poselift.storage.text import release_json
from poselift.structures import Clip, Motion

__all__ = [
    "DEFAULT_FPS",
    "READERS",
    "WRITERS",
    "ReadOptions",
    "Reader",
    "Writer",
    "detect",
    "picture_names",
    "read",
    "read_motion",
]

_HERE = "poselift.formats."

READERS: dict[str, Reader] = {
    r.name: r
    for r in (
        Reader(name="poses-npz", module=_HERE + "poses_npz", summary="native .npz: keypoints and poses, row by row"),
        Reader(name="poses-json", module=_HERE + "poses_json", summary="native .json: keypoints and poses by track"),
        Reader(name="videopose3d-2d", module=_HERE + "videopose3d_2d", summary="VideoPose3D data_2d_*.npz"),
        Reader(
            name="videopose3d-3d",
            module=_HERE + "videopose3d_3d",
            gives="motion",
            summary="VideoPose3D data_3d_h36m.npz",
        ),
        Reader(name="gluon", module=_HERE + "gluon", summary="Human3.6M annot folders of matlab_meta.txt files"),
        Reader(name="openpose", module=_HERE + "openpose", summary="OpenPose folder, one JSON per frame (BODY_25)"),
        Reader(name="mmpose", module=_HERE + "mmpose", summary="mmpose predictions JSON"),
        Reader(name="mediapipe", module=_HERE + "mediapipe", summary="MediaPipe pose landmarks JSON"),
        Reader(name="alphapose", module=_HERE + "alphapose", summary="AlphaPose results JSON (COCO-17, Halpe-26)"),
        Reader(name="coco", module=_HERE + "coco", summary="COCO keypoint annotations or results JSON"),
        Reader(
            name="motionbert-pkl", module=_HERE + "motionbert", summary="MotionBERT's Human3.6M .pkl of detected 2D"
        ),
        Reader(
            name="motion-npz", module=_HERE + "motion_npz", gives="motion", summary="motion .npz: positions, starts"
        ),
        Reader(name="bvh", module=_HERE + "bvh", gives="motion", summary="BVH with joint names in common use"),
        Reader(name="asfamc", module=_HERE + "asfamc", gives="motion", summary="CMU's ASF/AMC: .amc file or folder"),
        Reader(name="trc", module=_HERE + "trc", gives="motion", summary="TRC of OpenSim, markers named as joints"),
        Reader(name="array", module=_HERE + "array", summary=".npy or plain .npz array (frames, joints, 2 or 3)"),
    )
}

WRITERS: dict[str, Writer] = {
    w.name: w
    for w in (
        Writer(
            name="npz", suffix=".npz", module=_HERE + "write_npz", summary="plain arrays, a row per person and frame"
        ),
        Writer(name="json", suffix=".json", module=_HERE + "write_json", summary="tracks of frames, as plain text"),
        Writer(name="csv", suffix=".csv", module=_HERE + "write_csv", summary="a table with comment lines (#) on top"),
        Writer(
            name="bvh", suffix=".bvh", module=_HERE + "write_bvh", summary="animation, one file per person (cm, y up)"
        ),
        Writer(
            name="glb",
            suffix=".glb",
            module=_HERE + "write_glb",
            asked=True,
            summary="animation in glTF 2.0: skinned figures of all people (m, y up)",
        ),
        Writer(
            name="trc",
            suffix=".trc",
            module=_HERE + "write_trc",
            asked=True,
            summary="OpenSim markers, one file per person (mm, y up)",
        ),
        Writer(
            name="mot",
            suffix=".mot",
            module=_HERE + "write_mot",
            asked=True,
            summary="OpenSim coordinates, one file per person (degrees, m, y up)",
        ),
        Writer(
            name="c3d",
            suffix=".c3d",
            module=_HERE + "write_c3d",
            asked=True,
            library="ezc3d",
            summary="motion-capture points with residuals (mm, z up)",
        ),
    )
}


def detect(path: str | Path) -> Reader:
    """The reader whose format the file or folder has. Raises `InputError` where none fits."""
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder", file=path)
    for reader in READERS.values():
        if reader.sniff(path):
            return reader
    _explain(path)
    known = ", ".join(READERS)
    raise InputError(f"none of the known formats ({known}); name it with --format if it is one", file=path)


def picture_names(path: str | Path) -> dict[int, str]:
    """The picture that each frame number of `read`'s clips is, for formats that name pictures; else nothing."""
    names = getattr(detect(path).load(), "picture_names", None)
    try:
        return {} if names is None else names(Path(path))
    finally:
        release_json()


def _explain(path: Path) -> None:
    """Raise the plain reason, if there is one, why nothing could recognise the file."""
    if path.is_dir():
        if not any(path.iterdir()):
            raise InputError("an empty folder", file=path)
    elif path.is_file():
        if path.stat().st_size == 0:
            raise InputError("an empty file", file=path)
        if path.suffix == ".json":
            from poselift.storage.text import load_json

            load_json(path)
        elif path.suffix in (".npz", ".npy"):
            from poselift.storage.arrays import npy_header, npz_headers

            if path.suffix == ".npz":
                npz_headers(path)
            else:
                header = npy_header(path)
                want = "numbers of shape (frames, joints, 2 or 3) or (frames, people, joints, 2 or 3)"
                raise InputError(file=path, expected=want, found=f"{header.dtype} of shape {header.shape}")


def _reader(path: str | Path, format: str | None) -> Reader:
    if format is None:
        return detect(path)
    if format not in READERS:
        raise unknown_name("format", format, READERS)
    return READERS[format]


def read(path: str | Path, format: str | None = None, options: ReadOptions = UNSTATED) -> list[Clip]:
    """The people in a keypoint file or folder: one Clip per person and camera, in the file's own skeleton.

    `format` is a key of `READERS`, or None to recognise it. A file that states no frame rate gets
    `DEFAULT_FPS` and `meta["assumed_fps"]`; one that states no camera gives `clip.camera is None`, with the image
    size in `meta["size_wh"]` where it is known. Raises `InputError`.
    """
    reader = _reader(path, format)
    if reader.gives != "clips":
        raise InputError(f"holds 3D motion ({reader.name}), no keypoints of an image", file=path)
    return cast(list[Clip], reader.read(path, options))


def read_motion(path: str | Path, format: str | None = None, options: ReadOptions = UNSTATED) -> list[Motion]:
    """The 3D motions in a motion file or folder, metres and z up. Raises `InputError`."""
    reader = _reader(path, format)
    if reader.gives != "motion":
        raise InputError(f"holds keypoints of an image ({reader.name}), no 3D motion", file=path)
    return cast(list[Motion], reader.read(path, options))
