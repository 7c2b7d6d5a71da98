"""The refiner after the lifter in `lift`: which one, the root from where, and for which pictures it was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from poselift.errors import InputError
from poselift.geometry.projection import undistort
from poselift.models.base import Lifter, Refiner, RootModel, RootSource
from poselift.models.predict import Refinement
from poselift.models.weights import find_model, load_refiner, load_root
from poselift.pipeline.stage import Track
from poselift.structures import Camera, Clip

__all__ = ["REFINED", "Refining", "check_pictures", "choose_refinement", "model_name"]

REFINED = ("refiner", "refiner_root")
"""What the meta of refined clips says: the refiner's name and where it had the root from."""

MAX_MOVE_M = 1.0
"""Refining corrects centimetres: a frame in which a joint would go further than this keeps the lifter's pose."""

FAR, TOO_FAR = 4.0, 8.0
"""Deviations of the refiner's training keypoints from their mean: a note where a quarter of the keypoints lies further
out than FAR, an error where half of them lies further out than TOO_FAR."""


@dataclass(eq=False, kw_only=True)
class Refining:
    """A refiner as `lift_tracks` calls it; notes: a sentence about each thing that a user should know of it.

    meta: what the lifted clips say of it. kept: whether a frame kept the lifter's pose (see `MAX_MOVE_M`).
    """

    refinement: Refinement
    name: str
    notes: list[str] = field(default_factory=list)
    kept: bool = False

    @property
    def root(self) -> str:
        """Where the root comes from, for people and files."""
        chosen = self.refinement
        return "root model" if chosen.root_model is not None and chosen.source == "given" else chosen.source

    @property
    def meta(self) -> dict[str, str]:
        return dict(zip(REFINED, (self.name, self.root), strict=True))

    def __call__(
        self,
        kp_img: Float[Tensor, "t j 2"],
        conf: Float[Tensor, "t j"],
        p_root: Float[Tensor, "t j 3"],
        K: Float[Tensor, "t 3 3"],
    ) -> Float[Tensor, "t j 3"]:
        """Better p_root, metres, camera axes, with the root joint where it was; always finite."""
        p = self.refinement.frames(kp_img, conf, p_root, K).to(p_root.dtype)
        root = self.refinement.refiner.skeleton.root
        p = p - (p[:, root] - p_root[:, root])[:, None]
        good = (p - p_root).norm(dim=-1).amax(-1) < MAX_MOVE_M  # not so where it is NaN
        self.kept = self.kept or not bool(good[(conf > 0).any(-1)].all())
        return torch.where(good[:, None, None], p, p_root)

    def all_notes(self) -> list[str]:
        """`notes`, and what came up while refining."""
        if not self.kept:
            return self.notes
        kept = f"Where the refiner would have moved a joint by more than {MAX_MOVE_M:g} m, the lifter's pose is kept."
        return [*self.notes, kept]


def choose_refinement(
    refine: str | Path | Refiner | Refinement | None,
    root_model: str | Path | RootModel | None = None,
    *,
    lifter: Lifter,
    source: str | Path | Lifter,
    device: torch.device | str = "cpu",
    root: RootSource | None = None,
    truth: bool = False,
) -> Refining | None:
    """The refiner that is named or handed in, ready for use, with notes of what it was made for; None for none.

    root: where the root comes from; None is the refiner's own source, `given` where there is a root_model. Without
    `truth` nobody gives the root: what should be `given` is solved by least squares, and a note says so. source: where
    the lifter is from. Raises `InputError` for other kinds of models, other skeletons, and roots that nobody would use.
    """
    if refine is None:
        for what, value in (("root model", root_model), ("root", root)):
            if value is not None:
                raise InputError(field=what, expected="a refiner that uses it", found="none")
        return None
    chosen, name, card = _named(refine, device)
    if isinstance(root_model, (str, Path)):
        root_model = load_root(root_model, device=device)
    if root_model is not None:
        if root not in (None, "given"):
            raise InputError(field="root", expected="given, where there is a root model", found=root)
        chosen = replace(chosen, root="given", root_model=root_model)
    elif root is not None:
        chosen = replace(chosen, root=root)
    for what, model in ((f"refiner {name}", chosen.refiner), ("root model", chosen.root_model)):
        layout = getattr(model, "skeleton", None)
        if layout is not None and layout != lifter.skeleton:
            want = f"poses of {layout.name}"
            raise InputError(field=what, expected=want, found=f"a lifter of {lifter.skeleton.name}")
        if isinstance(model, nn.Module):
            model.to(device).eval()
    notes = [f"The poses are refined by {name}."]
    if chosen.source == "given" and chosen.root_model is None and not truth:
        chosen = replace(chosen, root="least_squares")
        notes.append(f"{name} was trained with the true root; here it gets one that is solved by least squares.")
    trained = " ".join(str(card.get("lifter", "")).split())
    if trained and not isinstance(source, Lifter):
        known = model_name(source)
        if trained != str(source) and _short(Path(trained)) != known:
            notes.append(
                f"{name} was trained on poses of the lifter {trained[:80]}, these are of {known}: "
                "`poselift eval --refine` says whether it makes them better."
            )
    return Refining(refinement=chosen, name=name, notes=notes)


