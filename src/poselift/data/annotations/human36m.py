"""Human3.6M as RootNet's annotation files have it: `annotations/Human36M_subjectN_{data,camera,joint_3d}.json`.

Splits as published, also in how many frames are used; boxes `bbox/bbox_human36m_output.json`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from poselift.data.annotations.base import (
    AnnotatedPerson,
    AnnotatedPicture,
    AnnotationOptions,
    AnnotationSet,
    intrinsics,
)
from poselift.data.annotations.layout import Layout, annotation_set, flags, load_layout, member
from poselift.data.annotations.spatial import box_file, seen_by
from poselift.errors import InputError
from poselift.formats.rootnet import numbers
from poselift.storage.text import load_json
from poselift.structures import skeleton

__all__ = ["ACTIONS", "SUBJECTS", "read_human36m"]

SUBJECTS = {1: {"train": (1, 5, 6, 7, 8, 9), "test": (11,)}, 2: {"train": (1, 5, 6, 7, 8), "test": (9, 11)}}
"""By protocol and split."""
STEP = {"train": 5, "test": 64}
MISSING = "s_11_act_02_subact_02_ca_01"
"""A clip that the data set does not have."""
ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting", "SittingDown",
    "Smoking", "Photo", "Waiting", "Walking", "WalkDog", "WalkTogether",
)  # fmt: skip
"""Actions by number minus 2."""


def read_human36m(folder: Path, split: str, options: AnnotationOptions) -> AnnotationSet:
    """Human3.6M, one person a picture. Raises `InputError`, also for a picture without a box in the box file."""
    found = box_file(options, _published(folder)) if split == "test" else None
    step = options.every or STEP[split]
    pictures: list[AnnotatedPicture] = []
    last = None
    for subject in SUBJECTS[options.protocol][split]:
        base = folder / "annotations" / f"Human36M_subject{subject}"
        layout = load_layout(base.with_name(base.name + "_data.json"))
        layout.dropped.update(last.dropped if last is not None else {})
        last = layout
        cameras, joints = (_Tree.load(base.with_name(f"{base.name}_{what}.json")) for what in ("camera", "joint_3d"))
        for image in layout.images.values():
            number = member(image, "frame_idx", file=layout.file, field=layout.name(image))
            if numbers([number], (1,), file=layout.file, field=f"{layout.name(image)} frame_idx")[0] % step:
                continue
            if MISSING in str(image.get("file_name")):
                continue
            picture = _picture(folder, layout, image, cameras, joints)
            if picture is not None and found is not None:
                if image["id"] not in found:
                    raise InputError(
                        file=_published(folder) if options.boxes == "published" else options.boxes,
                        expected=f"a box of image {image['id']}",
                        found="none",
                    )
                boxes = tuple(found[image["id"]][-1:])  # one box an image: the last wins, as published
                picture = replace(picture, found=boxes)
            pictures += [picture] if picture is not None else []
    assert last is not None
    return annotation_set("human36m", split, skeleton("h36m17"), pictures, last)


def _published(folder: Path) -> Path:
    return folder / "bbox" / "bbox_human36m_output.json"


@dataclass(frozen=True, eq=False)
class _Tree:
    """A file of nested objects."""

    file: Path
    value: Any

    @classmethod
    def load(cls, file: Path) -> _Tree:
        return cls(file, load_json(file))

    def numbers(self, keys: tuple[Any, ...], shape: tuple[int, ...]) -> np.ndarray:
        """Numbers below these keys, which are texts in the file. Raises `InputError`."""
        value, where = self.value, " ".join(map(str, keys))
        for depth, key in enumerate(keys):
            if not isinstance(value, dict) or str(key) not in value:
                raise InputError(
                    file=self.file, field=" ".join(map(str, keys[: depth + 1])), expected="an entry", found="none"
                )
            value = value[str(key)]
        return numbers(value, shape, file=self.file, field=where)


def _picture(
    folder: Path, layout: Layout, image: dict[str, Any], cameras: _Tree, joints: _Tree
) -> AnnotatedPicture | None:
    where = layout.name(image)
    keys = ("subject", "action_idx", "subaction_idx", "cam_idx", "frame_idx")
    subject, action, part, cam, frame = (member(image, k, file=layout.file, field=where) for k in keys)
    parts = {"R": (3, 3), "t": (3,), "f": (2,), "c": (2,)}
    R, t, f, c = (cameras.numbers((cam, k), shape) for k, shape in parts.items())
    p_world = joints.numbers((action, part, frame), (17, 3))
    p = p_world @ R.T + t
    if not (p[:, 2] > 0).all():
        raise InputError(
            "people behind the camera: an older camera file, whose t belongs to R(X - t)?", file=cameras.file,
            field=f"camera {cam}", expected="R X + t in front of it", found=f"depth {p[:, 2].min():.0f} mm",
        )  # fmt: skip
    K, size = intrinsics(f, c), layout.size_wh(image)
    kp, inside = seen_by(p, K, size)
    people = []
    for a, box, name in layout.of(image):
        vis = a.get("keypoints_vis")
        visible = inside if vis is None else flags(vis, 17, file=layout.file, field=f"{name} keypoints_vis")
        people.append(AnnotatedPerson(box_xywh=box, kp_img=kp, visible=visible, p_cam=p / 1000, id=a.get("id")))
    if not people:
        return None
    index = int(numbers([action], (1,), file=layout.file, field=f"{where} action_idx")[0]) - 2
    name = ACTIONS[index] if 0 <= index < len(ACTIONS) else str(image.get("action_name", action))
    return AnnotatedPicture(
        id=image["id"], file=layout.path(image, folder / "images"), size_wh=size, K=K, K_known=True,
        people=tuple(people), meta={"subject": f"S{subject}", "action": name, "camera": cam, "frame": frame},
    )  # fmt: skip
