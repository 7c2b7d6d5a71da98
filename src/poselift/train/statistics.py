"""Statistics of the training set that a lifter keeps in its buffers."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Generator

from poselift.data.bank import Batch, Statistics
from poselift.data.datasets import BatchSource
from poselift.models.base import Lifter, to_look

__all__ = ["fit_statistics"]

SAMPLES = 32_768
"""Frames that they are of."""


def fit_statistics(lifter: Lifter, source: BatchSource, gen: Generator) -> None:
    """Mean and deviation of input (pixels, seen joints) and target (metres, axes of the input frame).

    Those that the data set publishes (`source.statistics`) are taken where there are any and the target keeps the
    camera's axes, to which they belong.
    """
    frames = getattr(getattr(source, "windows", None), "frames", 1)
    batches, have = [], 0
    while have < SAMPLES:
        batches.append(source.batch(max(1, 4096 // frames), gen))
        have += batches[-1].conf[..., 0].numel()
    batch = Batch.cat(batches)
    seen = (batch.conf > 0).flatten(0, 1)[..., None]
    kp = batch.kp_img.flatten(0, 1)
    n = seen.sum(0).clamp_min(1)
    mean2d = (kp * seen).sum(0) / n
    std2d = (((kp - mean2d).square() * seen).sum(0) / n).sqrt().clamp_min(1e-3)
    device = lifter.mean3d.device
    lifter.set_statistics(mean3d=lifter.mean3d, std3d=lifter.std3d, mean2d=mean2d.to(device), std2d=std2d.to(device))
    with torch.no_grad():
        kp_norm, R = lifter.encode(batch.kp_img, batch.conf, batch.K, batch.size_wh)
        target = (batch.p_root if R is None else to_look(batch.p_root, R)).flatten(0, 1)
        std3d = target.std(0, correction=0)
        tables = Statistics(mean2d, std2d, target.mean(0), std3d)
        published = getattr(source, "statistics", None)
        if isinstance(published, Statistics) and R is None:
            tables = published
        lifter.set_statistics(**{f.name: getattr(tables, f.name).to(device) for f in fields(tables)})
        if tables is published:
            kp_norm, _ = lifter.encode(batch.kp_img, batch.conf, batch.K, batch.size_wh)
        fit_pca = getattr(lifter, "fit_pca", None)
        if fit_pca is not None and getattr(lifter.config, "pca", 0):
            fit_pca(kp_norm)
