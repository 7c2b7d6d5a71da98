"""What the importers share: their options, the weights of a file, and the comparison of these with a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from poselift.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Built", "ImportOptions", "Importer", "Shapes", "Weights", "fill"]

Shapes = Mapping[str, tuple[int, ...]]
"""Names and shapes of the arrays of a checkpoint."""
Container = Literal["torch", "mxnet", "tensorflow"]
_LISTED = 8


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What a checkpoint does not say. An importer refuses the options that it has no use for."""

    stats_2d: Path | None = None
    """File with mean and deviation of the training set's keypoints, pixels."""
    stats_3d: Path | None = None
    """File with mean and deviation of the training set's poses, millimetres."""
    pca: Path | None = None
    """File with the principal components of the keypoints (a pickled PCA of scikit-learn)."""
    no_stats: bool = False
    """Import without the statistics that are not given."""
    features: Literal["delta", "proj", "cat", "catproj", "ori"] | None = None
    """What the regressors of ERD's refiner see."""
    mask_layout: Literal["tiled", "block"] | None = None
    """How the masks of LCN are laid out; `tiled` if not given."""
    max_norm: bool | None = None
    """Whether the TensorFlow original was trained with --max_norm; yes if not given."""
    causal: bool | None = None
    """Whether a network of VideoPose3D was trained with --causal; no if not given."""
    part: str | None = None
    """Which network of a file that holds several; the one of the poses if not given."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The arrays of a checkpoint, `module.` before their names removed, and the numbers that stand beside them."""

    file: Path
    tensors: dict[str, Tensor]
    facts: dict[str, int | float] = field(default_factory=dict)
    family: str = ""
    part: str = ""
    """The key of the file that they stand under, empty for a bare state dict."""
    left_out: tuple[str, ...] = ()
    """The keys of the file's other networks."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {k: tuple(v.shape) for k, v in self.tensors.items()}

    def size(self, name: str, axis: int, *, axes: int) -> int:
        """Length of one axis. Raises `InputError` where there is no such array or it has not `axes` axes."""
        if name not in self.tensors:
            raise InputError(f"not the weights of a {self.family}: '{name}' is missing", file=self.file)
        shape = tuple(self.tensors[name].shape)
        if len(shape) != axes:
            expected = f"{axes} {'axis' if axes == 1 else 'axes'}"
            raise InputError(file=self.file, field=name, expected=expected, found=f"shape {shape}")
        return shape[axis]

    def blocks(self, before: str) -> int:
        """How many blocks there are: one more than the largest number that stands behind `before` in a name."""
        found = {k.removeprefix(before).partition(".")[0] for k in self.tensors if k.startswith(before)}
        return max((int(n) for n in found if n.isascii() and n.isdigit() and len(n) < 5), default=-1) + 1


@dataclass(frozen=True, kw_only=True)
class Built:
    """What an importer made: the model, and what its user should know."""

    model: nn.Module
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Importer:
    """A row of `IMPORTERS`. `where` is `module:function`, (weights, options) → `Built`; only this needs torch."""

    summary: str
    container: Container
    detect: Callable[[Shapes], bool]
    """Whether arrays of these names and shapes are such a network's."""
    where: str
    needs: str
    """The options that it needs, for people."""
    options: frozenset[str] = frozenset()
    """Names of the fields of `ImportOptions` that it has use for."""
    data: str = "Human3.6M, as its authors say (nothing in the file proves it)"
    """What it was trained on, for the card."""
    data_licence: str = "Human3.6M: academic research only; the weights' own licence is their authors'"

    def build(self, weights: Weights, options: ImportOptions) -> Built:
        """The model. Raises `InputError` for arrays that do not fit, or options that are missing or without use."""
        for f in fields(options):
            if getattr(options, f.name) != f.default and f.name not in self.options:
                known = ", ".join(map(_flag, sorted(self.options))) or "nothing"
                raise InputError(f"of no use to a {weights.family}, which takes {known}", field=_flag(f.name))
        module, _, name = self.where.partition(":")
        return getattr(import_module(module), name)(weights, options)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def fill(
    weights: Weights, model_class: type[nn.Module], config: Any, *, prefix: str = "", keep: tuple[str, ...] = ()
) -> Any:
    """The model of this config in eval mode, its parameters under `prefix` taken from the weights.

    keep: names of its own buffers that no checkpoint holds.

    Counters of batches may be missing (torch before 0.4.1). Raises `InputError` that lists every missing, extra or
    misshapen key, before memory is taken for the model.
    """
    import torch

    from poselift.models.weights import expected_shapes

    try:
        shapes = expected_shapes(model_class, config)
        _compare(weights, {k[len(prefix) :]: s for k, s in shapes.items() if k.startswith(prefix) and k not in keep})
        with torch.random.fork_rng(devices=[]):  # reading a model leaves the caller's random numbers alone
            model = model_class(config)
    except InputError as error:
        raise error if error.file is not None else InputError(str(error), file=weights.file) from None
    state = model.state_dict()
    new = {prefix + k: _checked(k, v, state[prefix + k], weights) for k, v in weights.tensors.items()}
    model.load_state_dict({**state, **new})
    return model.eval()


def _compare(weights: Weights, expected: Shapes) -> None:
    found = weights.shapes
    wrong = [f"{k} is missing" for k in expected if k not in found and not k.endswith("num_batches_tracked")]
    wrong += [f"{k} is left over" for k in found if k not in expected]
    wrong += [f"{k} is {found[k]}, not {s}" for k, s in expected.items() if k in found and found[k] != s]
    if wrong:
        more = f", and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        what = f"not the weights of a {weights.family}, {len(wrong)} of {len(expected)} do not fit"
        raise InputError(f"{what}: {', '.join(wrong[:_LISTED])}{more}", file=weights.file)


def _checked(name: str, t: Tensor, own: Tensor, weights: Weights) -> Tensor:
    """An array in the type of the network's own. Raises `InputError` for one that cannot be a weight."""
    import torch

    if t.is_complex() or t.is_floating_point() != own.is_floating_point():
        raise InputError(file=weights.file, field=name, expected=str(own.dtype), found=str(t.dtype))
    t = t.to(own.dtype)
    if not torch.isfinite(t).all():
        raise InputError(file=weights.file, field=name, expected="finite weights", found="NaN or infinite")
    if name.endswith("running_var") and (t < 0).any():
        raise InputError(file=weights.file, field=name, expected="variances", found="negative numbers")
    return t
