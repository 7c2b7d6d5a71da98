"""The table of picture sets: where batches of pictures of people come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, runtime_checkable

from torch import Generator

from poselift.data.images import ImageBatch
from poselift.data.rendered import RenderOptions
from poselift.errors import unknown_name
from poselift.structures import Skeleton

__all__ = ["PICTURES", "PictureConfig", "PictureSet", "PictureSource", "picture_source"]


@dataclass(frozen=True, kw_only=True)
class PictureConfig:
    """Which pictures, in which form."""

    pictures: Literal["rendered"] = "rendered"
    """Picture set: people drawn on the fly from CMU motion."""
    path: str | None = None
    """Folder of the data; none means the CMU subset that comes with the package (rendered only)."""
    render: RenderOptions = field(default_factory=RenderOptions)
    """rendered: size of the crops, scenes, cameras."""


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
    """An entry of `PICTURES`: source(config, split) with split train, validation or test."""

    summary: str
    source: Callable[[PictureConfig, str], PictureSource]


def _rendered(config: PictureConfig, split: str) -> PictureSource:
    from poselift.data.rendered import rendered_source

    # validation and test pictures are cropped as a perfect detector would crop them
    options = config.render if split == "train" else replace(config.render, jitter=0.0)
    return rendered_source(config.path, split, options)


PICTURES: dict[str, PictureSet] = {
    "rendered": PictureSet("people with volume, drawn on the fly from CMU motion; splits as in cmu17", _rendered),
}


def picture_source(config: PictureConfig, split: str) -> PictureSource:
    """Source of batches of a split. Raises `InputError` with the nearest name for an unknown set."""
    if config.pictures not in PICTURES:
        raise unknown_name("picture set", config.pictures, PICTURES)
    return PICTURES[config.pictures].source(config, split)
