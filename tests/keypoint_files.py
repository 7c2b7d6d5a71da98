"""Small keypoint files of every format, made in code from two people who walk through an image."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from motion_fixtures import CMU, lifted_clip, walk
from poselift.formats import ReadOptions, write_bvh, write_npz, write_trc
from poselift.formats.motion_npz import write_motion
from poselift.formats.openpose import _COCO18
from poselift.structures import SKELETONS, skeleton

SIZE = (1000, 800)
FRAMES = 12


def people(name: str, frames: int = FRAMES) -> np.ndarray:
    """(2, frames, j, 3): two people with fixed bodies 300 pixels high who walk towards and past each other."""
    j = len(SKELETONS[name])
    rng = np.random.default_rng(len(name))
    body = rng.uniform((-50, -150), (50, 150), (2, 1, j, 2))
    at = np.array([[200, 400], [700, 420]])[:, None] + np.arange(frames)[None, :, None] * np.array(
        [[[20, 0]], [[-20, 0]]]
    )
    conf = rng.uniform(0.5, 1, (2, frames, j, 1))
    return np.concatenate([body + at[:, :, None], conf], -1).round(3)


def swapped(points: np.ndarray) -> list[list[np.ndarray]]:
    """Per frame the two people, in an order that changes from frame to frame."""
    frames = [list(points[:, t]) for t in range(points.shape[1])]
    return [f[::-1] if t % 3 == 1 else f for t, f in enumerate(frames)]


@dataclass(kw_only=True)
class Example:
    """A file of a format, the options it needs, and what a reader must find: (clips, t, j, 2) pixels, if given."""

    path: Path
    options: ReadOptions = field(default_factory=ReadOptions)
    kp_img: np.ndarray | None = None
    conf: np.ndarray | None = None
    skeleton: str = "h36m17"
    fps: float = 30.0


def _of(path: Path, name: str, **more: Any) -> Example:
    p = people(name)
    return Example(path=path, skeleton=name, **{"kp_img": p[..., :2], "conf": p[..., 2], **more})


def _json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def poses_npz(folder: Path) -> Example:
    write_npz.write([lifted_clip(0), lifted_clip(1, track_id=4)], folder / "poses.npz")
    return Example(path=folder / "poses.npz", fps=120)


def poses_json(folder: Path) -> Example:
    p = people("coco17")
    rows = p.reshape(-1, *p.shape[2:])
    value = {
        "skeleton": "coco17", "fps": 25, "size_wh": SIZE, "kp_img": rows[..., :2].tolist(),
        "conf": rows[..., 2].tolist(), "frame": [*range(FRAMES)] * 2, "track_id": [0] * FRAMES + [1] * FRAMES,
    }  # fmt: skip
    return _of(_json(folder / "keypoints.json", value), "coco17", fps=25)


def videopose3d_2d(folder: Path) -> Example:
    p = people("h36m17").astype(np.float32)[..., :2]
    four = [p[0], p[1], p[0], p[1]]
    meta = {"num_joints": 17, "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]}
    path = folder / "data_2d_h36m_gt.npz"
    np.savez_compressed(path, positions_2d=np.array({"S9": {"Walking 1": four}}), metadata=np.array(meta))  # type: ignore[arg-type]
    return Example(path=path, kp_img=np.stack(four), conf=np.ones((4, FRAMES, 17)), fps=50)


def videopose3d_3d(folder: Path) -> Example:
    rng = np.random.default_rng(0)
    poses = {"S1": {"Walking": rng.normal(0, 1, (5, 32, 3)).astype(np.float32)}}
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=np.array(poses))  # type: ignore[arg-type]
    return Example(path=folder / "data_3d_h36m.npz", fps=50)


def gluon(folder: Path) -> Example:
    rng = np.random.default_rng(1)
    raw = rng.normal(0, 300, (3, 96)) + np.tile([0.0, 0, 900], 32)
    angle = 0.3
    r = np.array([[np.cos(angle), np.sin(angle), 0], [0, 0, -1], [-np.sin(angle), np.cos(angle), 0]])
    centre = r.T @ np.array([0, 0, -5000.0]) + (0, 0, 900)
    kept = "1 2 3 4 7 8 9 13 14 15 16 18 19 20 26 27 28"
    lines = [
        "3", "size 1000 1002", "R " + " ".join(f"{v:.9f}" for v in r.T.ravel()),
        "T " + " ".join(f"{v:.6f}" for v in centre),
        "f 1145.05 1143.78", "c 512.5 515.4", "k -0.2 0.24 -0.002", "p -0.0009 -0.0016", "inds " + kept,
        *("pose " + " ".join(f"{v:.4f}" for v in row) for row in raw),
    ]  # fmt: skip
    take = folder / "h36m/annot/s_09_act_14_subact_02_ca_03"
    take.mkdir(parents=True)
    (take / "matlab_meta.txt").write_text("\n".join(lines) + "\n")
    joints = raw.reshape(3, 32, 3)[:, [int(k) - 1 for k in kept.split()]]
    cam = (joints - centre) @ r.T
    kp = cam[..., :2] / cam[..., 2:] * (1145.05, 1143.78) + (512.5, 515.4)
    return Example(path=folder / "h36m", kp_img=kp[None], conf=np.ones((1, 3, 17)), fps=50)


def openpose(folder: Path, *, coco18: bool = False) -> Example:
    name = "coco17" if coco18 else "body25"
    p = people(name)
    (folder / "json").mkdir()
    for t, frame in enumerate(swapped(p)):
        if coco18:
            full = [np.zeros((18, 3)) for _ in frame]
            for a, b in zip(full, frame, strict=True):
                for i, joint in enumerate(skeleton(name).joints):
                    a[_COCO18.index(joint)] = b[i]
            frame = full
        value = {
            "version": 1.3,
            "people": [
                {"person_id": [-1], "pose_keypoints_2d": q.ravel().tolist(), "face_keypoints_2d": []} for q in frame
            ],
        }
        _json(folder / f"json/walk_{t:012d}_keypoints.json", value)
    return _of(folder / "json", name)


def mmpose(folder: Path) -> Example:
    p = people("coco17")
    names = [("left_" if j[:2] == "l_" else "right_" if j[:2] == "r_" else "") + j.removeprefix("l_").removeprefix("r_")
             for j in skeleton("coco17").joints]  # fmt: skip
    info = [
        {"frame_id": t, "instances": [
            {"keypoints": q[:, :2].tolist(), "keypoint_scores": q[:, 2].tolist(), "bbox": [[1, 2, 3, 4]]}
            for q in frame]}
        for t, frame in enumerate(swapped(p))
    ]  # fmt: skip
    meta = {"dataset_name": "coco", "num_keypoints": 17, "keypoint_id2name": {str(i): n for i, n in enumerate(names)}}
    return _of(_json(folder / "results_walk.json", {"meta_info": meta, "instance_info": info}), "coco17")


def mediapipe(folder: Path) -> Example:
    p = people("mediapipe33")
    unit = (p[..., :2] + 0.5) / SIZE
    frames = [
        {
            "frame": t,
            "landmarks": [{"x": x, "y": y, "z": 0.1, "visibility": v} for (x, y), v in zip(xy, c, strict=True)],
        }
        for t, (xy, c) in enumerate(zip(unit[0], p[0, ..., 2], strict=True))
    ]
    path = _json(folder / "landmarks.json", {"fps": 25, "width": SIZE[0], "height": SIZE[1], "frames": frames})
    return _of(path, "mediapipe33", kp_img=p[:1, ..., :2], conf=p[:1, ..., 2], fps=25)


def alphapose(folder: Path) -> Example:
    p = people("halpe26")
    value = [
        {"image_id": f"{t}.jpg", "category_id": 1, "keypoints": q.ravel().tolist(), "score": 2.9, "box": [1, 2, 3, 4],
         "idx": [0.0]}
        for t, frame in enumerate(swapped(p)) for q in frame
    ]  # fmt: skip
    return _of(_json(folder / "alphapose-results.json", value), "halpe26")


def coco(folder: Path) -> Example:
    p = people("coco17")
    value = [
        {"image_id": 100 + t, "category_id": 1, "keypoints": q.ravel().tolist(), "score": 0.9}
        for t, frame in enumerate(swapped(p)) for q in frame
    ]  # fmt: skip
    return _of(_json(folder / "results.json", value), "coco17")


def motionbert(folder: Path) -> Example:
    p = people("h36m17").astype(np.float32)
    split = {
        "joint_2d": p[..., :2].reshape(-1, 17, 2), "confidence": p[..., 2].reshape(-1, 17, 1),
        "camera_name": np.array(["54138969"] * FRAMES + ["55011271"] * FRAMES),
        "source": ["s_09_act_02_subact_01_ca_01"] * FRAMES + ["s_09_act_02_subact_01_ca_02"] * FRAMES,
    }  # fmt: skip
    (folder / "h36m_sh_conf.pkl").write_bytes(pickle.dumps({"test": split}, protocol=4))
    return _of(folder / "h36m_sh_conf.pkl", "h36m17", fps=50)


def array(folder: Path) -> Example:
    p = people("coco17")
    np.save(folder / "keypoints.npy", np.stack([np.stack(f) for f in swapped(p)]))
    return _of(folder / "keypoints.npy", "coco17", options=ReadOptions(skeleton="coco17"))


def motion_npz(folder: Path) -> Example:
    write_motion([walk()], folder / "motion.npz")
    return Example(path=folder / "motion.npz", fps=120)


def bvh(folder: Path) -> Example:
    write_bvh.write([lifted_clip()], folder / "walk.bvh")
    return Example(path=next(folder.glob("*.bvh")), fps=120)


def trc(folder: Path) -> Example:
    write_trc.write([lifted_clip()], folder / "walk.trc")
    return Example(path=next(folder.glob("*.trc")), fps=120)


def asfamc(folder: Path) -> Example:
    return Example(path=CMU / "subjects/02", fps=120)


EXAMPLES: dict[str, Callable[[Path], Example]] = {
    "poses-npz": poses_npz, "poses-json": poses_json, "videopose3d-2d": videopose3d_2d,
    "videopose3d-3d": videopose3d_3d, "gluon": gluon, "openpose": openpose, "mmpose": mmpose, "mediapipe": mediapipe,
    "alphapose": alphapose, "coco": coco, "motionbert-pkl": motionbert, "array": array, "motion-npz": motion_npz,
    "bvh": bvh, "asfamc": asfamc, "trc": trc,
}  # fmt: skip
"""One example for every entry of `READERS`."""
