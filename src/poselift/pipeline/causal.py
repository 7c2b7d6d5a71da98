"""Lifting while a camera runs: each frame as it comes, from what was seen up to it; the same poses as afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from poselift.errors import InputError
from poselift.geometry.projection import undistort
from poselift.models.base import Lifter
from poselift.models.streaming import CausalLifter
from poselift.pipeline.place import place_root
from poselift.pipeline.smooth import FLOOR
from poselift.pipeline.stage import MIN_JOINTS, Refine
from poselift.structures import Camera, Clip
from poselift.structures.smoothing import OneEuro

__all__ = ["LivePoses", "check_causal"]

FORGET_S = 2.0
"""Who has not been seen for this long is forgotten."""


def check_causal(lifter: Lifter) -> int:
    """Frames by which a lifter's poses come late, 0 for causal ones. Raises `InputError` where it cannot run live."""
    try:
        return CausalLifter(lifter).latency
    except InputError:
        want = "for a camera, a lifter of single frames or a temporal_conv (the default is)"
        found = f"{type(lifter).__name__}, which needs the whole sequence; lift the camera's video with it afterwards"
        raise InputError(field="model", expected=want, found=found) from None


@dataclass(eq=False)
class _Person:
    """What is kept of one person: a stream, the last `latency` frames' keypoints, filters."""

    pose: OneEuro
    root: OneEuro
    stream: CausalLifter | None = None
    past: deque[tuple[np.ndarray, np.ndarray]] = field(default_factory=deque)
    held: tuple[np.ndarray, np.ndarray] | None = None
    seconds: float | None = None


class LivePoses:
    """People frame by frame, in constant memory.

    lifter: as `check_causal` allows; camera, fps: the camera's; refine: as in `lift_tracks`; hz: cut-off of the one
    euro filter on poses and roots, None for none.
    """

    def __init__(
        self,
        lifter: Lifter,
        *,
        camera: Camera,
        fps: float,
        refine: Refine | None = None,
        hz: float | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.latency = check_causal(lifter)
        self.lifter, self.camera, self.fps, self.refine, self.hz = lifter.fold(), camera, fps, refine, hz
        self.device = torch.device(device)
        self._K = torch.tensor(camera.K, dtype=torch.float32, device=self.device)
        self._size = torch.tensor(camera.size_wh, dtype=torch.float32, device=self.device)
        self._people: dict[int, _Person] = {}

    def step(self, seconds: float, clips: Sequence[Clip]) -> list[Clip]:
        """The next frame: clips of one frame in the lifter's skeleton → the same with p_root and root_cam.

        A person with fewer than `MIN_JOINTS` joints, or whose first pose is still to come, stays without.
        """
        gone = [k for k, p in self._people.items() if p.seconds is not None and seconds - p.seconds > FORGET_S]
        for k in gone:
            del self._people[k]
        seen = [i for i, c in enumerate(clips) if int((c.confidence > 0).sum()) >= MIN_JOINTS]
        out = list(clips)
        if not seen:
            return out
        people = [self._person(clips[i].track_id) for i in seen]
        kp = torch.from_numpy(np.concatenate([clips[i].kp_img for i in seen])).to(self.device)
        conf = torch.from_numpy(np.concatenate([clips[i].confidence for i in seen])).to(self.device)
        if self.camera.dist is not None:
            K, dist = (torch.as_tensor(x, device=self.device) for x in (self.camera.K, self.camera.dist))
            kp = undistort(kp.double(), K, dist).to(kp.dtype)
            bad = ~torch.isfinite(kp).all(-1)
            kp, conf = torch.where(bad[..., None], 0.0, kp), torch.where(bad, 0.0, conf)
        with torch.inference_mode():
            p, kp, conf = self._lifted(people, kp, conf)
            K = self._K.expand(len(p), 3, 3)
            ready = torch.isfinite(p).flatten(1).all(1)  # not so where the first pose is still to come
            if self.refine is not None and bool(ready.any()):
                p[ready] = self.refine(kp[ready], conf[ready], p[ready], K[ready])
            root = torch.nan_to_num(place_root(kp, conf, p, K))
        poses, roots, trust = p.cpu().numpy(), root.cpu().numpy(), conf.cpu().numpy()
        for row, (i, person) in enumerate(zip(seen, people, strict=True)):
            if np.isfinite(poses[row]).all():
                pose, place = self._smoothed(person, seconds, poses[row], roots[row], trust[row])
                out[i] = clips[i].replace(p_root=pose[None], root_cam=place[None], camera=self.camera)
            person.seconds = seconds
        return out

    def forget(self) -> None:
        """As if nobody had been seen yet."""
        self._people.clear()

    def _person(self, who: int) -> _Person:
        if who not in self._people:
            filters = (OneEuro(fps=self.fps, hz=self.hz or 1.0) for _ in range(2))
            stream = None if self.lifter.single_frame else CausalLifter(self.lifter)
            self._people[who] = _Person(*filters, stream=stream)
        return self._people[who]

    def _lifted(
        self, people: Sequence[_Person], kp: torch.Tensor, conf: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """p_root (n, j, 3), with the keypoints of the frames that the poses belong to."""
        n = len(people)
        if self.lifter.single_frame:
            K, size = self._K.expand(n, 3, 3), self._size.expand(n, 2)
            return self.lifter.lift(kp[:, None], conf[:, None], K, size)[:, 0].float(), kp, conf
        poses, points, trust = [], [], []
        for row, person in enumerate(people):
            given, told = kp[row], conf[row]
            if person.held is not None and not self.lifter.config.confidence:  # a joint missing for a while stays
                before, sure = (torch.from_numpy(x).to(self.device) for x in person.held)
                given = torch.where((told > 0)[:, None], given, before)
                told = torch.where(told > 0, told, sure)
            person.held = (given.cpu().numpy(), told.cpu().numpy())
            assert person.stream is not None
            poses.append(person.stream.step(given, told, self._K, self._size))
            person.past.append((kp[row].cpu().numpy(), conf[row].cpu().numpy()))
            if len(person.past) > self.latency + 1:
                person.past.popleft()
            was = person.past[0]
            points.append(torch.from_numpy(was[0]))
            trust.append(torch.from_numpy(was[1]))
        return torch.stack(poses).float(), torch.stack(points).to(self.device), torch.stack(trust).to(self.device)

    def _smoothed(
        self, person: _Person, seconds: float, pose: np.ndarray, root: np.ndarray, conf: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.hz is None:
            return pose, root
        frames = 1.0 if person.seconds is None else max((seconds - person.seconds) * self.fps, 1e-3)
        weight = np.clip(conf.astype(np.float64), FLOOR, 1)
        about = np.clip(conf.mean(keepdims=True).astype(np.float64), FLOOR, 1)
        made = person.pose.step(pose.astype(np.float64), weight, frames)
        place = person.root.step(root[None].astype(np.float64), about, frames)[0]
        return made.astype(np.float32), place.astype(np.float32)
