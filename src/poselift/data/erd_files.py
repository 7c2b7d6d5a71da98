"""`erd`: the data files of ERD (Kang et al., BMVC 2020), in their folder or below the one that its `--data_rootdir` is.

    ROOT/gt|cpn|sh|shft|openpose/stat/{train,test}_custom_{2d,3d}_unnorm.pth.tar, stat_custom_{2d,3d}.pth.tar

Dictionaries (subject, action, `FULL ACTION.CAMERA`) → pixels (F, 34) or (F, 17, 2), with scores (F, 51) or (F, 17, 3);
and → `joint_3d` (F, 51) or (F, 17, 3) mm in camera axes minus the root, `pelvis` (F, 3) mm (of several estimates the
first), `camera` fx fy cx cy in pixels, with OpenPose `actual_frame` (F). Python 2 saved them; nothing in them is run.

S11's recording "Directions" is corrupt and left out, as published. The files say neither rate nor image size: 50 frames
per second and the size of the Human3.6M camera of that number, 1000 x 1002 for any other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poselift.data.bank import Statistics
from poselift.data.human36m import SPLITS, plain_action
from poselift.errors import InputError
from poselift.storage.unpickle import load_torch
from poselift.structures import Camera, Clip, skeleton

__all__ = ["clips", "statistics"]

FPS = 50.0
SIZE_WH = (1000, 1002)
DRIFTING = tuple(("S9", action) for action in ("Greeting", "SittingDown 1", "Waiting 1"))
"""Recordings (all four cameras) whose motion capture drifts away from the pictures."""

MISSING_PX = 0.01
"""Where a file has no scores, a joint this near to (0, 0) in both coordinates is one that the detector did not find."""
ROOT_MM = 1.0

Key = tuple[str, str, str]


def clips(
    folder: str | Path, split: str, *, keypoints: str = "gt", every: int = 1, drop_drifting: bool = False
) -> list[Clip]:
    """Every sequence of a split with 2D (pixels), the truth and its camera (without distortion).

    folder: the one with the files, or one above it, in which `keypoints` names the input (gt, cpn, sh, shft, openpose).
    train and test are the files; validation is one subject of the training file (S8, else the last), whom training then
    does not see. drop_drifting: leave the recordings `DRIFTING` out of the test set.
    Raises `InputError` for missing files and for whatever in them is not as described above.
    """
    if split not in SPLITS:
        raise InputError(field="split", expected=f"one of {', '.join(SPLITS)}", found=split)
    name = "test" if split == "test" else "train"
    folder = _folder(Path(folder), keypoints)
    file2d, file3d = (folder / f"{name}_custom_{d}_unnorm.pth.tar" for d in ("2d", "3d"))
    seen, truth = _read(file2d), _read(file3d)
    dropped = DRIFTING if drop_drifting and split == "test" else ()
    for table in (seen, truth):
        for key in [k for k in table if (k[0], _full_action(k)) in (("S11", "Directions"), *dropped)]:
            del table[key]
    for key in sorted(seen.keys() ^ truth.keys()):
        raise InputError(file=file3d if key in seen else file2d, field=_spell(key), expected="a sequence", found="none")
    keys = sorted(seen)
    if name == "train":
        held = _held_out({k[0] for k in keys}, file2d)
        keys = [k for k in keys if (k[0] == held) == (split == "validation")]
    if not keys:
        raise InputError(file=file2d, expected="at least one sequence", found="none")
    return [_clip(k, seen.pop(k), truth.pop(k), file2d, file3d)[::every] for k in keys]


def statistics(folder: str | Path, *, keypoints: str = "gt") -> Statistics | None:
    """The published mean and deviation of keypoints (pixels) and target (metres), None where no file has them.

    A keypoint's deviation of 0 becomes 1. Raises `InputError` for files that hold something else.
    """
    folder = _folder(Path(folder), keypoints)
    file2d, file3d = (folder / f"stat_custom_{d}.pth.tar" for d in ("2d", "3d"))
    if not file2d.exists() and not file3d.exists():
        return None
    mean2d, std2d = _table(file2d, (2, 3))
    mean3d, std3d = _table(file3d, (3,))
    std2d = np.where(std2d > 0, std2d, 1)
    tables = (mean2d[:, :2], std2d[:, :2], mean3d / 1000, std3d / 1000)
    return Statistics(*(torch.tensor(t, dtype=torch.float32) for t in tables))


def _folder(path: Path, keypoints: str) -> Path:
    """The folder with the files: `path` itself, its subfolder `stat` or `conf2d`, or those of its input `keypoints`."""
    if not path.is_dir():
        raise InputError("not a folder" if path.exists() else "no such folder", file=path)
    places = [path, *(p / s for p in (path, path / keypoints) for s in ("stat", "conf2d")), path / keypoints]
    for place in places:
        if any(place.glob("*_custom_[23]d*.pth.tar")):
            return place
    expected = f"train_custom_2d_unnorm.pth.tar and the like, here or in {keypoints}/stat"
    raise InputError(file=path, expected=expected, found="none")


def _read(file: Path) -> dict[Key, Any]:
    """Sequence → what the file has of it."""
    value = load_torch(file)
    if not isinstance(value, dict) or not value:
        raise InputError(file=file, expected="a dictionary of sequences", found=type(value).__name__)
    out: dict[Key, Any] = {}
    for key, item in value.items():
        words = tuple(_text(k) for k in key) if isinstance(key, tuple) else ()
        if len(words) != 3 or not all(isinstance(w, str) for w in words) or "." not in words[2]:
            raise InputError(
                file=file, field="key", expected="(subject, action, 'ACTION.CAMERA')", found=repr(key)[:80]
            )
        out[words] = item
    return out


def _text(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _full_action(key: Key) -> str:
    return key[2].partition(".")[0]


def _spell(key: Key) -> str:
    return f"{key[0]} {key[2]}"


def _held_out(subjects: set[str], file: Path) -> str:
    """The training subject that validates: models are never chosen on the test set."""
    if len(subjects) < 2:
        found = ", ".join(subjects) or "none"
        raise InputError(file=file, expected="two or more subjects, of whom one validates", found=found)
    ours = [s for s in SPLITS["validation"] if s in subjects]
    return ours[0] if ours else max(subjects, key=lambda s: [(w.isdigit(), int(w) if w.isdigit() else 0, w)
                                                             for w in re.findall(r"\d+|\D+", s)])  # fmt: skip


@cache
def _sizes() -> dict[str, tuple[int, int]]:
    """Image width and height of the Human3.6M cameras by their numbers."""
    data = json.loads((Path(__file__).parent / "h36m_cameras.json").read_text())
    return {str(c["id"]): (c["res_w"], c["res_h"]) for c in data["intrinsics"]}


def _clip(key: Key, seen: Any, truth: Any, file2d: Path, file3d: Path) -> Clip:
    name, body = _spell(key), skeleton("h36m17")
    kp = _numbers(seen, file2d, name)
    shapes = ((34,), (17, 2), (51,), (17, 3))
    if kp.shape[1:] not in shapes or len(kp) == 0:
        expected = "frames of 34, 17 x 2, 51 or 17 x 3 numbers"
        raise InputError(file=file2d, field=name, expected=expected, found=f"shape {kp.shape}")
    t = len(kp)
    kp = kp.reshape(t, 17, -1)
    kp, conf = kp[..., :2], kp[..., 2] if kp.shape[2] == 3 else np.asarray((np.abs(kp) >= MISSING_PX).any(-1))
    if not isinstance(truth, Mapping):
        expected = "a dictionary of joint_3d, pelvis, camera"
        raise InputError(file=file3d, field=name, expected=expected, found=type(truth).__name__)
    p_mm = _frames(truth, "joint_3d", t, ((51,), (17, 3)), file3d, name).reshape(t, 17, 3)
    pelvis_mm = _frames(truth, "pelvis", t, ((3,), (None, 3), (None, 1, 3)), file3d, name).reshape(t, -1, 3)[:, 0]
    root_mm = p_mm[:, body.root]
    if np.abs(root_mm).max() > ROOT_MM:
        found = f"a root at {np.abs(root_mm).max():.0f} mm"
        raise InputError(file=file3d, field=f"{name} joint_3d", expected="mm relative to the root", found=found)
    frames = None
    if "actual_frame" in truth:
        frames = _frames(truth, "actual_frame", t, ((),), file3d, name)
        if (frames != frames.round()).any() or (np.diff(frames) <= 0).any():
            found = "fractions, or numbers that repeat or fall"
            raise InputError(file=file3d, field=f"{name} actual_frame", expected="growing frame numbers", found=found)
        frames = frames.astype(np.int64)
    number = key[2].rpartition(".")[2]
    return Clip(
        skeleton=body, fps=FPS, kp_img=kp.astype(np.float32), conf=conf.astype(np.float32), frames=frames,
        p_root=((p_mm - root_mm[:, None]) / 1000).astype(np.float32),
        root_cam=((pelvis_mm + root_mm) / 1000).astype(np.float32),
        camera=_camera(truth.get("camera"), _sizes().get(number, SIZE_WH), file3d, name),
        meta={"name": f"{key[0]}/{key[2]}", "subject": key[0], "action": plain_action(_full_action(key)),
              "camera": number},
    )  # fmt: skip


def _camera(value: Any, size_wh: tuple[int, int], file: Path, name: str) -> Camera:
    if not isinstance(value, Mapping) or not {"fx", "fy", "cx", "cy"} <= value.keys():
        found = ", ".join(map(str, value)) if isinstance(value, Mapping) else type(value).__name__
        raise InputError(file=file, field=f"{name} camera", expected="fx, fy, cx, cy", found=found)
    numbers = [_numbers(value[k], file, f"{name} camera {k}") for k in ("fx", "fy", "cx", "cy")]
    if any(n.size != 1 for n in numbers):
        raise InputError(file=file, field=f"{name} camera", expected="four numbers", found="arrays")
    fx, fy, cx, cy = (n.item() for n in numbers)
    if fx <= 0 or fy <= 0:
        raise InputError(file=file, field=f"{name} camera", expected="positive focal lengths", found=f"{fx:g}, {fy:g}")
    return Camera(K=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), size_wh=size_wh)


def _frames(
    truth: Mapping[Any, Any], part: str, t: int, shapes: tuple[tuple[int | None, ...], ...], file: Path, name: str
) -> np.ndarray:
    """A part of a sequence's truth: t rows, each of one of the shapes (None: any size)."""
    if part not in truth:
        raise InputError(file=file, field=f"{name} {part}", expected="an array", found="nothing")
    a = _numbers(truth[part], file, f"{name} {part}")
    rows = a.shape[1:]
    fits = any(len(s) == len(rows) and all(n in (None, m) and m for n, m in zip(s, rows, strict=True)) for s in shapes)
    if a.ndim == 0 or len(a) != t or not fits:
        sizes = " or ".join(" x ".join("P" if n is None else str(n) for n in s) or "one" for s in shapes)
        expected = f"{t} frames, as in 2D, of {sizes} numbers"
        raise InputError(file=file, field=f"{name} {part}", expected=expected, found=f"shape {a.shape}")
    return a


def _table(file: Path, channels: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """mean and std (17, c) of a statistics file."""
    value = load_torch(file)
    if not isinstance(value, Mapping) or not {"mean", "std"} <= value.keys():
        raise InputError(file=file, expected="a dictionary with mean and std", found=type(value).__name__)
    out = []
    for part in ("mean", "std"):
        a = _numbers(value[part], file, part)
        if a.size not in (17 * c for c in channels) or (part == "std" and (a < 0).any()):
            expected = f"17 x {' or '.join(map(str, channels))} numbers" + " from 0 up" * (part == "std")
            raise InputError(
                file=file, field=part, expected=expected, found=f"shape {a.shape}, least {a.min(initial=0):g}"
            )
        out.append(a.reshape(17, -1))
    return out[0], out[1]


def _numbers(value: Any, file: Path, field: str) -> np.ndarray:
    """float64 numbers, all finite."""
    try:
        a = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):
        a = np.empty(0, object)
    if a.dtype.kind not in "fiu":
        raise InputError(file=file, field=field, expected="an array of numbers", found=type(value).__name__)
    if not np.isfinite(a).all():
        raise InputError(file=file, field=field, expected="finite numbers", found="NaN or infinite")
    return a.astype(np.float64)
