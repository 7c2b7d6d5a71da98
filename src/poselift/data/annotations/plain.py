"""Sets that are annotated in 2D only: MPII, MS COCO 2017, and anybody's own file in COCO's form (2D or 3D)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from poselift.data.annotations.base import (
    AnnotatedPerson,
    AnnotatedPicture,
    AnnotationOptions,
    AnnotationSet,
    default_K,
)
from poselift.data.annotations.layout import Layout, annotation_set, flags, load_layout, member
from poselift.errors import InputError
from poselift.formats.rootnet import numbers, read_boxes
from poselift.structures import Skeleton, skeleton

__all__ = ["own_K", "read_mpii", "read_mscoco", "read_own"]


def _keypoints(a: dict[str, Any], joints: int, layout: Layout, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Joints (j, 2) and flags (j,) of the usual x, y, flag triplets."""
    value = member(a, "keypoints", file=layout.file, field=where)
    points = numbers(value, (joints, 3), file=layout.file, field=f"{where} keypoints")
    return points[:, :2], points[:, 2]


def _annotated(a: dict[str, Any], layout: Layout) -> bool:
    """Whether anything of a person is annotated; counts those who are left out."""
    if a.get("num_keypoints") == 0:
        layout.dropped["people without keypoints"] += 1
        return False
    return True


def read_mpii(folder: Path, split: str, options: AnnotationOptions) -> AnnotationSet:
    """MPII: `annotations/train.json`; file names hold the `images/` part. Visibility as stored, focal length 1500."""
    layout = load_layout(folder / "annotations" / f"{split}.json")
    skel = skeleton("mpii16")
    pictures = []
    for image in layout.images.values():
        people = []
        for a, box, where in layout.of(image):
            if _annotated(a, layout):
                kp, seen = _keypoints(a, len(skel), layout, where)
                people.append(AnnotatedPerson(box_xywh=box, kp_img=kp, visible=seen, id=a.get("id")))
        if people:
            pictures.append(_flat(layout, image, folder, people))
    return annotation_set("mpii", split, skel, pictures, layout)


def _flat(layout: Layout, image: dict[str, Any], folder: Path, people: list[AnnotatedPerson]) -> AnnotatedPicture:
    """A picture of which nobody knows the camera."""
    size = layout.size_wh(image)
    return AnnotatedPicture(
        id=image["id"], file=layout.path(image, folder), size_wh=size, K=default_K(size), K_known=False,
        people=tuple(people),
    )  # fmt: skip


