"""Scenes to pictures: people, things that stand around, shadows, background; and what every pixel shows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from poselift.data.rendered import body as bodies
from poselift.data.rendered.backdrop import backdrop
from poselift.data.rendered.ellipsoids import Conics, boxes, conics, hits, shadow_conics, shadow_mask
from poselift.data.rendered.looks import Materials, surface, things
from poselift.data.rendered.paint import draw_light, photograph, shade, soften
from poselift.data.rendered.scenes import Scenes

__all__ = ["Pictures", "render", "silhouette_boxes"]

_THINGS = 4
"""Balls, sacks and the like in a scene, at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """b pictures and the truth of every pixel.

    image (b, 3, h, w) uint8 RGB; depth (b, h, w) metres along the optical axis, infinite for the sky;
    person (b, h, w) int16: whose body is seen, by number in the scene, -1 for none; K (b, 3, 3): of these pictures.
    """

    image: Tensor
    depth: Tensor
    person: Tensor
    K: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class _Solids:
    """n ellipsoids in camera space, of all scenes: centre, axes; scene, owner, material, shadow, there (n,)."""

    centre: Tensor
    axes: Tensor
    scene: Tensor
    owner: Tensor
    material: Tensor
    shadow: Tensor
    there: Tensor


def _people(s: Scenes) -> _Solids:
    b, m = s.there.shape
    dev = s.eye.device
    made = bodies.body(s.p_world.flatten(0, 1), s.build)
    q = made.centre.shape[1]
    centre = s.to_cam(made.centre.unflatten(0, (b, m))).reshape(-1, 3)
    axes = s.R[:, None] @ made.axes.view(b, m * q, 3, 3)
    slot, shadow = bodies.slots().to(dev), bodies.casts_shadow().to(dev)
    owner = torch.arange(b * m, device=dev)
    return _Solids(
        centre=centre,
        axes=axes.flatten(0, 1),
        scene=torch.arange(b, device=dev).repeat_interleave(m * q),
        owner=owner.repeat_interleave(q),
        material=(owner[:, None] * len(bodies.SLOTS) + slot).flatten(),
        shadow=shadow.repeat(b * m),
        there=(made.there & s.there.view(-1, 1)).flatten(),
    )


def silhouette_boxes(s: Scenes) -> Float[Tensor, "b m 4"]:
    """Boxes x y w h around the whole outline of every person, also where something hides it, cut at the image's edges.

    Pixels of the whole image; width and height are those of pixel areas. 0 for people who are not in the image.
    """
    b, m = s.there.shape
    solid = _people(s)
    c = conics(solid.centre, solid.axes, s.K[solid.scene], solid.there)
    xyxy, ok = (x.view(b, m, -1, *x.shape[1:]) for x in boxes(c))
    low = torch.where(ok[..., None], xyxy[..., :2], torch.inf).amin(2) - 0.5
    high = torch.where(ok[..., None], xyxy[..., 2:], -torch.inf).amax(2) + 0.5
    edge = s.size_wh[:, None].double() - 0.5
    low, high = low.clamp_min(-0.5).minimum(edge), high.minimum(edge)
    size = (high - low).clamp_min(0)
    seen = (size > 0).all(-1, keepdim=True)
    return torch.where(seen, torch.cat((low + 0.5, size), -1), 0.0).float()


def _things_around(s: Scenes, gen: Generator, first_material: int) -> tuple[_Solids, Materials]:
    """Ellipsoids that lie or hang about, some of them in front of the people."""
    b, dev = len(s.eye), s.eye.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(b, _THINGS, *shape, generator=gen, device=dev)

    size = 0.06 + 0.3 * uniform(3) ** 2
    at = uniform(3) * torch.tensor((5.0, 6.0, 1.6), device=dev) - torch.tensor((2.5, 2.6, 0.0), device=dev)
    on_floor = uniform() < 0.7
    at[..., 2] = torch.where(on_floor, size[..., 2], at[..., 2] + 0.2)
    yaw = uniform() * 6.3
    c, n, o = yaw.cos(), yaw.sin(), torch.zeros_like(yaw)
    turn = torch.stack((c, -n, o, n, c, o, o, o, o + 1), -1).unflatten(-1, (3, 3))
    number = b * _THINGS
    solid = _Solids(
        centre=s.to_cam(at).reshape(-1, 3),
        axes=(s.R[:, None] @ (turn * size[..., None, :])).flatten(0, 1),
        scene=torch.arange(b, device=dev).repeat_interleave(_THINGS),
        owner=torch.arange(number, device=dev) + s.there.numel(),
        material=torch.arange(number, device=dev) + first_material,
        shadow=torch.ones(number, dtype=torch.bool, device=dev),
        there=(uniform() < 0.45).flatten(),
    )
    return solid, things(number, gen, dev, finest=0.08)


