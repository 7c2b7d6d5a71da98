"""Batches of rendered people: crops for training, whole pictures with everybody's truth for evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from poselift.data import cmu17
from poselift.data.bank import MotionBank
from poselift.data.images import ImageBatch
from poselift.data.rendered.body import joint_radius
from poselift.data.rendered.render import Pictures, render, silhouette_boxes
from poselift.data.rendered.scenes import SceneOptions, Scenes, draw_scenes
from poselift.errors import InputError
from poselift.geometry.crops import MARGIN, distance_measure, extend_box
from poselift.geometry.projection import project
from poselift.structures import Skeleton

__all__ = ["Frames", "RenderOptions", "RenderedSource", "rendered_source"]


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """How people are rendered."""

    scenes: SceneOptions = field(default_factory=SceneOptions)
    """Who stands where, and the camera."""
    extend: float = MARGIN
    """Side of the square crop, as a factor of the larger side of the person's box."""
    jitter: float = 0.1
    """Crops are larger or smaller by up to this part, and moved by up to half of it. 0 for evaluation."""
    blur: tuple[float, float] = (0.3, 1.3)
    """Standard deviation of the blur, pixels; small ones are more frequent."""
    noise: float = 0.08
    """Strongest noise of the sensor, as a part of full white."""
    max_pixels: int = 48 * 256 * 256
    """Pictures are rendered in portions of at most so many pixels, to bound memory."""

    def __post_init__(self) -> None:
        if not (self.extend > 0 and 0 <= self.jitter < 1 and self.noise >= 0 and 0 <= self.blur[0] <= self.blur[1]):
            found = f"extend {self.extend}, jitter {self.jitter}, blur {self.blur}, noise {self.noise}"
            raise InputError(field="rendering", expected="no negative numbers, jitter below 1", found=found)


@dataclass(frozen=True, kw_only=True, eq=False)
class Frames:
    """b whole pictures of up to m people each.

    image (b, 3, h, w) uint8 RGB; depth (b, h, w) metres; person (b, h, w) int16, whose body a pixel shows, -1 for none;
    K (b, 3, 3). Of each person: there (b, m); kp_img (b, m, 17, 2) pixels; p_cam (b, m, 17, 3) metres;
    seen (b, m, 17): the joint is in the picture and nothing hides it; box_xywh (b, m, 4): around the whole outline,
    hidden parts too, cut at the picture's edges; mask_of(i) what is seen of them.
    """

    image: Tensor
    depth: Tensor
    person: Tensor
    K: Tensor
    there: Tensor
    kp_img: Tensor
    p_cam: Tensor
    seen: Tensor
    box_xywh: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def mask_of(self, i: int) -> Bool[Tensor, "b h w"]:
        """Where person i of each picture is seen."""
        return self.person == i

    @property
    def root_cam(self) -> Float[Tensor, "b m 3"]:
        """Roots in camera metres."""
        return self.p_cam[:, :, 0]


def crop_boxes(box_xywh: Float[Tensor, "b 4"], extend: float, jitter: float, gen: Generator) -> Float[Tensor, "b 4"]:
    """Square boxes about boxes, `extend` times their larger side, jittered."""
    square = extend_box(torch.cat((box_xywh[:, :2], box_xywh[:, 2:].clamp_min(8.0)), -1), 1.0, extend)
    by = torch.rand(len(square), 3, generator=gen, device=square.device) * 2 - 1
    side = square[:, 2:]
    middle = square[:, :2] + side / 2 + by[:, :2] * (jitter / 2) * side
    side = side * (1 + jitter * by[:, 2:])
    return torch.cat((middle - side / 2, side), -1)


def hidden_joints(
    pictures: Pictures, kp: Float[Tensor, "b m j 2"], z: Float[Tensor, "b m j"]
) -> tuple[Bool[Tensor, "b m j"], Bool[Tensor, "b m j"]]:
    """Which joints are inside of the pictures, and which of them something hides: the z-buffer is nearer.

    A joint lies inside of its own body, so that body hides it only where it is nearer by more than the joint is deep;
    anything else does as soon as it is nearer.
    """
    _, h, w = pictures.depth.shape
    at = kp.nan_to_num(nan=-1e4).round().clamp(-1e4, 1e4).long()
    inside = (at[..., 0] >= 0) & (at[..., 0] < w) & (at[..., 1] >= 0) & (at[..., 1] < h) & (z > 0)
    flat = (at[..., 1].clamp(0, h - 1) * w + at[..., 0].clamp(0, w - 1)).flatten(1)
    front = pictures.depth.flatten(1).gather(1, flat).view_as(z)
    who = pictures.person.flatten(1).gather(1, flat).view_as(z)
    own = who == torch.arange(z.shape[1], device=z.device)[:, None]
    skin = torch.where(own, joint_radius().to(z.device) + 0.05, 0.0)
    return inside, front < z - skin


