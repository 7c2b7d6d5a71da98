"""How far away people on rendered pictures are: RootNet, least squares of the lifted pose, and both together.

    python benchmarks/rendered_roots.py --data DIR --out runs/rendered [--crops 4096]

RootNet and Pose ResNet are those of `benchmarks/rendered.py` (with the same --out), and see the mirrored crops, too.
Boxes are the true ones.
Least squares is what `poselift lift` does for a person in one frame: lifter `default`, then `place_root`, with joints
that are exact, as noisy as the benchmark's detections, twice as noisy, Pose ResNet's, or all but a few left out.
Both together: the logarithms of the depths, minus their mean errors, with the weights that leave the least variance;
means and weights are measured on validation performers, for the whole bodies and for those cut off by the image.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from poselift.data.cmu17 import NOISE_SCALE
from poselift.data.images import ImageBatch
from poselift.data.pictures import PictureConfig, picture_source
from poselift.models.weights import load_image, load_image_root, load_model
from poselift.pipeline.place import place_root

Joints = tuple[Tensor, Tensor]
"""kp_img (n, 17, 2) pixels, conf (n, 17)."""
SURE = 0.2
"""Confidence from which a joint of Pose ResNet is used."""


@dataclass(frozen=True)
class People:
    """n people of a split: their crops, and the depth that RootNet gives (n,), metres."""

    crops: ImageBatch
    z_net: Tensor

    def exact(self) -> Joints:
        """Joints inside of the image."""
        b = self.crops
        kp = b.kp_patch / b.image.shape[-1] * b.box_xywh[:, None, 2:] + b.box_xywh[:, None, :2]
        return torch.where(b.visible[..., None] > 0, kp, 0.0), b.visible

    def noisy(self, scale: float, gen: Generator) -> Joints:
        """With Student-t noise (3 degrees of freedom), `scale` times the larger side of the joints' box."""
        kp, conf = self.exact()
        seen = conf[..., None] > 0
        size = torch.where(seen, kp, -torch.inf).amax(1) - torch.where(seen, kp, torch.inf).amin(1)
        normal = torch.randn(4, *kp.shape, generator=gen)
        t = normal[0] / (normal[1:].square().sum(0) / 3).sqrt()
        return kp + t * (scale * size.amax(-1)[:, None, None]), conf

    def few(self, joints: int, gen: Generator) -> Joints:
        """Detections of so many joints of each person, at random."""
        kp, conf = self.noisy(NOISE_SCALE, gen)
        order = (torch.rand(conf.shape, generator=gen) + conf).argsort(-1, descending=True)
        kept = torch.zeros_like(conf).scatter_(1, order[:, :joints], 1.0)
        return kp, conf * kept


def people(config: PictureConfig, split: str, n: int, seed: int, out: Path) -> People:
    source, gen = picture_source(config, split), Generator().manual_seed(seed)
    network = load_image_root(out / "rootnet" / "model").eval()
    parts = [source.batch(min(256, n - i), gen) for i in range(0, n, 256)]
    z = [network.locate(b.image, b.k, b.box_xywh, b.K, flip_average=True)[:, 2] for b in parts]
    return People(ImageBatch.cat(parts), torch.cat(z))


def detections(p: People, out: Path) -> Joints:
    """Joints of Pose ResNet in the same crops."""
    network = load_image(out / "pose-resnet" / "model").eval()
    b = p.crops
    found = [network.estimate(b.image[i : i + 256], flip_average=True) for i in range(0, len(b), 256)]
    kp, conf = (torch.cat(x) for x in zip(*found, strict=True))
    kp = kp / b.image.shape[-1] * b.box_xywh[:, None, 2:] + b.box_xywh[:, None, :2]
    return kp, conf * (conf > SURE)


def by_pose(p: People, joints: Joints) -> Tensor:
    """Depths (n,) metres by least squares of the lifted pose; NaN with fewer than two joints."""
    lifter = load_model("default")
    kp, conf = joints
    K = p.crops.K
    pose = lifter.lift(kp[:, None], conf[:, None], K, 2 * K[:, :2, 2] + 1)[:, 0]
    return place_root(kp, conf, pose, K)[:, 2]


