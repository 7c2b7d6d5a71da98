"""Compare any predictions with the truth: every figure of the field, each under an average that says what it is.

python examples/03_compare_poses.py
"""

from __future__ import annotations

import numpy as np

from poselift.data.cmu17 import load_motions, views
from poselift.metrics import Report
from poselift.structures import skeleton

report = Report(skeleton("h36m17"))
rng = np.random.default_rng(0)
for clip in views(load_motions(None, "test")[:4], noise=False):
    assert clip.p_root is not None
    prediction = clip.p_root + rng.normal(0, 0.02, clip.p_root.shape).astype(np.float32)  # metres: yours go here
    report.add(clip.meta["name"], clip.meta["action"], prediction, clip.p_root, fps=clip.fps)
print(report.to_markdown("overall", "joint"))
