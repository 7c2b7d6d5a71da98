"""The container of glTF 2.0 in one file (.glb): accessors into one buffer, JSON and binary chunk."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from poselift import __version__
from poselift.errors import InputError
from poselift.storage.atomic import write_aside

__all__ = ["FLOAT", "UBYTE", "GlbFile"]

FLOAT, UBYTE = 5126, 5121
"""glTF's numbers for component types."""

_ARRAY_BUFFER = 34962
_DTYPES = {FLOAT: np.dtype("<f4"), UBYTE: np.dtype("u1")}


class GlbFile:
    """A glTF document in the making: `root` is its JSON, `nodes` its list of nodes."""

    def __init__(self, *, extras: dict[str, Any]) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.root: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": f"poselift {__version__}", "extras": extras},
            "scene": 0,
            "scenes": [{"nodes": []}],
            "nodes": self.nodes,
        }
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []
        self._chunks: list[bytes] = []
        self._size = 0

    def accessor(
        self, values: np.ndarray, kind: str, component: int, *, bounds: bool = False, vertices: bool = False
    ) -> int:
        """Index of a new accessor over values (n, components); bounds: state their range; vertices: of a mesh."""
        values = np.ascontiguousarray(values, dtype=_DTYPES[component])
        data = values.tobytes()
        view: dict[str, Any] = {"buffer": 0, "byteOffset": self._size, "byteLength": len(data)}
        if vertices:
            view["target"] = _ARRAY_BUFFER
        data += b"\0" * (-len(data) % 4)
        self._chunks.append(data)
        self._size += len(data)
        self._views.append(view)
        made: dict[str, Any] = {
            "bufferView": len(self._views) - 1, "componentType": component, "count": len(values), "type": kind,
        }  # fmt: skip
        if bounds:
            made |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        self._accessors.append(made)
        return len(self._accessors) - 1

    def save(self, path: str | Path) -> list[Path]:
        """Write the file. Raises `InputError` for more than the format's 4 GB, `OutputError`."""
        self.root |= {
            "accessors": self._accessors, "bufferViews": self._views, "buffers": [{"byteLength": self._size}],
        }  # fmt: skip
        text = json.dumps(self.root, ensure_ascii=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + self._size
        if total >= 2**32:
            raise InputError(field="scene", expected="at most 4 GB as GLB", found=f"{total / 1e9:.1f} GB")
        with write_aside(path) as part, part.open("wb") as out:
            out.write(struct.pack("<4sII", b"glTF", 2, total))
            out.write(struct.pack("<I4s", len(text), b"JSON") + text)
            out.write(struct.pack("<I4s", self._size, b"BIN\0"))
            out.writelines(self._chunks)
        return [Path(path)]
