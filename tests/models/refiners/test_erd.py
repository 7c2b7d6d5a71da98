from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from parity.fill import fill_state_dict
from parity_vectors import FOLDER, description, vectors
from poselift.errors import InputError
from poselift.geometry.projection import project
from poselift.geometry.roots import root_least_squares
from poselift.models.base import RootSource
from poselift.models.refiners.erd import Features, ResidualDescent, ResidualDescentConfig

CHAINS = sorted(p.stem for p in FOLDER.glob("erd_increment_*.json"))
BUFFERS = ["mean2d", "std2d", "pca_mean", "pca_components"]


def chain(name: str) -> tuple[ResidualDescent, dict[str, Tensor], float]:
    """The refiner of a parity chain with its statistics and filled weights, its arrays, and the fill's checksum."""
    about, arrays = description(name), vectors(name)
    made = about["constructor"]
    refiner = ResidualDescent(
        ResidualDescentConfig(
            features=made["inc_input_type"], steps=made["inc_num"], width=made["hidden_size"],
            blocks=made["num_block"], dropout=made["p_dropout"], pca=30 if made["pca_input"] else 0,
        )
    )  # fmt: skip
    refiner.set_statistics(mean2d=arrays["mean2d"], std2d=arrays["std2d"])
    if made["pca_input"]:
        refiner.pca_mean.copy_(arrays["pca_mean"])
        refiner.pca_components.copy_(arrays["pca_components"])
    total = fill_state_dict(refiner, keep=BUFFERS, fan_in=about["fill_overrides"]["fan_in"])
    return refiner.eval(), arrays, total


def inputs_of(arrays: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """kp_img, conf, p_root, root_cam, K: pixels and metres, one frame for each sample."""
    kp, p, at = arrays["x_uv_px"][:, None], arrays["x_lift_mm"][:, None] / 1000, arrays["x_pelvis_mm"] / 1000
    K = torch.zeros(len(kp), 3, 3)
    K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2] = arrays["x_cam"].unbind(1)
    K[:, 2, 2] = 1
    return kp, torch.ones(kp.shape[:-1]), p, at, K


def test_all_chains_are_here():
    assert len(CHAINS) == 8
    assert {description(c)["constructor"]["inc_input_type"] for c in CHAINS} == set(get_args(Features))


@pytest.mark.parametrize("name", CHAINS)
def test_parity_of_every_step(name: str):
    """Ordered parameter names, shapes, checksum of the filling, every pose and increment are the published code's."""
    about = description(name)
    refiner, arrays, total = chain(name)
    state = {k: list(v.shape) for k, v in refiner.state_dict().items() if k not in BUFFERS}
    assert list(state.items()) == list(about["state_dict"].items())
    assert sum(p.numel() for p in refiner.parameters()) == about["parameters"]
    assert total == pytest.approx(about["fill_checksum"], rel=1e-9)
    with torch.no_grad():
        poses = refiner.descend(*inputs_of(arrays))
    assert len(poses) == 4
    for step, (before, after) in enumerate(pairwise(poses)):
        got_mm, want = 1000 * after[:, 0], arrays[f"y_acc{step}"]
        assert torch.allclose(got_mm, want, atol=2e-4, rtol=0), (got_mm - want).abs().max()  # of 1 m, in float32
        increment = 1000 * (after - before)[:, 0]
        assert torch.allclose(increment, arrays[f"y_inc{step}"], atol=2e-4, rtol=0)
        assert increment.abs().max() > 5
    assert torch.equal(refiner.refine(*inputs_of(arrays)), poses[-1])


@pytest.mark.parametrize(
    ("features", "pca", "parameters"),
    [("delta", 0, 1_541_630), ("catproj", 0, 1_628_670), ("delta", 30, 1_531_390), ("cat", 30, 1_608_190)],
)
def test_published_sizes(features: Any, pca: int, parameters: int):
    refiner = ResidualDescent(ResidualDescentConfig(features=features, pca=pca))
    assert sum(p.numel() for p in refiner.parameters()) == parameters


def filled(**config: Any) -> tuple[ResidualDescent, tuple[Tensor, Tensor, Tensor, Tensor, Tensor]]:
    """A small refiner whose increments are some 10 mm, and the inputs of a parity chain."""
    arrays = vectors("erd_increment_delta")
    refiner = ResidualDescent(ResidualDescentConfig(**{"width": 32, "steps": 3, **config}))
    refiner.set_statistics(mean2d=arrays["mean2d"], std2d=arrays["std2d"])
    fill_state_dict(refiner, keep=BUFFERS, fan_in={f"model.{j}.w2.weight": 0.3 for j in range(refiner.config.steps)})
    return refiner.eval(), inputs_of(arrays)


