"""Arguments of `poselift train` and `poselift eval`. A recipe's own fields are arguments too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from poselift.cli import read_arguments
from poselift.cli.lifting import Chain, Name, Out
from poselift.errors import InputError, unknown_name

__all__ = ["Eval", "Train"]


class Train:
    """`poselift train RECIPE …`: the recipe is looked up first, since its fields are the other arguments."""

    def __init__(self, *, name: str, out: Path, options: Any, recipe: Any) -> None:
        self.name, self.out, self.options, self.recipe = name, out, options, recipe

    @classmethod
    def parse(cls, prog: str, argv: Sequence[str]) -> Train | None:
        from poselift.train.recipes import RECIPES, recipe

        if not argv or argv[0] in ("-h", "--help"):
            width = max(map(len, RECIPES))
            rows = [f"  {name:<{width}}  {r.summary}" for name, r in RECIPES.items()]
            usage = f"usage: {prog} RECIPE -o DIR [arguments]        {prog} RECIPE --help lists all arguments"
            print("\n".join([usage, "", "recipes:", *rows]))
            return None
        chosen = recipe(argv[0])
        from poselift.train.loop import TrainOptions

        flat = arg(name="")
        fields = [
            ("out", Annotated[Out, arg(help="Folder of the run.")]),
            ("options", Annotated[TrainOptions, flat], TrainOptions()),
            ("recipe", Annotated[type(chosen), flat], chosen),
        ]
        arguments = make_dataclass("Arguments", fields, kw_only=True)
        arguments.__doc__ = f"{chosen.summary}.\n\nDIR gets the model, the log, the curves and what --resume needs."
        got = read_arguments(arguments, f"{prog} {argv[0]}", argv[1:])
        return None if got is None else cls(name=argv[0], out=got.out, options=got.options, recipe=got.recipe)

    def run(self) -> None:
        from poselift.train.loop import train

        train(self.recipe, self.out, self.options)


@dataclass(frozen=True, kw_only=True)
class Eval:
    """Compare a model with the truth: print the tables, and save them with plots into DIR."""

    model: Positional[Annotated[str, arg(metavar="MODEL")]]
    """Weights: a name of `poselift models`, a model folder, or a Hugging Face repository."""
    data: Annotated[str, arg(metavar="NAME")] = "cmu17"
    """Data set: cmu17 (the open benchmark), human36m (your VideoPose3D files), erd (your ERD files), motion (your own
    npz, BVH, ASF/AMC)."""
    path: Annotated[Path | None, arg(metavar="PATH")] = None
    """Folder or file of the data; for cmu17 nothing means the subset that comes with the package."""
    input: Literal["gt", "det"] = "det"
    """2D input: exact projections, or with detector-like noise (human36m, erd: see --keypoints)."""
    keypoints: Annotated[str, arg(metavar="NAME")] = "gt"
    """human36m: NAME of the 2D file data_2d_h36m_NAME.npz; erd: folder of the input: gt, cpn, sh, shft, openpose."""
    projection: Literal["distorted", "linear"] = "distorted"
    """human36m: how `gt` keypoints are projected, with the lens distortion or without."""
    drop_drifting: bool = False
    """erd: test without the 12 sequences of S9 whose truth drifts, as in ERD's figures for refined detections."""
    split: Literal["train", "validation", "test"] = "test"
    """Which performers."""
    every: Annotated[int, arg(metavar="N")] = 1
    """Only each N-th frame."""
    flip_average: bool = False
    """Average with the mirrored input."""
    refine: Chain = ()
    """Refiner that corrects the poses; the tables are then those of the refined poses. Given again, the next one."""
    root: Literal["given", "least_squares", "resolved"] | None = None
    """Where the refiner has the root from: the truth, solved once, or solved before every step (as it was trained)."""
    root_model: Annotated[str | None, arg(metavar="NAME|DIR")] = None
    """Model that gives the root: to the refiner, in place of the truth; without a refiner to the absolute figures, in
    place of least squares."""
    by: Annotated[str, arg(metavar="LIST")] = "overall,action,joint,angle"
    """Tables to print: overall, action, subject, action-subject (one against the other), joint, angle, clip."""
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None
    """Folder for report.json, report.md and plots."""
    device: Name = None
    """cpu, cuda, mps; the first accelerator where nothing is said."""

    def run(self) -> None:
        if self.every < 1:
            raise InputError(field="every", expected="1 or more", found=self.every)
        from rich.console import Console

        from poselift.data.datasets import DataConfig, dataset
        from poselift.metrics.tables import VIEWS, rich_table
        from poselift.models.devices import find_device
        from poselift.models.weights import load_model
        from poselift.pipeline.locate import choose_root
        from poselift.pipeline.refine import choose_refinement
        from poselift.train.evaluate import evaluate, save_report

        dataset(self.data)
        views = [v.strip() for v in self.by.split(",") if v.strip()]
        for view in views:  # before the work, not after it
            if view not in VIEWS:
                raise unknown_name("table", view, VIEWS)
        path = None if self.path is None else str(self.path)
        config = DataConfig(
            dataset=self.data, path=path, input=self.input, keypoints=self.keypoints, projection=self.projection,  # type: ignore[arg-type]
            drop_drifting=self.drop_drifting,
        )  # fmt: skip
        device = find_device(self.device)
        lifter = load_model(self.model, device=device)
        placing = None if self.root_model is None or self.refine else choose_root(self.root_model, lifter, device)
        refining = choose_refinement(
            self.refine, None if placing else self.root_model, lifter=lifter, source=self.model, device=device,
            root=self.root, truth=True,
        )  # fmt: skip
        report = evaluate(
            lifter, config, split=self.split, every=self.every, device=str(device), flip_average=self.flip_average,
            refinement=None if refining is None else refining.refinement,
            root_model=None if placing is None else placing.model,
        )  # fmt: skip
        if placing is not None:
            report.about["root"] = placing.name
        if refining is not None:
            report.about |= refining.meta
        if self.out is not None:
            save_report(report, self.out)
        console = Console()
        for view in views:
            console.print(rich_table(report, view))  # type: ignore[arg-type]
        if self.out is not None:
            print(f"saved in {self.out}")
