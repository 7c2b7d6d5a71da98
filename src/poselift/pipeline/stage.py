"""The lifting stage: slices of tracks in, the same slices with p_root and root_cam out, many frames at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from poselift.errors import InputError
from poselift.geometry.projection import undistort
from poselift.models.base import Lifter, RootModel, Stretch
from poselift.models.predict import lift_frames
from poselift.pipeline.gaps import BRIDGE, between, bridge, neighbours
from poselift.pipeline.place import place_root, steady_reach, steady_root
from poselift.structures import Camera, Clip

__all__ = ["MIN_JOINTS", "Refine", "Survey", "Track", "lift_tracks", "survey"]

MIN_JOINTS = 4
"""A frame with fewer joints than this says too little of a pose: it counts as one in which nobody was seen."""

Refine = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""kp_img (t, j, 2) pixels of a straight camera, conf (t, j), p_root (t, j, 3) metres, K (t, 3, 3) → better p_root, each
frame by itself."""


@runtime_checkable
class Track(Protocol):
    """A Clip, or something stored that gives Clips of its slices: one person, one camera."""

    def __len__(self) -> int: ...

    def __getitem__(self, frames: slice, /) -> Clip: ...


@dataclass(eq=False)
class Survey:
    """What one pass over a track tells: which frames can be lifted (t,), and how far keypoints reach (x, y)."""

    seen: np.ndarray
    reach: np.ndarray = field(default_factory=lambda: np.zeros(2))

    @cached_property
    def around(self) -> tuple[np.ndarray, np.ndarray]:
        """`neighbours` of the seen frames."""
        return neighbours(self.seen)


def survey(track: Track, *, batch: int = 1 << 16) -> Survey:
    """One pass over the keypoints of a track, in constant memory."""
    seen = np.zeros(len(track), dtype=bool)
    reach = np.zeros(2)
    for a in range(0, len(track), batch):
        clip = track[a : a + batch]
        visible = clip.confidence > 0
        seen[a : a + batch] = visible.sum(-1) >= MIN_JOINTS
        if visible.any():
            reach = np.maximum(reach, clip.kp_img[visible].max(0))
    return Survey(seen, reach)


@dataclass(frozen=True, eq=False)
class _Segment:
    """Frames a to b of a track; `clip` also holds `left` frames before and some after them as context."""

    owner: int
    a: int
    b: int
    left: int
    clip: Clip


def lift_tracks(
    lifter: Lifter,
    tracks: Sequence[Track],
    surveys: Sequence[Survey],
    cameras: Sequence[Camera],
    *,
    refine: Refine | None = None,
    root_model: RootModel | None = None,
    batch: int = 4096,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[int, Clip]]:
    """(index of the track, lifted Clip) for consecutive slices of every track, about `batch` frames at a time.

    Clips must have the lifter's skeleton; every track needs a frame that can be lifted. Frames that cannot be
    lifted get confidence 0 and, between two that can, a pose in between (bone by bone) and a root on the straight
    line; before the first and after the last they hold still. The root is that of the refined poses, or the root
    model's; with a lifter of several frames it is steadied over time as well (`place.steady_root`).
    For lifters and root models of several frames, frames without anybody are bridged in time (`gaps.bridge`), and
    single joints too if the lifter has no confidence input.
    """
    stage = _Stage(lifter.fold(), tracks, surveys, cameras, refine, root_model, torch.device(device))
    waiting: list[_Segment] = []
    frames = 0
    for owner, track in enumerate(tracks):
        for a in range(0, len(track), batch):
            b = min(a + batch, len(track))
            if not surveys[owner].seen[a:b].any():  # hours without anybody cost no network
                yield from stage.run(waiting)
                waiting, frames = [], 0
                yield owner, stage.empty(_Segment(owner, a, b, 0, track[a:b]))
                continue
            start, stop = stage.needs(owner, a, b)
            waiting.append(_Segment(owner, a, b, a - start, track[start:stop]))
            frames += b - a
            if frames >= batch or stage.over_time:
                yield from stage.run(waiting)
                waiting, frames = [], 0
    yield from stage.run(waiting)


