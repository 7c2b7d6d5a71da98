"""Why RepNet stays behind: what weak perspective costs, whether it helps that both sides show the same people, and what
the critic adds where its poses are also projected and lifted back.

    python benchmarks/without_pairs.py --data DIR                               # weak perspective
    python benchmarks/without_pairs.py --data DIR --same-people runs/same       # trains; validates every 2,000 steps
    python benchmarks/without_pairs.py --data DIR --no-critic runs/deaf         # likewise
    python benchmarks/without_pairs.py --data DIR --cycle-alone runs/alone      # likewise

Weak perspective: the true depths, with x and y of the keypoints scaled to fit; P-MPJPE, every 16th frame. Same people:
the run `repnet-consistent` of `benchmarks/temporal.py` but with everybody's 2D and everybody's 3D, drawn apart, so that
the critic's people do what those who are seen do. No critic: `repnet-cycle` whose lifter hears nothing of the critic.
Cycle alone: `repnet-cycle` that does not have to be consistent.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from poselift.data.datasets import DataConfig, dataset_clips, dataset_source
from poselift.data.unpaired import Unpaired
from poselift.geometry.procrustes import align
from poselift.models.base import LifterConfig
from poselift.train.adversarial_repnet import RepNetObjective, RepNetObjectiveConfig
from poselift.train.loop import TrainOptions, train
from temporal import planned


@dataclass(frozen=True, kw_only=True)
class SamePeopleConfig(RepNetObjectiveConfig):
    """The critic is shown those performers who are seen, in other frames."""

    def build(self, model: LifterConfig, data: DataConfig) -> RepNetObjective:
        objective, everybody = super().build(model, data), dataset_source(data, "train")
        objective.source = Unpaired(seen=everybody, shown=everybody)
        return objective


@dataclass(frozen=True, kw_only=True)
class NoCriticConfig(RepNetObjectiveConfig):
    """The lifter learns from the keypoints and from the projected poses of others alone."""

    def build(self, model: LifterConfig, data: DataConfig) -> RepNetObjective:
        return _Deaf(self, model, data)


class _Deaf(RepNetObjective):
    def convincing(self, pose: Tensor) -> Tensor:
        return pose.new_zeros(())


def weak_perspective_mm(data: str, split: str) -> float:
    """P-MPJPE of poses that a weak-perspective camera projects exactly onto the keypoints, depths being true."""
    errors = []
    for clip in dataset_clips(DataConfig(path=data, input="gt"), split, 16):
        assert clip.p_root is not None
        p = torch.from_numpy(clip.p_root)
        x = torch.from_numpy(clip.kp_img - clip.kp_img[:, [clip.skeleton.root]])
        scale = (x * p[..., :2]).sum((-2, -1)) / x.square().sum((-2, -1))
        made = torch.cat((scale[:, None, None] * x, p[..., 2:]), -1)
        errors.append((align(made, p, scale=True) - p).norm(dim=-1).mean(-1))
    return 1000 * float(torch.cat(errors).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with cmu.npz and cmu_dance.npz")
    parser.add_argument(
        "--same-people", type=Path, help="train into this folder, instead of weak perspective's figures"
    )
    parser.add_argument("--no-critic", type=Path, help="train into this folder")
    parser.add_argument("--cycle-alone", type=Path, help="train into this folder")
    parser.add_argument("--steps", type=int, help="fewer than the run has")
    args = parser.parse_args()
    runs: list[tuple[str, type[RepNetObjectiveConfig], dict[str, float], Path | None]] = [
        ("repnet-consistent", SamePeopleConfig, {}, args.same_people),
        ("repnet-cycle", NoCriticConfig, {}, args.no_critic),
        ("repnet-cycle", RepNetObjectiveConfig, {"consistency": 0.0}, args.cycle_alone),
    ]
    for name, kind, changes, out in runs:
        if out is None:
            continue
        plan = planned(name)
        own: Any = {f.name: getattr(plan.objective, f.name) for f in fields(RepNetObjectiveConfig)} | changes
        objective = kind(**own)
        schedule = plan.schedule if args.steps is None else replace(plan.schedule, steps=args.steps)
        data = replace(plan.data, path=args.data, input="gt")  # type: ignore[call-arg]
        train(replace(plan, objective=objective, data=data, schedule=schedule), out, TrainOptions(device="cpu"))
    if not any(out for *_, out in runs):
        for split in ("validation", "test"):
            print(f"weak perspective with true depths, {split}: {weak_perspective_mm(args.data, split):.1f} mm P-MPJPE")


if __name__ == "__main__":
    main()
