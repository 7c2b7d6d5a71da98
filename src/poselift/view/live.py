"""`poselift view`: the clips in a live viewer in the browser, with time line, 2D input and switches."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from poselift.structures import Clip
from poselift.view import scene
from poselift.view.notes import page_notes, standard_notes
from poselift.view.palette import Colours, side_of, track_colours
from poselift.view.stage import Stage
from poselift.view.timeline import Timeline, check_clips

__all__ = ["LiveView", "serve"]

DEFAULT_PORT = 8080


def serve(
    clips: Sequence[Clip],
    *,
    truth: Sequence[Clip] | None = None,
    title: str = "poselift",
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
) -> LiveView:
    """Open the live viewer of lifted clips (one per person, with p_root) and return it, playing.

    The port is the next free one from `port` on; `url` of the result tells. `wait()` blocks until Ctrl-C,
    `stop()` closes. Only this machine can connect unless another `host` is given. Raises `InputError` for
    clips without 3D, `MissingExtraError` without viser, `OutputError` where no port can be opened.
    """
    return LiveView(clips, list(truth or []), title, host, port)


class LiveView:
    """A running viewer; see `serve`."""

    def __init__(self, clips: Sequence[Clip], truth: Sequence[Clip], title: str, host: str, port: int) -> None:
        check_clips(clips)
        if truth:
            check_clips(truth)
        self._clips, self._line, self._stage = clips, Timeline.of(clips), Stage.of(clips)
        self._rows = [self._line.rows(c) for c in clips]
        self._server = scene.open_server(host, port, title)
        self.url = f"http://{'localhost' if host in ('0.0.0.0', '127.0.0.1') else host}:{self._server.get_port()}"
        self._puppets: list[tuple[scene.Puppet, np.ndarray]] = []
        self._lock, self._over = threading.RLock(), threading.Event()
        self._at, self._shown, self._speed, self._playing = 0.0, -1, 1.0, len(self._line) > 1
        self._build(truth)
        self.show(0)
        self._player = threading.Thread(target=self._play, name="poselift-view", daemon=True)
        self._player.start()

    def _build(self, truth: Sequence[Clip]) -> None:
        server, gui, line = self._server, self._server.gui, self._line
        eye, target = self._stage.viewpoint(self._clips)
        server.initial_camera.fov = np.radians(40)
        server.initial_camera.position, server.initial_camera.look_at = eye, target
        scene.add_ground(server.scene, self._stage, self._clips)
        scene.add_camera(server.scene, self._stage)
        people = scene.add_figures(server.scene, self._stage, self._clips, self._rows)
        ghosts = scene.add_truth(server.scene, self._stage, truth, self._clips, [line.rows(c) for c in truth])
        self._puppets = people + ghosts

        gui.configure_theme(control_width="large", show_logo=False, show_share_button=False)
        if hasattr(gui, "main_panel"):
            gui.main_panel.dock_right()
        self._play_button = gui.add_button("Pause" if self._playing else "Play")
        self._slider = gui.add_slider("Frame", min=0, max=max(1, len(line) - 1), step=1, initial_value=0)
        self._speed_menu = gui.add_dropdown("Speed", ("0.1×", "0.25×", "0.5×", "1×", "2×", "4×"), initial_value="1×")
        self._clock = gui.add_markdown("")
        with gui.add_folder("2D input"):
            self._image = gui.add_html("")
        with gui.add_folder("Who is who"):
            for (puppet, _), clip in zip(people, self._clips, strict=True):
                _switch(gui, f"person {clip.track_id}", puppet.node)
            for i, (puppet, _) in enumerate(ghosts):
                _switch(gui, "truth" if len(ghosts) == 1 else f"truth {i + 1}", puppet.node)
        with gui.add_folder("What the numbers mean", expand_by_default=False):
            notes = standard_notes(self._clips) + page_notes(self._stage, line, bool(truth))
            gui.add_markdown("\n".join(f"- {n}" for n in notes))

        self._play_button.on_click(lambda _: self.play(not self._playing))

        @self._slider.on_update
        def _(event: Any) -> None:
            if event.client is not None:  # a person moved it, not this program
                self.play(False)
                self.show(int(self._slider.value))

        @self._speed_menu.on_update
        def _(_: Any) -> None:
            self._speed = float(self._speed_menu.value.rstrip("×"))

    @property
    def frame(self) -> int:
        """Index on the time line of the frame that is shown."""
        return self._shown

    def play(self, on: bool) -> None:
        """Play or pause."""
        self._playing = on and len(self._line) > 1
        self._play_button.label = "Pause" if self._playing else "Play"

    def show(self, k: int) -> None:
        """Show one frame of the time line, by index."""
        with self._lock:
            k = int(np.clip(k, 0, len(self._line) - 1))
            self._at = float(self._line.seconds[k])
            self._draw(k)

    def _draw(self, k: int) -> None:
        if k == self._shown:
            return
        self._shown = k
        with self._server.atomic():
            for puppet, rows in self._puppets:
                puppet.show(int(rows[k]))
            self._slider.value = k
            self._image.content = _svg(self._clips, [int(r[k]) for r in self._rows])
            self._clock.content = f"frame {self._line.frames[k]} · {self._line.seconds[k]:.2f} s"

    def _play(self) -> None:
        before = time.monotonic()
        while not self._over.wait(1 / 60):
            now = time.monotonic()
            if self._playing:
                with self._lock:
                    self._at = (self._at + (now - before) * self._speed) % self._line.duration
                    self._draw(int(np.searchsorted(self._line.seconds, self._at + 1e-6, side="right")) - 1)
            before = now

    def wait(self) -> None:
        """Block until Ctrl-C, then close."""
        try:
            while not self._over.wait(1.0):
                pass
        except KeyboardInterrupt:
            pass
        finally:
            self.stop()

    def stop(self) -> None:
        """Close the viewer."""
        if not self._over.is_set():
            self._over.set()
            self._player.join(5)
            with scene.quiet():
                self._server.stop()


def _switch(gui: Any, label: str, node: Any) -> None:
    box = gui.add_checkbox(label, initial_value=True)

    @box.on_update
    def _(_: Any) -> None:
        node.visible = box.value


def _svg(clips: Sequence[Clip], rows: Sequence[int]) -> str:
    """The 2D keypoints of one frame as an SVG picture."""
    size = clips[0].camera.size_wh if clips[0].camera else clips[0].meta.get("size_wh")
    if size is None:
        size = tuple(max(float(c.kp_img[..., a].max(initial=1)) for c in clips) for a in (0, 1))
    w, h = float(size[0]), float(size[1])
    parts = []
    for clip, row, colours in zip(clips, rows, track_colours(len(clips)), strict=True):
        if row >= 0:
            parts += _svg_person(clip, row, colours.on_dark(), thick=max(w, h) / 140)
    return (
        f'<svg viewBox="-0.5 -0.5 {w:g} {h:g}" width="100%" style="background:#1b222d;border-radius:6px;'
        f'max-height:45vh;display:block" stroke-linecap="round">{"".join(parts)}</svg>'
    )


def _svg_person(clip: Clip, row: int, colours: Colours, *, thick: float) -> list[str]:
    kp, conf = clip.kp_img[row], clip.confidence[row]
    parts = []
    for child, parent in clip.skeleton.bones:
        sure = float(min(conf[child], conf[parent]))
        if sure > 0:
            (x1, y1), (x2, y2) = kp[parent].tolist(), kp[child].tolist()
            parts.append(
                f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke-width="{thick:.1f}" '
                f'stroke="{colours.of(side_of(clip.skeleton, child))}" opacity="{0.25 + 0.75 * sure:.2f}"/>'
            )
    return parts
