"""Checkpoints in the published layouts become models whose poses are those of the published codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from parity_vectors import description, vectors
from poselift.models.importers import ImportOptions, import_checkpoint
from poselift.models.lifters.simple_baseline import SimpleBaseline
from poselift.models.weights import load_model, load_refiner, load_root, save_model
from published_checkpoints import FAMILIES, FIXTURES, mean_std, pca_of, save, save_pca, save_stats, state_of

SINGLE = ("linear-erd", "lcn-erd", "semgcn-erd", "linear-pytorch", "semgcn-original")
LIFTERS = [(f, n) for f in SINGLE for n in FAMILIES[f]]
SIZE = torch.tensor([[1000.0, 1002.0]])


def folder_of(tmp_path: Path, file: Path, family: str, options: ImportOptions) -> Path:
    """Imported without naming the family, and written as a native folder."""
    imported = import_checkpoint(file, options=options)
    assert imported.family == family
    return save_model(imported.model, tmp_path / "model", card=imported.card)


def lift(lifter: Any, kp_img: Tensor) -> Tensor:
    """(n, j, 2) pixels → (n, j, 3) mm."""
    conf, K = torch.ones(1, *kp_img.shape[:2]), torch.eye(3)[None]
    with torch.no_grad():
        return 1000 * lifter.lift(kp_img[None], conf, K, SIZE)[0]


@pytest.mark.parametrize(("family", "name"), LIFTERS)
def test_pixels_to_millimetres(family: str, name: str, tmp_path: Path):
    """The whole way: a checkpoint and statistics in, pixels in, millimetres out, as the published code computes."""
    arrays, state = vectors(name), state_of(name)
    (mean2, std2), (mean3, std3) = mean_std(2), mean_std(3, seed=1)
    x, y, options = arrays["x0"], arrays["y0"], ImportOptions()
    if family == "semgcn-original":
        kp = (x + torch.tensor([1.0, 1.002])) * 500
        want = 1000 * (y - y[:, :1])
    else:
        options = ImportOptions(
            stats_2d=save_stats(tmp_path / "stat_custom_2d.pth.tar", mean2, std2),
            stats_3d=save_stats(tmp_path / "stat_custom_3d.pth.tar", mean3, std3),
        )
        if "pca" in name:  # an input whose components are the vector's
            mean, axes = pca_of("erd_increment_delta_pca30")
            options = ImportOptions(
                stats_2d=options.stats_2d, stats_3d=options.stats_3d, pca=save_pca(tmp_path / "pca", mean, axes)
            )
            x = (x @ torch.tensor(np.linalg.pinv(axes).T).float() + torch.tensor(mean)).float().unflatten(1, (17, 2))
        if family == "linear-pytorch":  # without nose in, without pelvis out
            x = torch.cat((x.unflatten(1, (16, 2))[:, :9], torch.zeros(3, 1, 2), x.unflatten(1, (16, 2))[:, 9:]), 1)
            y = torch.cat((torch.zeros(3, 1, 3), y.unflatten(1, (16, 3))), 1)
            mean3[0] = std3[0] = 0
        kp = x.double() * torch.tensor(std2) + torch.tensor(mean2)
        want = y.double() * torch.tensor(std3) + torch.tensor(mean3)
    file = save(tmp_path / "ckpt_best.pth.tar", state)
    lifter = load_model(folder_of(tmp_path, file, family, options))
    assert want.abs().max() > 100
    got = lift(lifter, kp.float())
    assert torch.allclose(got.double(), want.double(), atol=0.02), (got - want).abs().max()


@pytest.mark.parametrize(
    ("family", "name", "zipped"),
    [(*pair, True) for pair in LIFTERS]
    + [(f, names[0], False) for f, names in FAMILIES.items() if (f, names[0]) in LIFTERS],
)
def test_networks(family: str, name: str, zipped: bool, tmp_path: Path):
    """Of the lifters: exactly the published network's output on the vector's own input."""
    arrays = vectors(name)
    file = save(tmp_path / "c.pth.tar", state_of(name), zipped=zipped)
    lifter: Any = load_model(folder_of(tmp_path, file, family, ImportOptions(no_stats=family != "semgcn-original")))
    x = arrays["x0"].flatten(1) if isinstance(lifter, SimpleBaseline) else arrays["x0"]
    with torch.no_grad():
        y = lifter.net(x)
    assert torch.allclose(y.flatten(1), arrays["y0"].flatten(1), atol=5e-6)


@pytest.mark.parametrize("kept", [3, 2])
@pytest.mark.parametrize("name", FAMILIES["refiner-erd"])
def test_refiners(name: str, kept: int, tmp_path: Path):
    """Of the chain only the trained regressors are kept; the pose after each is the published code's."""
    arrays, made = vectors(name), description(name)["constructor"]
    stats = save_stats(tmp_path / "stat_custom_2d.pth.tar", arrays["mean2d"].numpy(), arrays["std2d"].numpy())
    pca = save_pca(tmp_path / "pca", *pca_of(name)) if made["pca_input"] else None
    options = ImportOptions(stats_2d=stats, pca=pca, features=made["inc_input_type"])
    optimizers = [torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]) for _ in range(3)]
    file = save(tmp_path / "ckpt_last.pth.tar", state_of(name), inc_num=kept, optimizer=optimizers)
    refiner: Any = load_refiner(folder_of(tmp_path, file, "refiner-erd", options))
    assert (refiner.config.steps, refiner.config.features) == (kept, made["inc_input_type"])
    kp, p, at = arrays["x_uv_px"][:, None], arrays["x_lift_mm"][:, None] / 1000, arrays["x_pelvis_mm"] / 1000
    K = torch.eye(3).repeat(len(kp), 1, 1)
    K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2] = arrays["x_cam"].unbind(1)
    with torch.no_grad():
        poses = refiner.descend(kp, torch.ones(kp.shape[:-1]), p, at, K)
    assert len(poses) == kept + 1
    for step, pose in enumerate(poses[1:]):
        assert torch.allclose(1000 * pose[:, 0], arrays[f"y_acc{step}"], atol=2e-4, rtol=0)


