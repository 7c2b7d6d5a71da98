"""The table of training sets. An entry gives Clips with truth for evaluation, and a source of batches for training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Generator, Tensor

from poselift.data.bank import Batch, ClipBank, MotionBank, Statistics
from poselift.data.noise import NoiseOptions
from poselift.data.views import ProtocolViews, WildViews
from poselift.data.windows import Windows
from poselift.errors import InputError, unknown_name
from poselift.structures import Clip, Motion

__all__ = ["DATASETS", "BatchSource", "DataConfig", "dataset_clips", "dataset_source", "resident"]


Source = TypeVar("Source")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which data, in which form."""

    dataset: Literal["cmu17", "human36m", "erd", "motion"] = "cmu17"
    """Training set: the open benchmark, Human3.6M from your own VideoPose3D or ERD files, or your own motion files."""
    path: str | None = None
    """Folder or file of the data; none means the CMU subset that comes with the package (cmu17 only)."""
    input: Literal["gt", "det", "wild"] = "gt"
    """2D input: exact projections, detector-like noise, or cameras and bodies as users have them."""
    keypoints: str = "gt"
    """human36m: NAME of the 2D file data_2d_h36m_NAME.npz; erd: folder of the input: gt, cpn, sh, shft, openpose."""
    projection: Literal["distorted", "linear"] = "distorted"
    """human36m: how `gt` keypoints are projected, with the lens distortion or without."""
    drop_drifting: bool = False
    """erd: test without the 12 sequences of S9 whose truth drifts. ERD's figures for refined detections leave them
    out; those for lifting alone, and other methods' tables, do not."""
    flip: bool = False
    """Mirror half of the training samples (always on for wild)."""
    validation_every: int = 8
    """Validate on each so-many-th frame; lifters that see several frames on each so-many-th clip."""
    train_every: int = 1
    """Train on each so-many-th frame."""
    frames: int = 1
    """Frames of a training sample: the lifter's receptive field, or more of them for several poses at once."""
    causal: bool = False
    """Windows end at the frame they are drawn around, instead of having it in their middle."""
    pad: Literal["edge", "reflect"] = "edge"
    """Beyond a clip's ends its first and last frame repeat, or the frames run backwards."""
    fps: tuple[float, float] | None = None
    """Frame rates of the windows, drawn between these two, e.g. 24 60; as recorded where nothing is said."""
    reverse: bool = False
    """Half of the windows run backwards."""
    wild: WildViews = field(default_factory=WildViews)
    """Cameras, bodies and damage of `wild`."""

    def views(self) -> ProtocolViews | WildViews:
        """How motions are seen in training."""
        if self.input == "wild":
            return self.wild
        noise = NoiseOptions() if self.input == "det" else None
        return ProtocolViews(noise=noise, p_mirror=0.5 if self.flip else 0.0)

    def windows(self) -> Windows:
        """How training samples are cut. Raises `InputError` for numbers that no window can have."""
        return Windows(frames=self.frames, causal=self.causal, pad=self.pad, fps=self.fps, reverse=self.reverse)


@runtime_checkable
class BatchSource(Protocol):
    """Resident training data: `size` frames, cut into batches by a generator."""

    @property
    def size(self) -> int: ...

    def batch(self, b: int, gen: Generator) -> Batch:
        """b windows; the generator must be of the device on which the data is."""
        ...

    def to(self: Source, device: torch.device | str) -> Source:
        """The source with its data on a device, where its batches are then made."""
        ...


def resident(source: Source, device: torch.device) -> tuple[Source, torch.device]:
    """The source with its data where batches are best made, and the device that is: the GPU of CUDA, if it can go
    there."""
    if device.type != "cuda" or not isinstance(source, BatchSource):
        return source, torch.device("cpu")
    return source.to(device), device


@dataclass(frozen=True, eq=False)
class MotionSource:
    """Batches of windows of motions through virtual cameras, drawn with replacement."""

    bank: MotionBank
    views: ProtocolViews | WildViews
    windows: Windows = field(default_factory=Windows)

    @property
    def size(self) -> int:
        return len(self.bank)

    def batch(self, b: int, gen: Generator) -> Batch:
        index = torch.randint(len(self.bank), (b,), generator=gen, device=self.bank.p_world.device)
        return self.views.batch(self.bank, index, gen, self.windows)

    def to(self, device: torch.device | str) -> MotionSource:
        return replace(self, bank=self.bank.to(device))


@dataclass(frozen=True, eq=False)
class ClipSource:
    """Batches of windows from recorded views, drawn with replacement. statistics: those that the data set publishes."""

    bank: ClipBank
    flip: bool = False
    windows: Windows = field(default_factory=Windows)
    statistics: Statistics | None = None

    @property
    def size(self) -> int:
        return len(self.bank)

    def batch(self, b: int, gen: Generator) -> Batch:
        index = torch.randint(len(self.bank), (b,), generator=gen, device=self.bank.kp_img.device)
        batch = self.bank.windows(index, self.windows, gen)
        return mirror_half(batch, self.bank.skeleton.flip, gen) if self.flip else batch

    def to(self, device: torch.device | str) -> ClipSource:
        """`statistics` stay where they are."""
        return replace(self, bank=self.bank.to(device))


