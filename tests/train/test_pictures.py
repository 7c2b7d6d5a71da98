"""Networks of pictures learn from rendered people, through the one loop."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adversarial_runs import flat
from poselift.data.pictures import PictureConfig
from poselift.errors import InputError
from poselift.models.cards import model_info
from poselift.models.kinds import build_model
from poselift.models.resnet import ResNet, ResNetConfig
from poselift.models.weights import load_backbone, load_image, load_image_root, save_model
from poselift.train import loop
from poselift.train.checkpoint import load_state
from poselift.train.loop import TrainOptions, train
from poselift.train.recipes import RECIPES, Recipe
from poselift.train.steps import parameter_groups

QUIET = TrainOptions(device="cpu", quiet=True, overfit=True, tensorboard=False)
NAMES = ("rootnet", "pose-resnet")


def small(name: str, **objective: Any) -> Recipe:
    recipe = RECIPES[name]
    return replace(
        recipe,
        model=replace(recipe.model, depth=18, size_hw=(64, 64), filters=(16, 16, 16)),  # type: ignore[call-arg]
        data=PictureConfig(crop=64),
        objective=replace(recipe.objective, validation=8, **objective),  # type: ignore[call-arg]
        schedule=replace(
            recipe.schedule, steps=12, batch=8, decay_steps=12, log_every=1, validate_every=12, save_every=12
        ),
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_one_batch_by_heart(name: str, tmp_path: Path):
    folder = train(small(name), tmp_path / "run", QUIET)
    losses = [float(r["loss"]) for r in csv.DictReader((tmp_path / "run" / "log.csv").open())]
    assert losses[-1] < (0.5 if name == "rootnet" else 0.95) * losses[0]
    model = (load_image_root if name == "rootnet" else load_image)(folder)
    assert model.config == small(name).model
    found = model_info(folder).card["validation"]
    assert set(found) == (
        {"mrpe_mm", "mrpe_x_mm", "mrpe_y_mm", "mrpe_z_mm"} if name == "rootnet" else {"kp_error_percent"}
    )
    assert model_info(folder).card["data"] == "rendered"


def test_resume_is_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Weights lie in memory as the processor likes them (`channels_last`), and so must the optimiser's moments."""
    recipe = small("rootnet")
    recipe = replace(recipe, schedule=replace(recipe.schedule, steps=5, validate_every=5, save_every=2, ema=0.9))
    options = replace(QUIET, overfit=False, quiet=False)
    train(recipe, tmp_path / "whole", options)
    assert "validation mrpe_mm " in capsys.readouterr().out
    plain = loop._Run.train_step

    def dies(self: loop._Run, batch: Any) -> Any:
        if self.step == 3:
            raise KeyboardInterrupt
        return plain(self, batch)

    monkeypatch.setattr(loop._Run, "train_step", dies)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", options)
    monkeypatch.setattr(loop._Run, "train_step", plain)
    train(recipe, tmp_path / "cut", replace(options, resume=True))
    whole, cut = (flat(load_state(tmp_path / n / "state.safetensors")) for n in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    for k, v in whole.items():
        assert torch.equal(v, cut[k]) if isinstance(v, torch.Tensor) else v == cut[k], k


def test_a_backbone_is_begun_with(tmp_path: Path):
    torch.manual_seed(3)
    backbone = ResNet(ResNetConfig(depth=18))
    save_model(backbone, tmp_path / "backbone")
    for name in NAMES:
        recipe = small(name, backbone=str(tmp_path / "backbone"))
        objective: Any = recipe.objective.build(recipe.model, recipe.data)  # type: ignore[arg-type]
        objective.fit(torch.Generator())
        assert torch.equal(objective.model.backbone.conv1.weight, backbone.conv1.weight)
        deeper = replace(recipe, model=replace(recipe.model, depth=34))  # type: ignore[call-arg]
        objective = deeper.objective.build(deeper.model, deeper.data)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"objective.backbone: expected 34 layers.*found 18 layers"):
            objective.fit(torch.Generator())