def test_pelvis(tmp_path: Path):
    """Millimetres are an assumption, and said."""
    arrays, (mean, std) = vectors("erd_regress_pelvis"), mean_std(2)
    options = ImportOptions(stats_2d=save_stats(tmp_path / "s", mean, std))
    file = save(tmp_path / "c.pth.tar", state_of("erd_regress_pelvis"))
    model = load_root(folder_of(tmp_path, file, "pelvis-erd", options))
    kp = (arrays["x0"].double() * torch.tensor(std) + torch.tensor(mean)).float()[:, None]
    ones, K = torch.ones(kp.shape[:-1]), torch.eye(3).repeat(len(kp), 1, 1)
    with torch.no_grad():
        at = model.locate(kp, ones, torch.zeros(*kp.shape[:-1], 3), K)
    assert torch.allclose(1000 * at, arrays["y0"], atol=1e-5)
    assert any("millimetres" in n for n in import_checkpoint(file, options=options).notes)


def framework_file(name: str) -> tuple[Path, dict[str, Tensor]]:
    with np.load(FIXTURES / f"{name.partition('_')[0].partition('.')[0]}_expected.npz") as z:
        return FIXTURES / name, {k: torch.from_numpy(z[k]) for k in z.files}


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gluon.params", "linear-gluon"), ("gluon_full_names.params", "linear-gluon"),
        ("gluon_short_names.params", "linear-gluon"), ("tf_v1", "linear-original"), ("tf_v2.index", "linear-original"),
        ("tf_v2", "linear-original"), ("tf_v2.data-00000-of-00001", "linear-original"),
    ],
)  # fmt: skip
def test_files_of_other_frameworks(name: str, family: str, tmp_path: Path):
    """Written by MXNet and TensorFlow, with the outputs that their own networks gave."""
    file, arrays = framework_file(name)
    lifter: Any = load_model(folder_of(tmp_path, file, family, ImportOptions(no_stats=True)))
    with torch.no_grad():
        y = lifter.net(arrays["x0"])
    assert torch.allclose(y, arrays["y0"], atol=5e-6)
    assert arrays["y0"].abs().max() > 0.5


def test_max_norm_is_that_of_the_original_only():
    file, arrays = framework_file("tf_v2")
    with torch.no_grad():
        free: Any = import_checkpoint(file, options=ImportOptions(no_stats=True, max_norm=False)).model
        assert (free.net(arrays["x0"]) - arrays["y0"]).abs().max() > 0.1
        clipped: Any = import_checkpoint(file, options=ImportOptions(no_stats=True)).model
        for layer, plain in zip(clipped.modules(), free.modules(), strict=True):
            if isinstance(plain, torch.nn.Linear):
                plain.weight.copy_(layer.weight / max(1.0, float(layer.weight.norm())))  # type: ignore[operator,union-attr]
        assert torch.allclose(free.net(arrays["x0"]), arrays["y0"], atol=5e-6)
