"""Reads back what viser recorded in one of our pages, as its player would apply it."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import zstandard


def block(page: str, name: str) -> Any:
    """The JSON of a script element of the page."""
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found, name
    return json.loads(found[1])


class Recording:
    """Messages of a page's 3D scene: (second, message) pairs, arrays in place of placeholders."""

    def __init__(self, path: Path) -> None:
        inner = block(path.read_text(encoding="utf-8"), "recording")
        embedded = re.search(r'__VISER_EMBED_DATA__="([^"]+)"', inner)
        assert embedded
        raw = base64.b64decode(embedded[1])
        data = zstandard.ZstdDecompressor().decompress(raw[8:], max_output_size=int.from_bytes(raw[:8], "little"))
        length = int.from_bytes(data[:8], "little")
        head = msgspec.msgpack.decode(data[8 : 8 + length])
        self.duration: float = head["durationSeconds"]
        at, self._buffers = 8 + length, []
        for size in head["binaryBufferLengths"]:
            at += -at % 8
            self._buffers.append(data[at : at + size])
            at += size
        self.messages: list[tuple[float, dict[str, Any]]] = [(t, self._filled(m)) for t, m in head["messages"]]

    def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            if "__binary_index" in value:
                return np.frombuffer(self._buffers[value["__binary_index"]], value["dtype"])
            return {k: self._filled(v) for k, v in value.items()}
        return value

    def state(self, seconds: float) -> dict[str, dict[str, Any]]:
        """Properties and visibility of every node at a time."""
        nodes: dict[str, dict[str, Any]] = {}
        for t, m in self.messages:
            if t > seconds + 1e-9:
                break
            if "props" in m and "name" in m:
                nodes[m["name"]] = {**m["props"], "visible": True}
            elif m["type"] == "SceneNodeUpdateMessage":
                nodes[m["name"]].update(m["updates"])
            elif m["type"] == "SetSceneNodeVisibilityMessage":
                nodes[m["name"]]["visible"] = m["visible"]
        return nodes
