"""What can be known about the depth of rendered people: networks that are told exactly what RootNet has to see.

    python benchmarks/rendered_limits.py --data DIR [--people 80000] [--steps 2000]

Nothing is rendered: an MLP learns γ, by which k has to be multiplied, of training performers (loss: the error of depth)
and is evaluated on test performers. It is told the joints in the crop; or the camera's view of them, too; or also the
body's true pose and proportions, without its size, and how thick and how widely dressed it is. What is left then is
that nobody can see how tall somebody is. Boxes are as in `rendered`: cut at the image's edge, without jitter.
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

from poselift.data.rendered import rendered_source
from poselift.data.rendered.render import silhouette_boxes
from poselift.data.rendered.scenes import draw_scenes
from poselift.geometry.crops import MARGIN, distance_measure, extend_box
from poselift.geometry.projection import project

PORTION = 1000
TOLD = ("joints in the crop", "and the camera", "and the body, but for its size")


def people(path: str | None, split: str, n: int, seed: int) -> dict[str, Tensor]:
    """z, k (n,) metres; cut (n,): the box ends at the image's edge; and what networks are told, by name (n, f)."""
    source, gen = rendered_source(path, split), Generator().manual_seed(seed)
    parents = [max(p, 0) for p in source.skeleton.parents]
    parts: list[dict[str, Tensor]] = []
    for _ in range(0, n, PORTION):
        s = draw_scenes(source.bank, PORTION, source.options.scenes, gen)
        outline = silhouette_boxes(s)[:, 0]
        box = extend_box(torch.cat((outline[:, :2], outline[:, 2:].clamp_min(8.0)), -1), 1.0, MARGIN)
        p = s.to_cam(s.p_world)[:, 0]
        kp, last = project(p, s.K).nan_to_num(nan=-1e4), s.size_wh - 0.5
        inside = ((kp >= -0.5) & (kp < last[:, None])).all(-1, keepdim=True).float()

        def of_crop(at: Tensor, box: Tensor = box) -> Tensor:
            first, side = (v.unsqueeze(1) for v in box.split(2, -1))
            return ((at.unflatten(-1, (-1, 2)) - first) / side * 2 - 1).clamp(-2, 2).flatten(1)

        edges = of_crop(torch.cat((torch.full_like(last, -0.5), last), -1)).clamp(-1, 1)
        corners = torch.cat((outline[:, :2], outline[:, :2] + outline[:, 2:]), -1)
        joints = of_crop(kp.flatten(1)) * inside.expand_as(kp).flatten(1)
        f = s.K[:, :1, 0]
        middle = (box[:, :2] + box[:, 2:] / 2 - s.K[:, :2, 2]) / f
        pose = p - p[:, :1]
        size = (pose - pose[:, parents]).norm(dim=-1).sum(1)
        growth = s.build.growth.unflatten(0, s.there.shape)[:, 0]
        parts.append({
            "z": p[:, 0, 2],
            "k": distance_measure(box, s.K),
            "cut": (corners[:, :2] <= 0).any(-1) | (corners[:, 2:] >= last - 0.01).any(-1),
            TOLD[0]: torch.cat((joints, inside[..., 0], edges, of_crop(corners)), -1),
            TOLD[1]: torch.cat((middle, box[:, 2:3] / f * 3, s.R[:, :, 2] * 3), -1),
            TOLD[2]: torch.cat(((pose / size[:, None, None]).flatten(1) * 10, growth * 2), -1),
        })  # fmt: skip
    found = {k: torch.cat([x[k] for x in parts]) for k in parts[0]}
    for before, name in pairwise(TOLD):
        found[name] = torch.cat((found[before], found[name]), -1)
    return found


def network(inputs: int, width: int = 256) -> nn.Sequential:
    """Features → log γ, which begins with 0."""
    layers: list[nn.Module] = [nn.BatchNorm1d(inputs)]
    for _ in range(4):
        layers += [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1)]
        inputs = width
    layers.append(nn.Linear(width, 1))
    nn.init.zeros_(layers[-1].weight)  # type: ignore[arg-type]
    nn.init.zeros_(layers[-1].bias)  # type: ignore[arg-type]
    return nn.Sequential(*layers)


def learned(x: Tensor, k: Tensor, z: Tensor, steps: int) -> nn.Sequential:
    """A network that learned z = γ k."""
    torch.manual_seed(0)
    net = network(x.shape[1])
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(steps):
        some = torch.randint(len(z), (512,))
        loss = (k[some] * net(x[some])[:, 0].exp() - z[some]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return net.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with cmu.npz and cmu_dance.npz; the packaged subset if not given")
    parser.add_argument("--people", type=int, default=80_000, help="of training performers")
    parser.add_argument("--steps", type=int, default=2000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    known, seen = people(args.data, "train", args.people, 1), people(args.data, "test", 20_000, 2)
    k, z, cut = seen["k"], seen["z"], seen["cut"]
    gamma = z / k
    print(f"γ: median {gamma.median():.3f}, whole {gamma[~cut].median():.3f}, cut {gamma[cut].median():.3f}")
    print(f"standard deviation of log γ: whole {gamma[~cut].log().std():.3f}, cut {gamma[cut].log().std():.3f}")
    print(f"{100 * cut.float().mean():.0f} % are cut\n\n| told | all | whole | cut | against γ = 1 |")
    print("|---|---|---|---|---|")

    def row(name: str, found: Tensor) -> None:
        e, one = 1000 * (found - z).abs(), 1000 * (k - z).abs()
        change = 100 * (e.mean() / one.mean() - 1)
        print(f"| {name} | {e.mean():.0f} | {e[~cut].mean():.0f} | {e[cut].mean():.0f} | {change:+.1f} % |", flush=True)

    row("nothing: γ = 1", k)
    row("nothing: median γ of training performers", k * (known["z"] / known["k"]).median())
    row("whether it is cut: median γ of each", k * torch.where(
        cut, *((known["z"] / known["k"])[c].median() for c in (known["cut"], ~known["cut"]))
    ))  # fmt: skip
    for name in TOLD:
        net = learned(known[name], known["k"], known["z"], args.steps)
        with torch.no_grad():
            row(name, k * net(seen[name])[:, 0].exp())


if __name__ == "__main__":
    main()
