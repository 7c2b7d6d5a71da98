"""Streams for tests: a video sent over HTTP from this machine, at its own pace, cut off, or silent after a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["streamed"]


@contextmanager
def streamed(path: Path, *, part: float = 1.0, hang: bool = False) -> Iterator[str]:
    """The address of a server that sends a part of a file; then it ends the connection, or hangs."""
    data = path.read_bytes()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: int(part * len(data))])
            if hang:
                over.wait(60)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/live.ts"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
