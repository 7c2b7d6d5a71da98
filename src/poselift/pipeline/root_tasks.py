"""Whose root is to be found: pictures with boxes, from annotated sets, a file in COCO's form, or a bare folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from poselift.data.annotations import ANNOTATIONS, AnnotationOptions, read_annotations
from poselift.data.annotations.layout import Layout, load_layout, usable_box
from poselift.data.annotations.plain import own_K
from poselift.errors import InputError, unknown_name
from poselift.formats.rootnet import FoundBox, read_boxes
from poselift.video.pictures import open_picture, upright_size
from poselift.video.recognise import PICTURE_SUFFIXES

__all__ = ["RootTask", "RootTaskOptions", "RootTasks", "root_tasks"]

_BOX_FILES = ("human36m", "mupots")
"""Published sets that come with boxes of a detector."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RootTask:
    """A picture and its boxes, not extended; ids of the annotations, where boxes are annotated; K where it is known."""

    id: int | str
    file: Path
    size_wh: tuple[int, int]
    K: np.ndarray | None
    boxes: tuple[FoundBox, ...]
    ann_ids: tuple[int | str | None, ...]


@dataclass(frozen=True, kw_only=True)
class RootTaskOptions:
    """What is read. data: a name in `ANNOTATIONS`, None for a file in COCO's form or a folder of pictures; boxes: `gt`,
    `published` or the path of a box file; pictures: where those of a file in COCO's form are, if not beside it; skip:
    leave out what cannot be used, and count it.
    """

    data: str | None = None
    split: str = "test"
    boxes: str = "gt"
    pictures: Path | None = None
    skip: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class RootTasks:
    """All of it, in the order of the files. left_out: how many people or pictures cannot be used, by reason."""

    tasks: tuple[RootTask, ...]
    left_out: Mapping[str, int]

    @property
    def people(self) -> int:
        return sum(len(t.boxes) for t in self.tasks)


def root_tasks(path: str | Path, options: RootTaskOptions) -> RootTasks:
    """What is to be done. Raises `InputError`: what the files lack, box files with images that are not there, and, if
    not `skip`, boxes without area or outside their picture and pictures that are missing.
    """
    path = Path(path)
    if options.data is not None and options.data not in ANNOTATIONS:
        raise unknown_name("annotation set", options.data, ANNOTATIONS)
    if not path.exists():
        raise InputError("no such file or folder", file=path)
    left: Counter[str] = Counter()
    if options.data not in (None, "coco"):
        tasks = _published(path, options, left)
    elif path.is_file() or options.data == "coco":
        tasks = _own(path / f"{options.split}.json" if path.is_dir() else path, options, left)
    else:
        tasks = _folder(path, options, left)
    tasks = [t for task in tasks if (t := _usable(task, options, left)).boxes]
    if not tasks:
        why = ", ".join(f"{n} {reason}" for reason, n in left.items()) or "none"
        raise InputError(file=path, expected="at least one box of a person", found=why)
    return RootTasks(tasks=tuple(tasks), left_out=dict(left))


def _usable(task: RootTask, options: RootTaskOptions, left: Counter[str]) -> RootTask:
    """Without boxes that show nobody. Raises `InputError` where that is not to be skipped."""
    if not task.file.is_file():
        if not options.skip:
            raise InputError("no such picture (--skip leaves it out)", file=task.file)
        left["pictures that are missing"] += 1
        return replace(task, boxes=(), ann_ids=())
    fine = []
    for box in task.boxes:
        reason = usable_box(box.box_xywh, task.size_wh)
        if reason is not None and not options.skip:
            w, h = task.size_wh
            said = [round(float(v), 2) for v in box.box_xywh]
            want = f"an area within its {w} x {h} pixels (--skip leaves such people out)"
            raise InputError(file=task.file, field=f"box of image_id {task.id}", expected=want, found=said)
        left.update([reason] if reason is not None else [])
        fine.append(reason is None)
    pairs = [pair for pair, ok in zip(zip(task.boxes, task.ann_ids, strict=True), fine, strict=True) if ok]
    return replace(task, boxes=tuple(b for b, _ in pairs), ann_ids=tuple(i for _, i in pairs))