def test_a_network_of_pictures_lends_its_backbone(tmp_path: Path):
    pose, root = small("pose-resnet"), small("rootnet")
    torch.manual_seed(3)
    lender: Any = build_model(pose.model)
    save_model(lender, tmp_path / "pose")
    recipe = small("rootnet", backbone=str(tmp_path / "pose"))
    objective: Any = recipe.objective.build(root.model, recipe.data)  # type: ignore[arg-type]
    objective.fit(torch.Generator())
    given, own = lender.net.state_dict(), objective.model.backbone.state_dict()
    assert len(own) == len(ResNet(ResNetConfig(depth=18)).state_dict())
    assert all(torch.equal(v, given[k]) for k, v in own.items())
    save_model(objective.model, tmp_path / "root")
    assert torch.equal(load_backbone(tmp_path / "root").conv1.weight, lender.net.conv1.weight)


def test_training_learns_from_crops_several_times():
    recipe = small("rootnet")
    recipe = replace(recipe, data=PictureConfig(crop=64, reuse=3, held=12))
    objective: Any = recipe.objective.build(recipe.model, recipe.data)  # type: ignore[arg-type]
    gen = torch.Generator().manual_seed(0)
    seen = {float(z) for _ in range(12) for z in objective.batch(4, gen).root_z}
    assert len(seen) <= 12 + 4 * 11 // 3  # fresh crops: those held first, and a third of what was drawn since
    with pytest.raises(InputError, match="times: expected 1 or more, found 0"):
        recipe.objective.build(recipe.model, PictureConfig(crop=64, reuse=0))  # type: ignore[arg-type]


def test_what_does_not_fit_is_refused():
    pose, root = small("pose-resnet"), small("rootnet")
    for recipe, complaint in (
        (replace(pose, model=root.model), "from pictures to joints, found RootNetConfig"),
        (replace(root, model=pose.model), "from pictures to roots, found PoseResNetConfig"),
        (replace(pose, model=replace(pose.model, skeleton="mpii16")), "that of the pictures, found mpii16"),  # type: ignore[call-arg]
        (replace(pose, objective=replace(pose.objective, validation=0)), "objective.validation"),  # type: ignore[call-arg]
    ):
        with pytest.raises(InputError, match=complaint):
            recipe.objective.build(recipe.model, recipe.data)  # type: ignore[arg-type]
    large = replace(root, model=replace(root.model, size_hw=(96, 96)))  # type: ignore[call-arg]
    with pytest.raises(InputError, match=r"model.size_hw: expected \(64, 64\), that of the pictures, found \(96, 96\)"):
        large.objective.build(large.model, large.data).batch(2, torch.Generator())  # type: ignore[arg-type,union-attr]


def test_the_depth_layer_learns_at_a_rate_of_its_own():
    recipe = small("rootnet", depth_rate=0.03)
    objective: Any = recipe.objective.build(recipe.model, recipe.data)  # type: ignore[arg-type]
    first, depth = parameter_groups(objective.model, objective.scales)
    assert [first["scale"], depth["scale"]] == [1.0, 0.03]
    layer = objective.model.net.root.depth_layer
    assert [id(p) for p in depth["params"]] == [id(layer.weight), id(layer.bias)]
    assert len(first["params"]) + 2 == len(list(objective.model.parameters()))
    for wrong in (0.0, 1.5):
        with pytest.raises(InputError, match=r"objective.depth_rate: expected above 0"):
            replace(recipe.objective, depth_rate=wrong).build(recipe.model, recipe.data)  # type: ignore[arg-type,call-arg]


def test_a_step_moves_the_depth_layer_by_its_rate(tmp_path: Path):
    recipe = small("rootnet", depth_rate=0.03)
    recipe = replace(recipe, schedule=replace(recipe.schedule, steps=1, validate_every=1, save_every=1))
    trained = load_image_root(train(recipe, tmp_path / "run", QUIET))
    gamma = trained.net.root.depth_layer.bias.item()  # type: ignore[union-attr]
    assert abs(gamma - 1) == pytest.approx(0.03 * recipe.schedule.lr, rel=0.01)  # Adam's first step is the rate itself
