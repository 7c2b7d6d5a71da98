"""Which lifter a track gets: the one that was asked for, or, of the defaults, the one for sequences or for pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch

from poselift.errors import InputError
from poselift.models.base import Lifter
from poselift.models.weights import load_model
from poselift.pipeline.stage import Track

__all__ = ["AUTO", "FEW_FRAMES", "PICTURES", "SEQUENCES", "Lifters", "choose_lifters"]

AUTO, PICTURES, SEQUENCES = "auto", "default", "default-sequence"
"""`AUTO` is the embedded `SEQUENCES` for people who are followed over `FEW_FRAMES` or more, `PICTURES` for others."""

FEW_FRAMES = 2


@dataclass(frozen=True, eq=False)
class Lifters:
    """The lifter of longer tracks, and the one of tracks shorter than `FEW_FRAMES` (often the same)."""

    sequences: Lifter
    pictures: Lifter

    def of(self, track: Track) -> Lifter:
        return self.sequences if len(track) >= FEW_FRAMES else self.pictures

    def groups(self, tracks: Sequence[Track]) -> Iterator[tuple[Lifter, int, int]]:
        """(lifter, first, end) for the tracks that follow each other and have the same one."""
        for lifter, group in groupby(range(len(tracks)), lambda i: self.of(tracks[i])):
            members = list(group)
            yield lifter, members[0], members[-1] + 1

    def notes(self, tracks: Sequence[Track]) -> list[str]:
        """A sentence where the defaults were chosen from."""
        if self.sequences is self.pictures:
            return []
        short = sum(self.of(t) is self.pictures for t in tracks)
        if short == len(tracks):
            return [f"Each picture is lifted by itself ({PICTURES}): nobody is followed over {FEW_FRAMES} frames."]
        rest = f"; {short} with fewer than {FEW_FRAMES} frames by {PICTURES}" if short else ""
        return [f"Poses are lifted with the frames around them ({SEQUENCES}){rest}."]


def choose_lifters(model: str | Path | Lifter, device: torch.device) -> Lifters:
    """The lifters for a model's name or folder, or for `AUTO`, on the device, in eval mode. Raises `InputError`."""
    if isinstance(model, str) and model == AUTO and not Path(model).is_dir():
        sequences, pictures = (load_model(name).to(device).eval() for name in (SEQUENCES, PICTURES))
        if sequences.skeleton != pictures.skeleton:
            raise InputError(field="model", expected=pictures.skeleton.name, found=sequences.skeleton.name)
        return Lifters(sequences, pictures)
    lifter = (model if isinstance(model, Lifter) else load_model(model)).to(device).eval()
    return Lifters(lifter, lifter)
