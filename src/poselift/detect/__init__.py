"""People and their 2D joints from pixels: the table `DETECTORS`.

A detector is one file with a class that fits `detect.base.Detector` and a function `build(options)`, and one line here.
Libraries and model files are loaded when a detector is built.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from poselift.detect.base import Detector, DetectorOptions, Person
from poselift.errors import unknown_name

__all__ = ["DETECTORS", "Detector", "DetectorEntry", "DetectorOptions", "Person", "build_detector"]

_HERE = "poselift.detect."


@dataclass(frozen=True, kw_only=True)
class DetectorEntry:
    """A row of `DETECTORS`: `module` has `build(options)`; licence is that of the model files."""

    module: str
    summary: str
    licence: str

    def build(self, options: DetectorOptions) -> Detector:
        return importlib.import_module(self.module).build(options)


DETECTORS: dict[str, DetectorEntry] = {
    "mediapipe": DetectorEntry(
        module=_HERE + "mediapipe",
        summary="MediaPipe pose landmarks, 33 joints; best for one person; fetched once (36 MB)",
        licence="Apache-2.0",
    ),
    "rtmpose": DetectorEntry(
        module=_HERE + "rtmpose",
        summary="YOLOX or RTMDet for people, RTMPose for joints: published models, fetched once, or your ONNX files",
        licence="that of your files; Apache-2.0 for the published ones, whose training data have terms of their own",
    ),
    "resnet": DetectorEntry(
        module=_HERE + "pose_resnet",
        summary="a Pose ResNet that you trained or imported, in boxes from RTMDet, YOLOX (ONNX) or your box file",
        licence="that of your files",
    ),
    "vitpose": DetectorEntry(
        module=_HERE + "vitpose",
        summary="a ViTPose of the Hugging Face Hub or of your folder, in boxes as for resnet",
        licence="that of your files; Apache-2.0 for the published ones",
    ),
    "given": DetectorEntry(
        module=_HERE + "given", summary="your own keypoint file for this video, in any known format", licence="yours"
    ),
}


def build_detector(name: str, options: DetectorOptions | None = None) -> Detector:
    """The detector of that name, ready to work. Raises `InputError`, `MissingExtraError`."""
    if name not in DETECTORS:
        raise unknown_name("detector", name, DETECTORS)
    return DETECTORS[name].build(options or DetectorOptions())
