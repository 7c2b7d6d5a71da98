"""Two stages with our own networks of pictures: boxes around people, then a Pose ResNet (`models.images`) in each.

The model folder, from `poselift train pose-resnet` or `poselift import`, says joints, colours, size of the crop and how
its heatmaps are read. Crops are those that it was trained on: the box brought to the crop's shape, 1.25 times as large.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from poselift.detect.base import DetectorOptions, Person
from poselift.detect.boxes import BoxSource, box_source
from poselift.detect.crops import people_in_crops
from poselift.detect.top_down import TopDown
from poselift.errors import InputError
from poselift.models.devices import find_device
from poselift.models.images.base import ImagePose
from poselift.models.weights import load_image

__all__ = ["PoseResNetDetector", "build"]


def build(options: DetectorOptions) -> PoseResNetDetector:
    """The detector with the model `options.model`, and boxes from `options.files`. Raises `InputError`."""
    if options.model is None:
        want = "--detector-model DIR, the folder of a Pose ResNet (poselift train pose-resnet, poselift import)"
        raise InputError(field="detector resnet", expected=want, found="none")
    boxes = box_source(options, "resnet")
    model = load_image(options.model, device=find_device(options.device))
    options.checked_layout(model.skeleton, file=options.model)
    return PoseResNetDetector(boxes, model, flip_average=options.flip_average, detect_every=options.detect_every)


class PoseResNetDetector(TopDown):
    """`Detector` with any network from crops to heatmaps."""

    name = "resnet"

    def __init__(
        self, boxes: BoxSource, model: ImagePose, *, flip_average: bool = False, detect_every: int = 1
    ) -> None:
        super().__init__(boxes, model.skeleton, detect_every=detect_every)
        self.model, self.flip_average = model, flip_average
        mirrored = ", averaged with those of the mirrored crop" if flip_average else ""
        layers, joints = f"a Pose ResNet of {model.config.depth} layers", f"their {self.skeleton.name} joints"
        self.notes = (f"2D joints: {boxes.name} finds people, {layers} {joints}{mirrored}.",)

    def poses(
        self, image: UInt8[np.ndarray, "h w 3"], boxes: Float[np.ndarray, "n 4"], scores: Float[np.ndarray, " n"]
    ) -> list[Person]:
        """The joints of the people in some boxes (x0, y0, x1, y1 in pixels)."""
        return people_in_crops(image, boxes, scores, self._estimate, self.model.config.size_hw)

    def _estimate(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.estimate(crops.to(self.model.mean.device), flip_average=self.flip_average)
