"""Two stages with our own networks of pictures: boxes around people, then a Pose ResNet (`models.images`) in each.

The model folder, from `poselift train pose-resnet` or `poselift import`, says joints, colours, size of the crop and how
its heatmaps are read. Crops are those that it was trained on: the box brought to the crop's shape, 1.25 times as large.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8

from poselift.detect.base import DetectorOptions, Person
from poselift.detect.boxes import BoxSource, box_source
from poselift.detect.top_down import TopDown, people_in_boxes
from poselift.errors import InputError
from poselift.geometry.crops import crop_affine, crop_patches, extend_box, invert_affine, transform_points
from poselift.models.devices import find_device
from poselift.models.images.base import ImagePose
from poselift.models.weights import load_image

__all__ = ["CROPS_AT_ONCE", "PoseResNetDetector", "build"]

CROPS_AT_ONCE = 32
"""People of a frame who go through the network together."""


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
        h, w = self.model.config.size_hw
        wh = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
        box_xywh = extend_box(torch.from_numpy(np.concatenate([boxes[:, :2], wh], axis=1)), w / h)
        affine = crop_affine(box_xywh, (w, h))
        pixels = torch.tensor(image).permute(2, 0, 1)
        kp_img, confidence = [], []
        with torch.inference_mode():
            for part in affine.split(CROPS_AT_ONCE):
                crops = crop_patches(pixels, part, (h, w)).to(self.model.mean.device)
                kp_patch, conf = self.model.estimate(crops, flip_average=self.flip_average)
                kp_img.append(transform_points(invert_affine(part), kp_patch.double().cpu()).float())
                confidence.append(conf.float().cpu())
        return people_in_boxes(torch.cat(kp_img).numpy(), torch.cat(confidence).numpy(), scores, image)
