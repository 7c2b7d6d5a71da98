"""The live page: a web server of this machine's own that sends each new frame, its 2D and its 3D to the browser.

Nothing but the standard library and Pillow. Every browser gets the newest state whenever it can take one, so a slow
one shows fewer frames and holds nobody up; without a browser nothing is encoded.
"""

from __future__ import annotations

import base64
import errno
import io
import json
import re
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import UInt8

from poselift.errors import OutputError
from poselift.structures import Clip
from poselift.view import figure
from poselift.view.ground import foot_points
from poselift.view.palette import side_of, track_colours

__all__ = ["LivePage"]

PICTURE_SIDE = 640
"""Pixels of the larger side of the picture that is sent."""

_GROUND_FRAMES = 150
"""The floor is judged by so many of the last frames."""

_VIEW_AXES = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Camera axes (rows right, away, up): up is the camera's, since gravity is not known."""


@dataclass(frozen=True)
class _State:
    number: int
    image: np.ndarray
    clips: tuple[Clip, ...]
    facts: dict[str, Any]


class LivePage:
    """A page that shows what `show` was given last; `url` is its address.

    The port is the next free one from `port` on. Only browsers on this machine are answered. Raises `OutputError`
    where no port can be had.
    """

    def __init__(self, *, title: str, notes: Sequence[str] = (), port: int = 8080) -> None:
        self._news = threading.Condition()
        self._state: _State | None = None
        self._sent: tuple[int, bytes] = (-1, b"")
        self._over = ""
        self._soles: deque[np.ndarray] = deque(maxlen=_GROUND_FRAMES)
        self._page = _page(title, notes)
        self._server = _listen(port, self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="poselift page")
        self._thread.start()

    def show(self, image: UInt8[np.ndarray, "h w 3"], clips: Sequence[Clip], facts: Mapping[str, Any]) -> None:
        """The newest frame: clips of one frame each (2D, and 3D where they have it), facts for the status line."""
        for clip in clips:
            p = clip.p_cam
            if p is not None:
                self._soles.append(foot_points(p @ _VIEW_AXES.T, clip.skeleton))
        ground = float(np.percentile(np.concatenate(self._soles)[:, 2], 15)) if self._soles else -1.0
        with self._news:
            number = 0 if self._state is None else self._state.number + 1
            self._state = _State(number, image, tuple(clips), {**facts, "ground": round(ground, 3)})
            self._news.notify_all()

    def close(self, why: str = "ended") -> None:
        """Tells the browsers that it is over, and ends."""
        with self._news:
            self._over = why
            self._news.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2.0)

    def next_event(self, after: int) -> tuple[int, bytes] | None:
        """(number, event for the browser) of the first state newer than `after` that there is; None at the end."""
        with self._news:
            while not self._over and (self._state is None or self._state.number <= after):
                self._news.wait(1.0)
            state = self._state
            if self._over or state is None:
                return None
            if self._sent[0] != state.number:  # encoded once for all browsers
                self._sent = (state.number, _event(state))
            return self._sent

    @property
    def over(self) -> str:
        """Why it ended, empty while it runs."""
        return self._over

    @property
    def page(self) -> bytes:
        """The HTML."""
        return self._page


def _page(title: str, notes: Sequence[str]) -> bytes:
    assets = files("poselift.view") / "assets"
    fill = {
        "TITLE": escape(title),
        "NOTES": "".join(f"<li>{escape(n)}</li>" for n in notes),
        "CSS": (assets / "page.css").read_text(encoding="utf-8"),
        "JS": (assets / "live.js").read_text(encoding="utf-8"),
    }
    page = (assets / "live.html").read_text(encoding="utf-8")
    return re.sub(r"@@([A-Z]+)@@", lambda m: fill[m[1]], page).encode()


def _event(state: _State) -> bytes:
    h, w = state.image.shape[:2]
    alone = len(state.clips) == 1
    people = [
        _person(clip, track_colours(1)[0] if alone else track_colours(8)[clip.track_id % 8]) for clip in state.clips
    ]
    body = {**state.facts, "size": [w, h], "picture": _jpeg(state.image), "people": people}
    return f"data: {json.dumps(body, separators=(',', ':'))}\n\n".encode()


def _person(clip: Clip, colours: Any) -> dict[str, Any]:
    body, p = clip.skeleton, clip.p_cam
    return {
        "id": clip.track_id, "colours": list(colours), "bright": list(colours.on_dark()),
        "bones": [[child, parent] for child, parent in body.bones],
        "sides": "".join(side_of(body, j) or "-" for j in range(len(body))),
        "thick": [round(float(r), 4) for r in figure.rod_radii(body)],
        "kp": np.round(clip.kp_img[0], 1).tolist(), "conf": np.round(clip.confidence[0], 2).tolist(),
        "p": None if p is None else np.round(p[0] @ _VIEW_AXES.T, 3).tolist(),
    }  # fmt: skip


def _jpeg(image: np.ndarray) -> str:
    from PIL import Image

    picture, data = Image.fromarray(image), io.BytesIO()
    scale = PICTURE_SIDE / max(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)
    picture.save(data, format="JPEG", quality=75)
    return base64.b64encode(data.getvalue()).decode("ascii")


def _listen(port: int, page: LivePage) -> ThreadingHTTPServer:
    if not 0 <= port <= 65_535:
        raise OutputError(f"the live page cannot listen on port {port}: ports are 0 to 65535")

    class Handler(_Handler):
        shown = page

    for free in range(port, min(port + 100, 65_536)):
        try:
            server = _Server(("127.0.0.1", free), Handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise OutputError(f"the live page cannot listen on port {free}: {error.strerror}") from None
        else:
            return server
    raise OutputError(f"the live page finds no free port from {port} on")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has gone away is no news."""


class _Handler(BaseHTTPRequestHandler):
    shown: LivePage
    timeout = 20.0
    """Seconds after which a browser that neither asks nor takes anything is left."""

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").partition(":")[0]  # browsers leave out port 80
        if host not in ("localhost", "127.0.0.1"):  # another site's name that leads here must not see the camera
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            self._send("text/html; charset=utf-8", self.shown.page)
        elif self.path == "/events":
            self._events()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send(self, kind: str, body: bytes | None) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if body is not None:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body is not None:
            self.wfile.write(body)

    def _events(self) -> None:
        self._send("text/event-stream", None)
        number = -1
        while (event := self.shown.next_event(number)) is not None:
            number = event[0]
            self.wfile.write(event[1])
            self.wfile.flush()
        self.wfile.write(f"event: over\ndata: {json.dumps(self.shown.over)}\n\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""
