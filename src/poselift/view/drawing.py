"""What our matplotlib pictures share: colours, figures that touch no global state, bodies in 2D and in 3D."""

from __future__ import annotations

from typing import Any

import numpy as np

from poselift.errors import MissingExtraError
from poselift.structures import Clip, Skeleton
from poselift.view import figure
from poselift.view.palette import Colours, side_of

__all__ = ["INK", "LINE", "PALE", "SOFT", "WHEEL", "draw_body", "draw_flat", "draw_floor", "draw_ghost", "new_figure"]

INK, SOFT, LINE, PALE, _GRID = "#1d2530", "#667182", "#e2e6ec", "#f7f8fa", "#d9dee6"
WHEEL = ("#2b7de9", "#f0742b", "#16a066", "#8a4fe0", "#dd3f8d", "#139fac", "#c29508", "#d8382f", "#6b7686", "#5a3d2b")


def new_figure(width: float, height: float) -> Any:
    """A figure of that size in inches, for files only. Raises `MissingExtraError` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "view", "a picture") from None
    canvas = Figure(figsize=(width, height))
    FigureCanvasAgg(canvas)
    return canvas


def draw_flat(ax: Any, clip: Clip, row: int, colours: Colours) -> None:
    """The 2D keypoints of one frame on a dark ground; the less sure, the fainter."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    conf, kp = clip.confidence[row], clip.kp_img[row]
    bones = [(c, p) for c, p in clip.skeleton.bones if conf[c] > 0 and conf[p] > 0]
    hues = [colours.on_dark().of(side_of(clip.skeleton, j)) for j in range(len(clip.skeleton))]
    ends = [to_rgba(hues[c], 0.3 + 0.7 * min(conf[c], conf[p])) for c, p in bones]
    ax.add_collection(LineCollection([kp[[c, p]] for c, p in bones], colors=ends, linewidths=2.2, capstyle="round"))
    there = np.flatnonzero(conf > 0)
    dots = [to_rgba(hues[j], 0.35 + 0.65 * conf[j]) for j in there]
    ax.scatter(*kp[there].T, s=11, c=dots, linewidths=0, zorder=3)


def draw_floor(ax: Any, centre: np.ndarray, view: np.ndarray, reach: float) -> None:
    """Floor lines every half metre, fixed to the world, around a point on it. view: rows right, up, depth."""
    from matplotlib.collections import LineCollection

    steps = np.arange(np.floor(-reach / 0.5), np.ceil(reach / 0.5) + 1) * 0.5
    origin = np.floor(centre / 0.5) * 0.5 * (1, 1, 0) + (0, 0, centre[2])
    ends = np.array([-reach, reach])
    lines = [origin + np.stack([np.full(2, s), ends, np.zeros(2)], 1) for s in steps]
    lines += [origin + np.stack([ends, np.full(2, s), np.zeros(2)], 1) for s in steps]
    ax.add_collection(LineCollection([(x @ view.T)[:, :2] for x in lines], colors=_GRID, linewidths=0.6, zorder=0))


def draw_body(
    ax: Any, p: np.ndarray, skeleton: Skeleton, colours: Colours, view: np.ndarray, per_metre: float, seen: np.ndarray
) -> None:
    """A figure p (j, 3) in parallel projection, near limbs over far ones; `per_metre` points of line width.

    Bones that end in a joint that was not seen, seen (j,), are thin.
    """
    from matplotlib.collections import LineCollection

    q = p @ view.T
    radii = figure.rod_radii(skeleton) * figure.thickness(seen)[[c for c, _ in skeleton.bones]]
    far_first = sorted(range(len(skeleton.bones)), key=lambda i: -q[list(skeleton.bones[i]), 2].mean())
    lines, hues, widths = [], [], []
    for i in far_first:
        child, parent = skeleton.bones[i]
        wide = max(1.4, 2 * float(radii[i]) * per_metre)
        bone = q[[parent, child], :2]
        lines += [bone + 0.13 * (bone[::-1] - bone), bone]  # the pale edge ends before the joint
        hues += [PALE, colours.of(side_of(skeleton, child))]
        widths += [wide + 1.6, wide]
    ax.add_collection(LineCollection(lines, colors=hues, linewidths=widths, capstyle="round", zorder=2))


def draw_ghost(ax: Any, p: np.ndarray, skeleton: Skeleton, view: np.ndarray) -> None:
    """A figure to compare with: thin dark lines."""
    from matplotlib.collections import LineCollection

    q = (p @ view.T)[:, :2]
    lines = [q[list(b)] for b in skeleton.bones]
    ax.add_collection(LineCollection(lines, colors=INK, linewidths=1.0, alpha=0.7, capstyle="round", zorder=3))
