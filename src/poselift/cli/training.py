"""Arguments of `poselift train` and `poselift eval`. A recipe's own fields are arguments too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import make_dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from poselift.cli import read_arguments
from poselift.cli.lifting import Out

__all__ = ["Train"]


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
            ("out", Out),
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
