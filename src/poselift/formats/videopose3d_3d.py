"""VideoPose3D's data_3d_h36m.npz: `positions_3d` subject -> action -> (frames, 32 joints, 3) in world metres.

z is up, 50 frames a second. The 17 joints of the Human3.6M layout are kept of the 32. Source: Pavllo et al.,
VideoPose3D (CVPR 2019), DATASETS.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poselift.errors import InputError
from poselift.formats.base import ReadOptions
from poselift.formats.people import described, new_array, rate
from poselift.formats.videopose3d_2d import nested
from poselift.storage.arrays import load_npz, npz_names
from poselift.structures import Motion, skeleton

__all__ = ["KEPT", "read", "sniff"]

KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""Of Human3.6M's 32 raw joints those of `h36m17`, in its order."""

_RAW = 32


def sniff(path: Path) -> bool:
    """True for an .npz with `positions_3d`."""
    return "positions_3d" in npz_names(path)


def read(path: Path, options: ReadOptions) -> list[Motion]:
    """One motion per subject and action. Raises `InputError`."""
    data = load_npz(path, names=("positions_3d",))
    if "positions_3d" not in data:
        raise InputError(file=path, expected="an array 'positions_3d'", found="none of ours")
    motions: list[Motion] = []
    once: set[int] = set()
    for subject, actions in nested(data["positions_3d"], path, "positions_3d").items():
        if not isinstance(subject, str) or not isinstance(actions, dict):
            raise InputError(file=path, field="positions_3d", expected="actions by subject", found=described(actions))
        for action, points in actions.items():
            named = action if isinstance(action, str) else described(action)
            if isinstance(points, np.ndarray):
                new_array(points, once, path, f"positions_3d of {subject}, {named}")
            motions.append(_motion(subject, named, points, options, path))
    if not motions:
        raise InputError("no sequence in it", file=path, field="positions_3d")
    return motions


def _motion(subject: str, action: str, points: object, options: ReadOptions, path: Path) -> Motion:
    field = f"positions_3d of {subject}, {action}"
    kept = skeleton("h36m17")
    shape = points.shape[1:] if isinstance(points, np.ndarray) and points.dtype.kind == "f" else None
    if not isinstance(points, np.ndarray) or shape not in ((_RAW, 3), (len(kept), 3)) or not len(points):
        want = f"frames of {_RAW} joints, 3 metres each"
        raise InputError(file=path, field=field, expected=want, found=described(points))
    if shape == (_RAW, 3):
        points = points[:, KEPT]
    elif options.skeleton != kept.name:
        raise InputError(
            file=path, field=field, expected=f"{_RAW} joints (or --skeleton {kept.name})", found=f"{len(kept)} joints"
        )
    far = float(np.abs(points).max())
    if far > 100:
        raise InputError(file=path, field=field, expected="metres", found=f"coordinates of {far:.0f}")
    fps = rate(50.0, options, path)["fps"]
    meta = {"subject": subject, "action": action}
    try:
        return Motion(skeleton=kept, fps=fps, p_world=points, name=f"{subject} {action}", subject=subject, meta=meta)
    except InputError as error:
        raise InputError(str(error), file=path, field=field) from None
