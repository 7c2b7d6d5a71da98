"""Detectors in two stages: boxes around people, then the joints of whoever is in each of them.

Between two searches for people (`detect_every`) a person's box is the one around the joints of the frame before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float, Float32, UInt8

from poselift.detect.base import Person, box_around, without_doubles
from poselift.detect.boxes import BoxSource
from poselift.structures import Skeleton
from poselift.video import Frame

__all__ = ["SURE", "TopDown", "people_in_boxes"]

SURE = 0.3
"""A person whose joints are less sure than this on average is not followed into the next frame."""


class TopDown:
    """`Detector` in two stages; subclasses have `name`, `notes` and `poses`. `boxes`: where the first stage is."""

    name: str
    notes: tuple[str, ...]

    def __init__(self, boxes: BoxSource, skeleton: Skeleton, *, detect_every: int = 1) -> None:
        self.boxes, self.skeleton, self.every = boxes, skeleton, detect_every

    def close(self) -> None:
        pass

    def detect(self, frames: Iterable[Frame], *, still: bool = False) -> Iterator[list[Person]]:
        """See `Detector.detect`."""
        followed: list[Person] = []
        for i, frame in enumerate(frames):
            if still or i % self.every == 0 or not followed:
                found = self.boxes.of(frame)
                boxes, scores = found[:, :4], found[:, 4]
            else:
                boxes = np.stack([p.box for p in followed]).astype(np.float64)
                scores = np.array([p.score for p in followed])
            people = self.poses(frame.image, boxes, scores) if len(boxes) else []
            followed = [p for p in people if p.conf.mean() >= SURE]
            yield without_doubles(people)
        if not still:
            self.boxes.end()

    def poses(
        self, image: UInt8[np.ndarray, "h w 3"], boxes: Float[np.ndarray, "n 4"], scores: Float[np.ndarray, " n"]
    ) -> list[Person]:
        """The joints of the people in some boxes (x0, y0, x1, y1 in pixels). Raises `InputError`."""
        raise NotImplementedError


def people_in_boxes(
    kp_img: Float32[np.ndarray, "n j 2"],
    conf: Float32[np.ndarray, "n j"],
    scores: Float[np.ndarray, " n"],
    image: UInt8[np.ndarray, "h w 3"],
) -> list[Person]:
    """People with joints in the picture; joints outside of it, which are guesses, count as missing."""
    limits = np.array([image.shape[1], image.shape[0]]) - 0.5
    conf = np.where(((kp_img < -0.5) | (kp_img > limits)).any(-1), np.float32(0), conf)
    return [
        Person(kp_img=k, conf=c, box=box_around(k, c), score=float(s))
        for k, c, s in zip(kp_img, conf, scores, strict=True)
        if (c > 0).any()
    ]
