"""Annotated pictures of people from the published folders, or from your own file: `ANNOTATIONS`, one line a set."""

from __future__ import annotations

from pathlib import Path

from poselift.data.annotations.base import (
    AnnotatedPerson,
    AnnotatedPicture,
    AnnotationOptions,
    AnnotationSet,
    AnnotationSource,
)
from poselift.data.annotations.human36m import read_human36m
from poselift.data.annotations.plain import read_mpii, read_mscoco, read_own
from poselift.data.annotations.spatial import read_muco, read_mupots, read_pw3d
from poselift.errors import InputError, unknown_name
from poselift.formats.rootnet import FoundBox

__all__ = [
    "ANNOTATIONS", "AnnotatedPerson", "AnnotatedPicture", "AnnotationOptions", "AnnotationSet", "AnnotationSource",
    "FoundBox", "read_annotations",
]  # fmt: skip

ANNOTATIONS: dict[str, AnnotationSource] = {
    "human36m": AnnotationSource("Human3.6M (Human36M/), 3D", ("train", "test"), read_human36m),
    "mpii": AnnotationSource("MPII (MPII/), 2D", ("train",), read_mpii),
    "mscoco": AnnotationSource("MS COCO 2017 (MSCOCO/), 2D", ("train", "validation"), read_mscoco),
    "muco": AnnotationSource("MuCo-3DHP (MuCo/), several people, 3D", ("train",), read_muco),
    "mupots": AnnotationSource("MuPoTS-3D (MuPoTS/), several people, 3D", ("test",), read_mupots),
    "pw3d": AnnotationSource("3DPW (PW3D/), several people, 3D", ("train", "validation", "test"), read_pw3d),
    "coco": AnnotationSource("your own pictures in COCO's form", ("train", "validation", "test"), read_own),
}


def read_annotations(
    name: str, path: str | Path, split: str, options: AnnotationOptions | None = None
) -> AnnotationSet:
    """The annotations of a split. path: the set's folder in its published form (coco: a file, too).

    Pictures themselves are not opened. Raises `InputError`: unknown set or split, and whatever the files lack.
    """
    if name not in ANNOTATIONS:
        raise unknown_name("annotation set", name, ANNOTATIONS)
    source, path = ANNOTATIONS[name], Path(path)
    if split not in source.splits:
        raise InputError(field="split", expected=f"of {name}: {', '.join(source.splits)}", found=split)
    if not path.exists():
        raise InputError("no such file or folder", file=path)
    return source.read(path, split, options or AnnotationOptions())