class _Stage:
    def __init__(
        self,
        lifter: Lifter,
        tracks: Sequence[Track],
        surveys: Sequence[Survey],
        cameras: Sequence[Camera],
        refine: Refine | None,
        root_model: RootModel | None,
        device: torch.device,
    ) -> None:
        self.lifter, self.tracks, self.surveys, self.cameras = lifter, tracks, surveys, cameras
        self.refine, self.root_model, self.device = refine, root_model, device
        self.reach = getattr(root_model, "receptive_field", 1) - 1
        """Frames that the root model may look at, before and after."""
        self.over_time = self.reach > 0 or not lifter.single_frame

    def needs(self, owner: int, a: int, b: int) -> tuple[int, int]:
        """First and end of the frames of a track that the poses and roots of its frames a to b depend on."""
        track = self.tracks[owner]
        total = len(track)
        if not self.lifter.single_frame:
            reach = steady_reach(track[:1].fps)
            a, b = max(0, a - reach), min(total, b + reach)
        start, stop = self.lifter.needs(max(0, a - self.reach), min(total, b + self.reach), total)
        return (max(0, start - BRIDGE), min(total, stop + BRIDGE)) if self.over_time else (start, stop)

    def run(self, segments: Sequence[_Segment]) -> Iterator[tuple[int, Clip]]:
        if not segments:
            return
        p_root, root = self.poses(
            [s.clip for s in segments], [s.owner for s in segments], segments[0].a - segments[0].left
        )
        at = 0
        for s in segments:
            rows = slice(at + s.left, at + s.left + s.b - s.a)
            at += len(s.clip)
            yield s.owner, self.finish(s, p_root[rows].copy(), root[rows].copy())

    def empty(self, s: _Segment) -> Clip:
        """The slice of a segment in which nobody can be lifted: everything comes from its neighbours."""
        n = len(s.clip)
        p_root = np.zeros((n, len(self.lifter.skeleton), 3), np.float32)
        return self.finish(s, p_root, np.zeros((n, 3), np.float32))

    def poses(self, clips: Sequence[Clip], owners: Sequence[int], start: int) -> tuple[np.ndarray, np.ndarray]:
        """p_root (n, j, 3) and root_cam (n, 3) of all frames of some clips; meaningless where nobody was seen.

        start: where in its track the first clip begins; where several frames are looked at it is the only one.
        """
        lengths = torch.tensor([len(c) for c in clips])
        cameras = [self.cameras[o] for o in owners]
        kp = torch.from_numpy(np.concatenate([c.kp_img for c in clips]))
        conf = torch.from_numpy(np.concatenate([c.confidence for c in clips]))
        each = torch.repeat_interleave(torch.arange(len(clips)), lengths)
        K = torch.tensor(np.stack([c.K for c in cameras]), dtype=torch.float32)[each]
        size = torch.tensor([c.size_wh for c in cameras], dtype=torch.float32)[each]
        if any(c.dist is not None for c in cameras):
            kp = self.straighten(kp, cameras, lengths)
            unseen = ~torch.isfinite(kp).all(-1)
            kp, conf = torch.where(unseen[..., None], 0.0, kp), torch.where(unseen, 0.0, conf)
        given, told = kp, conf
        if self.over_time:
            given, told = (torch.from_numpy(x) for x in bridge(kp.numpy(), conf.numpy()))
            if self.lifter.config.confidence:  # such a lifter knows what to make of single joints
                nobody = ~(conf > 0).any(-1)[:, None]
                given, told = torch.where(nobody[..., None], given, kp), torch.where(nobody, told, conf)
        kp, conf, K, size, given, told = (x.to(self.device) for x in (kp, conf, K, size, given, told))
        with torch.inference_mode():
            of = Stretch(start=start, total=len(self.tracks[owners[0]])) if self.lifter.sequence else None
            p = lift_frames(self.lifter, given, told, K, size, of=of).float()
            if not bool(torch.isfinite(p).all()):
                raise InputError("the model gives NaN or infinite coordinates for this input", field="model")
            if self.refine is not None:
                p = self.refine(kp, conf, p, K)
            if self.root_model is None:
                root = torch.nan_to_num(place_root(kp, conf, p, K))
            else:
                root = self.located(given, told, p, K)
        roots = root.cpu().numpy()
        if not self.lifter.single_frame:
            first, last = start, start + len(clips[0])
            roots = steady_root(roots, self.surveys[owners[0]].seen[first:last], clips[0].fps)
        return p.cpu().numpy(), roots

    def located(self, kp: Tensor, conf: Tensor, p: Tensor, K: Tensor) -> Tensor:
        """The root model's root_cam (t, 3): of one person over time, or of as many as there are frames."""
        assert self.root_model is not None
        if self.over_time:
            root = self.root_model.locate(kp[None], conf[None], p[None], K[:1])[0]
        else:
            root = self.root_model.locate(kp[:, None], conf[:, None], p[:, None], K)[:, 0]
        if not bool(torch.isfinite(root[(conf > 0).any(-1)]).all()):
            raise InputError("it gives NaN or infinite coordinates for this input", field="root model")
        return torch.nan_to_num(root).float()

    @staticmethod
    def straighten(kp: Tensor, cameras: Sequence[Camera], lengths: Tensor) -> Tensor:
        """Keypoints without the lens distortion of those cameras that have one; NaN where it has no inverse."""
        parts = list(kp.split(lengths.tolist()))
        for i, camera in enumerate(cameras):
            if camera.dist is not None:
                K, dist = torch.tensor(camera.K), torch.tensor(camera.dist)
                parts[i] = undistort(parts[i].double(), K, dist).to(kp.dtype)
        return torch.cat(parts)

    def finish(self, s: _Segment, p_root: np.ndarray, root: np.ndarray) -> Clip:
        """The slice of the segment with its poses; frames without anybody get theirs from their neighbours."""
        clip = s.clip[s.left : s.left + s.b - s.a]
        view = self.surveys[s.owner]
        missing = np.flatnonzero(~view.seen[s.a : s.b])
        conf = clip.confidence
        if len(missing):
            before, after = (n[s.a : s.b][missing] for n in view.around)
            ends = np.unique(np.concatenate([before, after]))
            poses, roots = self.ends(s, ends, p_root, root)
            i, k = np.searchsorted(ends, before), np.searchsorted(ends, after)
            at = (missing + s.a - before) / np.maximum(after - before, 1)
            p_root[missing] = between(poses[i], poses[k], at, self.lifter.skeleton)
            root[missing] = roots[i] + (roots[k] - roots[i]) * at[:, None].astype(root.dtype)
            conf = conf.copy()
            conf[missing] = 0
        return clip.replace(conf=conf, p_root=p_root, root_cam=root, camera=self.cameras[s.owner])

    def ends(
        self, s: _Segment, frames: np.ndarray, p_root: np.ndarray, root: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Poses and roots of seen frames of a track, of which at most two are outside the segment."""
        poses, roots = (np.empty((len(frames), *x.shape[1:]), x.dtype) for x in (p_root, root))
        inside = (frames >= s.a) & (frames < s.b)
        poses[inside], roots[inside] = p_root[frames[inside] - s.a], root[frames[inside] - s.a]
        track = self.tracks[s.owner]
        for i in np.flatnonzero(~inside):
            frame = int(frames[i])
            start, stop = self.needs(s.owner, frame, frame + 1)
            p, r = self.poses([track[start:stop]], [s.owner], start)
            poses[i], roots[i] = p[frame - start], r[frame - start]
        return poses, roots
