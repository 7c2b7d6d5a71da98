"""Boxes around people by RTMDet (Lyu et al., 2022) or YOLOX (Ge et al., 2021), exported to ONNX as mmdeploy does.

Outputs known: boxes after suppression, (1, n, 5) as x0, y0, x1, y1, score, with or without labels (1, n); and
YOLOX's raw (1, cells, 5 + classes) on strides 8, 16, 32. People are class 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8

from poselift.detect.onnx_session import OnnxModel, open_onnx
from poselift.errors import InputError

__all__ = ["KINDS", "PersonBoxes", "suppress"]

KINDS = ("rtmdet", "yolox")
"""Words in the names of files that tell which of the two a network is."""

_PAD = 114
_RTMDET_MEAN = np.array((103.53, 116.28, 123.675), np.float32)
_RTMDET_STD = np.array((57.375, 57.12, 58.395), np.float32)


class PersonBoxes:
    """A person detector. The file's name says which of the two it is: their inputs are scaled differently."""

    def __init__(self, path: Path, device: str | None, *, least_score: float = 0.3, overlap: float = 0.45) -> None:
        kinds = [kind for kind in KINDS if kind in path.name.lower()]
        if len(kinds) != 1:
            raise InputError(file=path, expected="a name with rtmdet or yolox in it: their inputs differ")
        self.kind, self.least_score, self.overlap = kinds[0], least_score, overlap
        self.model: OnnxModel = open_onnx(path, device)

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "n 5"]:
        """People in an RGB image: x0, y0, x1, y1 in pixels and score, best first. Raises `InputError`."""
        patch, scale = self._prepared(image)
        outputs = self.model(patch)
        rows = outputs[0]
        if rows.ndim != 3 or rows.shape[2] < 5:
            raise InputError(
                file=self.model.path, field="output", expected="(1, n, 5 or more)", found=f"shape {rows.shape}"
            )
        if rows.shape[2] > 5:
            found = self._decoded(rows[0].astype(np.float64))
        else:
            found = rows[0].astype(np.float64)
            if len(outputs) > 1:
                found = found[outputs[1].reshape(-1) == 0]
        found = found[found[:, 4] >= self.least_score]
        found[:, :4] = found[:, :4] / scale - 0.5  # edges of pixels, whose centres are our whole numbers
        h, w = image.shape[:2]
        found[:, :4] = np.clip(found[:, :4], -0.5, np.array([w, h, w, h]) - 0.5)
        found = found[(found[:, 2] - found[:, 0] > 2) & (found[:, 3] - found[:, 1] > 2)]
        return suppress(found, self.overlap)

    def _prepared(self, image: np.ndarray) -> tuple[Float32[np.ndarray, "1 3 h w"], float]:
        """The image scaled into the upper left of the input, BGR, normalised; and the scale."""
        from PIL import Image

        w, h = self.model.size_wh
        scale = min(h / image.shape[0], w / image.shape[1])
        size = max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale))
        full = np.full((h, w, 3), _PAD, np.uint8)
        full[: size[1], : size[0]] = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        patch = full[..., ::-1].astype(np.float32)
        if self.kind == "rtmdet":
            patch = (patch - _RTMDET_MEAN) / _RTMDET_STD
        return np.ascontiguousarray(patch.transpose(2, 0, 1)[None]), scale

    def _decoded(self, rows: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n 5"]:
        """YOLOX's raw rows: centre in cells, log size, objectness, class scores."""
        w, h = self.model.size_wh
        cells, strides = [], []
        for stride in (8, 16, 32):
            x, y = np.meshgrid(np.arange(w // stride), np.arange(h // stride))
            cells.append(np.stack([x, y], -1).reshape(-1, 2))
            strides.append(np.full((x.size, 1), stride))
        cell, stride = np.concatenate(cells), np.concatenate(strides)
        if len(cell) != len(rows):
            raise InputError(file=self.model.path, field="output", expected=f"{len(cell)} cells", found=len(rows))
        middle, size = (rows[:, :2] + cell) * stride, np.exp(np.minimum(rows[:, 2:4], 20)) * stride
        return np.concatenate([middle - size / 2, middle + size / 2, rows[:, 4:5] * rows[:, 5:6]], axis=1)


def suppress(boxes: Float[np.ndarray, "n 5"], overlap: float) -> Float[np.ndarray, "m 5"]:
    """Non-maximum suppression: the best boxes, of which no two overlap (intersection over union) by more."""
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    area = np.prod(boxes[:, 2:4] - boxes[:, :2], axis=1)
    kept: list[int] = []
    for i in range(len(boxes)):
        low, high = np.maximum(boxes[i, :2], boxes[kept, :2]), np.minimum(boxes[i, 2:4], boxes[kept, 2:4])
        common = np.prod(np.maximum(high - low, 0), axis=1)
        if (common <= overlap * (area[i] + area[kept] - common)).all():
            kept.append(i)
    return boxes[kept]
