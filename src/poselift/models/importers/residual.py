"""Weights of ERD's second stage: the chain of regressors, and the network for the root."""

from __future__ import annotations

import dataclasses

import torch

from poselift.errors import InputError
from poselift.models.importers.base import Built, ImportOptions, Weights, fill
from poselift.models.importers.statistics import read_pca, statistics_2d
from poselift.models.refiners.erd import ResidualDescent, ResidualDescentConfig
from poselift.models.roots.pelvis import PelvisRegressor, PelvisRegressorConfig

__all__ = ["build_pelvis", "build_refiner"]

_NUMBERS = 34
"""x and y of 17 joints."""


def build_refiner(weights: Weights, options: ImportOptions) -> Built:
    """The first `inc_num` regressors: the published code saves all of them, trained or not."""
    inputs, notes = weights.size("model.0.w1.0.weight", 1, axes=2), []
    there = weights.blocks("model.")
    steps = weights.facts.get("inc_num", there)
    if not isinstance(steps, int) or not 1 <= steps <= there:
        expected = f"1 to the {there} regressors in the file"
        what = "none of them is trained yet" if steps == 0 else str(steps)
        raise InputError(file=weights.file, field="inc_num", expected=expected, found=what)
    if "inc_num" not in weights.facts:
        notes.append(f"the file does not say how many regressors are trained: all {there} were taken")
    elif steps < there:
        notes.append(f"the first {steps} of {there} regressors are trained, the others were left out")
    components = None if options.pca is None else read_pca(options.pca, features=_NUMBERS)
    pca, twice = _input(inputs, None if components is None else len(components[1]), options, weights)
    features = options.features or ("cat" if twice else "delta")
    if (features in ("cat", "catproj")) != twice:
        expected = "cat or catproj" if twice else "delta, proj or ori"
        raise InputError(field="--features", expected=f"{expected} ({inputs} inputs)", found=features)
    if options.features is None:
        others = "catproj sees" if twice else "proj and ori see"
        notes.append(f"taken to see '{features}'; {others} as many numbers: say so with --features")
    config = ResidualDescentConfig(
        features=features, steps=steps, width=weights.size("model.0.w1.0.weight", 0, axes=2), pca=pca,
        blocks=weights.blocks("model.0.increment."),
    )  # fmt: skip
    untrained = tuple(f"model.{j}." for j in range(steps, there))
    tensors = {k: v for k, v in weights.tensors.items() if not k.startswith(untrained)}
    state = dataclasses.replace(weights, tensors=tensors)
    model: ResidualDescent = fill(state, ResidualDescent, config, prefix="", keep=_BUFFERS)
    found = statistics_2d(options)
    if found is not None:
        model.set_statistics(mean2d=found[0], std2d=found[1])
    else:
        notes.append("without the statistics of keypoints, which it takes standardised (--stats-2d)")
    if components is not None:
        with torch.no_grad():
            model.pca_mean.copy_(components[0])
            model.pca_components.copy_(components[1])
    elif pca:
        notes.append(f"without the {pca} principal components that its features are made of (--pca)")
    notes.append("trained with the true root and camera, as published: the errors that its authors report need both")
    return Built(model=model, notes=notes)


_BUFFERS = ("mean2d", "std2d", "pca_mean", "pca_components")


def _input(inputs: int, components: int | None, options: ImportOptions, weights: Weights) -> tuple[int, bool]:
    """(principal components or 0, whether two features are joined)."""
    if components is None and inputs in (_NUMBERS, 2 * _NUMBERS):
        return 0, inputs > _NUMBERS
    if components is None:
        if not options.no_stats:
            expected = f"the file with the principal components that its {inputs} inputs are; or --no-stats"
            raise InputError(field="--pca", expected=expected, found="none")
        components = inputs if inputs <= _NUMBERS else inputs // 2
    if inputs not in (components, 2 * components):
        expected = f"{components} or {2 * components} inputs, with {components} principal components"
        raise InputError(file=weights.file, field="model.0.w1.0.weight", expected=expected, found=inputs)
    return components, inputs == 2 * components


def build_pelvis(weights: Weights, options: ImportOptions) -> Built:
    """The network for the root; its authors do not use it, and say nowhere in which unit it answers."""
    width, blocks = weights.size("w1.0.weight", 0, axes=2), weights.blocks("blocks.")
    config = PelvisRegressorConfig(width=width, blocks=blocks)
    model: PelvisRegressor = fill(weights, PelvisRegressor, config, prefix="net.")
    with torch.no_grad():
        model.std_root.fill_(1e-3)
        found = statistics_2d(options)
        if found is not None:
            model.mean2d.copy_(found[0])
            model.std2d.copy_(found[1])
    notes = [] if found else ["without the statistics of keypoints, which it takes standardised (--stats-2d)"]
    return Built(model=model, notes=[*notes, "its output is taken as millimetres: the published code does not say"])
