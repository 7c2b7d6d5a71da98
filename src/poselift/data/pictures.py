"""The table of picture sets: where batches of pictures of people come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from torch import Generator

from poselift.data.annotations import ANNOTATIONS, AnnotationOptions, read_annotations
from poselift.data.image_augment import ImageAugment
from poselift.data.images import ImageBatch
from poselift.data.rendered import RenderOptions
from poselift.errors import InputError, unknown_name
from poselift.structures import Skeleton

__all__ = ["PICTURES", "PictureConfig", "PictureSet", "PictureSource", "picture_source"]


@dataclass(frozen=True, kw_only=True)
class PictureConfig:
    """Which pictures, in which form."""

    pictures: Literal["rendered", "human36m", "mpii", "mscoco", "muco", "mupots", "pw3d", "coco"] = "rendered"
    """Picture set: people drawn on the fly from CMU motion, or annotated pictures (docs/annotations.md)."""
    path: str | None = None
    """Folder of the data; none means the CMU subset that comes with the package (rendered only)."""
    crop: int = 256
    """Width and height of the crops in pixels."""
    render: RenderOptions = field(default_factory=RenderOptions)
    """rendered: scenes, cameras, noise."""
    annotations: AnnotationOptions = field(default_factory=AnnotationOptions)
    """Annotated pictures: how annotations are read."""
    augment: ImageAugment = field(default_factory=ImageAugment)
    """Annotated pictures: how training crops are varied."""
    joints: str | None = "h36m17"
    """Annotated pictures: skeleton of the batches; none keeps the set's own."""
    reuse: int = 1
    """How often training learns from a crop: above 1, crops stay in memory and are mirrored every other time."""
    held: int = 8192
    """Crops in memory, where they are learned from more than once."""

    @property
    def dataset(self) -> str:
        """The set's name, as that of `DataConfig`."""
        return self.pictures


@runtime_checkable
class PictureSource(Protocol):
    """Pictures of people: `size` of them to draw from (with replacement), or poses where they are drawn on the fly."""

    @property
    def size(self) -> int: ...

    @property
    def skeleton(self) -> Skeleton: ...

    def batch(self, b: int, gen: Generator) -> ImageBatch: ...


@dataclass(frozen=True)
class PictureSet:
    """An entry of `PICTURES`: source(config, split) with a split of `splits`."""

    summary: str
    splits: tuple[str, ...]
    source: Callable[[PictureConfig, str], PictureSource]


def _rendered(config: PictureConfig, split: str) -> PictureSource:
    from poselift.data.rendered import rendered_source

    # validation and test pictures are cropped as a perfect detector would crop them
    options = config.render if split == "train" else replace(config.render, jitter=0.0)
    return rendered_source(config.path, split, options, crop=config.crop)


def _annotated(config: PictureConfig, split: str) -> PictureSource:
    from poselift.data.annotations.source import AnnotatedSource

    if config.path is None:
        raise InputError(field="pictures path", expected=f"where your {config.pictures} data is", found="nothing")
    found = read_annotations(config.pictures, Path(config.path), split, config.annotations)
    return AnnotatedSource(found, config.crop, config.augment if split == "train" else None, config.joints)


PICTURES: dict[str, PictureSet] = {
    "rendered": PictureSet(
        "people with volume, drawn on the fly from CMU motion; splits as in cmu17", ("train", "validation", "test"),
        _rendered,
    ),
    **{name: PictureSet(a.summary, a.splits, _annotated) for name, a in ANNOTATIONS.items()},
}  # fmt: skip


def picture_source(config: PictureConfig, split: str) -> PictureSource:
    """Source of batches of a split. Raises `InputError` with the nearest name for an unknown set."""
    if config.pictures not in PICTURES:
        raise unknown_name("picture set", config.pictures, PICTURES)
    return PICTURES[config.pictures].source(config, split)
