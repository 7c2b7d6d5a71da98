"""Where everybody on a whole rendered picture stands: AP_25 of roots and MRPE, several people, who hide one another.

    python benchmarks/rendered_people.py --data DIR --out runs/rendered [--pictures 1000]

Pictures of test performers, the true boxes, RootNet of `benchmarks/rendered.py` (with the same --out). Ways: the middle
of the box and γ = 1; RootNet; least squares of the lifted pose as `poselift lift` does it for one frame, with the
joints that nothing hides, as noisy as the benchmark's detections. People with fewer than four such joints count as
nobody (`valid` of MuPoTS). The score of a root is the share of joints that are seen. AP is `metrics.people.root_ap`,
which reproduces MuPoTS's.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Generator, Tensor

from poselift.data.cmu17 import NOISE_SCALE
from poselift.data.rendered import Frames, rendered_source
from poselift.geometry.crops import MARGIN, clip_box, crop_affine, crop_patches, distance_measure, extend_box
from poselift.geometry.projection import unproject
from poselift.metrics import mrpe_mm
from poselift.metrics.people import root_ap
from poselift.models.images.base import ImageRoot
from poselift.models.weights import load_image_root, load_model
from poselift.pipeline.place import place_root
from poselift.pipeline.stage import MIN_JOINTS

SIZE = (512, 512)
"""Width and height of the pictures."""


def by_picture(network: ImageRoot, frames: Frames) -> tuple[Tensor, Tensor]:
    """Roots (n, 3) of everybody by RootNet and by γ = 1, in the order of `frames.there`."""
    found = []
    h, w = network.config.size_hw
    for i in range(len(frames)):
        who = frames.there[i]
        box, _ = clip_box(frames.box_xywh[i, who].double(), torch.tensor(SIZE, dtype=torch.float64))
        box[:, 2:] = box[:, 2:].clamp_min(8.0)  # of who is hidden or outside there may be nothing
        box = extend_box(box, w / h, MARGIN)
        K = frames.K[i].expand(len(box), 3, 3)
        patches = crop_patches(frames.image[i], crop_affine(box, (w, h)), (h, w))
        k, box = distance_measure(box, K.double()).float(), box.float()
        plain = unproject(box[:, :2] + box[:, 2:] / 2, k, K)
        found.append((network.locate(patches, k, box, K, flip_average=True), plain))
    return torch.cat([net for net, _ in found]), torch.cat([plain for _, plain in found])


def by_pose(frames: Frames, gen: Generator) -> Tensor:
    """Roots (n, 3) by least squares of lifted poses, from the joints that are seen; NaN with fewer than two."""
    who = frames.there
    kp, seen = frames.kp_img[who], frames.seen[who][..., None]
    size = (torch.where(seen, kp, -torch.inf).amax(1) - torch.where(seen, kp, torch.inf).amin(1)).amax(-1)
    normal = torch.randn(4, *kp.shape, generator=gen)
    t = normal[0] / (normal[1:].square().sum(0) / 3).sqrt()
    kp = torch.where(seen, kp + NOISE_SCALE * size.clamp_min(0)[:, None, None] * t, 0.0)
    conf = seen[..., 0].float()
    K = frames.K[:, None].expand(*who.shape, 3, 3)[who]
    pose = load_model("default").lift(kp[:, None], conf[:, None], K, kp.new_tensor(SIZE).expand(len(kp), 2))[:, 0]
    return place_root(kp, conf, pose, K)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with cmu.npz and cmu_dance.npz; the packaged subset if not given")
    parser.add_argument("--out", type=Path, default=Path("runs/rendered"))
    parser.add_argument("--pictures", type=int, default=1000)
    args = parser.parse_args()
    network = load_image_root(args.out / "rootnet" / "model").eval()
    source, gen = rendered_source(args.data, "test"), Generator().manual_seed(5)
    parts, true, image, seen = [], [], [], []
    with torch.no_grad():
        for begin in range(0, args.pictures, 50):
            frames = source.frames(min(50, args.pictures - begin), gen, size_wh=SIZE)
            parts.append((*by_picture(network, frames), by_pose(frames, gen)))
            true.append(frames.root_cam[frames.there])
            image.append(begin + frames.there.nonzero()[:, 0])
            seen.append(frames.seen[frames.there].sum(-1))
    truth, where, count = torch.cat(true), torch.cat(image), torch.cat(seen)
    net, plain, pose = (torch.cat(x) for x in zip(*parts, strict=True))
    valid = count >= MIN_JOINTS
    rows = []
    for name, root in {"middle of the box, γ = 1": plain, "RootNet": net, "least squares of the pose": pose}.items():
        root = torch.where(root.isfinite(), root, 0.0)
        error = mrpe_mm(root[valid], truth[valid])
        figures = {k: float(getattr(error, k).mean()) for k in ("total", "x", "y", "z")}
        near = {f"within_{mm}": 100 * float((error.total < mm).double().mean()) for mm in (250, 500)}
        ap = {
            f"ap_{mm // 10}": 100 * root_ap(root, count / 17.0, where, truth, where, valid, threshold_mm=mm).ap
            for mm in (250, 500)
        }
        rows.append({"row": name, **ap, **near, **figures})
    people = {"pictures": args.pictures, "people": len(truth), "valid": int(valid.sum())}
    (args.out / "people.json").write_text(json.dumps({**people, "rows": rows}, indent=1))
    print(", ".join(f"{v:,} {k}" for k, v in people.items()))
    names = list(rows[0])
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(f"{v:.1f}" if isinstance(v, float) else str(v) for v in row.values()) + " |")


if __name__ == "__main__":
    main()
