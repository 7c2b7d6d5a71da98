"""People with known identities who cross in the picture: motions on one floor, seen by one camera, as a detector would.

Walkers cross the floor, go, and come back; others stay and move on the spot. Whoever is covered by somebody nearer
vanishes, a body that is half covered loses joints or gets those of the one before it, and people are missed now and
then. Made for measuring who is told apart from whom (`structures.tracks`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from poselift.errors import InputError
from poselift.geometry.cameras import look_at_matrix
from poselift.structures import Camera, Motion
from poselift.structures.recordings import resample

__all__ = ["Crowd", "CrowdOptions", "crowd"]

_WALK_M = 2.0
"""A motion whose root gets this far from where it began is a walk."""

_LEAST = 5
"""Joints without which a detector finds nobody."""

_GONE = 0.7
"""Whoever has this share of the joints covered is not found."""


@dataclass(frozen=True, kw_only=True)
class CrowdOptions:
    """How the scenes are. Ranges are drawn from uniformly, once for each scene or person."""

    people: tuple[int, int] = (2, 4)
    seconds: float = 8.0
    away: tuple[float, float] = (0.2, 1.8)
    """Seconds that a walker is gone before he comes back."""
    distance: tuple[float, float] = (4.0, 8.0)
    """Of the camera from the middle, metres."""
    wide: tuple[float, float] = (3.2, 6.0)
    """Width in metres of what it sees there."""
    p_pan: float = 0.3
    """Share of scenes in which the camera sways."""
    p_cut: float = 0.3
    """Share of scenes with a cut to another camera about the middle."""
    noise: float = 0.008
    """Scale of Student-t noise (3 degrees of freedom) as a fraction of the person's larger box side."""
    missed: tuple[float, float] = (0.05, 0.2)
    """Share of searches in which a person is missed, in runs of two on average."""
    apart: float = 0.45
    """No two people's roots are nearer to each other than this, metres."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Crowd:
    """Detections of one scene, n rows in order of frames and in random order within each.

    frame (n,), person (n,): who it is, kp_img (n, j, 2) pixels, conf (n, j). cut: the first frame after the cut, None
    without one; fps; size_wh.
    """

    frame: Int[np.ndarray, " n"]
    person: Int[np.ndarray, " n"]
    kp_img: Float[np.ndarray, "n j 2"]
    conf: Float[np.ndarray, "n j"]
    fps: float
    size_wh: tuple[int, int]
    cut: int | None


def crowd(
    motions: Sequence[Motion], fps: float, seed: int, options: CrowdOptions | None = None, *, detect_every: int = 1
) -> Crowd:
    """A scene of people, each with a motion from `motions`, at a frame rate; the same people for the same seed.

    detect_every: people are looked for in one frame of so many, and whoever was there a frame before is followed in
    between (a detector in two stages). Raises `InputError` where nobody among the motions walks or stays.
    """
    opt = options or CrowdOptions()
    rng = np.random.default_rng(seed)
    t = round(opt.seconds * fps)
    p_world, there = _people(motions, fps, t, rng, opt)
    cut = round(t * rng.uniform(0.4, 0.6)) if rng.random() < opt.p_cut else None
    size = (1920, 1080)
    kp, depth = np.empty((*p_world.shape[:-1], 2)), np.empty(p_world.shape[:-1])
    for a, b in ((0, t),) if cut is None else ((0, cut), (cut, t)):
        kp[:, a:b], depth[:, a:b] = _filmed(p_world[:, a:b], fps, size, rng, opt)
    inside = (kp > -0.5).all(-1) & (kp < np.array(size) - 0.5).all(-1) & (depth > 0.3) & there[..., None]
    rows = list(_detections(kp, depth, inside, detect_every, rng, opt))
    frame, person, poses, conf = (np.array(x) for x in zip(*rows, strict=True))
    return Crowd(frame=frame, person=person, kp_img=poses, conf=conf, fps=fps, size_wh=size, cut=cut)


def _people(
    motions: Sequence[Motion], fps: float, t: int, rng: np.random.Generator, opt: CrowdOptions
) -> tuple[np.ndarray, np.ndarray]:
    """World positions (people, t, j, 3) and who is there (people, t); nobody walks through anybody."""
    walks = [m for m in motions if _way(m) > _WALK_M]
    stays = [m for m in motions if _way(m) <= _WALK_M and len(m) / m.fps >= opt.seconds]
    if not walks or not stays:
        want = f"some that get {_WALK_M:g} m away and some of {opt.seconds:g} s that do not"
        raise InputError(field="motions", expected=want, found=f"{len(walks)} and {len(stays)}")
    count = int(rng.integers(opt.people[0], opt.people[1] + 1))
    placed: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(1000):
        stayer = len(placed) > 0 and rng.random() < 0.4
        p, there = _stay(stays, fps, t, rng) if stayer else _walk(walks, fps, t, rng, opt)
        near = (np.linalg.norm((p - q)[:, 0, :2], axis=-1)[there & here].min(initial=9.0) for q, here in placed)
        if min(near, default=9.0) > opt.apart:
            placed.append((p, there))
        if len(placed) == count:
            break
    return np.stack([p for p, _ in placed]), np.stack([there for _, there in placed])


def _way(motion: Motion) -> float:
    path = motion.p_world[:, motion.skeleton.root, :2]
    return float(np.linalg.norm(path - path[0], axis=-1).max())


def _stay(stays: Sequence[Motion], fps: float, t: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    p = resample(stays[int(rng.integers(len(stays)))], fps).p_world.astype(np.float64)
    start = int(rng.integers(len(p) - t + 1)) if len(p) > t else 0
    p = p[start : start + t]
    p = np.concatenate([p, np.repeat(p[-1:], t - len(p), 0)])
    p = _turned(p, rng.uniform(0, 2 * math.pi), p[:, 0].mean(0))
    p[..., :2] += rng.uniform(-1.2, 1.2, 2)
    return p, np.ones(t, bool)


def _walk(
    walks: Sequence[Motion], fps: float, t: int, rng: np.random.Generator, opt: CrowdOptions
) -> tuple[np.ndarray, np.ndarray]:
    """One way after the other, each back from where the last one ended, and nobody there in between."""
    motion = walks[int(rng.integers(len(walks)))]
    mates = [m for m in walks if m.subject == motion.subject]
    heading = rng.uniform(0, 2 * math.pi)
    j = motion.p_world.shape[1]
    p, there = np.zeros((t, j, 3)), np.zeros(t, bool)
    begin = rng.uniform(-1.0, 1.0)
    place: np.ndarray | None = None
    while begin * fps < t:
        way = resample(mates[rng.integers(len(mates))], fps).p_world.astype(np.float64)
        step = (way[-1] - way[0])[0, :2]
        way = _turned(way, heading - math.atan2(step[1], step[0]), way[0, 0])
        if place is None:
            place = rng.uniform(-0.8, 0.8, 2) - way[:, 0, :2].mean(0)
        way[..., :2] += place
        a = round(begin * fps)
        k = np.arange(max(a, 0), min(a + len(way), t))
        p[k], there[k] = way[k - a], True
        place, heading = way[-1, 0, :2], heading + math.pi + rng.normal(0, 0.3)
        begin += len(way) / fps + rng.uniform(*opt.away)
    return p, there


def _turned(p: np.ndarray, angle: float, about: np.ndarray) -> np.ndarray:
    """Positions turned about the vertical through `about` (3,), which becomes the origin of x and y."""
    c, s = math.cos(angle), math.sin(angle)
    out = p - np.array([about[0], about[1], 0.0])
    return np.concatenate([out[..., :2] @ np.array([[c, s], [-s, c]]), out[..., 2:]], -1)


def _filmed(
    p_world: np.ndarray, fps: float, size: tuple[int, int], rng: np.random.Generator, opt: CrowdOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (people, t, j, 2) and depth (people, t, j) by one camera, which may sway."""
    distance, azimuth = rng.uniform(*opt.distance), rng.uniform(0, 2 * math.pi)
    eye = np.array([distance * math.cos(azimuth), distance * math.sin(azimuth), rng.uniform(0.8, 2.4)])
    camera = Camera.from_focal(focal=size[0] * distance / rng.uniform(*opt.wide), size_wh=size)
    sway = rng.uniform(0.2, 0.6) if rng.random() < opt.p_pan else 0.0
    when = 2 * math.pi * (rng.uniform(0.2, 0.5) * np.arange(p_world.shape[1]) / fps + rng.random())
    side = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    p_cam = np.empty_like(p_world)
    for k, angle in enumerate(when):
        T = look_at_matrix(eye, np.array([0.0, 0.0, 0.9]) + sway * math.sin(angle) * side)
        p_cam[:, k] = p_world[:, k] @ T[:3, :3].T + T[:3, 3]
    depth = p_cam[..., 2]
    return p_cam[..., :2] / np.maximum(depth, 0.1)[..., None] * camera.focal + camera.K[:2, 2], depth


