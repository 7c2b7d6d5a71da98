"""Refiners that are fitted: statistics of a lifter's errors, no steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from poselift.errors import InputError
from poselift.models.refiners.gauss_newton import GaussNewton, GaussNewtonConfig
from poselift.models.weights import load_refiner, save_model
from poselift.train.fitting import FittingConfig
from poselift.train.lifted import Lifted
from poselift.train.loop import TrainOptions, train
from poselift.train.recipes import RECIPES, Recipe

QUIET = TrainOptions(quiet=True, tensorboard=False, device="cpu")
FITTED = [name for name, r in RECIPES.items() if isinstance(r.objective, FittingConfig)]


def small(name: str = "gauss-newton", **changes: Any) -> Recipe:
    recipe = RECIPES[name]
    objective = replace(recipe.objective, samples=6000, **changes.pop("objective", {}))  # type: ignore[arg-type]
    data = replace(recipe.data, validation_every=40, **changes.pop("data", {}))
    return replace(recipe, objective=objective, data=data, **changes)


@pytest.mark.parametrize("name", FITTED)
def test_every_fitted_recipe_helps_the_default_lifter(name: str, tmp_path: Path):
    recipe = small(name, data={"input": "gt"}, model=replace(RECIPES[name].model, noise=0.001, freedom=0.0))  # type: ignore[call-arg]
    model = train(recipe, tmp_path / "run", QUIET)
    refiner: Any = load_refiner(model)
    assert refiner.config == recipe.model
    plain = GaussNewton(refiner.config)
    assert not torch.allclose(refiner.precision, plain.precision)
    (row,) = (tmp_path / "run" / "validation.csv").read_text().splitlines()[1:]
    lifted = Lifted(recipe.objective, refiner.skeleton, recipe.data)  # type: ignore[arg-type]

    class Same:
        """A refiner that changes nothing."""

        skeleton, config = refiner.skeleton, refiner.config

        def refine(self, kp_img: Any, conf: Any, p_root: Any, root_cam: Any, K: Any, *, root: Any = None) -> Any:
            return p_root

    from poselift.models.predict import Refinement

    before = lifted.report(Refinement(refiner=Same()), torch.device("cpu")).summary()["mpjpe_mm/frame"]
    assert before is not None
    assert float(row.split(",")[1]) < 0.97 * before
    assert '"lifter": "default"' in (model / "config.json").read_text()


def test_the_same_seed_gives_the_same_fit_and_resuming_does_no_harm(tmp_path: Path):
    a = load_refiner(train(small(), tmp_path / "a", QUIET))
    b = load_refiner(train(small(), tmp_path / "b", QUIET))
    assert isinstance(a, GaussNewton)
    assert isinstance(b, GaussNewton)
    assert torch.equal(a.precision, b.precision)
    again = load_refiner(train(small(), tmp_path / "a", replace(QUIET, resume=True)))
    assert isinstance(again, GaussNewton)
    assert torch.equal(a.precision, again.precision)


def test_a_refiner_after_another(tmp_path: Path):
    torch.manual_seed(0)
    first = save_model(GaussNewton(GaussNewtonConfig()), tmp_path / "first")
    model = train(small(objective={"after": str(first)}), tmp_path / "run", QUIET)
    assert f'"after": "{first}"' in (model / "config.json").read_text()
    alone = load_refiner(train(small(), tmp_path / "alone", QUIET))
    chained = load_refiner(model)
    assert isinstance(alone, GaussNewton)
    assert isinstance(chained, GaussNewton)
    assert not torch.allclose(alone.precision, chained.precision)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"objective": {"shrinkage": 1.5}}, "objective.shrinkage: expected 0 to 1, found 1.5"),
        ({"objective": {"lifter": "no/such"}}, "no such model folder"),
        ({"model": RECIPES["erd"].model}, "expected a refiner that is fitted, found ResidualDescent"),
        ({"objective": {"after": "default"}}, "expected refiner, found lifter"),
    ],
)
def test_bad_recipes(changes: dict[str, Any], expected: str, tmp_path: Path):
    with pytest.raises(InputError, match=expected):
        train(small(**changes), tmp_path / "run", QUIET)
    assert not (tmp_path / "run").exists()