def _published(path: Path, options: RootTaskOptions, left: Counter[str]) -> list[RootTask]:
    name = str(options.data)
    if options.boxes != "gt" and name not in _BOX_FILES:
        want = f"gt with {name} (a box file goes with its annotation file: --boxes FILE, without --data)"
        raise InputError(field="boxes", expected=want, found=options.boxes)
    found = read_annotations(name, path, options.split, AnnotationOptions(boxes=options.boxes, every=None))
    left.update(found.dropped)
    if options.boxes not in ("gt", "published"):
        _all_listed(read_boxes(options.boxes), [p.id for p in found.pictures], options.boxes)
    tasks = []
    for p in found.pictures:
        people = [x for x in p.people if x.valid] if p.found is None else []
        boxes = tuple(FoundBox(box_xywh=x.box_xywh) for x in people) if p.found is None else p.found
        ids = tuple(x.id for x in people) or (None,) * len(boxes)
        tasks.append(
            RootTask(
                id=p.id, file=p.file, size_wh=p.size_wh, K=p.K if p.K_known else None, boxes=boxes, ann_ids=ids,
            )
        )  # fmt: skip
    return tasks


def _own(file: Path, options: RootTaskOptions, left: Counter[str]) -> list[RootTask]:
    """A file in COCO's form: joints are not needed, and of several categories only `person` is looked at."""
    layout, folder = load_layout(file), options.pictures or file.parent
    given = None if options.boxes == "gt" else read_boxes(options.boxes)
    if given is not None:
        _all_listed(given, list(layout.images), options.boxes)
    people = _person_categories(layout)
    tasks = []
    for image in layout.images.values():
        boxes, ids = list((given or {}).get(image["id"], ())), []
        if given is None:
            for a, box, _ in layout.boxes(image):
                if a.get("iscrowd"):
                    left["crowds"] += 1
                elif not people or a.get("category_id", people[0]) in people:
                    boxes.append(FoundBox(box_xywh=box))
                    ids.append(a.get("id"))
        if boxes:
            tasks.append(
                RootTask(
                    id=image["id"], file=layout.path(image, folder), size_wh=layout.size_wh(image),
                    K=own_K(layout, image), boxes=tuple(boxes), ann_ids=tuple(ids) or (None,) * len(boxes),
                )
            )  # fmt: skip
    return tasks


def _person_categories(layout: Layout) -> list[object]:
    known = layout.top.get("categories")
    rows = [c for c in known if isinstance(c, dict)] if isinstance(known, list) else []
    return [c["id"] for c in rows if c.get("name") == "person" and isinstance(c.get("id"), (int, str))]


def _folder(folder: Path, options: RootTaskOptions, left: Counter[str]) -> list[RootTask]:
    """Pictures by name, by name without its ending, or by the last number in it."""
    if options.boxes in ("gt", "published"):
        want = "--boxes FILE for a folder of pictures, or --data for that of an annotated set"
        raise InputError(file=folder, field="boxes", expected=want, found=options.boxes)
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.is_file())
    places: dict[int | str, list[Path]] = {}
    for p in files:
        digits = re.findall(r"\d+", p.stem)
        for key in {p.name, p.stem, *((int(digits[-1]),) if digits else ())}:
            places.setdefault(key, []).append(p)
    tasks = []
    for image, boxes in read_boxes(options.boxes).items():
        where = places.get(image, [])
        if len(where) != 1:
            found = ", ".join(p.name for p in where[:3]) or "none"
            want = f"one picture of that name or number in {folder}"
            raise InputError(file=options.boxes, field=f"image_id {image}", expected=want, found=found)
        try:
            with open_picture(where[0]) as picture:
                size = upright_size(picture)
        except InputError:
            if not options.skip:
                raise
            left["pictures that cannot be read"] += 1
            continue
        ids = (None,) * len(boxes)
        tasks.append(RootTask(id=image, file=where[0], size_wh=size, K=None, boxes=tuple(boxes), ann_ids=ids))
    return tasks


def _all_listed(boxes: Mapping[int | str, Sequence[FoundBox]], images: Sequence[int | str], file: str) -> None:
    known = set(images)
    for image in boxes:
        if image not in known:
            raise InputError(file=file, field=f"image_id {image}", expected="an image of the data", found="none")