def tail_by_hand(regressor: Any, f: Tensor) -> Tensor:
    """A regressor in eval mode, layer by layer."""
    y = regressor.w1(f)
    for layer in regressor.increment:
        y = y + layer(y)
    return regressor.w2(y)


def features_for(regressor: Any, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, regressor.w1[0].in_features, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("blocks", [0, 1, 2])
@pytest.mark.parametrize("n", [1, 51, 52, 300])
def test_multiplied_out_is_layer_by_layer(blocks: int, n: int):
    """To float32's last digits (100 mm, sums of hundreds), for few and many rows; in training layer by layer."""
    refiner, _ = filled(width=256, blocks=blocks)
    regressor: Any = refiner.model[1]
    f = features_for(regressor, n)
    with torch.no_grad():
        want = tail_by_hand(regressor, f)
        assert want.abs().max() > 1
        assert torch.allclose(regressor(f), want, atol=1e-4, rtol=5e-6)
        if n > 1:
            regressor.train()
            torch.manual_seed(0)
            trained = regressor(f)
            torch.manual_seed(0)
            assert torch.equal(trained, tail_by_hand(regressor, f))


def test_many_rows_have_the_gradients_of_layer_by_layer():
    regressor: Any = filled(width=64)[0].double().model[0]
    grads = []
    for run in (regressor, lambda f: tail_by_hand(regressor, f)):
        f = features_for(regressor, 80, torch.float64).requires_grad_()
        regressor.zero_grad()
        run(f).square().mean().backward()
        grads.append([f.grad, *(p.grad.clone() for p in regressor.parameters())])
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(*grads, strict=True))


def bump(regressor: Any) -> Any:
    with torch.no_grad():
        regressor.increment[0][0].weight.add_(0.01)
    return regressor


def bump_data(regressor: Any) -> Any:
    """Behind the back of autograd's counters, as numpy or a foreign kernel would."""
    regressor.w2.weight.data.numpy()[:] *= 2
    regressor.w1[1].running_var.numpy()[:] *= 2
    return regressor


def reload(regressor: Any) -> Any:
    regressor.load_state_dict({k: v + 0.01 if v.is_floating_point() else v for k, v in regressor.state_dict().items()})
    return regressor


def train(regressor: Any) -> Any:
    optimizer = torch.optim.Adam(regressor.train().parameters(), lr=0.01)
    regressor(features_for(regressor, 80)).square().mean().backward()
    optimizer.step()
    return regressor.eval()


def copy(regressor: Any) -> Any:
    again = deepcopy(regressor)
    bump(again)
    return again


@pytest.mark.parametrize("change", [bump, bump_data, reload, train, copy, lambda r: r.double()])
def test_whatever_changes_the_weights_changes_the_result(change: Any):
    """After a first result, a second one is that of the weights as they are now."""
    regressor: Any = filled(width=64)[0].model[0]
    f = features_for(regressor, 80)
    with torch.no_grad():
        before = regressor(f)
    changed = change(regressor)
    f = f.to(changed.w2.weight.dtype)
    with torch.no_grad():
        after = changed(f)
        assert after.dtype == f.dtype
        assert torch.allclose(after, tail_by_hand(changed, f), rtol=1e-5, atol=1e-4)
        assert not torch.equal(after.float(), before) or f.dtype == torch.float64
        if changed is not regressor:
            assert torch.equal(regressor(f), before)


def test_least_squares_once_is_that_root_given():
    refiner, (kp, conf, p, at, K) = filled()
    conf = conf * torch.linspace(0.1, 1, 17)
    rooted = p.clone()
    rooted[:, :, 0] = 0
    solved = root_least_squares(kp, rooted, K, conf)
    want = refiner.descend(kp, conf, p, solved, K)
    got = refiner.descend(kp, conf, p, None, K, root="least_squares")
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
    assert not torch.equal(got[-1], refiner.refine(kp, conf, p, at, K))


