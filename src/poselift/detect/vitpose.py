"""Two stages with ViTPose through the transformers library: boxes around people, then ViTPose in each of them.

Xu, Zhang, Zhang, Tao, "ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation", NeurIPS 2022,
arXiv 2204.12484. Weights come from a folder or, fetched once, from the Hugging Face Hub; only safetensors are read, and
no code that comes with them. Crops and decoding are those of the published models: the box reaches to the centres of
the outermost pixels (Huang et al., CVPR 2020), joints are read with a Newton step (`newton_argmax`). Of models with
experts for several sets (ViTPose+) that for COCO is used.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from poselift.detect.base import DetectorOptions, Person
from poselift.detect.boxes import BoxSource, box_source
from poselift.detect.crops import people_in_crops
from poselift.detect.top_down import TopDown
from poselift.detect.vitpose_models import VitPose, load_vitpose
from poselift.errors import InputError
from poselift.models.devices import find_device
from poselift.models.heatmaps import flip_heatmaps, newton_argmax

__all__ = ["VitPoseDetector", "build"]


def build(options: DetectorOptions) -> VitPoseDetector:
    """The detector with the model `options.model`, and boxes from `options.files`.

    Raises `InputError`, `MissingExtraError`.
    """
    if options.model is None:
        want = "--detector-model with a ViTPose folder, or hf:usyd-community/vitpose-base-simple or another of the Hub"
        raise InputError(field="detector vitpose", expected=want, found="none")
    boxes = box_source(options, "vitpose")
    if options.say is not None and options.model.startswith("hf:"):
        options.say(f"fetching {options.model.removeprefix('hf:')}")
    model = load_vitpose(options.model, layout=options.skeleton, device=find_device(options.device))
    return VitPoseDetector(boxes, model, flip_average=options.flip_average, detect_every=options.detect_every)


class VitPoseDetector(TopDown):
    """`Detector` with a ViTPose."""

    name = "vitpose"

    def __init__(self, boxes: BoxSource, model: VitPose, *, flip_average: bool = False, detect_every: int = 1) -> None:
        super().__init__(boxes, model.skeleton, detect_every=detect_every)
        self.model, self.flip_average = model, flip_average
        mirrored = ", averaged with those of the mirrored crop" if flip_average else ""
        joints = f"{model.name} their {self.skeleton.name} joints"
        self.notes = (f"2D joints: {boxes.name} finds people, {joints}{mirrored}.",)

    def poses(
        self, image: UInt8[np.ndarray, "h w 3"], boxes: Float[np.ndarray, "n 4"], scores: Float[np.ndarray, " n"]
    ) -> list[Person]:
        """The joints of the people in some boxes (x0, y0, x1, y1 in pixels)."""
        size = self.model.size_hw
        return people_in_crops(image, boxes, scores, self._estimate, size, to_last_pixel=True)

    def _estimate(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        heat = self.model.heatmaps(crops)
        if self.flip_average:
            heat = (heat + flip_heatmaps(self.model.heatmaps(crops.flip(-1)), self.skeleton.flip)) / 2
        cell, height = newton_argmax(heat)
        (h, w), (rows, columns) = self.model.size_hw, heat.shape[-2:]
        scale = cell.new_tensor(((w - 1) / (columns - 1), (h - 1) / (rows - 1)))
        return cell * scale, height.clamp(0, 1)
