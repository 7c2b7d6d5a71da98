"""Roots of people in pictures, by a RootNet: boxes → crops → root_cam, a picture after the other.

Boxes are cut off at the picture's edges, brought to the crop's shape and made 1.25 times as large, as published; it is
those that the result file states. Where nobody knows the camera the focal length is 1500 px about the middle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from poselift.data.annotations.base import DEFAULT_FOCAL, intrinsics
from poselift.errors import InputError
from poselift.formats.rootnet import FoundRoot, write_roots
from poselift.geometry.crops import MARGIN, clip_box, crop_affine, crop_patches, distance_measure, extend_box
from poselift.models.images.base import ImageRoot
from poselift.pipeline.root_tasks import RootTask, RootTaskOptions, RootTasks, root_tasks
from poselift.video.ahead import ahead
from poselift.video.pictures import read_picture

__all__ = ["FIELDS", "RootsWritten", "find_roots", "write_root_file"]

FIELDS: dict[str, tuple[bool, bool]] = {"human36m": (False, False), "mscoco": (False, False), "mupots": (False, True),
                                        "pw3d": (True, False)}  # fmt: skip
"""Published files have (ids of annotations, scores); files of other sets have both."""

Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True, kw_only=True)
class RootsWritten:
    """pictures, people: how many are in the file; left_out by reason; notes: what its user should know."""

    file: Path
    pictures: int
    people: int
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Crops:
    """People of one picture, ready for the network."""

    task: RootTask
    image: Tensor
    box_xywh: Tensor
    k: Tensor
    K: Tensor


def find_roots(
    model: ImageRoot, tasks: RootTasks, *, focal: float | None = None, batch: int = 32, skip: bool = False,
    left_out: Counter[str] | None = None, progress: Progress | None = None,
) -> Iterator[FoundRoot]:  # fmt: skip
    """The root of everybody, in the order of the tasks; a few pictures are in memory at a time.

    focal: pixels, where the camera is not known. skip: leave out pictures that cannot be read, counted in `left_out`.
    Raises `InputError` for a picture that is damaged or of another size than is said.
    """
    device, waiting = model.mean.device, []
    left = Counter() if left_out is None else left_out

    def crops() -> Iterator[_Crops | None]:
        for task in tasks.tasks:
            try:
                yield _cropped(task, model.config.size_hw, focal)
            except InputError:
                if not skip:
                    raise
                left["pictures that cannot be read"] += 1
                yield None

    def solved() -> Iterator[FoundRoot]:
        image, k, box, K = (torch.cat([getattr(w, n) for w in waiting]) for n in ("image", "k", "box_xywh", "K"))
        parts = [x.split(batch) for x in (image, k.float(), box.float(), K.float())]
        with torch.inference_mode():
            places = torch.cat([model.locate(*(x.to(device) for x in p)).cpu() for p in zip(*parts, strict=True)])
        if not bool(torch.isfinite(places).all()):
            raise InputError("it gives NaN or infinite coordinates for these pictures", field="root model")
        rows = [(w.task, i, w.box_xywh[i]) for w in waiting for i in range(len(w.image))]
        for (task, i, box_xywh), root in zip(rows, places, strict=True):
            score, ann_id = task.boxes[i].score, task.ann_ids[i]
            yield FoundRoot(
                image_id=task.id, root_cam=root.double().numpy(), box_xywh=box_xywh.numpy(), score=score, ann_id=ann_id
            )

    with closing(ahead(crops)) as ready:  # type: ignore[type-var]
        for done, one in enumerate(ready, 1):
            if one is not None:
                waiting.append(one)
            if sum(len(w.image) for w in waiting) >= batch:
                yield from solved()
                waiting.clear()
            if progress is not None:
                progress(done, len(tasks.tasks), "finding roots")
    if waiting:
        yield from solved()


def _cropped(task: RootTask, size_hw: tuple[int, int], focal: float | None) -> _Crops:
    pixels = torch.from_numpy(read_picture(task.file)).permute(2, 0, 1)
    w, h = pixels.shape[2], pixels.shape[1]
    if (w, h) != task.size_wh:
        want = f"{task.size_wh[0]} x {task.size_wh[1]} pixels, as annotated"
        raise InputError(file=task.file, field="size", expected=want, found=f"{w} x {h}")
    height, width = size_hw
    boxes = torch.stack([torch.as_tensor(b.box_xywh, dtype=torch.float64) for b in task.boxes])
    box, _ = clip_box(boxes, torch.tensor([w, h], dtype=torch.float64))
    box = extend_box(box, width / height, MARGIN)
    f = DEFAULT_FOCAL if focal is None else focal
    K = torch.as_tensor(intrinsics((f, f), (w / 2, h / 2)) if task.K is None else task.K)
    return _Crops(
        task=task,
        image=crop_patches(pixels, crop_affine(box, (width, height)), size_hw),
        box_xywh=box,
        k=distance_measure(box, K),
        K=K.expand(len(box), 3, 3),
    )


def write_root_file(
    model: ImageRoot, path: str | Path, out: str | Path, options: RootTaskOptions, *, focal: float | None = None,
    unit: Literal["mm", "m"] | None = None, batch: int = 32, progress: Progress | None = None,
) -> RootsWritten:  # fmt: skip
    """Find everybody's root and write the result file, whole or not at all.

    unit: of the file; millimetres if nothing is said, but metres for 3DPW, as published. Raises `InputError`,
    `OutputError`.
    """
    if batch < 1:
        raise InputError(field="batch", expected="1 or more", found=batch)
    if focal is not None and not 0 < focal < 1e6:
        raise InputError(field="focal", expected="pixels above 0", found=focal)
    tasks = root_tasks(path, options)
    with_ids, with_scores = FIELDS.get(options.data or "", (True, True))
    left: Counter[str] = Counter(tasks.left_out)
    pictures: set[int | str] = set()

    def rows() -> Iterator[FoundRoot]:
        found = find_roots(model, tasks, focal=focal, batch=batch, skip=options.skip, left_out=left, progress=progress)
        with closing(found):  # type: ignore[type-var]
            for r in found:
                pictures.add(r.image_id)
                yield (
                    r
                    if with_ids
                    else FoundRoot(image_id=r.image_id, root_cam=r.root_cam, box_xywh=r.box_xywh, score=r.score)
                )

    unit = unit or ("m" if options.data == "pw3d" else "mm")
    people = write_roots(rows(), out, unit=unit, scores=with_scores)
    unknown = sum(t.K is None for t in tasks.tasks)
    notes = []
    if unknown:
        f = DEFAULT_FOCAL if focal is None else focal
        why = "that is assumed" if focal is None else "as you say"
        notes.append(
            f"The camera of {unknown:,} pictures is not known: focal length {f:g} px about the middle, {why}; "
            f"a depth is right up to f_true / {f:g}."
        )
    notes.append(f"root_cam is in {'millimetres' if unit == 'mm' else 'metres'}, camera axes; boxes are extended.")
    return RootsWritten(file=Path(out), pictures=len(pictures), people=people, left_out=dict(left), notes=tuple(notes))