@dataclass(frozen=True)
class Both:
    """bias (2,) of the logarithms of RootNet's and of least squares' depth, and the weight of the latter."""

    bias: Tensor
    weight: float

    @staticmethod
    def fit(z_net: Tensor, z_pose: Tensor, truth: Tensor) -> Both:
        error = torch.stack((z_net, z_pose)).log() - truth.log()
        error = error[:, error.isfinite().all(0)].double()
        cov = torch.cov(error)
        inverse = torch.linalg.inv(cov).sum(1)
        return Both(error.mean(1).float(), float(inverse[1] / inverse.sum()))

    def __call__(self, z_net: Tensor, z_pose: Tensor) -> Tensor:
        net, pose = z_net.log() - self.bias[0], z_pose.log() - self.bias[1]
        return torch.where(pose.isfinite(), net + self.weight * (pose - net), net).exp()


def table(known: People, seen: People, out: Path) -> list[dict[str, str | float]]:
    """Mean errors of depth, millimetres: over all, and over groups of people."""
    truth, count = seen.crops.root_z, seen.crops.visible.sum(1)
    groups = {
        "all": truth > 0, "nearer than 4 m": truth < 4, "4 to 7 m": (truth >= 4) & (truth < 7), "farther": truth >= 7,
        "17 joints in the image": count == 17, "12 to 16": (count >= 12) & (count < 17), "fewer": count < 12,
    }  # fmt: skip
    rows: list[dict[str, str | float]] = [
        {"joints": "", "way": "people", **{k: float(g.sum()) for k, g in groups.items()}}
    ]

    def add(joints: str, way: str, z: Tensor, weights: str = "") -> None:
        error = torch.where(z.isfinite(), 1000 * (z - truth).abs(), torch.nan)
        rows.append(
            {"joints": joints, "way": way, **{k: float(error[g].nanmean()) for k, g in groups.items()}, "w": weights}
        )

    add("none", "γ = 1", seen.crops.k)
    add("none", "RootNet", seen.z_net)
    gen = Generator().manual_seed(3)
    kinds: dict[str, Callable[[People], Joints]] = {
        "exact": lambda p: p.exact(),
        "noise": lambda p: p.noisy(NOISE_SCALE, gen),
        "twice the noise": lambda p: p.noisy(2 * NOISE_SCALE, gen),
        **{f"noise, {n} joints of each": lambda p, n=n: p.few(n, gen) for n in (8, 5, 3)},
        "Pose ResNet's": lambda p: detections(p, out),
    }
    whole = [p.crops.visible.sum(1) == 17 for p in (known, seen)]
    for name, of in kinds.items():
        z_known, z_seen = (by_pose(p, of(p)) for p in (known, seen))
        add(name, "least squares", z_seen)
        z, weights = torch.zeros_like(truth), []
        for a, b in (whole, [~w for w in whole]):
            both = Both.fit(known.z_net[a], z_known[a], known.crops.root_z[a])
            z[b] = both(seen.z_net[b], z_seen[b])
            weights.append(f"{both.weight:.2f}")
        add(name, "both", z, " / ".join(weights))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with cmu.npz and cmu_dance.npz; the packaged subset if not given")
    parser.add_argument("--out", type=Path, default=Path("runs/rendered"))
    parser.add_argument("--crops", type=int, default=4096, help="people of each of validation and test performers")
    args = parser.parse_args()
    with torch.no_grad():
        size = load_image_root(args.out / "rootnet" / "model").config.size_hw[0]
        config = PictureConfig(path=args.data, crop=size)
        known, seen = (people(config, s, args.crops, i, args.out) for i, s in enumerate(("validation", "test"), 4))
        rows = table(known, seen, args.out)
    (args.out / "roots.json").write_text(json.dumps(rows, indent=1))
    names = list(rows[1])
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        cells = [f"{v:.0f}" if isinstance(v, float) else str(v) for v in (row.get(n, "") for n in names)]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
