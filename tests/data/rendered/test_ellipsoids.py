"""Ellipsoids against ray casting, pixel by pixel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from poselift.data.rendered.ellipsoids import boxes, conics, hits, shadow_conics, shadow_mask
from poselift.geometry.rotations import quat_to_matrix

H, W = 48, 64


def camera() -> Tensor:
    return torch.tensor([[70.0, 0, 30.3], [0, 75.0, 25.1], [0, 0, 1]])


def some(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Ellipsoids (centre, axes) in front of the camera, some partly outside of the picture."""
    gen = torch.Generator().manual_seed(seed)
    at = (torch.rand(n, 3, generator=gen) - 0.5) * torch.tensor((3.0, 2.0, 2.0)) + torch.tensor((0.0, 0, 4.0))
    q = torch.nn.functional.normalize(torch.randn(n, 4, generator=gen), dim=-1)
    return at, quat_to_matrix(q) * (0.05 + 0.5 * torch.rand(n, 1, 3, generator=gen))


def pixel_rays() -> Tensor:
    """Viewing rays (h·w, 3) with z = 1, float64."""
    K = camera().double()
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    return torch.stack(((x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1], torch.ones(H, W)), -1).view(-1, 3)


def cast(origin: Tensor, d: Tensor, at: Tensor, axes: Tensor) -> Tensor:
    """Distance along the rays to the first intersection with one ellipsoid, infinite for a miss."""
    inverse = torch.linalg.inv(axes.double())
    o, v = (origin - at.double()) @ inverse.T, d @ inverse.T
    a, b, c = (v * v).sum(-1), (o * v).sum(-1), (o * o).sum(-1) - 1
    under = b * b - a * c
    t = (-b - under.clamp_min(0).sqrt()) / a
    return torch.where((under > 0) & (t > 0), t, torch.inf)


def test_depth_and_the_part_in_front_are_those_of_ray_casting() -> None:
    at, axes = some(12)
    c = conics(at, axes, camera().expand(12, 3, 3), torch.ones(12, dtype=torch.bool))
    zeros = torch.zeros(12, dtype=torch.int64)
    found = hits(c, axes, zeros, torch.arange(12), pictures=1, size=(H, W))
    rays = pixel_rays()
    t = torch.stack([cast(torch.zeros(3).double(), rays, a, m) for a, m in zip(at, axes, strict=True)])
    nearest, part = t.min(0)
    drawn = torch.full((H * W,), torch.inf, dtype=torch.float64)
    drawn[found.pixel] = found.z.double()
    assert len(found.pixel.unique()) == len(found.pixel)
    wrong = drawn.isfinite() != nearest.isfinite()
    assert int(wrong.sum()) <= 2  # a pixel centre on the very edge may fall to either side
    both = drawn.isfinite() & nearest.isfinite()
    assert int(both.sum()) > 800
    assert float((drawn - nearest)[both].abs().max()) < 1e-3
    assert bool((part[found.pixel] == found.part)[both[found.pixel]].float().mean() > 0.999)
    assert float((found.u.norm(dim=-1) - 1).abs().max()) < 1e-3
    p = at[found.part] + (axes[found.part] @ found.u[..., None]).squeeze(-1)
    assert torch.allclose(p.double(), rays[found.pixel] * found.z[:, None], atol=1e-3)


def test_the_normal_of_a_sphere_points_away_from_its_centre() -> None:
    at, axes = torch.tensor([[0.2, -0.1, 3.0]]), torch.eye(3)[None] * 0.5
    c = conics(at, axes, camera()[None], torch.ones(1, dtype=torch.bool))
    zero = torch.zeros(1, dtype=torch.int64)
    found = hits(c, axes, zero, zero, pictures=1, size=(H, W))
    p = pixel_rays().float()[found.pixel] * found.z[:, None]
    assert torch.allclose(found.normal, (p - at) / 0.5, atol=2e-3)


def test_normals_melt_within_one_body_only() -> None:
    at = torch.tensor([[-0.2, 0.0, 3.0], [0.2, 0.0, 3.0]])
    axes = torch.eye(3).expand(2, 3, 3) * 0.4
    c = conics(at, axes, camera().expand(2, 3, 3), torch.ones(2, dtype=torch.bool))
    zero = torch.zeros(2, dtype=torch.int64)
    one = hits(c, axes, zero, zero, pictures=1, size=(H, W))
    two = hits(c, axes, zero, torch.arange(2), pictures=1, size=(H, W))
    assert torch.equal(one.pixel, two.pixel)
    assert float((one.normal - two.normal).abs().max()) > 0.2
    rigid = (two.u - two.normal).abs().max()
    assert float(rigid) < 2e-3


def test_boxes_are_tight() -> None:
    at, axes = some(20, seed=1)
    c = conics(at, axes, camera().expand(20, 3, 3), torch.ones(20, dtype=torch.bool))
    found, ok = boxes(c)
    assert bool(ok.all())
    u = torch.nn.functional.normalize(torch.randn(20, 40000, 3, generator=torch.Generator().manual_seed(2)), dim=-1)
    p = at[:, None] + u @ axes.mT
    K = camera()
    xy = p[..., :2] / p[..., 2:] * torch.stack((K[0, 0], K[1, 1])) + K[:2, 2]
    bounds = torch.cat((xy.amin(1), xy.amax(1)), -1)
    assert torch.allclose(found.float(), bounds, atol=0.05)
    assert bool((found[:, :2] <= bounds[:, :2] + 1e-3).all() & (found[:, 2:] >= bounds[:, 2:] - 1e-3).all())


def test_a_shadow_is_where_the_light_is_hidden() -> None:
    n = 12
    at, axes = some(n, seed=3)
    at, axes = at - torch.tensor((0.0, 0.4, 0.0)), axes * 0.8
    up, light, eye = torch.tensor((0.0, -0.8, -0.6)), torch.tensor((0.2, -0.6, -0.8)), 4.2
    light = light / light.norm()
    c = shadow_conics(
        at, axes, camera().expand(n, 3, 3), torch.ones(n, dtype=torch.bool),
        up=up.expand(n, 3), eye_height=torch.full((n,), eye), light=light.expand(n, 3),
    )  # fmt: skip
    found = shadow_mask(c, torch.zeros(n, dtype=torch.int64), pictures=1, size=(H, W))[0].flatten() > 0
    rays = pixel_rays()
    t = -eye / (rays @ up.double())
    floor = rays * t[:, None]
    hidden = torch.stack([cast(floor, light.double().expand_as(floor), a, m) for a, m in zip(at, axes, strict=True)])
    expected = hidden.isfinite().any(0)
    on_floor = t > 0
    assert int(expected[on_floor].sum()) > 100
    assert int((found != expected)[on_floor].sum()) <= 3


@pytest.mark.parametrize("z", [-1.0, 0.0, 0.3])
def test_what_reaches_the_camera_is_not_drawn(z: float) -> None:
    at, axes = torch.tensor([[0.0, 0.0, z]]), torch.eye(3)[None] * 0.4
    c = conics(at, axes, camera()[None], torch.ones(1, dtype=torch.bool))
    zero = torch.zeros(1, dtype=torch.int64)
    assert not bool(boxes(c)[1].any())
    assert len(hits(c, axes, zero, zero, pictures=1, size=(H, W)).pixel) == 0
