"""Sets of several people with known places: MuCo-3DHP, MuPoTS-3D and 3DPW, from files in RootNet's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from poselift.data.annotations.base import AnnotatedPerson, AnnotatedPicture, AnnotationOptions, AnnotationSet
from poselift.data.annotations.layout import Layout, annotation_set, flags, load_layout, member
from poselift.errors import InputError
from poselift.formats.rootnet import FoundBox, numbers, read_boxes
from poselift.structures import skeleton

__all__ = ["far_enough", "read_muco", "read_mupots", "read_pw3d"]

DEPTH_M = (1.5, 7.5)
"""MuCo: depths of roots that are used."""
APART_M = 0.5
"""MuCo: how far from everybody else a person must be, except the nearest one to the camera."""


def far_enough(root_cam: np.ndarray) -> np.ndarray:
    """Which people of a composed picture are used (n,), as published; root_cam (n, 3) metres.

    The nearest to the camera, and those at least 0.5 m from everybody else, in the picture plane and in space; of all
    of them those between 1.5 and 7.5 m away.
    """
    gap = root_cam[:, None] - root_cam
    diagonal = np.where(np.eye(len(root_cam), dtype=bool), np.inf, 0.0)
    flat = np.linalg.norm(gap[..., :2], axis=-1) + diagonal
    space = np.linalg.norm(gap, axis=-1) + diagonal
    free = (np.minimum(flat, space) >= APART_M).all(1)
    free[np.argmin(root_cam[:, 2])] = True
    return free & (root_cam[:, 2] >= DEPTH_M[0]) & (root_cam[:, 2] <= DEPTH_M[1])


def _person(
    a: dict[str, Any], box: np.ndarray, where: str, joints: int, layout: Layout, valid: bool = True
) -> AnnotatedPerson:
    """A person with keypoints_cam (mm), keypoints_img and keypoints_vis."""

    def read(key: str, width: int) -> np.ndarray:
        value = member(a, key, file=layout.file, field=where)
        return numbers(value, (joints, width), file=layout.file, field=f"{where} {key}")

    vis = member(a, "keypoints_vis", file=layout.file, field=where)
    return AnnotatedPerson(
        box_xywh=box,
        kp_img=read("keypoints_img", 2),
        visible=flags(vis, joints, file=layout.file, field=f"{where} keypoints_vis"),
        p_cam=read("keypoints_cam", 3) / 1000,
        id=a.get("id"),
        valid=valid,
    )


def read_muco(folder: Path, split: str, options: AnnotationOptions) -> AnnotationSet:
    """MuCo-3DHP: `data/MuCo-3DHP.json`; file names are relative to `data`. People are chosen by `far_enough`."""
    layout = load_layout(folder / "data" / "MuCo-3DHP.json")
    skel = skeleton("muco21")
    pictures = []
    for image in layout.images.values():
        size, K = layout.size_wh(image), layout.K(image)
        # everybody counts for the distances, also those whose box cannot be used
        roots = [
            numbers(a.get("keypoints_cam"), (len(skel), 3), file=layout.file, field=f"annotation {a.get('id', k)}")
            for k, a in enumerate(layout.people.get(image["id"], ()))
        ]
        if not roots:
            continue
        chosen = far_enough(np.stack(roots)[:, skel.root] / 1000)
        use = {id(a) for a, fine in zip(layout.people[image["id"]], chosen, strict=True) if fine}
        people = [_person(a, box, where, len(skel), layout) for a, box, where in layout.of(image) if id(a) in use]
        layout.dropped["people too near to others or out of range"] += int((~chosen).sum())
        if people:
            pictures.append(
                AnnotatedPicture(
                    id=image["id"],
                    file=layout.path(image, folder / "data"),
                    size_wh=size,
                    K=K,
                    K_known=True,
                    people=tuple(people),
                )
            )
    return annotation_set("muco", split, skel, pictures, layout)


def box_file(options: AnnotationOptions, published: Path) -> dict[Any, list[FoundBox]] | None:
    """Boxes that a detector found, as the options say; None for the annotated ones."""
    if options.boxes == "gt":
        return None
    return read_boxes(published if options.boxes == "published" else options.boxes)


def read_mupots(folder: Path, split: str, options: AnnotationOptions) -> AnnotationSet:
    """MuPoTS-3D: `data/MuPoTS-3D.json`, pictures in `data/MultiPersonTestSet`, boxes `bbox/bbox_mupots_output.json`.

    People who are not `is_valid` stay, marked. Found boxes have no threshold on their score.
    """
    layout = load_layout(folder / "data" / "MuPoTS-3D.json")
    found = box_file(options, folder / "bbox" / "bbox_mupots_output.json")
    skel = skeleton("mupots17")
    pictures = []
    for image in layout.images.values():
        where = layout.name(image)
        values = member(image, "intrinsic", file=layout.file, field=f"{where} intrinsics")
        fx, fy, cx, cy = numbers(values, (4,), file=layout.file, field=f"{where} intrinsics")
        people = tuple(
            _person(a, box, where, len(skel), layout, valid=bool(a.get("is_valid", 1)))
            for a, box, where in layout.of(image)
        )
        pictures.append(
            AnnotatedPicture(
                id=image["id"],
                file=layout.path(image, folder / "data" / "MultiPersonTestSet"),
                size_wh=layout.size_wh(image),
                K=layout.K_of((fx, fy), (cx, cy), where),
                K_known=True,
                people=people,
                found=None if found is None else tuple(found.get(image["id"], ())),
            )
        )
    return annotation_set("mupots", split, skel, pictures, layout)


def read_pw3d(folder: Path, split: str, options: AnnotationOptions) -> AnnotationSet:
    """3DPW: `data/3DPW_SPLIT.json`, metres; pictures in `data/imageFiles/SEQUENCE`. Visible: in the picture."""
    layout = load_layout(folder / "data" / f"3DPW_{split}.json")
    skel = skeleton("smpl24")
    pictures = []
    for image in layout.images.values():
        name, size = layout.name(image), layout.size_wh(image)
        camera = member(image, "cam_param", file=layout.file, field=f"{name} intrinsics")
        if not isinstance(camera, dict):
            raise InputError(file=layout.file, field=f"{name} cam_param", expected="an object", found=camera)
        f, c = (member(camera, k, file=layout.file, field=f"{name} cam_param") for k in ("focal", "princpt"))
        K = layout.K_of(f, c, name)
        people = []
        for a, box, where in layout.of(image):
            value = member(a, "joint_cam", file=layout.file, field=where)
            p = numbers(value, (len(skel), 3), file=layout.file, field=f"{where} joint_cam")
            kp, inside = seen_by(p, K, size)
            people.append(AnnotatedPerson(box_xywh=box, kp_img=kp, visible=inside, p_cam=p, id=a.get("id")))
        if people:
            sequence = image.get("sequence", "")
            inner = {
                **image,
                "file_name": f"{sequence}/{image.get('file_name')}" if sequence else image.get("file_name"),
            }
            pictures.append(
                AnnotatedPicture(
                    id=image["id"],
                    file=layout.path(inner, folder / "data" / "imageFiles"),
                    size_wh=size,
                    K=K,
                    K_known=True,
                    people=tuple(people),
                    meta={"sequence": sequence},
                )
            )
    return annotation_set("pw3d", split, skel, pictures, layout)


def seen_by(p_cam: np.ndarray, K: np.ndarray, size_wh: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (j, 2) of camera points (j, 3), and 1 for those in the picture; x/(z + 1e-8) f + c, as published."""
    kp = p_cam[:, :2] / (p_cam[:, 2:] + 1e-8) * K[[0, 1], [0, 1]] + K[:2, 2]
    inside = (kp >= 0).all(-1) & (kp < size_wh).all(-1) & (p_cam[:, 2] > 0)
    return kp, inside.astype(np.float64)
