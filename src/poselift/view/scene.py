"""The viser scene that the page records and the live viewer shows: ground, camera, figures that can be posed."""

from __future__ import annotations

import contextlib
import errno
import io
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from poselift.errors import MissingExtraError, OutputError
from poselift.structures import Clip, Skeleton
from poselift.view import figure
from poselift.view.palette import TRUTH, Colours, track_colours
from poselift.view.stage import Stage

__all__ = ["Puppet", "add_camera", "add_figures", "add_ground", "add_truth", "load_viser", "open_server", "quiet"]


def load_viser() -> Any:
    """The viser package. Raises `MissingExtraError` where it is not installed."""
    try:
        import viser
    except ImportError:
        raise MissingExtraError("viser", "view", "the 3D scene") from None
    return viser


def open_server(host: str, port: int, label: str | None = None) -> Any:
    """A viser server on the first free port from `port` on; 0 lets the system choose.

    Raises `OutputError` where that address cannot be had. (viser itself would wait for ever.)
    """
    viser = load_viser()
    if not 0 <= port <= 65_535:
        raise OutputError(f"the viewer cannot listen on port {port}: ports are 0 to 65535")
    for free in range(port, min(port + 100, 65_536)):
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, free, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
            break
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise OutputError(f"the viewer cannot listen on {host}, port {free}: {error.strerror}") from None
    else:
        raise OutputError(f"the viewer finds no free port on {host} from {port} on")
    with quiet():
        return viser.ViserServer(host=host, port=free, label=label, verbose=False)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps viser's banner off the terminal."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


