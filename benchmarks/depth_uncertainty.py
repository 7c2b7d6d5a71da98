"""Does the stated uncertainty of the distance hold? Depths of people before virtual cameras of random field of view.

    python benchmarks/depth_uncertainty.py --data DIR [--split test] [--samples 4000] [--model default]

Bodies, cameras and damage of the `wild` training windows, from the performers of one split. Each is lifted with its
camera and with the assumed one. A true depth within one stated standard deviation (relative): 68 % should be.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch

from poselift.data.augment import BodyOptions
from poselift.data.bank import MotionBank
from poselift.data.cmu17 import load_motions
from poselift.data.views import WildViews
from poselift.models.base import Lifter
from poselift.models.predict import lift_frames
from poselift.models.weights import load_model
from poselift.pipeline.place import place_root
from poselift.structures import Camera
from poselift.structures.uncertainty import FOCAL_SD, RootError


def roots(
    model: Lifter, kp: torch.Tensor, conf: torch.Tensor, K: torch.Tensor, size: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """root_cam (n, 3) and where it is known."""
    with torch.inference_mode():
        root = place_root(kp, conf, lift_frames(model, kp, conf, K, size), K)
    return root, torch.isfinite(root).all(-1) & (root[:, 2] > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of the CMU data; the packaged sample where nothing is said")
    parser.add_argument("--split", default="test")
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    bank = MotionBank.from_motions(load_motions(args.data, args.split))
    model = load_model(args.model)
    gen = torch.Generator().manual_seed(0)
    print("| bodies | camera | stated ± | mean error | RMS | within 1 sd | within 2 sd | sideways within 1 sd |")
    print("|" + "---|" * 8)
    wild = WildViews(p_wrong_focal=0.0)
    same = replace(wild, bodies=BodyOptions(p_resample_bones=0, p_scale_bones=0, p_swap_legs=0))
    for bodies, views in (("the performers, stature ± 5 %", same), ("any proportions", wild)):
        index = torch.randint(len(bank), (args.samples,), generator=gen)
        batch = views.batch(bank, index, gen)
        kp, conf, true = batch.kp_img[:, 0], batch.conf[:, 0], batch.root_cam[:, 0]
        assumed = torch.stack(
            [torch.tensor(Camera.from_fov(size_wh=(int(w), int(h))).K, dtype=kp.dtype) for w, h in batch.size_wh]
        )
        for camera, K, error in (
            ("known", batch.K, RootError()),
            ("assumed, 55°", assumed, RootError(focal=FOCAL_SD)),
        ):
            root, known = roots(model, kp, conf, K, batch.size_wh)
            known &= (conf > 0).sum(-1) >= 4
            z = torch.log(root[:, 2] / true[:, 2])[known].numpy()
            aside = ((root - true)[known, :2].abs() / root[known, :2].abs()).numpy()
            far = (true[known, :2].abs() > 0.2).numpy()
            print(
                f"| {bodies} | {camera} | {error.depth:.1%} | {z.mean():+.1%} | {np.sqrt((z**2).mean()):.1%} "
                f"| {(abs(z) < error.depth).mean():.1%} | {(abs(z) < 2 * error.depth).mean():.1%} "
                f"| {(aside < error.size)[far].mean():.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