def test_resolved_is_least_squares_before_every_step():
    refiner, (kp, conf, p, _, K) = filled()
    got = refiner.descend(kp, conf, p, None, K, root="resolved")
    for step in range(3):
        (_, after) = refiner.descend(kp, conf, got[step], None, K, root="least_squares", first=step, last=step + 1)
        assert torch.equal(after, got[step + 1])
    once = refiner.descend(kp, conf, p, None, K, root="least_squares")
    assert torch.equal(once[1], got[1])
    assert not torch.equal(once[2], got[2])


def test_steps_can_be_taken_in_parts():
    refiner, inputs = filled()
    kp, conf, _, at, K = inputs
    whole = refiner.descend(*inputs)
    start = refiner.descend(*inputs, last=2)
    rest = refiner.descend(kp, conf, start[-1], at, K, first=2)
    assert (len(start), len(rest)) == (3, 2)
    assert torch.equal(rest[-1], whole[-1])


@pytest.mark.parametrize("pca", [0, 30])
@pytest.mark.parametrize("features", get_args(Features))
@pytest.mark.parametrize("root", get_args(RootSource))
def test_missing_joints_for_all_features(features: Features, pca: int, root: RootSource):
    """Wherever a missing joint is said to be, in the image or in the pose, the others are corrected the same."""
    refiner, (kp, conf, p, at, K) = filled(features=features, pca=pca)
    conf[:, :, 13] = 0
    conf[5] = 0
    results = []
    for garbage, shift in ((0.0, 0.0), (float("nan"), 0.1), (1e7, -0.1)):
        k, q = kp.clone(), p.clone()
        k[conf == 0] = garbage
        q[:5, :, 13] += shift
        results.append(refiner.refine(k, conf, q, at, K, root=root) - q)
    assert torch.isfinite(results[0]).all()
    assert (results[0][5] == 0).all()
    assert all(torch.allclose(r, results[0], atol=1e-6) for r in results)
    assert results[0].abs().amax() > 0.002


@pytest.mark.parametrize("features", get_args(Features))
def test_a_missing_joint_is_zero_in_the_features(features: Features):
    refiner, (kp, conf, p, at, K) = filled(features=features)
    conf[0, :, 13] = 0  # not observed
    if features != "ori":
        p[1, :, 3, 2] = -at[1, :, 2]  # at the camera: no image
    f, known = refiner.see(kp, conf, p, at, K)
    f = f.unflatten(-1, (17, -1))
    assert known.all()
    zero = (f == 0).all(-1)
    assert zero.nonzero().tolist() == [[0, 13]] + [[1, 3]] * (features != "ori")


def test_a_pose_that_explains_the_image_is_seen_as_zero():
    refiner, (_, conf, p, at, K) = filled(features="delta")
    kp = project(p + at[:, :, None], K)
    refined = refiner.refine(kp, conf, p, at, K) - p
    assert torch.allclose(refined[0], refined[1], atol=1e-2)
    f, known = refiner.see(kp, conf, p, at, K)
    assert known.all()
    assert f.abs().max() < 1e-5


def test_principal_components():
    refiner, (kp, *_) = filled(pca=5)
    g = torch.Generator().manual_seed(0)
    many = kp[:1, 0] + 30 * torch.randn(200, 17, 2, generator=g) * torch.linspace(0.1, 2, 17)[:, None]
    refiner.fit_pca(many)
    c = refiner.pca_components
    assert torch.allclose(c @ c.mT, torch.eye(5), atol=1e-5)
    x = ((many - refiner.mean2d) / refiner.std2d).flatten(1)
    variance = ((x - x.mean(0)) @ c.mT).var(0)
    assert (variance.diff() <= 1e-5).all()
    assert torch.allclose(variance, torch.linalg.eigvalsh(x.mT.cov()).flip(0)[:5], rtol=1e-3)


def test_a_coordinate_that_never_varies():
    refiner, inputs = filled()
    refiner.set_statistics(mean2d=refiner.mean2d.clone(), std2d=torch.zeros(17, 2))
    assert (refiner.std2d == 1).all()
    assert torch.isfinite(refiner.refine(*inputs)).all()


@pytest.mark.parametrize(
    ("config", "complaint"),
    [({"pca": 35}, "pca: expected 0 to 34"), ({"steps": 0}, "steps"), ({"dropout": 1.5}, "dropout")],
)
def test_impossible_configs(config: Any, complaint: str):
    with pytest.raises(InputError, match=complaint):
        ResidualDescent(ResidualDescentConfig(**config))
