"""How good a file of roots is, against an annotated set with depth: MRPE and its axes, AP_25 of roots.

Source: Moon et al., RootNet, ICCV 2019; figures are those of `metrics`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from poselift.data.annotations import AnnotatedPerson, AnnotatedPicture, AnnotationOptions, read_annotations
from poselift.errors import InputError
from poselift.formats.rootnet import FoundRoot, read_roots
from poselift.metrics import mrpe_mm, root_ap

__all__ = ["RootScores", "score_roots"]


@dataclass(frozen=True, kw_only=True)
class RootScores:
    """figures: `mrpe_mm` and along x, y, z, of the pairs; `ap_25_percent`, where the truth's places allow it; actions:
    `mrpe_mm` of each, where the set has actions. predictions, people (valid ones), pairs, assumed_cameras (pictures
    whose focal length the set does not say): how many."""

    file: Path
    data: str
    split: str
    predictions: int
    people: int
    pairs: int
    assumed_cameras: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    actions: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**self.__dict__, "file": str(self.file)}


def score_roots(
    file: str | Path, data: str, path: str | Path, *, split: str = "test", unit: Literal["mm", "m"] | None = None
) -> RootScores:
    """Compare a file with the truth. unit: of the file; millimetres if nothing is said, metres of pw3d.

    A root belongs to the person with its `ann_id`; without ids, in a picture with one root and one person, to that one.
    MRPE is the mean over these pairs; AP_25 is over all roots of pictures with valid people, by falling score.
    Raises `InputError`: a set without depth, images or people that the set does not have, someone twice.
    """
    file = Path(file)
    found = read_annotations(data, path, split, AnnotationOptions())
    if not found.has_depth:
        raise InputError(field="data", expected="a set that says where people are (human36m, mupots, …)", found=data)
    roots = read_roots(file, unit=unit or ("m" if data == "pw3d" else "mm"))
    pictures = {p.id: p for p in found.pictures}
    for k, r in enumerate(roots):
        if r.image_id not in pictures:
            want = f"an image of {data}, {split}"
            raise InputError(file=file, field=f"entry {k} image_id", expected=want, found=r.image_id)
    joint = found.skeleton.root
    pairs = _pairs(roots, pictures, file)
    figures, actions = {}, {}
    if pairs:
        pred = torch.from_numpy(np.stack([r.root_cam for r, _, _ in pairs]))
        true = torch.from_numpy(np.stack([_root(p, joint) for _, p, _ in pairs]))
        error = mrpe_mm(pred, true)
        names = ("mrpe_mm", "mrpe_x_mm", "mrpe_y_mm", "mrpe_z_mm")
        figures |= {name: float(values.mean()) for name, values in zip(names, error, strict=True)}
        by: dict[str, list[float]] = {}
        for (_, _, picture), value in zip(pairs, error.total.tolist(), strict=True):
            if "action" in picture.meta:
                by.setdefault(str(picture.meta["action"]), []).append(value)
        actions = {name: float(np.mean(values)) for name, values in by.items()}
    people = [(n, p) for n, picture in enumerate(found.pictures) for p in picture.people if p.p_cam is not None]
    if people and roots:
        place = {p.id: n for n, p in enumerate(found.pictures)}
        ap = root_ap(
            torch.from_numpy(np.stack([r.root_cam for r in roots])),
            torch.tensor([r.score for r in roots], dtype=torch.float64),
            torch.tensor([place[r.image_id] for r in roots]),
            torch.from_numpy(np.stack([_root(p, joint) for _, p in people])),
            torch.tensor([n for n, _ in people]),
            torch.tensor([p.valid for _, p in people]),
        )
        figures["ap_25_percent"] = 100 * ap.ap
    return RootScores(
        file=file, data=data, split=split, predictions=len(roots), people=sum(p.valid for _, p in people),
        pairs=len(pairs), assumed_cameras=sum(not p.K_known for p in found.pictures), figures=figures, actions=actions,
    )  # fmt: skip


def _root(person: AnnotatedPerson, joint: int) -> np.ndarray:
    assert person.p_cam is not None
    return person.p_cam[joint]


def _pairs(
    roots: list[FoundRoot], pictures: dict[int | str, AnnotatedPicture], file: Path
) -> list[tuple[FoundRoot, AnnotatedPerson, AnnotatedPicture]]:
    """Roots with the people whose they are told to be, and their pictures."""
    alone = Counter(r.image_id for r in roots)
    out, taken = [], set()
    for k, r in enumerate(roots):
        picture = pictures[r.image_id]
        if r.ann_id is None:
            people = [p for p in picture.people if p.valid] if alone[r.image_id] == 1 else []
            people = people if len(people) == 1 else []
        else:
            people = [p for p in picture.people if p.id == r.ann_id]
            if not people:
                want = f"an annotation of image {r.image_id}"
                raise InputError(file=file, field=f"entry {k} ann_id", expected=want, found=r.ann_id)
            if (r.image_id, r.ann_id) in taken:
                raise InputError(file=file, field=f"entry {k} ann_id", expected="each person once", found=r.ann_id)
            taken.add((r.image_id, r.ann_id))
        out += [(r, p, picture) for p in people[:1] if p.p_cam is not None]
    return out