def _detections(
    kp: np.ndarray, depth: np.ndarray, inside: np.ndarray, every: int, rng: np.random.Generator, opt: CrowdOptions
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """(frame, person, kp_img, conf) of everybody whom the detector finds."""
    people, t, j, _ = kp.shape
    rate = rng.uniform(*opt.missed)
    missed, followed = np.zeros(people, bool), np.zeros(people, bool)
    mixed = np.zeros(people, bool)  # covered joints are taken to be those of the one before
    for k in range(t):
        search = k % every == 0 or not followed.any()
        if search:  # two in a row on average, `rate` of all
            missed = rng.random(people) < np.where(missed, 0.5, 0.5 * rate / (1 - rate))
        out = []
        nearer: list[int] = []
        for i in np.argsort(depth[:, k, 0]).tolist():
            there = inside[i, k]
            if there.sum() < _LEAST:
                followed[i] = False
                continue
            hider, covered = _hidden(kp[:, k], inside[:, k], i, nearer)
            nearer.append(i)
            share = covered[there].mean()
            found = share < _GONE and (not missed[i] if search else bool(followed[i]))
            followed[i] = found
            mixed[i] = share > 0.3 and (mixed[i] or rng.random() < 0.02)
            if found:
                side = float((kp[i, k][there].max(0) - kp[i, k][there].min(0)).max())
                wrong = rng.standard_t(3, (j, 2)) * opt.noise * side
                pose = kp[i, k] + wrong * np.where(covered, 3, 1)[:, None]
                conf = there * np.where(covered, rng.choice((0.0, 0.4), j), 0.9)
                if mixed[i]:
                    taken = covered & inside[hider, k]
                    pose, conf = np.where(taken[:, None], kp[hider, k] + wrong, pose), np.where(taken, 0.6, conf)
                if (conf > 0).sum() >= _LEAST:
                    out.append((k, i, np.where((conf > 0)[:, None], pose, 0), conf))
        for row in rng.permutation(len(out)):
            yield out[row]


def _hidden(kp: np.ndarray, inside: np.ndarray, i: int, nearer: Sequence[int]) -> tuple[int, np.ndarray]:
    """Who of the nearer people covers person i most, and which joints (j,) the boxes of all of them cover."""
    covered, most, hider = np.zeros(len(kp[i]), bool), 0, i
    for n in nearer:
        body = kp[n][inside[n]]
        low, high = np.quantile(body, 0.1, axis=0), np.quantile(body, 0.9, axis=0)
        here = ((kp[i] > low) & (kp[i] < high)).all(-1)
        covered |= here
        if here.sum() > most:
            most, hider = int(here.sum()), n
    return hider, covered