def _together(a: _Solids, b: _Solids) -> _Solids:
    return replace(a, **{k: torch.cat((v, getattr(b, k))) for k, v in a.__dict__.items()})


def _pick(c: Conics, index: Tensor) -> Conics:
    return replace(c, **{k: v[index] for k, v in c.__dict__.items()})


def render(
    s: Scenes, K: Float[Tensor, "b 3 3"], size: tuple[int, int], gen: Generator, *,
    blur: tuple[float, float] = (0.3, 1.3), noise: float = 0.08, within: Tensor | None = None,
) -> Pictures:  # fmt: skip
    """Pictures of (h, w) pixels of the scenes, through their cameras with the intrinsics K: of a crop or of all.

    within (b, 4): x0 y0 x1 y1 pixels of the picture; black outside, as a crop is beyond the image's edge.
    """
    (h, w), b, dev = size, len(K), K.device
    people = _people(s)
    around, materials = _things_around(s, gen, len(s.looks.materials.first))
    solid = _together(people, around)
    looks = s.looks.materials
    cloth = replace(looks, **{k: torch.cat((v, getattr(materials, k))) for k, v in looks.__dict__.items()})
    light = draw_light(b, gen, dev)
    to_light = (s.R @ light.direction[..., None]).squeeze(-1)
    up = s.R[:, :, 2]
    c = conics(solid.centre, solid.axes, K[solid.scene], solid.there)
    seen = hits(c, solid.axes, solid.scene, solid.owner, pictures=b, size=size)

    behind = backdrop(K, s.R, s.eye, size, gen, detail=h / 128)
    casts = (solid.shadow & solid.there).nonzero().squeeze(-1)
    scene = solid.scene[casts]
    cast = shadow_conics(
        solid.centre[casts], solid.axes[casts], K[scene], solid.there[casts],
        up=up[scene], eye_height=s.eye[scene, 2], light=to_light[scene],
    )  # fmt: skip
    dark = soften(shadow_mask(cast, scene, pictures=b, size=size), max(1, h // 64)) * behind.floor
    deep = light.key / (light.key + light.ambient)  # what is left in the shadow is the ambient light
    image = behind.image * (1 - dark[:, None] * (0.9 * deep)[:, :, None, None])

    of = solid.scene.index_select(0, seen.part)
    solid_size = (solid.axes * solid.axes).sum(1).sqrt().T.contiguous().index_select(1, seen.part)
    where = tuple(seen.u[:, i] * solid_size[i] for i in range(3))
    colour, tilt = surface(cloth, solid.material.index_select(0, seen.part), (where[0], where[1], where[2]))
    normal = seen.normal + tilt
    normal = normal / normal.norm(dim=-1, keepdim=True)
    lights = torch.cat((to_light, up, light.key, light.ambient), -1).index_select(0, of).split(3, -1)
    shown = shade(colour, normal, *lights)
    inside = seen.pixel // (h * w), seen.pixel % (h * w)
    flat = image.reshape(b, 3, h * w)
    flat[inside[0], :, inside[1]] = shown
    depth = behind.depth.reshape(-1).index_put((seen.pixel,), seen.z)
    person = torch.full((b * h * w,), -1, dtype=torch.int16, device=dev)
    who = solid.owner.index_select(0, seen.part)
    most = s.there.shape[1]
    person[seen.pixel] = torch.where(who < b * most, who % most, -1).to(torch.int16)
    out = photograph(flat.view(b, 3, h, w), gen, blur=blur, noise=noise)
    if within is not None:
        x, y = torch.arange(w, device=dev), torch.arange(h, device=dev)
        fits_x = (x >= within[:, :1]) & (x <= within[:, 2:3])
        fits_y = (y >= within[:, 1:2]) & (y <= within[:, 3:])
        out = out * (fits_y[:, None, :, None] & fits_x[:, None, None, :])
    return Pictures(image=out, depth=depth.view(b, h, w), person=person.view(b, h, w), K=K)
