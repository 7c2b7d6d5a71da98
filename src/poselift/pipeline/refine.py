"""Refiners after the lifter in `lift`: which ones, the root from where, and for which poses each was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poselift.errors import InputError
from poselift.models.base import Lifter, Refiner, RootModel, RootSource
from poselift.models.predict import Refinement
from poselift.models.weights import find_model, load_refiner, load_root

__all__ = ["REFINED", "Refinable", "Refining", "choose_refinement", "model_name"]

REFINED = ("refiner", "refiner_root")
"""What the meta of refined clips says: the refiner's name and where it had the root from."""

_JOIN = " + "
"""Between what the meta says of several refiners."""

Refinable = str | Path | Refiner | Refinement
"""A refiner: its name, its folder, itself, or with where it has the root from."""

MAX_MOVE_M = 1.0
"""Refining corrects centimetres: a frame in which a joint would go further than this keeps the lifter's pose."""


@dataclass(eq=False, kw_only=True)
class Refining:
    """Refiners, one after the other, as `lift_tracks` calls them.

    names: one for each in `refinement.chain`. notes: a sentence about each thing that a user should know of them.
    meta: what the lifted clips say of it. kept: whether a frame kept the lifter's pose (see `MAX_MOVE_M`).
    """

    refinement: Refinement
    names: tuple[str, ...]
    notes: list[str] = field(default_factory=list)
    kept: bool = False

    @property
    def root(self) -> str:
        """Where each has the root from, for people and files."""
        chain = self.refinement.chain
        return _JOIN.join("root model" if r.root_model is not None and r.source == "given" else r.source for r in chain)

    @property
    def meta(self) -> dict[str, str]:
        return dict(zip(REFINED, (_JOIN.join(self.names), self.root), strict=True))

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
        kept = f"Where refining would have moved a joint by more than {MAX_MOVE_M:g} m, the lifter's pose is kept."
        return [*self.notes, kept]


def choose_refinement(
    refine: Refinable | Sequence[Refinable] | None,
    root_model: str | Path | RootModel | None = None,
    *,
    lifter: Lifter,
    source: str | Path | Lifter,
    device: torch.device | str = "cpu",
    root: RootSource | None = None,
    truth: bool = False,
) -> Refining | None:
    """The refiners that are named or handed in, in their order, ready for use, with notes of what they were made for;
    None for none.

    root: where all have the root from; None is each one's own source, `given` where there is a root_model. Without
    `truth` nobody gives the root: what should be `given` is solved by least squares, and a note says so. source: where
    the lifter is from. Raises `InputError` for other kinds of models, other skeletons, and roots that nobody would use.
    """
    wanted = refine if isinstance(refine, Sequence) and not isinstance(refine, str) else [refine]
    wanted = [item for item in wanted if item is not None]
    if not wanted:
        for what, value in (("root model", root_model), ("root", root)):
            if value is not None:
                raise InputError(field=what, expected="a refiner that uses it", found="none")
        return None
    if isinstance(root_model, (str, Path)):
        root_model = load_root(root_model, device=device)
    if root_model is not None and root not in (None, "given"):
        raise InputError(field="root", expected="given, where there is a root model", found=root)
    said = {} if root is None else {"root": root}
    if root_model is not None:
        said = {"root": "given", "root_model": root_model}
    chosen, names, notes = None, [], []
    for item, before in zip(wanted, [None, *wanted], strict=False):
        for stage, name, card in _named(item, device):
            chosen = replace(stage, after=chosen, **said)
            _check_layout(chosen, name, lifter)
            if chosen.source == "given" and chosen.root_model is None and not truth:
                chosen = replace(chosen, root="least_squares")
                solved = "here it gets one that is solved by least squares"
                notes.append(f"{name} was trained with the true root; {solved}.")
            notes += _other_poses(name, card, source, before)
            names.append(name)
            for model in (chosen.refiner, chosen.root_model):
                if isinstance(model, nn.Module):
                    model.to(device).eval()
    assert chosen is not None
    notes.insert(0, f"The poses are refined by {', then by '.join(names)}.")
    return Refining(refinement=chosen, names=tuple(names), notes=notes)


def _check_layout(refinement: Refinement, name: str, lifter: Lifter) -> None:
    """Raises `InputError` for a refiner or a root model of other joints than the lifter's."""
    for what, model in ((f"refiner {name}", refinement.refiner), ("root model", refinement.root_model)):
        layout = getattr(model, "skeleton", None)
        if layout is not None and layout != lifter.skeleton:
            want = f"poses of {layout.name}"
            raise InputError(field=what, expected=want, found=f"a lifter of {lifter.skeleton.name}")


def _named(item: Refinable, device: torch.device | str) -> list[tuple[Refinement, str, Mapping[str, Any]]]:
    """The refinements of an item, what each is called, and its card."""
    if isinstance(item, (str, Path)):
        return [(Refinement(refiner=load_refiner(item, device=device)), model_name(item), find_model(item).card)]
    chain = item.chain if isinstance(item, Refinement) else (Refinement(refiner=item),)
    return [(r, type(r.refiner).__name__, {}) for r in chain]


def _other_poses(
    name: str, card: Mapping[str, Any], source: str | Path | Lifter, before: Refinable | None
) -> list[str]:
    """A note where a refiner gets poses of another lifter, or refined by another, than it was trained on."""
    lifter, after = (" ".join(str(card.get(key, "")).split()) for key in ("lifter", "after"))
    if not lifter or isinstance(source, Lifter) or not (before is None or isinstance(before, (str, Path))):
        return []
    if _is_called(lifter, source) and (_is_called(after, before) if after and before else not (after or before)):
        return []
    then = f"{lifter[:80]} refined by {after[:80]}" if after else lifter[:80]
    here = f"{model_name(source)} refined by {model_name(before)}" if before else model_name(source)
    return [
        f"{name} was trained on poses of the lifter {then}, these are of {here}: "
        "`poselift eval --refine` says whether it makes them better."
    ]


def _is_called(text: str, source: str | Path) -> bool:
    """Whether a card's text names a model."""
    return text == str(source) or _short(Path(text)) == model_name(source)


def model_name(source: str | Path) -> str:
    """What a model is called in notes and files: its name, for a run's `model` folder the run's too."""
    if isinstance(source, str) and source.startswith("hf:"):
        return source
    return _short(find_model(source).folder.resolve())


def _short(folder: Path) -> str:
    return "/".join(folder.parts[-2:]) if folder.name == "model" else folder.name
