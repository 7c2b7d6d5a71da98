"""Lift 2D keypoints of your own: an array of keypoints with confidence, as any detector gives them.

python examples/01_lift_keypoints.py [OUT]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import poselift
from poselift.pipeline.demo import demo_clip

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/example-01")
out.mkdir(parents=True, exist_ok=True)

# Any detector's output will do. Here: the demo clip's keypoints, as (frames, joints, x y confidence) in pixels.
clip = demo_clip()
keypoints = np.concatenate([clip.kp_img, clip.confidence[..., None]], axis=-1)
leg = clip.skeleton.indices("l_hip", "l_knee", "l_ankle")
keypoints[100:120, leg] = np.nan  # a leg out of sight: NaN or confidence 0 means missing
np.save(out / "keypoints.npy", keypoints)

lifted = poselift.lift(
    out / "keypoints.npy", out=out, skeleton="h36m17", fps=50, image_size=(1000, 1002), fov=47, formats=("npz", "bvh")
)
(person,) = lifted.clips
assert person.p_root is not None
assert person.root_cam is not None
print(
    "pelvis to head top, first frame:",
    np.linalg.norm(person.p_root[0, person.skeleton.index("head_top")]).round(2),
    "m",
)
print(
    "distance from the camera:", person.root_cam[:, 2].min().round(2), "to", person.root_cam[:, 2].max().round(2), "m"
)

# Plain arrays, to read anywhere:
poses = np.load(out / "poses.npz")
print({name: poses[name].shape for name in ("p_root", "root_cam", "frame", "track_id")})
