"""Arguments of `poselift import`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from poselift.cli import read_arguments
from poselift.cli.lifting import File, Name

__all__ = ["Import"]


@dataclass(frozen=True, kw_only=True)
class Import:
    """Turn a published checkpoint into a model folder. Nothing in the file is executed."""

    input: Positional[Annotated[Path, arg(metavar="FILE")]]
    """Checkpoint: torch (.pth.tar, .pth, .bin), MXNet (.params) or TensorFlow 1 (NAME.index beside its data)."""
    out: Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
    """Folder of the model."""
    family: Name = None
    """What it is, where the file does not show it."""
    stats_2d: File = None
    """Mean and deviation of the training set's keypoints, pixels: torch, pickle or npz with mean and std."""
    stats_3d: File = None
    """Mean and deviation of the training set's poses, millimetres."""
    pca: File = None
    """ERD with PCA input: its pickled PCA, or an npz with mean and components."""
    no_stats: Annotated[bool, FlagCreatePairsOff] = False
    """Import without the statistics that are not given: what the model lifts means nothing then."""
    features: Literal["delta", "proj", "cat", "catproj", "ori"] | None = None
    """refiner-erd: what its regressors see (delta or cat where nothing is said, by the number of inputs)."""
    mask_layout: Literal["tiled", "block"] | None = None
    """lcn-erd: where the masks' weights stand (tiled where nothing is said: as ERD's code has them)."""
    max_norm: bool | None = None
    """linear-original: it was trained with --max_norm (True where nothing is said)."""
    causal: bool | None = None
    """videopose3d: it was trained with --causal (False where nothing is said)."""
    part: Name = None
    """Which network of a file that holds several, by its key: model_traj, model_G_root (the poses' if not given)."""

    @classmethod
    def parse(cls, prog: str, argv: Sequence[str]) -> Import | None:
        from poselift.models.importers import IMPORTERS

        got = read_arguments(cls, prog, argv)
        if got is None:
            width = max(map(len, IMPORTERS))
            rows = [f"  {n:<{width}}  {i.summary}\n  {'':<{width}}  needs {i.needs}" for n, i in IMPORTERS.items()]
            print("\n".join(["families:", *rows]))
        return got

    def run(self) -> None:
        from poselift.models.importers import ImportOptions, import_checkpoint
        from poselift.models.weights import save_model

        options = ImportOptions(
            stats_2d=self.stats_2d, stats_3d=self.stats_3d, pca=self.pca, no_stats=self.no_stats,
            features=self.features, mask_layout=self.mask_layout, max_norm=self.max_norm,
            causal=self.causal, part=self.part,
        )  # fmt: skip
        imported = import_checkpoint(self.input, family=self.family, options=options)
        folder = save_model(imported.model, self.out, card=imported.card)
        count = sum(p.numel() for p in imported.model.parameters())
        print(f"{folder}: {imported.family}, {count:,} parameters")
        for note in imported.notes:
            print(f"  note: {note}")
