"""Two stages from ONNX files: boxes around people, then RTMPose (Jiang et al., 2023) in each of them.

The files are published ones (`rtmpose_models`) or the user's. RTMPose gives two one-dimensional distributions per joint
(SimCC, Li et al., ECCV 2022) at twice the resolution of its input; position = their maxima, confidence = the mean of
the maxima's values. Crops and decoding are those of rtmlib, except for the order of colours: mmpose trains RTMPose on
RGB (`bgr_to_rgb=True` in its configs), which it gets here; rtmlib hands OpenCV's BGR on (its issue 48).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8

from poselift.detect.base import DetectorOptions, Person
from poselift.detect.boxes import BoxSource, SearchedBoxes
from poselift.detect.onnx_session import check_onnxruntime, open_onnx
from poselift.detect.person_boxes import KINDS, PersonBoxes
from poselift.detect.rtmpose_models import cached_models, published_models
from poselift.detect.top_down import TopDown, people_in_boxes
from poselift.errors import InputError
from poselift.structures import skeleton

__all__ = ["RTMPose", "build"]

PADDING = 1.25
"""A box is made this much larger before its joints are looked for."""

_MEAN = np.array((123.675, 116.28, 103.53), np.float32)
_STD = np.array((58.395, 57.12, 57.375), np.float32)


def build(options: DetectorOptions) -> RTMPose:
    """The detector with ONNX files of `options.files`, or else the published ones of the set `options.model`.

    Raises `InputError`, `MissingExtraError`.
    """
    options.no_flip("rtmpose")
    if options.files is not None:
        if options.model is not None:
            want = f"a set of published models, or --detector-files {options.files}, not both"
            raise InputError(field="detector model", expected=want, found=options.model)
        people, joints = _own_files(options.files)
    else:
        wanted = published_models(options.model, options.skeleton)
        check_onnxruntime()  # before a long download
        people, joints = cached_models(wanted, say=options.say)
    return RTMPose(
        SearchedBoxes(PersonBoxes(people, options.device)),
        joints,
        layout=options.skeleton or "coco17",
        device=options.device,
        detect_every=options.detect_every,
    )


def _own_files(folder: Path) -> tuple[Path, Path]:
    """The two ONNX files of a folder: rtmdet*/yolox* and another. Raises `InputError`."""
    if not folder.is_dir():
        want = "--detector-files FOLDER with two ONNX files, one named rtmdet… or yolox…, one an RTMPose"
        raise InputError(field="detector rtmpose", expected=want, found=folder)
    files = sorted(folder.glob("*.onnx"))
    finders = [f for f in files if any(k in f.name.lower() for k in KINDS)]
    poses = [f for f in files if f not in finders]
    if len(finders) != 1 or len(poses) != 1:
        found = ", ".join(f.name for f in files) or "no .onnx file"
        raise InputError(file=folder, expected="one rtmdet…/yolox….onnx and one RTMPose .onnx", found=found)
    return finders[0], poses[0]


class RTMPose(TopDown):
    """`Detector` in two stages."""

    name = "rtmpose"

    def __init__(
        self,
        boxes: BoxSource,
        pose: Path,
        *,
        layout: str = "coco17",
        device: str | None = None,
        detect_every: int = 1,
    ) -> None:
        super().__init__(boxes, skeleton(layout), detect_every=detect_every)
        self.model = open_onnx(pose, device)
        if len(self.model.outputs) < 2:
            want = "two outputs, simcc_x and simcc_y"
            raise InputError(file=pose, field="output", expected=want, found=", ".join(self.model.outputs))
        self.notes = (f"2D joints: {boxes.name} finds people, {pose.stem} their {layout} joints.",)

    def poses(
        self, image: UInt8[np.ndarray, "h w 3"], boxes: Float[np.ndarray, "n 4"], scores: Float[np.ndarray, " n"]
    ) -> list[Person]:
        """The joints of the people in some boxes (x0, y0, x1, y1 in pixels). Raises `InputError`."""
        w, h = self.model.size_wh
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        wide = PADDING * np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
        wide[:, 0] = np.maximum(wide[:, 0], wide[:, 1] * w / h)
        scale = wide[:, 0] / w  # image pixels per input pixel
        corner = middle - scale[:, None] * (w / 2, h / 2)
        patches = np.stack([_patch(image, c, s, (w, h)) for c, s in zip(corner, scale, strict=True)])
        along_x, along_y, *_ = self.model(patches)
        j = len(self.skeleton)
        if along_x.ndim != 3 or along_x.shape[1] != j or along_y.shape[:2] != along_x.shape[:2]:
            want = f"{j} joints of {self.skeleton.name} (--skeleton names another layout)"
            raise InputError(file=self.model.path, expected=want, found=f"shape {along_x.shape}")
        at = np.stack([along_x.argmax(-1) * (w / along_x.shape[2]), along_y.argmax(-1) * (h / along_y.shape[2])], -1)
        conf = np.clip((along_x.max(-1) + along_y.max(-1)) / 2, 0, 1).astype(np.float32)
        kp = (at * scale[:, None, None] + corner[:, None]).astype(np.float32)
        return people_in_boxes(kp, conf, scores, image)


def _patch(
    image: np.ndarray, corner: np.ndarray, scale: float, size_wh: tuple[int, int]
) -> Float32[np.ndarray, "3 h w"]:
    """The part of an image whose pixel at (x, y) is corner + scale · (x, y), normalised; outside it is black."""
    from PIL import Image

    x, y = (float(c) + 0.5 - 0.5 * scale for c in corner)  # Pillow counts from the pixels' edges
    cut = Image.fromarray(image).transform(
        size_wh, Image.Transform.AFFINE, (scale, 0.0, x, 0.0, scale, y), Image.Resampling.BILINEAR
    )
    values = (np.asarray(cut).astype(np.float32) - _MEAN) / _STD
    return np.ascontiguousarray(values.transpose(2, 0, 1))
