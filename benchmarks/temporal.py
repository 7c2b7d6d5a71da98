"""Lifters of sequences, and training with little or no paired 3D: trains what has no weights yet, evaluates all.

    python benchmarks/temporal.py --data DIR --out runs/temporal [--rows temporal-27 ugcn …] [--input det]
    python benchmarks/temporal.py --data DIR --pieces                                                # how few frames do
    python benchmarks/temporal.py --picture docs/images/over_time.png --page out/side_by_side.html    # one clip

Every row is `poselift train RECIPE` and `poselift eval` on the test performers; models are
selected on the validation performers. Rows in `READY` are models that come with the package, smoothed or refined.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poselift.data import cmu17
from poselift.data.datasets import DataConfig, dataset_clips
from poselift.losses_adversarial import GrowingWeight
from poselift.models.base import Lifter
from poselift.models.predict import Refinement, lift_frames
from poselift.models.weights import load_model, load_refiner
from poselift.structures import Clip
from poselift.structures.smoothing import smooth
from poselift.train.evaluate import predictions, refined, report_on
from poselift.train.loop import TrainOptions, train
from poselift.train.recipes import Recipe, recipe
from timing import medians

FIGURES = {
    "mpjpe_mm": "MPJPE", "p_mpjpe_mm": "P-MPJPE", "n_mpjpe_mm": "N-MPJPE", "mpjve_mm": "MPJVE", "accel_mm": "accel.",
    "bone_length_deviation_mm": "bone dev.", "joint_angle_error_deg": "angle°", "mrpe_mm": "MRPE",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """A model of the package, or a recipe; what comes after it."""

    model: str
    smoother: str = ""
    refiner: str = ""


READY = {
    "single frames (default)": Row(model="default"),
    "single frames, savgol": Row(model="default", smoother="savgol"),
    "single frames, one_euro": Row(model="default", smoother="one_euro"),
    "single frames, refined, savgol": Row(model="default", refiner="default-refiner", smoother="savgol"),
    "default-sequence": Row(model="default-sequence"),
    "default-sequence, refined": Row(model="default-sequence", refiner="default-refiner"),
    "default-sequence, savgol": Row(model="default-sequence", smoother="savgol"),
}
TRAINED = (
    "linear-erd", "temporal-27", "temporal-27-motion", "temporal-27-causal", "temporal-81", "temporal-81-causal",
    "temporal-243", "temporal-243-causal", "ugcn", "ugcn-motion", "temporal-tenth", "temporal-semi", "repnet",
    "repnet-consistent", "repnet-cycle", "video-gan",
)  # fmt: skip
ON_TOP: dict[str, tuple[str, str, dict[str, Any]]] = {
    "temporal-81, ERD with the true root": ("temporal-81", "erd", {"root": "given", "steps": 4}),
    "temporal-81, ERD": ("temporal-81", "erd", {"root": "least_squares", "steps": 4}),
    "temporal-81, ERD look-at": ("temporal-81", "erd-look", {}),
    "temporal-81, optimiser": ("temporal-81", "gauss-newton", {}),
}
"""Refiners that are trained on the poses of a lifter of the table: lifter, recipe, changes of its model."""
MOTION = {
    "temporal-27-motion-3": {"motion_weight": 3.0},
    "temporal-27-motion-step": {"motion_weight": 3.0, "motion_intervals": (1,)},
    "temporal-27-motion-late": {"motion_weight": 3.0, "motion_begin": 0.5},
}
"""Other ways to weigh the motion loss of `temporal-27-motion`."""


def small(plan: Recipe, **schedule: Any) -> Recipe:
    """An adversarial recipe of the benchmark: narrower networks, fewer steps than the published hundred thousand."""
    kept = {"batch": 128, "lr": 5e-4, "decay": "cosine", "ema": 0.999, "validate_every": 2000, "save_every": 500}
    objective: Any = plan.objective
    objective = replace(objective, critic_steps=2, critic=replace(objective.critic, chain_width=256))
    data = replace(plan.data, validation_every=16)
    return replace(plan, data=data, objective=objective, schedule=replace(plan.schedule, **{**kept, **schedule}))


def planned(name: str) -> Recipe:
    """The recipe of a row. Those without pairs are made small, so that a processor core trains them in half an hour."""
    plan = recipe("temporal-27-motion" if name in MOTION else name)
    objective: Any = plan.objective
    if name in MOTION:
        return replace(plan, objective=replace(objective, **MOTION[name]))
    model: Any = plan.model
    if name.startswith("repnet"):
        objective = replace(objective, reprojection=GrowingWeight(first=1000, last=10_000, begin=0.0, end=0.8))
        plan = replace(plan, model=replace(model, width=256), objective=objective)
        return small(plan, steps=12_000, metric="p_mpjpe_mm")
    if name == "video-gan":
        objective = replace(objective, root=replace(objective.root, channels=128))
        return small(replace(plan, model=replace(model, channels=128), objective=objective), steps=14_000, batch=64)
    return plan


def without_dropout(name: str, args: argparse.Namespace) -> Recipe:
    """UGCN was trained twice: by its recipe but with dropout, and from there without it, in smaller batches."""
    plan, first = planned(name), args.out / f"{name}-dropout-{args.input}"
    carried_out(replace(plan, model=replace(plan.model, dropout=0.2)), first, args)  # type: ignore[call-arg]
    schedule = replace(
        plan.schedule, steps=2400, batch=24, lr=2e-3, warmup=50, validate_every=600, bn_momentum=(0.1, 0.01)
    )
    objective: Any = replace(plan.objective, start=str(first / "model"))  # type: ignore[call-arg]
    return replace(plan, data=replace(plan.data, frames=96), objective=objective, schedule=schedule)


def on_top(name: str, args: argparse.Namespace) -> Recipe:
    """The recipe of a refiner that learns from what a lifter makes of windows."""
    lifter, refiner, changes = ON_TOP[name]
    plan, model = recipe(refiner), trained(lifter, args)
    objective: Any = replace(plan.objective, lifter=str(model), samples=65_536)  # type: ignore[call-arg]
    data = replace(plan.data, frames=load_model(str(model)).receptive_field)  # type: ignore[call-arg]
    return replace(plan, model=replace(plan.model, **changes), objective=objective, data=data)


def trained(name: str, args: argparse.Namespace) -> Path | None:
    """The model of a recipe, trained if need be."""
    out = args.out / f"{name.replace(', ', '-').replace(' ', '-')}-{args.input}"
    if not (out / "done").exists():
        if args.only_done:
            return None
        special = on_top if name in ON_TOP else without_dropout if name.startswith("ugcn") else None
        carried_out(special(name, args) if special else planned(name), out, args)
    return out / "model"


def carried_out(plan: Recipe, out: Path, args: argparse.Namespace) -> None:
    """A run in its folder, gone on with if it was stopped; nothing where it is done."""
    if (out / "done").exists():
        return
    plan = replace(plan, data=replace(plan.data, path=args.data, input=args.input))
    resume = (out / "state.safetensors").exists()
    train(plan, out, TrainOptions(device=args.device, precision=args.precision, quiet=True, resume=resume))
    (out / "done").touch()


def after(row: Row, clips: list[Clip], poses: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Refined and smoothed, clip by clip."""
    if row.refiner:
        poses = refined(Refinement(refiner=load_refiner(row.refiner)), clips, poses)
    for clip, p in zip(clips, poses, strict=True):
        if row.smoother:
            p = torch.from_numpy(smooth(row.smoother, p.numpy(), fps=clip.fps))
        yield p