def with_middles(kp: np.ndarray, flag: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """COCO's 17 joints with thorax and pelvis, as published: means of shoulders and hips, visible if both ends are."""
    src = skeleton("coco17")
    ends = [src.indices("l_shoulder", "r_shoulder"), src.indices("l_hip", "r_hip")]
    points = np.concatenate((kp, [kp[e].mean(0) for e in ends]))
    seen = np.concatenate((flag, [flag[e].prod() for e in ends]))
    return points, (seen > 0).astype(np.float64)


def read_mscoco(folder: Path, split: str, options: AnnotationOptions) -> AnnotationSet:
    """MS COCO 2017: `annotations/person_keypoints_{train,val}2017.json`, pictures in `images/{train,val}2017`."""
    year = "train2017" if split == "train" else "val2017"
    layout = load_layout(folder / "annotations" / f"person_keypoints_{year}.json")
    pictures = []
    for image in layout.images.values():
        people = []
        for a, box, where in layout.of(image):
            if a.get("iscrowd"):
                layout.dropped["crowds"] += 1
            elif _annotated(a, layout):
                kp, seen = with_middles(*_keypoints(a, 17, layout, where))
                people.append(AnnotatedPerson(box_xywh=box, kp_img=kp, visible=seen, id=a.get("id")))
        if people:
            pictures.append(_flat(layout, image, folder / "images" / year, people))
    return annotation_set("mscoco", split, skeleton("coco19"), pictures, layout)


def read_own(path: Path, split: str, options: AnnotationOptions) -> AnnotationSet:
    """Anybody's own file in COCO's form: `path` is the file or a folder with `SPLIT.json`; pictures stand beside it.

    Images may have `f` and `c`, or `intrinsic` ([fx, fy, cx, cy] or K); else the default camera is taken. People have
    `keypoints` (x, y, flag), or `keypoints_img` and `keypoints_vis`, and where known `keypoints_cam` in the unit of the
    options. Joints are those that a category names, else `options.skeleton`, else COCO's 17.
    """
    file = path / f"{split}.json" if path.is_dir() else path
    layout = load_layout(file)
    skel, order = _joints(layout, options)
    found = None if options.boxes == "gt" else read_boxes(options.boxes)
    pictures = []
    for image in layout.images.values():
        people = [_own_person(a, box, where, skel, order, layout, options) for a, box, where in layout.of(image)]
        boxes = None if found is None else tuple(found.get(image["id"], ()))
        size = layout.size_wh(image)
        K = own_K(layout, image)
        if people or boxes:
            pictures.append(
                AnnotatedPicture(
                    id=image["id"],
                    file=layout.path(image, file.parent),
                    size_wh=size,
                    K=default_K(size) if K is None else K,
                    K_known=K is not None,
                    people=tuple(people),
                    found=boxes,
                )
            )
    return annotation_set("coco", split, skel, pictures, layout)


def _joints(layout: Layout, options: AnnotationOptions) -> tuple[Skeleton, np.ndarray | None]:
    """The skeleton, and where its joints stand in the file (None for in order)."""
    from poselift.formats.layouts import by_names

    if options.skeleton is not None:
        return skeleton(options.skeleton), None
    categories = layout.top.get("categories")
    for category in categories if isinstance(categories, list) else ():
        names = category.get("keypoints") if isinstance(category, dict) else None
        if isinstance(names, list) and names:
            known = by_names(names)
            if known is None:
                raise InputError(
                    file=layout.file, field="categories keypoints", expected="the joints of a known skeleton",
                    found=", ".join(map(str, names)),
                )  # fmt: skip
            if len(names) == len(known[0]):
                return known
    return skeleton("coco17"), None


def own_K(layout: Layout, image: dict[str, Any]) -> np.ndarray | None:
    """Intrinsics (3, 3) of an image that has `intrinsic`, or `f` and `c`; None for one that has neither."""
    where = layout.name(image)
    if "intrinsic" in image:
        given, field = image["intrinsic"], f"{where} intrinsic"
        if isinstance(given, list) and len(given) == 3:
            (fx, _, cx), (_, fy, cy), _ = numbers(given, (3, 3), file=layout.file, field=field).tolist()
        elif isinstance(given, list) and len(given) == 4:
            fx, fy, cx, cy = numbers(given, (4,), file=layout.file, field=field).tolist()
        else:
            found = f"{len(given)} entries" if isinstance(given, list) else type(given).__name__
            raise InputError(file=layout.file, field=field, expected="[fx, fy, cx, cy] or K, 3 × 3", found=found)
        return layout.K_of((fx, fy), (cx, cy), where)
    return layout.K(image) if "f" in image or "c" in image else None


def _own_person(
    a: dict[str, Any], box: np.ndarray, where: str, skel: Skeleton, order: np.ndarray | None, layout: Layout,
    options: AnnotationOptions,
) -> AnnotatedPerson:  # fmt: skip
    j = len(skel)
    if "keypoints_img" in a:
        kp = numbers(a["keypoints_img"], (j, 2), file=layout.file, field=f"{where} keypoints_img")
        seen = flags(a.get("keypoints_vis", [1] * j), j, file=layout.file, field=f"{where} keypoints_vis")
    else:
        kp, seen = _keypoints(a, j, layout, where)
        seen = (seen > 0).astype(np.float64)
    p = None
    if "keypoints_cam" in a:
        p = numbers(a["keypoints_cam"], (j, 3), file=layout.file, field=f"{where} keypoints_cam")
        p = p * (1e-3 if options.unit == "mm" else 1.0)
    if order is not None:
        kp, seen, p = kp[order], seen[order], None if p is None else p[order]
    return AnnotatedPerson(box_xywh=box, kp_img=kp, visible=seen, p_cam=p, id=a.get("id"))
