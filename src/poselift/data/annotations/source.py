"""Batches of crops from annotated pictures: boxes extended, crops turned and coloured as RootNet's training does it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Generator

from poselift.data.annotations.base import AnnotatedPerson, AnnotatedPicture, AnnotationSet
from poselift.data.image_augment import PLAIN, Draw, ImageAugment, person_sample
from poselift.data.images import ImageBatch
from poselift.errors import InputError
from poselift.geometry.crops import MARGIN, clip_box, extend_box
from poselift.structures import Skeleton, skeleton
from poselift.structures.conversions import convert_points

__all__ = ["AnnotatedSource"]


@dataclass(frozen=True, eq=False)
class AnnotatedSource:
    """People of annotated pictures, drawn with replacement or by number.

    joints: the skeleton of the batches, so that sets of different joints can be mixed; None for the set's own.
    augment: how crops are varied; None for crops as they are. crop: side of the crops in pixels.
    """

    annotations: AnnotationSet
    crop: int = 256
    augment: ImageAugment | None = None
    joints: str | None = "h36m17"

    @cached_property
    def _people(self) -> list[tuple[AnnotatedPicture, AnnotatedPerson]]:
        return [(picture, person) for picture in self.annotations.pictures for person in picture.people]

    @property
    def size(self) -> int:
        """Number of people to draw from."""
        return len(self._people)

    @property
    def skeleton(self) -> Skeleton:
        return self.annotations.skeleton if self.joints is None else skeleton(self.joints)

    def batch(self, b: int, gen: Generator) -> ImageBatch:
        """b people. Raises `InputError` for a picture that cannot be read or has another size than is annotated."""
        return self.take(torch.randint(self.size, (b,), generator=gen).tolist(), gen)

    def take(self, people: list[int], gen: Generator) -> ImageBatch:
        """People by number: 0 to size - 1, in the order of the file."""
        draws = [PLAIN if self.augment is None else self.augment.draw(gen) for _ in people]
        return ImageBatch.cat([self._one(i, draw) for i, draw in zip(people, draws, strict=True)])

    def _one(self, i: int, draw: Draw) -> ImageBatch:
        from poselift.video.pictures import read_picture

        picture, person = self._people[i]
        image = read_picture(picture.file)
        found = (image.shape[1], image.shape[0])
        if found != picture.size_wh:
            size = "{} x {} pixels".format
            raise InputError(file=picture.file, field="size", expected=size(*picture.size_wh), found=size(*found))
        root = self.annotations.skeleton.root
        kp, visible = person.kp_img, person.visible
        if self.joints is not None:
            kp, visible = (
                x[0] for x in convert_points(kp[None], visible[None], self.annotations.skeleton, self.skeleton)
            )
            visible = (visible > 0).astype(np.float64)
        box, _ = clip_box(torch.as_tensor(person.box_xywh), torch.tensor(picture.size_wh, dtype=torch.float64))
        return person_sample(
            torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1),
            skeleton=self.skeleton,
            kp_img=torch.as_tensor(kp, dtype=torch.float32),
            visible=torch.as_tensor(visible, dtype=torch.float32),
            root_img=torch.as_tensor(person.kp_img[root], dtype=torch.float32),
            root_visible=float(person.visible[root]),
            root_z=None if person.p_cam is None else float(person.p_cam[root, 2]),
            box_xywh=extend_box(box, 1.0, MARGIN).float(),
            K=torch.as_tensor(picture.K, dtype=torch.float32),
            out_hw=(self.crop, self.crop),
            draw=draw,
        )