class Puppet:
    """One figure of the scene: `show(row)` poses it as in that row of its joints, `show(-1)` hides it.

    seen (t, j): joints that were not seen are drawn thin, with the bones that end in them.
    """

    def __init__(
        self, scene: Any, name: str, skeleton: Skeleton, p_view: np.ndarray, colours: Colours, *, ghost: bool = False,
        seen: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        radii = figure.rod_radii(skeleton) * np.float32(0.55 if ghost else 1)
        sizes = figure.ball_sizes(skeleton) * np.float32(0.55 if ghost else 1)
        start, turn, scale = figure.bone_transforms(p_view, skeleton, radii)
        self._joints, self._start = figure.snap(p_view), figure.snap(start)
        self._turn, self._scale = figure.snap(turn), figure.snap(scale)
        self._scale[..., :2] = radii[:, None]
        self._sizes: np.ndarray | None = None
        if seen is not None and not seen.all():
            thick = figure.thickness(seen)
            self._scale[..., :2] *= thick[:, [c for c, _ in skeleton.bones], None]
            self._sizes = figure.snap(sizes * thick)
        bone_colours, joint_colours = figure.colours_of(skeleton, colours)
        look: dict[str, Any] = {"lod": "off", "cast_shadow": not ghost, "receive_shadow": False, "visible": False}
        if ghost:
            look["opacity"] = 0.6
        j, b = len(skeleton), len(skeleton.bones)
        upright = np.tile(np.array([1, 0, 0, 0], dtype=np.float32), (max(j, b), 1))
        self._node = scene.add_frame(name, show_axes=False)
        self._balls = scene.add_batched_meshes_simple(
            f"{name}/joints", *figure.ball(), upright[:j], np.zeros((j, 3), np.float32),
            batched_scales=sizes, batched_colors=joint_colours, **look,
        )  # fmt: skip
        self._rods = scene.add_batched_meshes_simple(
            f"{name}/bones", *figure.rod(), upright[:b], np.zeros((b, 3), np.float32),
            batched_scales=np.ones((b, 3), np.float32), batched_colors=bone_colours, side="double", **look,
        )  # fmt: skip
        self._shown = False

    @property
    def node(self) -> Any:
        """The scene node above the figure's parts."""
        return self._node

    def show(self, row: int) -> None:
        if row >= 0:
            self._balls.batched_positions = self._joints[row]
            if self._sizes is not None:
                self._balls.batched_scales = self._sizes[row]
            self._rods.batched_positions = self._start[row]
            self._rods.batched_wxyzs = self._turn[row]
            self._rods.batched_scales = self._scale[row]
        if (row >= 0) != self._shown:
            self._shown = row >= 0
            self._balls.visible = self._rods.visible = self._shown


def add_figures(
    scene: Any, stage: Stage, clips: Sequence[Clip], rows: Sequence[np.ndarray]
) -> list[tuple[Puppet, np.ndarray]]:
    """A puppet per clip, each with its row at every frame of the time line; only those rows are kept."""
    out = []
    for i, (c, p, at, colours) in enumerate(zip(clips, stage.figures, rows, track_colours(len(clips)), strict=True)):
        out.append(_puppet(scene, f"/people/{i}_track_{c.track_id}", c, p, at, colours, ghost=False))
    return out


def add_truth(
    scene: Any, stage: Stage, truth: Sequence[Clip], clips: Sequence[Clip], rows: Sequence[np.ndarray]
) -> list[tuple[Puppet, np.ndarray]]:
    """Thin grey puppets of the true motion, on the same stage."""
    figures = stage.of_truth(truth, clips)
    return [
        _puppet(scene, f"/truth/{i}", c, p, at, TRUTH, ghost=True)
        for i, (c, p, at) in enumerate(zip(truth, figures, rows, strict=True))
    ]


def _puppet(
    scene: Any, name: str, clip: Clip, p_view: np.ndarray, at: np.ndarray, colours: Colours, *, ghost: bool
) -> tuple[Puppet, np.ndarray]:
    used = at[at >= 0]
    compact = np.full(len(at), -1)
    compact[at >= 0] = np.arange(len(used))
    seen = None if ghost else clip.confidence[used] > 0
    return Puppet(scene, name, clip.skeleton, p_view[used], colours, ghost=ghost, seen=seen), compact


def add_ground(scene: Any, stage: Stage, clips: Sequence[Clip]) -> None:
    """Light, and a metre grid under the feet that catches soft shadows: none where nobody's feet were seen."""
    if stage.feet_seen:
        _add_grid(scene, stage, clips)
    scene.configure_environment_map(hdri=None)
    scene.add_light_ambient("/ambient_light", intensity=1.5)


def _add_grid(scene: Any, stage: Stage, clips: Sequence[Clip]) -> None:
    p = stage.points(clips)
    x, y = (np.percentile(p[:, :2], 1, axis=0) + np.percentile(p[:, :2], 99, axis=0)) / 2
    spread = float(np.max(np.percentile(p[:, :2], 99, axis=0) - np.percentile(p[:, :2], 1, axis=0)))
    side = min(60.0, 2 * np.ceil(spread / 2 + 3))
    scene.add_grid(
        "/ground", width=side, height=side, plane="xy", position=(round(x), round(y), stage.ground),
        cell_size=0.5, section_size=1.0, cell_color=(232, 235, 240), section_color=(214, 219, 227),
        cell_thickness=0.8, section_thickness=1.0, shadow_opacity=0.3, infinite_grid=True, fade_distance=2.2 * side,
        fade_strength=1.5,
    )  # fmt: skip


def add_camera(scene: Any, stage: Stage) -> None:
    """The frustum of the camera that saw the people; nothing where it or its place is unknown."""
    camera = stage.camera
    if camera is None or stage.placed:
        return
    w, h = camera.size_wh
    turn, place = stage.T_view_cam[:3, :3], stage.T_view_cam[:3, 3]
    scene.add_camera_frustum(
        "/camera", fov=2 * np.arctan(h / 2 / camera.focal[1]), aspect=w / h, scale=0.35, color=(70, 80, 94),
        thickness=0.008, wxyz=load_viser().transforms.SO3.from_matrix(turn).wxyz, position=place,
        cast_shadow=False, receive_shadow=False,
    )  # fmt: skip
