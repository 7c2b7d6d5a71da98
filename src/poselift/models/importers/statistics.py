"""Mean and deviation of a training set, and principal components, from the files that published codes keep beside
their weights.

Files: torch or pickle (`stat_custom_2d.pth.tar` of ERD, `stat_3d.pth.tar` of the PyTorch port, `…meanstd….pkl` of
Gluon), or npz. Keys: `mean` and `std`, or `mean2d`, `std2d`, `mean3d`, `std3d`. Values are pixels and millimetres,
joint after joint, for the network's own joints, the 17 of Human3.6M, or its raw 32.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from poselift.errors import InputError
from poselift.models.base import Lifter
from poselift.models.importers.base import Built, ImportOptions
from poselift.storage.arrays import load_npz, npz_names
from poselift.storage.unpickle import Inert, load_torch
from poselift.structures.skeleton import skeleton

__all__ = ["read_pca", "statistics_2d", "statistics_3d", "with_statistics"]

_JOINTS = skeleton("h36m17").joints
_RAW = dict(zip(_JOINTS, (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27), strict=True))
"""Where the 17 joints stand among the 32 of the recordings."""
_LEAST = {2: (2.0, "pixels"), 3: (5.0, "millimetres")}
"""No training set's largest deviation is below this; where it is, the unit is another."""


def statistics_2d(
    options: ImportOptions, names: tuple[str, ...] = _JOINTS
) -> tuple[Float[Tensor, "17 2"], Float[Tensor, "17 2"]] | None:
    """Mean and deviation of the keypoints, pixels, of h36m17; joints not in `names` get 0 and 1.

    None where the options do without. A deviation of 0 is taken as 1. Raises `InputError`.
    """
    found = _statistics(options.stats_2d, options, "--stats-2d", names, 2)
    if found is None:
        return None
    mean, std = found
    return mean, torch.where(std > 0, std, 1.0)


def statistics_3d(
    options: ImportOptions, names: tuple[str, ...] = _JOINTS
) -> tuple[Float[Tensor, "17 3"], Float[Tensor, "17 3"]] | None:
    """Mean and deviation of the poses, metres, of h36m17; joints not in `names` get 0.

    None where the options do without. A deviation of 0 stays: that coordinate comes out as its mean, as in the
    published codes. Raises `InputError`.
    """
    found = _statistics(options.stats_3d, options, "--stats-3d", names, 3)
    if found is None:
        return None
    mean, std = found
    return mean / 1000, std / 1000


def with_statistics(lifter: Lifter, options: ImportOptions, notes: list[str]) -> Built:
    """The lifter with the statistics that the options name, and a note for each that it goes without."""
    joints = lifter.skeleton.joints
    found_2d = statistics_2d(options, getattr(lifter.config, "joints_in", None) or joints)
    found_3d = statistics_3d(options, getattr(lifter.config, "joints_out", None) or joints)
    with torch.no_grad():
        if found_2d is not None:
            lifter.frame.set_statistics(*found_2d)
        if found_3d is not None:
            lifter.mean3d.copy_(found_3d[0])
            lifter.std3d.copy_(found_3d[1])
    if found_2d is None:
        notes = [*notes, "without the statistics of keypoints, which it takes standardised (--stats-2d)"]
    if found_3d is None:
        notes = [*notes, "without the statistics of poses: they come out standardised, not in metres (--stats-3d)"]
    return Built(model=lifter, notes=notes)


def read_pca(file: Path, *, features: int) -> tuple[Float[Tensor, " i"], Float[Tensor, "k i"]]:
    """Mean and components of a fitted PCA over `features` numbers. Raises `InputError`."""
    value = _load(file, ("mean_", "components_", "mean", "components"))
    if isinstance(value, Inert):
        value = value.state
    if not isinstance(value, Mapping):
        raise InputError(file=file, expected="a PCA with mean_ and components_", found=type(value).__name__)
    if value.get("whiten"):
        raise InputError(file=file, field="whiten", expected="principal components without whitening", found="whitened")
    mean, axes = (_array(value.get(f"{n}_", value.get(n)), f"{n}_", file) for n in ("mean", "components"))
    if mean.shape != (features,) or axes.ndim != 2 or axes.shape[1] != features or not 0 < len(axes) <= features:
        expected = f"a mean of {features} numbers and up to as many components of them"
        raise InputError(file=file, expected=expected, found=f"shapes {mean.shape} and {axes.shape}")
    return torch.from_numpy(mean).float(), torch.from_numpy(axes).float()


def _statistics(
    file: Path | None, options: ImportOptions, flag: str, names: tuple[str, ...], c: int
) -> tuple[Tensor, Tensor] | None:
    """(17, c) mean and deviation in the file's unit."""
    if file is None:
        if options.no_stats:
            return None
        what = "keypoints, in pixels" if c == 2 else "poses, in millimetres"
        expected = f"the file with mean and deviation of the training set's {what}; or --no-stats to do without"
        raise InputError(field=flag, expected=expected, found="none")
    value = _load(file, ("mean", "std", "dim_use", "mean2d", "std2d", "mean3d", "std3d"))
    if not isinstance(value, Mapping):
        raise InputError(file=file, expected="mean and std", found=type(value).__name__)
    mean, std = (_by_joint(value, f"{n}{c}d" if f"{n}{c}d" in value else n, file, names, c) for n in ("mean", "std"))
    if (std < 0).any():
        raise InputError(file=file, field="std", expected="deviations", found="negative numbers")
    least, unit = _LEAST[c]
    if std.max() < least:
        raise InputError(file=file, field="std", expected=unit, found=f"at most {std.max():.3g}: another unit")
    full_mean, full_std = torch.zeros(len(_JOINTS), c), torch.zeros(len(_JOINTS), c)
    at = [_JOINTS.index(n) for n in names]
    full_mean[at], full_std[at] = torch.from_numpy(mean).float(), torch.from_numpy(std).float()
    return full_mean, full_std


def _by_joint(value: Mapping[Any, Any], key: str, file: Path, names: tuple[str, ...], c: int) -> np.ndarray:
    """(names, c): the values of these joints, out of 17 or 32 where the file has so many."""
    flat = _array(value.get(key), key, file).reshape(-1)
    rows = flat.reshape(-1, c) if len(flat) % c == 0 else flat[:0]
    raw = [_RAW[n] for n in names]
    if len(rows) == 32:
        used = [c * j + k for j in raw for k in range(c)]
        if "dim_use" in value and list(_array(value["dim_use"], "dim_use", file).reshape(-1)) != used:
            raise InputError(file=file, field="dim_use", expected=f"the numbers of {len(names)} joints", found="others")
        return rows[raw]
    if len(rows) == len(_JOINTS):
        return rows[[_JOINTS.index(n) for n in names]]
    if len(rows) != len(names):
        counts = " or ".join(str(c * n) for n in sorted({len(names), len(_JOINTS), 32}))
        raise InputError(file=file, field=key, expected=f"{counts} numbers", found=len(flat))
    return rows


def _array(value: Any, key: str, file: Path) -> np.ndarray:
    """Finite float64 numbers."""
    try:
        array = np.asarray(value.numpy() if isinstance(value, Tensor) else value, np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if value is None or array.size == 0 or not np.isfinite(array).all():
        found = "none" if value is None else "something else"
        raise InputError(file=file, field=key, expected="finite numbers", found=found)
    return array


def _load(file: Path, names: tuple[str, ...]) -> Any:
    return load_npz(file, names=names) if npz_names(file) & set(names) else load_torch(file)
