"""Virtual cameras: a bank of motions seen by cameras that are drawn anew for every batch.

`protocol` puts the camera of the open benchmark (design: CMU-17) at any azimuth around a clip; `wild` draws
bodies, marker sets, fields of view, heights, distances, rolls and positions in the image, as users' videos have them.
A window is one body, seen by one camera: the benchmark's stands still, a wild one may move.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from poselift.data.augment import BodyOptions, vary_bodies
from poselift.data.bank import Batch, MotionBank
from poselift.data.markers import vary_markers
from poselift.data.moving import CameraMotion, camera_path, view_matrix
from poselift.data.noise import NoiseOptions, degrade
from poselift.data.windows import Cut, Windows
from poselift.geometry.cameras import look_at_rotation
from poselift.geometry.projection import project
from poselift.structures import DEFAULT_FOV_DEG

__all__ = ["PROTOCOL_CAMERA", "VIEWS", "ProtocolViews", "WildViews"]


@dataclass(frozen=True)
class ProtocolCamera:
    """The camera of the open benchmark."""

    focal: float = 1145.0
    centre: tuple[float, float] = (512.0, 515.0)
    size_wh: tuple[int, int] = (1000, 1002)
    radius: float = 4.5
    height: float = 1.6
    azimuths_deg: tuple[float, ...] = (45.0, 135.0, 225.0, 315.0)

    def K(self) -> Float[Tensor, "3 3"]:
        return torch.tensor([[self.focal, 0, self.centre[0]], [0, self.focal, self.centre[1]], [0, 0, 1]])


PROTOCOL_CAMERA = ProtocolCamera()


@dataclass(frozen=True, kw_only=True)
class ProtocolViews:
    """The open benchmark's camera at a random azimuth; `noise` is None for exact projections (gt)."""

    noise: NoiseOptions | None = None
    """Detector-like damage of the input; none for the exact projection."""
    p_mirror: float = 0.0
    """Horizontal flip of input and truth."""

    def batch(
        self, bank: MotionBank, index: Int[Tensor, " b"], gen: Generator, windows: Windows | None = None
    ) -> Batch:
        """Windows around the frames `index` (b,) of the bank; without `windows` single frames, t = 1."""
        cam, dev, b = PROTOCOL_CAMERA, index.device, len(index)
        clip = bank.clip_of[index]
        cut = (windows or Windows()).cut(index, bank.starts, bank.clip_of, bank.fps, gen)
        centres, reach = bank.clip_centres
        target = centres[clip]
        az = torch.rand(b, generator=gen, device=dev) * (2 * math.pi)
        r = cam.radius + reach[clip]
        eye = torch.stack(
            [target[:, 0] + r * az.cos(), target[:, 1] + r * az.sin(), torch.full_like(r, cam.height)], -1
        )
        R = view_matrix(eye, target)
        p_cam = cut.take(bank.p_world) - eye[:, None, None]
        p_cam = (p_cam.flatten(1, 2) @ R.mT).view_as(p_cam)
        K = cam.K().to(dev).expand(b, 3, 3)
        if self.p_mirror > 0:
            on = (torch.rand(b, generator=gen, device=dev) < self.p_mirror)[:, None, None, None]
            mirrored = p_cam[:, :, list(bank.skeleton.flip)] * p_cam.new_tensor((-1.0, 1.0, 1.0))
            p_cam = torch.where(on, mirrored, p_cam)
        size = torch.tensor(cam.size_wh, dtype=torch.float32, device=dev).expand(b, 2)
        return _finish(p_cam, K, K, size, bank, cut, self.noise, gen)


