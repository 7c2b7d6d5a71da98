"""Small folders in the published layouts, with one camera and people whose places are known."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from poselift.structures import skeleton

SIZE = {"width": 640, "height": 480}
F, C = [600.0, 620.0], [318.0, 241.0]


def people(n: int, joints: int, seed: int = 0) -> np.ndarray:
    """Camera points (n, joints, 3) in millimetres, 3 m away and more, 1 m apart."""
    p = np.random.default_rng(seed).uniform(-300, 300, (n, joints, 3))
    return p + np.stack([np.linspace(-800, 800, n), np.zeros(n), 3000 + 1000 * np.arange(n)], -1)[:, None]


def pixels(p: np.ndarray) -> np.ndarray:
    return p[..., :2] / p[..., 2:] * F + C


def box_of(kp: np.ndarray) -> list[float]:
    return [*kp.min(0).tolist(), *(kp.max(0) - kp.min(0)).tolist()]


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def spatial(p: np.ndarray, image: int, first: int = 0, **other: Any) -> list[dict[str, Any]]:
    """Annotations of people p (n, j, 3) with keypoints_cam, keypoints_img and keypoints_vis."""
    return [
        {
            "id": first + i, "image_id": image, "bbox": box_of(pixels(q)), "keypoints_cam": q.tolist(),
            "keypoints_img": pixels(q).tolist(), "keypoints_vis": [True] * len(q), **other,
        }
        for i, q in enumerate(p)
    ]  # fmt: skip


def flat(kp: np.ndarray, image: int, flag: int = 1, **other: Any) -> dict[str, Any]:
    """An annotation with x, y, flag triplets."""
    triplets = np.concatenate((kp, np.full((len(kp), 1), flag)), -1)
    return {
        "image_id": image, "bbox": box_of(kp), "num_keypoints": len(kp), "keypoints": triplets.ravel().tolist(), **other
    }  # fmt: skip


def human36m(root: Path) -> np.ndarray:
    """Subjects of protocol 2, one clip of 130 frames by one camera; world points (130, 17, 3) mm of subject 9."""
    R = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])
    t = [10.0, 900.0, 4000.0]
    world = np.random.default_rng(3).uniform(-400, 400, (130, 17, 3)) + np.array((0, 0, 900))
    cameras = {"1": {"R": R.tolist(), "t": t, "f": F, "c": C}}
    for subject in (1, 5, 6, 7, 8, 9, 11):
        images, annotations = [], []
        clip = f"s_{subject:02d}_act_02_subact_02_ca_01" if subject == 11 else f"s_{subject:02d}_act_03_subact_01_ca_01"
        action, part = (2, 2) if subject == 11 else (3, 1)
        for frame in range(130):
            key = subject * 1000 + frame
            name = f"{clip}/{clip}_{frame + 1:06d}.jpg"
            images.append({
                "id": key, "file_name": name, "subject": subject, "action_name": "x", "action_idx": action,
                "subaction_idx": part, "cam_idx": 1, "frame_idx": frame, **SIZE,
            })  # fmt: skip
            kp = pixels(world[frame] @ R.T + t)
            annotations.append({"id": key, "image_id": key, "bbox": box_of(kp), "keypoints_vis": [True] * 17})
        base = root / "annotations" / f"Human36M_subject{subject}"
        write(Path(f"{base}_data.json"), {"images": images, "annotations": annotations})
        write(Path(f"{base}_camera.json"), cameras)
        joints = {str(action): {str(part): {str(i): world[i].tolist() for i in range(130)}}}
        write(Path(f"{base}_joint_3d.json"), joints)
    boxes = [{"image_id": 9000 + f, "bbox": [1, 2, 30, 40]} for f in (0, 64, 64, 128)]
    boxes[2]["bbox"] = [5, 6, 70, 80]
    write(root / "bbox" / "bbox_human36m_output.json", boxes)
    return world @ R.T + t


def mpii(root: Path) -> np.ndarray:
    kp = pixels(people(2, 16))
    annotations = [flat(kp[0], 7, id=1), flat(kp[1], 7, id=2, num_keypoints=0)]
    images = [{"id": 7, "file_name": "images/a.jpg", **SIZE}, {"id": 8, "file_name": "images/b.jpg", **SIZE}]
    write(root / "annotations" / "train.json", {"images": images, "annotations": annotations})
    return kp


def mscoco(root: Path) -> np.ndarray:
    kp = pixels(people(3, 17))
    one = flat(kp[0], 1, flag=2, id=1, iscrowd=0)
    one["keypoints"][5 * 3 + 2] = 0  # the left shoulder: no thorax either
    annotations = [one, flat(kp[1], 1, id=2, iscrowd=1), flat(kp[2], 1, id=3, iscrowd=0, num_keypoints=0)]
    for year in ("train2017", "val2017"):
        images = [{"id": 1, "file_name": "0001.jpg", **SIZE}]
        file = root / "annotations" / f"person_keypoints_{year}.json"
        write(file, {"images": images, "annotations": annotations, "categories": []})
    return kp


def muco(root: Path) -> np.ndarray:
    p = people(4, 21)
    p[2] += p[1, 14] + (100, 0, 300) - p[2, 14]  # too near to the one before, and so are the two to each other
    p[3, :, 2] += 9000 - p[3, 14, 2]  # too far away
    images = [{"id": 1, "file_name": "unaugmented_set/a.jpg", "f": F, "c": C, **SIZE}]
    write(root / "data" / "MuCo-3DHP.json", {"images": images, "annotations": spatial(p, 1)})
    return p


def mupots(root: Path) -> np.ndarray:
    p = people(2, 17)
    annotations = [*spatial(p[:1], 1, is_valid=1), *spatial(p[1:], 1, first=1, is_valid=0)]
    images = [{"id": i, "file_name": f"TS1/img_{i:06d}.jpg", "intrinsic": [*F, *C], **SIZE} for i in (1, 2)]
    write(root / "data" / "MuPoTS-3D.json", {"images": images, "annotations": annotations})
    found = [{"image_id": i, "bbox": [i, 2, 30, 40], "score": s} for i, s in ((1, 0.2), (2, 0.9), (1, 0.8))]
    write(root / "bbox" / "bbox_mupots_output.json", found)
    return p


def pw3d(root: Path) -> np.ndarray:
    p = people(2, 24) / 1000
    p[1, :, 0] += 1.5  # half out of the picture
    annotations = [
        {"id": i, "image_id": 3, "bbox": box_of(pixels(q)), "joint_cam": q.ravel().tolist()} for i, q in enumerate(p)
    ]
    images = [{"id": 3, "sequence": "walk_00", "file_name": "image_00001.jpg", "cam_param": {"focal": F, "princpt": C},
               **SIZE}]  # fmt: skip
    for split in ("train", "validation", "test"):
        write(root / "data" / f"3DPW_{split}.json", {"images": images, "annotations": annotations})
    return p


JOINTS = [n.replace("l_", "left_").replace("r_", "right_") for n in skeleton("h36m17").joints]


def coco(root: Path) -> np.ndarray:
    """A file of one's own with named joints, intrinsics and places."""
    p = people(2, 17)
    images = [{"id": 1, "file_name": "a.jpg", "intrinsic": [*F, *C], **SIZE}]
    value = {"images": images, "annotations": spatial(p, 1), "categories": [{"keypoints": JOINTS}]}
    for split in ("train", "validation", "test"):
        write(root / f"{split}.json", value)
    return p


def draw_pictures(files: Iterable[Path], image: np.ndarray | None = None) -> None:
    """Picture files, of noise where none is given."""
    from PIL import Image

    if image is None:
        image = np.random.default_rng(0).integers(0, 256, (SIZE["height"], SIZE["width"], 3), dtype=np.uint8)
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