@dataclass(frozen=True, eq=False)
class RenderedSource:
    """Pictures of the people of a bank. Everything is drawn from the generator: same state, same pictures.

    crop: width and height of crops in pixels. Raises `InputError` for one out of bounds.
    """

    bank: MotionBank
    options: RenderOptions = field(default_factory=RenderOptions)
    crop: int = 256

    def __post_init__(self) -> None:
        if not 16 <= self.crop <= 2048:
            raise InputError(field="crop size", expected="16 to 2048 pixels", found=self.crop)

    @property
    def size(self) -> int:
        """Number of poses to draw from."""
        return len(self.bank)

    @property
    def skeleton(self) -> Skeleton:
        return self.bank.skeleton

    def batch(self, b: int, gen: Generator) -> ImageBatch:
        """b crops of one person each; others may stand in front, behind or beside."""
        most = max(1, self.options.max_pixels // self.crop**2)
        return ImageBatch.cat([self._crops(min(most, b - i), gen) for i in range(0, b, most)])

    def _crops(self, b: int, gen: Generator) -> ImageBatch:
        o, size = self.options, self.crop
        scenes = draw_scenes(self.bank, b, o.scenes, gen)
        box = crop_boxes(silhouette_boxes(scenes)[:, 0], o.extend, o.jitter, gen)
        s = (size / box[:, 2])[:, None]
        K = scenes.K.clone()
        K[:, :2, 2] = (K[:, :2, 2] - box[:, :2]) * s
        K[:, [0, 1], [0, 1]] *= s
        edges = torch.cat((-0.5 - box[:, :2], scenes.size_wh - 0.5 - box[:, :2]), -1) * s
        pictures = render(scenes, K, (size, size), gen, blur=o.blur, noise=o.noise, within=edges)
        p = scenes.to_cam(scenes.p_world)[:, 0]
        kp = project(p, K)
        low, high = edges[:, None, :2].clamp_min(-0.5), edges[:, None, 2:].clamp_max(size - 0.5)
        inside = ((kp >= low) & (kp < high)).all(-1)  # of the crop and of the image
        root, z = kp[:, self.skeleton.root], p[:, self.skeleton.root, 2]
        return ImageBatch(
            skeleton=self.skeleton,
            image=pictures.image,
            kp_patch=kp.nan_to_num(nan=-1e4),
            visible=inside.float(),
            root_patch=root.nan_to_num(nan=-1e4),
            root_visible=inside[:, self.skeleton.root].float(),
            root_z=z,
            has_depth=torch.ones(b, dtype=torch.bool, device=z.device),
            k=distance_measure(box, scenes.K),
            box_xywh=box,
            K=scenes.K,
        )

    def frames(self, b: int, gen: Generator, *, size_wh: tuple[int, int] = (512, 512)) -> Frames:
        """b whole pictures of that size, with everybody's truth. Raises `InputError` for a size out of bounds."""
        w, h = size_wh
        if not (16 <= w <= 4096 and 16 <= h <= 4096):
            raise InputError(field="size_wh", expected="16 to 4096 pixels", found=size_wh)
        most = max(1, self.options.max_pixels // (w * h))
        parts = [self._frames(min(most, b - i), gen, (h, w)) for i in range(0, b, most)]
        return Frames(**{k: torch.cat([getattr(p, k) for p in parts]) for k in vars(parts[0])})

    def _frames(self, b: int, gen: Generator, size: tuple[int, int]) -> Frames:
        scenes = _resized(draw_scenes(self.bank, b, self.options.scenes, gen), size)
        pictures = render(scenes, scenes.K, size, gen, blur=self.options.blur, noise=self.options.noise)
        p = scenes.to_cam(scenes.p_world)
        kp = project(p, scenes.K)
        inside, hidden = hidden_joints(pictures, kp, p[..., 2])
        return Frames(
            image=pictures.image,
            depth=pictures.depth,
            person=pictures.person,
            K=scenes.K,
            there=scenes.there,
            kp_img=kp,
            p_cam=p,
            seen=inside & ~hidden & scenes.there[..., None],
            box_xywh=silhouette_boxes(scenes),
        )


def _resized(s: Scenes, size: tuple[int, int]) -> Scenes:
    """The same scenes in images of (h, w): the middle of the view is kept, its larger side fits the larger side."""
    h, w = size
    scale = max(h, w) / s.size_wh.amax(-1)
    K = s.K.clone()
    K[:, [0, 1], [0, 1]] *= scale[:, None]
    K[:, 0, 2], K[:, 1, 2] = (w - 1) / 2, (h - 1) / 2
    return replace(s, K=K, size_wh=s.size_wh.new_tensor((w, h)).expand(len(s.K), 2))


def rendered_source(
    path: str | None, split: str, options: RenderOptions | None = None, *, crop: int = 256
) -> RenderedSource:
    """Rendered people of a split of `cmu17`: train, validation or test, by performer.

    path: folder of the CMU data; None for the subset that comes with the package. crop: side of crops in pixels.
    Raises `InputError`.
    """
    motions = cmu17.load_motions(path, split)
    return RenderedSource(MotionBank.from_motions(motions), options or RenderOptions(), crop)