@dataclass(frozen=True, kw_only=True)
class WildViews:
    """Cameras as users have them, around bodies as users are."""

    bodies: BodyOptions = field(default_factory=BodyOptions)
    """Variation of bodies, poses and marker sets."""
    noise: NoiseOptions | None = field(
        default_factory=lambda: NoiseOptions(
            scale=(0.001, 0.02),
            p_clean=0.15,
            bias=0.012,
            p_drop=0.25,
            p_part=0.25,
            p_truncate=0.7,
            p_swap=0.02,
            p_confident=0.5,
            wander=0.012,
            p_gap=0.06,
        )
    )
    """Detector-like damage of the input."""
    fov_deg: tuple[float, float] = (35.0, 90.0)
    """Field of view across the larger image side."""
    height: tuple[float, float] = (0.05, 3.2)
    """Camera height in metres, floor to ceiling; two thirds of all cameras are held between 0.8 and 2.2."""
    fill: tuple[float, float] = (0.15, 1.1)
    """Size of the person as a fraction of the image's smaller field of view."""
    roll_sd_deg: float = 4.0
    """Standard deviation of the camera's roll."""
    p_wrong_focal: float = 0.4
    """The focal length that the model is told is wrong by a factor, or is the default one."""

    motion: CameraMotion = field(default_factory=CameraMotion)
    """Movement of the camera within a window."""

    def batch(
        self, bank: MotionBank, index: Int[Tensor, " b"], gen: Generator, windows: Windows | None = None
    ) -> Batch:
        """Windows around the frames `index` (b,) of the bank; without `windows` single frames, t = 1."""
        dev, b = index.device, len(index)
        cut = (windows or Windows()).cut(index, bank.starts, bank.clip_of, bank.fps, gen)

        def uniform(lo: float, hi: float, *shape: int) -> Tensor:
            return lo + (hi - lo) * torch.rand(*(shape or (b,)), generator=gen, device=dev)

        root = bank.skeleton.root
        p = cut.take(bank.p_world)
        path = p[:, :, root]
        height_root = _middle(path[..., 2])
        p, path = p - path[:, :, None], path - path[:, [path.shape[1] // 2]]
        p, path = vary_bodies(p, path, cut.seconds, bank.tree, self.bodies, gen)
        p = vary_markers(p, self.bodies, gen)
        path = path + p[:, :, root]
        p, path = p - p[:, :, [root]], path - _middle(path)[:, None]

        shapes = torch.tensor([(1920.0, 1080), (1080, 1920), (1000, 1000), (1440, 1080)], device=dev)
        size = shapes[torch.randint(len(shapes), (b,), generator=gen, device=dev)]
        half = torch.deg2rad(uniform(*self.fov_deg)) / 2
        f = size.amax(-1) / 2 / half.tan()
        extent = (p.amax(2) - p.amin(2)).amax(-1).amax(1).clamp_min(0.5)
        wanted = uniform(*self.fill)
        d = (extent * f / (wanted * size.amin(-1))).clamp(max=14.0)
        d = torch.maximum(d, 0.75 * extent + 0.4 + path.norm(dim=-1).amax(1))
        held = torch.rand(b, generator=gen, device=dev) < 0.66
        h = torch.where(held, uniform(0.8, 2.2), uniform(*self.height)) - height_root
        elevation = torch.asin((h / d).clamp(-0.85, 0.85))
        az = uniform(0, 2 * math.pi)
        eye = d[:, None] * torch.stack([elevation.cos() * az.cos(), elevation.cos() * az.sin(), elevation.sin()], -1)
        eye, R = camera_path(eye, path, cut.seconds, self.motion, gen)
        roll = torch.randn(b, generator=gen, device=dev) * math.radians(self.roll_sd_deg)
        roll = torch.where(torch.rand(b, generator=gen, device=dev) < 0.06, roll * 6, roll)
        c, s, o = roll.cos(), roll.sin(), torch.zeros_like(roll)
        turn = torch.stack([c, -s, o, s, c, o, o, o, torch.ones_like(o)], -1).unflatten(-1, (3, 3))
        K = torch.zeros(b, 3, 3, device=dev)
        K[:, 0, 0] = K[:, 1, 1] = f
        K[:, :2, 2] = (size - 1) / 2
        K[:, 2, 2] = 1
        # where in the image the person stands: the ray through a random pixel becomes the axis of the look-at frame
        ray = (torch.rand(b, 2, generator=gen, device=dev) - 0.5) * 0.7 * size / f[:, None]
        aside = look_at_rotation(ray).mT
        p_cam = (p + (path - eye)[:, :, None]) @ ((aside @ turn)[:, None] @ R).mT
        told = K.clone()
        wrong = torch.rand(b, generator=gen, device=dev)
        factor = (torch.randn(b, generator=gen, device=dev) * 0.2).exp()
        default = size.amax(-1) / 2 / math.tan(math.radians(DEFAULT_FOV_DEG) / 2) / f
        factor = torch.where(
            wrong < self.p_wrong_focal / 2, factor, torch.where(wrong < self.p_wrong_focal, default, 1.0)
        )
        told[:, 0, 0] *= factor
        told[:, 1, 1] *= factor
        return _finish(p_cam, K, told, size, bank, cut, self.noise, gen)


def _middle(x: Tensor) -> Tensor:
    """Middle of the range over time: (b, t, ...) to (b, ...)."""
    return (x.amin(1) + x.amax(1)) / 2


def _finish(
    p_cam: Tensor, K: Tensor, told: Tensor, size: Tensor, bank: MotionBank, cut: Cut, noise: NoiseOptions | None,
    gen: Generator,
) -> Batch:  # fmt: skip
    root = p_cam[:, :, bank.skeleton.root]
    p_cam = torch.cat([p_cam[..., :2], p_cam[..., 2:].clamp_min(0.1)], -1)
    kp = project(p_cam, K)
    conf = torch.ones(kp.shape[:-1], device=kp.device)
    if noise is not None:
        kp, conf = degrade(kp, conf, size, bank.skeleton, noise, gen, cut.seconds)
    kp, conf, p_root, root = (cut.repeat(x) for x in (kp, conf, p_cam - root[:, :, None], root))
    return Batch(kp_img=kp, conf=conf, K=told, size_wh=size, p_root=p_root, root_cam=root)


VIEWS: dict[str, ProtocolViews | WildViews] = {
    "gt": ProtocolViews(),
    "det": ProtocolViews(noise=NoiseOptions()),
    "wild": WildViews(),
}