def _named(
    refine: str | Path | Refiner | Refinement, device: torch.device | str
) -> tuple[Refinement, str, Mapping[str, Any]]:
    """The refinement, what it is called, and its card."""
    if isinstance(refine, (str, Path)):
        return Refinement(refiner=load_refiner(refine, device=device)), model_name(refine), find_model(refine).card
    chosen = refine if isinstance(refine, Refinement) else Refinement(refiner=refine)
    return chosen, type(chosen.refiner).__name__, {}


def model_name(source: str | Path) -> str:
    """What a model is called in notes and files: its name, for a run's `model` folder the run's too."""
    if isinstance(source, str) and source.startswith("hf:"):
        return source
    return _short(find_model(source).folder.resolve())


def _short(folder: Path) -> str:
    return "/".join(folder.parts[-2:]) if folder.name == "model" else folder.name


def check_pictures(refining: Refining, tracks: Iterable[tuple[Track, Camera]], *, batch: int = 1 << 16) -> None:
    """Whether people look as they did in the refiner's training pictures; one pass, in constant memory.

    Only for a refiner with the statistics `mean2d` and `std2d` (j, 2) of its keypoints, pixels: compares where the
    keypoints are, or, if it sees differences alone (ERD's `delta`), where they are about the middle of the person.
    Adds a note where many are far from there (`FAR`), raises `InputError` where most are too far (`TOO_FAR`).
    """
    refiner = refining.refinement.refiner
    mean, std = (getattr(refiner, n, None) for n in ("mean2d", "std2d"))
    if not (isinstance(mean, Tensor) and isinstance(std, Tensor)):
        return
    mean, std = mean.double().cpu().numpy(), np.maximum(std.double().cpu().numpy(), 1e-6)
    anywhere = getattr(refiner.config, "features", None) == "delta"
    sums = np.zeros(7)  # keypoints, far, too far; frames, x, y and height of the person
    for track, camera in tracks:
        for a in range(0, len(track), batch):
            kp, seen = _straight(track[a : a + batch], camera)
            kp, seen = kp[seen.any(-1)], seen[seen.any(-1)]
            middle, height = _box(kp, seen)
            off = kp - mean
            if anywhere:
                off = off - np.where(seen[..., None], off, 0).sum(1, keepdims=True) / seen.sum(-1)[:, None, None]
            z = np.abs(off / std).max(-1)[seen]
            sums += (z.size, (z > FAR).sum(), (z > TOO_FAR).sum(), len(kp), *middle.sum(0), height.sum())
    n, far, too_far = sums[:3]
    if far <= n / 4:
        return
    then = _box(mean[None], np.ones((1, len(mean)), bool))
    want, found = _people(then[0][0], then[1][0]), _people(sums[4:6] / sums[3], sums[6] / sums[3])
    if too_far > n / 2:
        raise InputError(
            field=f"refiner {refining.name}",
            expected=f"pictures like those it was trained on, with {want}",
            found=found,
        )
    refining.notes.append(
        f"{refining.name} was trained on pictures with {want}; here are {found}, {far / n:.0%} of the keypoints far "
        "from what it knows: it may make the poses worse."
    )


def _straight(clip: Clip, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (t, j, 2) as a camera without distortion would have seen them, and which (t, j) there are."""
    kp = torch.from_numpy(clip.kp_img).double()
    if camera.dist is not None:
        kp = undistort(kp, torch.tensor(camera.K), torch.tensor(camera.dist))
    kp = kp.numpy()
    return kp, (clip.confidence > 0) & np.isfinite(kp).all(-1)


def _box(kp: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle (t, 2) and height (t,) of the boxes around the seen keypoints, pixels."""
    low, high = np.where(seen[..., None], kp, np.inf).min(1), np.where(seen[..., None], kp, -np.inf).max(1)
    return (low + high) / 2, (high - low)[:, 1]


def _people(middle: np.ndarray, height: float) -> str:
    return f"people about ({middle[0]:.0f}, {middle[1]:.0f}) px and {height:.0f} px high"
