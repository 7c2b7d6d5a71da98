"""Weights of networks over time: VideoPose3D's pose and trajectory networks, and UGCN in its public versions."""

from __future__ import annotations

from typing import Any, Literal

import torch

from poselift.errors import InputError
from poselift.models.importers.base import Built, ImportOptions, Weights, fill
from poselift.models.lifters.temporal_conv import TemporalConv, TemporalConvConfig
from poselift.models.lifters.ugcn import REVISIONS, UGCN, UGCNConfig
from poselift.models.partitions import partitions
from poselift.models.roots.trajectory import HUMAN36M_CAMERA, Trajectory, TrajectoryConfig
from poselift.structures.skeleton import skeleton

__all__ = ["build_ugcn", "build_videopose3d", "build_videopose3d_root"]

_SCREEN = "keypoints are scaled by the image's width: give the image's size where a file does not say it"


def build_videopose3d(weights: Weights, options: ImportOptions) -> Built:
    """Filters and features are told from the shapes; causal networks and those of COCO keypoints cannot be told."""
    form, notes = _form(weights, options)
    joints = "taken to see Human3.6M's 17 joints: with the weights that were trained on COCO's, its poses are wrong"
    model = fill(weights, TemporalConv, TemporalConvConfig(**form), prefix="net.")
    return Built(model=model, notes=[*notes, joints, _SCREEN])


def build_videopose3d_root(weights: Weights, options: ImportOptions) -> Built:
    """The trajectory network, which sees what a camera of its training set would see."""
    form, notes = _form(weights, options)
    note = "its rays are projected by the mean of Human3.6M's cameras, since as published it sees a picture's pixels"
    config = TrajectoryConfig(**form, camera=HUMAN36M_CAMERA)
    return Built(model=fill(weights, Trajectory, config, prefix="net."), notes=[*notes, note])


def _form(weights: Weights, options: ImportOptions) -> tuple[dict[str, Any], list[str]]:
    """The arguments of both configs, and what was assumed."""
    count = weights.blocks("layers_conv.")
    if count % 2:
        raise InputError(file=weights.file, field="layers_conv", expected="an even number of layers", found=count)
    names = ["expand_conv.weight", *(f"layers_conv.{i}.weight" for i in range(0, count, 2))]
    taps = [weights.size(name, 2, axes=3) for name in names]
    widths, notes = _dense(taps), []
    if widths is not None:
        notes.append(f"filters of {_list(taps)} frames are those of a --dense network of widths {_list(widths)}")
    if options.causal is None:
        notes.append("taken as not causal, which the weights do not show: say --causal True for a causal one")
    form = {
        "filter_widths": tuple(widths or taps), "channels": weights.size("expand_conv.weight", 0, axes=3),
        "causal": bool(options.causal), "dense": widths is not None,
    }  # fmt: skip
    return form, notes


def _dense(taps: list[int]) -> list[int] | None:
    """The widths of the dilated filters that reach as far, None where these are not filters without holes."""
    widths, dilation = [], 1
    for n in taps:
        if n < 1 or (n - 1) % dilation:
            return None
        widths.append((n - 1) // dilation + 1)
        dilation *= widths[-1]
    return None if widths == taps else widths


def _list(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))


def build_ugcn(weights: Weights, options: ImportOptions) -> Built:
    """The revision is told from the number of partitions and the head."""
    del options
    revision, joints = _revision(weights), skeleton("h36m17")
    kind, stored = REVISIONS[revision], weights.tensors["A"]
    graph = torch.tensor(partitions(joints, kind.partitions, reach=kind.reach))
    numbers = stored.is_floating_point() and stored.shape == graph.shape and bool(stored.isfinite().all())
    if numbers and not torch.allclose(stored.to(graph), graph):
        expected = f"the graph of revision '{revision}' on Human3.6M's 17 joints"
        raise InputError(file=weights.file, field="A", expected=expected, found="another")
    model = fill(weights, UGCN, UGCNConfig(revision=revision), prefix="net.")
    note = f"revision '{revision}'; whole sequences are lifted, not the middle of 96 frames for each as its test does"
    return Built(model=model, notes=[note, _SCREEN])


def _revision(weights: Weights) -> Literal["latest", "2022-02-23", "2022-02-17"]:
    if weights.size("A", 0, axes=3) == 7:
        return "2022-02-17"
    return "latest" if "head.2.weight" in weights.tensors else "2022-02-23"
