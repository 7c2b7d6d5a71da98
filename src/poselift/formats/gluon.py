"""Human3.6M annotation folders as the Gluon baseline keeps them: annot/s_01_act_02_subact_01_ca_01/matlab_meta.txt.

A file is one take seen by one camera, with the true motion: world millimetres, camera pose and linear projection. Read
as Clips with 2D, root-relative and absolute 3D and the camera. Layout of the file: the first line is the number of
frames; every other line begins with a label: size; R (transposed); camera centre; focal; centre; two lines of
distortion (unused, as in the original); the numbers of 17 joints; then 32 joints x y z for each frame.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.people import rate
from poselift.storage.text import load_text
from poselift.structures import Camera, Clip, Motion, skeleton

__all__ = ["ACTION_CODES", "read", "sniff"]

ACTION_CODES = {
    2: "Directions", 3: "Discussion", 4: "Eating", 5: "Greeting", 6: "Phoning", 7: "Posing", 8: "Purchases",
    9: "Sitting", 10: "SittingDown", 11: "Smoking", 12: "Photo", 13: "Waiting", 14: "Walking", 15: "WalkDog",
    16: "WalkTogether",
}  # fmt: skip
"""The `act` number of a folder name."""

_NAME = "matlab_meta.txt"
_FOLDER = re.compile(r"s_(\d+)_act_(\d+)_subact_(\d+)_ca_(\d+)")
_HEADER = 9


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.name == _NAME else []
    for pattern in (_NAME, f"s_*/{_NAME}", f"annot/s_*/{_NAME}"):
        found = sorted(path.glob(pattern))
        if found:
            return found
    return []


def sniff(path: Path) -> bool:
    """True for a matlab_meta.txt, its folder, the annot folder or the data set's folder."""
    try:
        return bool(path.exists() and _files(path))
    except OSError:
        return False


def read(path: Path, options: ReadOptions) -> list[Clip]:
    """One clip per annotation file, in the order of their names. Raises `InputError` naming file and line."""
    files = _files(path)
    if not files:
        raise InputError(file=path, expected=f"folders with {_NAME}", found="none")
    return [_clip(file, options) for file in files]


def _clip(file: Path, options: ReadOptions) -> Clip:
    lines = load_text(file).splitlines()
    if len(lines) < _HEADER:
        raise InputError("cut off, or no annotation", file=file, expected=f"{_HEADER} lines or more", found=len(lines))
    count = int(_row(lines[0], 1, 0, file, label=False)[0])
    if count < 1 or len([text for text in lines[_HEADER:] if text.strip()]) != count:
        raise InputError(
            "cut off, or not complete", file=file, expected=f"{count} frames", found=f"{len(lines) - _HEADER} lines"
        )
    size = _row(lines[1], 2, 1, file)
    r = _row(lines[2], 9, 2, file).reshape(3, 3).T
    centre = _row(lines[3], 3, 3, file) / 1000
    (fx, fy), (cx, cy) = _row(lines[4], 2, 4, file), _row(lines[5], 2, 5, file)
    kept = _row(lines[8], 17, 8, file).astype(int) - 1
    if kept.min() < 0 or kept.max() > 31:
        raise InputError(file=file, field="line 9", expected="joint numbers from 1 to 32", found=kept + 1)
    raw = np.stack([_row(text, 96, _HEADER + i, file) for i, text in enumerate(lines[_HEADER : _HEADER + count])])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = r, -r @ centre
    try:
        camera = Camera(
            K=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), size_wh=(int(size[0]), int(size[1])), T_cam_world=pose
        )
        motion = Motion(
            skeleton=skeleton("h36m17"),
            fps=rate(50.0, options, file)["fps"],
            p_world=raw.reshape(count, 32, 3)[:, kept] / 1000,
        )
    except InputError as error:
        raise InputError(str(error), file=file) from None
    return motion.seen_by(options.camera or camera).replace(meta=_meta(file))


def _row(text: str, count: int, line: int, file: Path, *, label: bool = True) -> np.ndarray:
    """The numbers of a line, without its label; exactly `count` finite ones."""
    words = text.split()[1:] if label else text.split()
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        values = np.full(1, np.nan)
    if len(words) != count or not np.isfinite(values).all():
        found = f"{len(words)} words" if len(words) != count else "other text, NaN or infinity"
        raise InputError(file=file, field=f"line {line + 1}", expected=f"{count} numbers", found=found)
    return values


def _meta(file: Path) -> dict[str, str | int]:
    named = _FOLDER.search(file.parent.name)
    if named is None:
        return {"name": file.parent.name}
    subject, action, take, camera = (int(v) for v in named.groups())
    return {
        "name": file.parent.name,
        "subject": f"S{subject}",
        "action": ACTION_CODES.get(action, f"action {action}"),
        "take": take,
        "camera": camera - 1,
    }