def frames_per_second(lifter: Lifter, clip: Clip, repeats: int = 5) -> float:
    """Frames of one clip of 1000 frames lifted in a second: median after a warm-up."""
    index = np.arange(1000) % len(clip)
    kp, conf = torch.from_numpy(clip.kp_img[index]), torch.from_numpy(clip.confidence[index])
    assert clip.camera is not None
    K, size = torch.tensor(clip.camera.K, dtype=torch.float32)[None], torch.tensor([clip.camera.size_wh])
    lifter = lifter.fold()
    work = {"lift": lambda: lift_frames(lifter, kp, conf, K, size.float())}
    return 1000 / medians(work, repeats, warm_up=1, clock=time.perf_counter)["lift"]


def measured(name: str, row: Row, clips: list[Clip]) -> dict[str, Any]:
    lifter = load_model(row.model)
    report = report_on(after(row, clips, predictions(lifter, clips)), clips, lifter.skeleton, absolute=True)
    return {
        "row": name,
        "parameters": sum(p.numel() for p in lifter.parameters()),
        "sees": "all" if lifter.sequence else lifter.receptive_field,
        "causal": lifter.causal,
        "frames_per_s": round(frames_per_second(lifter, clips[0])),
        **{k: None if v is None else round(float(v), 3) for k, v in report.summary().items()},
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    head = ["method", "frames seen", *FIGURES.values(), "parameters", "frames/s"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in rows:
        sees = f"{r['sees']}{', causal' if r['causal'] else ''}"
        cells = [r["row"], sees, *(f"{r[f'{k}/frame']:.1f}" for k in FIGURES)]
        lines.append("| " + " | ".join([*cells, f"{r['parameters'] / 1e6:.2f} M", f"{r['frames_per_s']:,}"]) + " |")
    return "\n".join(lines)


def demo_clip_ways() -> tuple[Clip, dict[str, np.ndarray]]:
    """The demo's clip with its truth, and p_root (t, j, 3) by single frames, smoothed, and by a sequence."""
    motion = next(m for m in cmu17.load_motions(None, "test") if m.name == "cmu/14/14_22")
    clip = cmu17.views([motion], noise=True)[1]
    ways = {n: READY[n] for n in ("single frames (default)", "single frames, savgol", "default-sequence")}
    return clip, {n: next(after(r, [clip], predictions(load_model(r.model), [clip]))).numpy() for n, r in ways.items()}


def picture(file: Path, joint: str = "r_wrist", seconds: float = 4.0) -> None:
    """Place and speed of a joint over time: single frames, smoothed, sequence, and the truth."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    clip, curves = demo_clip_ways()
    assert clip.p_root is not None
    curves["truth"], j = clip.p_root, clip.skeleton.index(joint)
    t = np.arange(len(clip)) / clip.fps
    chosen = (t >= 1) & (t < 1 + seconds)
    figure, axes = plt.subplots(4, 1, figsize=(9, 9), sharex=True, layout="constrained")
    styles = {"truth": ("black", 1.6), "single frames (default)": ("#c9a0a0", 0.8)}
    for name, p in curves.items():
        colour, width = styles.get(name, (None, 1.3))
        for axis, k, label in zip(axes, range(3), ("right", "down", "away"), strict=False):
            axis.plot(t[chosen], 100 * p[chosen, j, k], color=colour, lw=width, label=name)
            axis.set_ylabel(f"{label} of the pelvis, cm")
        speed = np.linalg.norm(np.gradient(p[:, j], 1 / clip.fps, axis=0), axis=-1)
        axes[3].plot(t[chosen], speed[chosen], color=colour, lw=width)
    axes[3].set(ylabel="speed, m/s", xlabel="seconds", ylim=(0, None))
    axes[0].legend(ncols=2, fontsize=8, frameon=False)
    axes[0].set_title(f"{joint.replace('_', ' ')}, test performer, detector-like noise")
    figure.savefig(file, dpi=90)


def page(file: Path) -> None:
    """The same three side by side in one scene, each around the truth in grey."""
    from poselift.view.page import write_page

    clip, ways = demo_clip_ways()
    assert clip.root_cam is not None
    people, truth = [], []
    for i, (name, p) in enumerate(ways.items()):
        beside = clip.root_cam + np.array([1.3 * (i - 1), 0, 0], np.float32)
        people.append(clip.replace(p_root=p, root_cam=beside, track_id=i, meta={"name": name}))
        truth.append(clip.replace(root_cam=beside, track_id=i))
    notes = [
        f"From left to right: {', '.join(ways)}; the truth in grey. All stand where the truth stands, 1.3 m apart."
    ]
    write_page(people, file, truth=truth, title="Single frames, smoothed, and with the frames around", notes=notes)


def pieces(data: str, lengths: tuple[int, ...] = (1, 2, 3, 5, 9, 27), apart: int = 97) -> str:
    """MPJPE on pieces of validation clips (`det`), each lifted as if there were nothing else: a Markdown table."""
    clips = dataset_clips(DataConfig(path=data, input="det"), "validation")[::7]
    lines = ["| frames | default | default-sequence |", "|---|---|---|"]
    lifters = [load_model(name) for name in ("default", "default-sequence")]
    for n in lengths:
        cut = [c[a : a + n] for c in clips for a in range(0, len(c) - n, apart)]
        truth = np.concatenate([c.p_root for c in cut if c.p_root is not None])
        off = [torch.cat(list(predictions(lifter, cut))).numpy() - truth for lifter in lifters]
        lines.append(f"| {n} | " + " | ".join(f"{1000 * np.linalg.norm(x, axis=-1).mean():.1f}" for x in off) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with cmu.npz and cmu_dance.npz")
    parser.add_argument("--out", type=Path, default=Path("runs/temporal"))
    parser.add_argument("--rows", nargs="*", default=[*READY, *TRAINED, *ON_TOP], help=f"also {', '.join(MOTION)}")
    parser.add_argument("--input", default="det", choices=("gt", "det"))
    parser.add_argument("--only-done", action="store_true", help="leave out rows that are not trained yet")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pieces", action="store_true", help="print the error on pieces of few frames, and no table")
    parser.add_argument("--picture", type=Path, help="draw one clip's curves into this file, and no table")
    parser.add_argument("--page", type=Path, help="write the same clip, side by side, as a web page, and no table")
    args = parser.parse_args()
    if args.picture or args.page:
        for draw, file in ((picture, args.picture), (page, args.page)):
            if file:
                draw(file)
        return
    if args.data is None:
        parser.error("--data is needed for the table")
    if args.pieces:
        print(pieces(args.data))
        return
    rows: list[dict[str, Any]] = []
    clips = dataset_clips(DataConfig(path=args.data, input=args.input), "test")
    for name in args.rows:
        if name in READY:
            row: Row | None = READY[name]
        else:
            model = trained(name, args)
            row = None if model is None else Row(model=str(model))
            if model is not None and name in ON_TOP:
                row = Row(model=str(trained(ON_TOP[name][0], args)), refiner=str(model))
        if row is not None:
            rows.append(measured(name, row, clips))
            print(json.dumps(rows[-1]), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"table-{args.input}.json").write_text(json.dumps(rows, indent=1))
    text = markdown(rows)
    (args.out / f"table-{args.input}.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
