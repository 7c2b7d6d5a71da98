"""Weights of the networks on the body's graph: ERD's LCN, ERD's SemGCN, and SemGCN of its authors."""

from __future__ import annotations

import dataclasses

from poselift.errors import InputError
from poselift.models.importers.base import Built, ImportOptions, Weights, fill
from poselift.models.importers.statistics import with_statistics
from poselift.models.lifters.lcn import LCN, LCNConfig, neighbourhood
from poselift.models.lifters.semgcn import FLAVOURS, SemGCN, SemGCNConfig
from poselift.structures.skeleton import skeleton

__all__ = ["build_lcn_erd", "build_semgcn_erd", "build_semgcn_original"]


def build_lcn_erd(weights: Weights, options: ImportOptions) -> Built:
    """The reach of its layers is told from the number of weights; how its masks are laid out cannot be told."""
    joints = skeleton("h36m17")
    outputs, count = weights.size("w1.bias", 0, axes=1), weights.size("w1.weight", 0, axes=1)
    channels, rest = divmod(outputs, len(joints))
    near = {int(neighbourhood(joints, k).sum()): k for k in reversed(range(len(joints)))}
    links = count // (2 * channels) if channels else 0
    if rest or 2 * channels * links != count or links not in near:
        expected = f"17 biases for each channel and twice {', '.join(map(str, sorted(near)))} weights"
        raise InputError(file=weights.file, field="w1", expected=expected, found=f"{outputs} biases, {count} weights")
    layout = options.mask_layout or "tiled"
    blocks = weights.blocks("linear_stages.")
    config = LCNConfig(channels=channels, blocks=blocks, knn=near[links], mask_layout=layout)
    note = f"masks laid out '{layout}', which the weights do not show: with the wrong one its poses are wrong"
    return with_statistics(fill(weights, LCN, config, prefix="net."), options, [note])


def build_semgcn_erd(weights: Weights, options: ImportOptions) -> Built:
    """17 joints, standardised; one number per pair of joints."""
    far = any(".nonlocal_." in k for k in weights.tensors)
    config = _semgcn(weights, dataclasses.replace(FLAVOURS["erd"], non_local="all" if far else "none"))
    return with_statistics(fill(weights, SemGCN, config, prefix="net."), options, [])


def build_semgcn_original(weights: Weights, options: ImportOptions) -> Built:
    """16 joints, screen coordinates to metres: it needs no statistics."""
    far = any(".nonlocal." in k for k in weights.tensors)
    config = _semgcn(weights, FLAVOURS["original-nonlocal" if far else "original"])
    note = "keypoints are scaled by the image's width: give the image's size where a file does not say it"
    return Built(model=fill(weights, SemGCN, config, prefix="net."), notes=[note])


def _semgcn(weights: Weights, flavour: SemGCNConfig) -> SemGCNConfig:
    """The flavour with as many features and blocks as the weights have; non-local ones stand between the others."""
    stages = weights.blocks("gconv_layers.")
    blocks = stages if flavour.non_local == "none" else (stages + 1) // 2
    return dataclasses.replace(flavour, channels=weights.size("gconv_input.0.gconv.W", 2, axes=3), blocks=blocks)
