"""SimpleBaseline's weights: ERD's and the PyTorch port's (torch), the original's (TensorFlow), Gluon's (MXNet).

What differs is said in `models.lifters.simple_baseline`. The port clips gradients, not weights: its matrices are taken
as they are. The original clips each matrix to norm 1 inside the graph (`--max_norm`), and stores them unclipped: the
model does the same.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import torch
from torch import Tensor

from poselift.errors import InputError
from poselift.models.importers.base import Built, ImportOptions, Weights, fill
from poselift.models.importers.statistics import read_pca, with_statistics
from poselift.models.lifters.simple_baseline import FLAVOURS, SimpleBaseline, SimpleBaselineConfig

__all__ = ["build_erd", "build_gluon", "build_original", "build_pytorch"]

_NORM = ("weight", "bias", "running_mean", "running_var")
_TRAINING = re.compile(r".*/Adam(_1)?|(.*/)?(beta[12]_power|global_step|learning_rate)")
"""What TensorFlow's checkpoints hold for resuming."""


def build_erd(weights: Weights, options: ImportOptions) -> Built:
    """17 joints in and out, standardised; the input may be principal components."""
    inputs = weights.size("w1.weight", 1, axes=2)
    pca = inputs if options.pca is not None or inputs != 34 else 0
    notes = []
    if pca and options.pca is None and not options.no_stats:
        expected = f"the file with the {pca} principal components that this network sees; or --no-stats to do without"
        raise InputError(field="--pca", expected=expected, found="none")
    model = _fill(weights, dataclasses.replace(FLAVOURS["erd"], pca=pca))
    if options.pca is not None:
        mean, axes = read_pca(options.pca, features=34)
        if len(axes) != pca:
            raise InputError(file=options.pca, expected=f"{pca} principal components", found=len(axes))
        with torch.no_grad():
            model.pca_mean.copy_(mean)
            model.pca_components.copy_(axes)
    elif pca:
        notes.append(f"without the {pca} principal components that its input is made of (--pca)")
    return with_statistics(model, options, notes)


def build_pytorch(weights: Weights, options: ImportOptions) -> Built:
    """The PyTorch port: 16 joints in and out."""
    return with_statistics(_fill(weights, FLAVOURS["pytorch"]), options, [])


def build_original(weights: Weights, options: ImportOptions) -> Built:
    """The TensorFlow original, trained with --residual and --batch_norm."""
    tensors = {k: v for k, v in weights.tensors.items() if not _TRAINING.fullmatch(k)}
    clipped = options.max_norm is not False
    notes = ["taken as trained with --residual, which the weights do not show"]
    notes.append(f"taken as trained {'with' if clipped else 'without'} --max_norm")
    named = {_torch_name(k): v.mT if v.ndim == 2 else v for k, v in tensors.items()}
    state = dataclasses.replace(weights, tensors=named)
    return with_statistics(_fill(state, dataclasses.replace(FLAVOURS["original"], max_norm=clipped)), options, notes)


def build_gluon(weights: Weights, options: ImportOptions) -> Built:
    """Gluon's: layers go by their order in the file, since names depend on how it was saved."""
    state = dataclasses.replace(weights, tensors=dict(_gluon_names(weights)))
    notes = ["layers were matched by their order in the file"]
    return with_statistics(_fill(state, FLAVOURS["gluon"]), options, notes)


def _fill(weights: Weights, flavour: SimpleBaselineConfig) -> SimpleBaseline:
    """The flavour with as many features and blocks as the weights have."""
    width, blocks = weights.size("w1.weight", 0, axes=2), weights.blocks("linear_stages.")
    return fill(weights, SimpleBaseline, dataclasses.replace(flavour, width=width, blocks=blocks), prefix="net.")


def _torch_name(name: str) -> str:
    """TensorFlow's name in torch's words; itself where it is none of the network's."""
    _, _, rest = name.rpartition("linear_model/")
    if match := re.fullmatch(r"([wb])([14])", rest):
        return f"w{'1' if match[2] == '1' else '2'}.{'weight' if match[1] == 'w' else 'bias'}"
    if match := re.fullmatch(r"two_linear_(\d+)/([wb])([23])_\1", rest):
        return f"linear_stages.{match[1]}.w{int(match[3]) - 1}.{'weight' if match[2] == 'w' else 'bias'}"
    kinds: dict[str, str] = dict(zip(("gamma", "beta", "moving_mean", "moving_variance"), _NORM, strict=True))
    if (match := re.fullmatch(r"batch_normalization/(\w+)", rest)) and match[1] in kinds:
        return f"batch_norm1.{kinds[match[1]]}"
    match = re.fullmatch(r"two_linear_(\d+)/batch_normalization([12])\1/(\w+)", rest)
    if match and match[3] in kinds:
        return f"linear_stages.{match[1]}.batch_norm{match[2]}.{kinds[match[3]]}"
    return name


def _gluon_names(weights: Weights) -> Iterator[tuple[str, Tensor]]:
    """The arrays under torch's names, by the order in which the layers come."""
    kinds: dict[str, str] = dict(zip(("gamma", "beta", "running_mean", "running_var"), _NORM, strict=True))
    layers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in weights.tensors.items():
        match = re.fullmatch(r"(.*?)[._]?(weight|bias|gamma|beta|running_mean|running_var)", name)
        if match is None:
            raise InputError(f"not the weights of a {weights.family}: {name} is left over", file=weights.file)
        layers.setdefault(match[1], {})[match[2]] = tensor
    dense = [p for n, p in layers.items() if "weight" in p]
    norms = [p for n, p in layers.items() if "weight" not in p]
    if len(dense) < 2 or len(dense) % 2 or len(norms) != len(dense) - 1:
        expected = "dense layers in pairs (first and last, two in a block), a batch norm after each but the last"
        raise InputError(file=weights.file, expected=expected, found=f"{len(dense)} dense layers, {len(norms)} norms")
    inner = [f"linear_stages.{i // 2}.{{}}{i % 2 + 1}" for i in range(len(dense) - 2)]
    for place, parameters in zip(["{}1", *inner, "{}2"], dense, strict=True):
        yield from ((f"{place.format('w')}.{k}", v) for k, v in parameters.items())
    for place, parameters in zip(["{}1", *inner], norms, strict=True):
        yield from ((f"{place.format('batch_norm')}.{kinds.get(k, k)}", v) for k, v in parameters.items())
