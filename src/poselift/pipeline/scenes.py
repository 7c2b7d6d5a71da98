"""From a file's clips to scenes ready for lifting: in the model's skeleton, with cameras, tracks told apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from poselift.errors import InputError
from poselift.geometry.projection import undistort
from poselift.pipeline.intrinsics import CameraOptions, ChosenCamera, choose_camera
from poselift.pipeline.stage import MIN_JOINTS, Survey, Track, survey
from poselift.structures import Camera, Clip

__all__ = ["Scene", "make_scenes"]


@dataclass(eq=False, kw_only=True)
class Scene:
    """People seen by one camera in one recording: what goes into one set of files.

    `name` is empty for the only scene of an input. tracks, surveys: one for each person.
    """

    name: str
    camera: ChosenCamera
    tracks: list[Track]
    surveys: list[Survey]

    @property
    def frames(self) -> int:
        return sum(len(s.seen) for s in self.surveys)


@dataclass(eq=False)
class _Member:
    track: Track
    head: Clip
    survey: Survey
    size_wh: tuple[int, int] | None = None


def make_scenes(tracks: Sequence[Track], options: CameraOptions, *, file: str) -> list[Scene]:
    """Scenes of an input's tracks (clips or stored tracks, already in the model's skeleton).

    Tracks share a scene if they come from one recording (`meta["name"]`), at one frame rate, and from one camera.
    Tracks without a frame that can be lifted are left out. Raises `InputError` if there is nobody to lift, or if
    keypoints are no pixels.
    """
    members = [_member(t) for t in tracks if len(t)]
    people = [m for m in members if m.survey.seen.any()]
    if not people:
        found = "no frame at all" if not members else "none"
        raise InputError(file=file, expected=f"a frame with at least {MIN_JOINTS} joints of a person", found=found)
    if options.camera is None and max(m.survey.reach.max() for m in people) <= 2:
        raise InputError(file=file, field="keypoints", expected="pixels", found="nothing above 2 (0 to 1: normalised?)")
    scenes = [_scene(group, options, file) for group in _by_recording(people).values()]
    for i, scene in enumerate(scenes):
        scene.name = "" if len(scenes) == 1 else f"{i:03d}_{_slug(scene)}"
    return scenes


def _member(track: Track) -> _Member:
    head = track[:1]
    size = head.meta.get("size_wh")
    return _Member(track, head, survey(track), None if size is None else (int(size[0]), int(size[1])))


def _by_recording(members: Sequence[_Member]) -> dict[tuple[object, ...], list[_Member]]:
    groups: dict[tuple[object, ...], list[_Member]] = {}
    for m in members:
        stated = None if m.head.camera is None else repr(m.head.camera.to_dict())
        key = (m.head.meta.get("name"), m.head.fps, stated, m.size_wh)
        groups.setdefault(key, []).append(m)
    return groups


def _scene(group: Sequence[_Member], options: CameraOptions, file: str) -> Scene:
    """The people of one recording under one camera, each with a number of their own."""
    reach = np.max([m.survey.reach for m in group], axis=0).tolist()
    try:
        head = group[0].head
        assumed = bool(head.meta.get("assumed_focal"))
        chosen = choose_camera(
            options, stated=head.camera, size_wh=group[0].size_wh, reach=reach, assumed_focal=assumed
        )
    except InputError as error:
        raise InputError(str(error), file=file) from None
    tracks: list[Track] = [m.track for m in group]
    if len({m.head.track_id for m in group}) < len(group):
        tracks = [_Renumbered(track, i) for i, track in enumerate(tracks)]
    surveys = [m.survey for m in group]
    if chosen.camera.dist is not None:
        through: list[Track] = [_InLens(track, chosen.camera) for track in tracks]
        seen = [(t, s) for t, s in ((t, survey(t)) for t in through) if s.seen.any()]
        tracks, surveys = [t for t, _ in seen], [s for _, s in seen]
        if not tracks:
            want = "a lens distortion that can be undone where the keypoints are"
            raise InputError(file=file, field="camera dist", expected=want, found=chosen.camera.dist.tolist())
    return Scene(name="", camera=chosen, tracks=tracks, surveys=surveys)


@dataclass(frozen=True)
class _Renumbered:
    """A track under another number, where a file uses one number for several people."""

    track: Track
    track_id: int

    def __len__(self) -> int:
        return len(self.track)

    def __getitem__(self, frames: slice, /) -> Clip:
        return self.track[frames].replace(track_id=self.track_id)


@dataclass(frozen=True)
class _InLens:
    """A track through a distorting lens: keypoints where its distortion cannot be undone count as missing."""

    track: Track
    camera: Camera

    def __len__(self) -> int:
        return len(self.track)

    def __getitem__(self, frames: slice, /) -> Clip:
        clip = self.track[frames]
        kp, K = torch.from_numpy(clip.kp_img).double(), torch.from_numpy(self.camera.K)
        good = torch.isfinite(undistort(kp, K, torch.as_tensor(self.camera.dist))).all(-1).numpy()
        return clip.replace(conf=np.where(good, clip.confidence, np.float32(0)))


def _slug(scene: Scene) -> str:
    name = str(scene.tracks[0][:1].meta.get("name") or "scene")
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:60] or "scene"