def mirror_half(batch: Batch, flip: tuple[int, ...], gen: Generator) -> Batch:
    """Half of the samples mirrored about the principal point: 2D, truth and root alike."""
    on = torch.rand(len(batch), generator=gen, device=batch.kp_img.device) < 0.5
    sides = list(flip)

    def pick(mirrored: Tensor, plain: Tensor) -> Tensor:
        return torch.where(on.view(-1, *[1] * (plain.ndim - 1)), mirrored, plain)

    x = torch.tensor((-1.0, 1.0, 1.0), device=batch.kp_img.device)
    kp = batch.kp_img[:, :, sides].clone()
    kp[..., 0] = 2 * batch.K[:, None, None, 0, 2] - kp[..., 0]
    return Batch(
        kp_img=pick(kp, batch.kp_img),
        conf=pick(batch.conf[:, :, sides], batch.conf),
        K=batch.K,
        size_wh=batch.size_wh,
        p_root=pick(batch.p_root[:, :, sides] * x, batch.p_root),
        root_cam=pick(batch.root_cam * x, batch.root_cam),
    )


@dataclass(frozen=True)
class DataSet:
    """An entry of `DATASETS`: clips(config, split) and source(config, split) with split train, validation or test."""

    summary: str
    clips: Callable[[DataConfig, str, int], list[Clip]]
    source: Callable[[DataConfig, str], BatchSource]


def _cmu17_clips(config: DataConfig, split: str, every: int) -> list[Clip]:
    from poselift.data import cmu17

    return cmu17.views(cmu17.load_motions(config.path, split), noise=config.input != "gt", every=every)


def _cmu17_source(config: DataConfig, split: str) -> BatchSource:
    from poselift.data import cmu17

    motions = cmu17.load_motions(config.path, split)
    return _motion_windows(config, motions)


def _motion_windows(config: DataConfig, motions: list[Motion]) -> MotionSource:
    bank = MotionBank.from_motions([_thin(m, config.train_every) for m in motions])
    return MotionSource(bank, config.views(), config.windows())


def _thin(motion: Motion, every: int) -> Motion:
    return motion if every == 1 else replace(motion, p_world=motion.p_world[::every], fps=motion.fps / every)


def _human36m_clips(config: DataConfig, split: str, every: int) -> list[Clip]:
    from poselift.data import human36m

    folder = _needed(config, "human36m")
    return human36m.clips(folder, split, keypoints=config.keypoints, projection=config.projection, every=every)


def _human36m_source(config: DataConfig, split: str) -> BatchSource:
    clips = _human36m_clips(config, split, config.train_every)
    return ClipSource(ClipBank.from_clips(clips), flip=config.flip, windows=config.windows())


def _erd_clips(config: DataConfig, split: str, every: int) -> list[Clip]:
    from poselift.data import erd_files

    folder, drop = _needed(config, "erd"), config.drop_drifting
    return erd_files.clips(folder, split, keypoints=config.keypoints, every=every, drop_drifting=drop)


def _erd_source(config: DataConfig, split: str) -> BatchSource:
    from poselift.data import erd_files

    bank = ClipBank.from_clips(_erd_clips(config, split, config.train_every))
    statistics = erd_files.statistics(_needed(config, "erd"), keypoints=config.keypoints)
    return ClipSource(bank, flip=config.flip, windows=config.windows(), statistics=statistics)


def _motion_clips(config: DataConfig, split: str, every: int) -> list[Clip]:
    from poselift.data import cmu17, motion

    return cmu17.views(motion.load(_needed(config, "motion"), split), noise=config.input != "gt", every=every)


def _motion_source(config: DataConfig, split: str) -> BatchSource:
    from poselift.data import motion

    return _motion_windows(config, motion.load(_needed(config, "motion"), split))


def _needed(config: DataConfig, name: str) -> Path:
    if config.path is None:
        raise InputError(field="data.path", expected=f"where your {name} data is", found="nothing")
    return Path(config.path)


DATASETS: dict[str, DataSet] = {
    "cmu17": DataSet("CMU motion through virtual cameras: the open benchmark", _cmu17_clips, _cmu17_source),
    "human36m": DataSet("Human3.6M from your own VideoPose3D files", _human36m_clips, _human36m_source),
    "erd": DataSet("Human3.6M from your own ERD files (*_custom_*.pth.tar)", _erd_clips, _erd_source),
    "motion": DataSet("your own motion (npz, BVH, ASF/AMC) through virtual cameras", _motion_clips, _motion_source),
}


def dataset(name: str) -> DataSet:
    """The entry of that name. Raises `InputError` with the nearest name for an unknown one."""
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    return DATASETS[name]


def dataset_clips(config: DataConfig, split: str, every: int = 1) -> list[Clip]:
    """Clips of a split with 2D input and 3D truth, each so-many-th frame."""
    return dataset(config.dataset).clips(config, split, every)


def dataset_source(config: DataConfig, split: str) -> BatchSource:
    """Source of training batches of a split."""
    return dataset(config.dataset).source(config, split)
