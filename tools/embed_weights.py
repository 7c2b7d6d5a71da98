"""Put a trained model into the package, with its card: measured on validation and test performers of `cmu17`.

    python tools/embed_weights.py runs/default/model default --data DIR
    python tools/embed_weights.py runs/default-sequence/model default-sequence --data DIR
    python tools/embed_weights.py runs/default-refiner/model default-refiner --data DIR

A lifter's weights are stored in 16 bits; the figures are those of the stored weights. A refiner is measured after the
lifter that its card names, with a solved root, and also on bodies and cameras drawn at random, where it may do harm.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from poselift.data.datasets import DataConfig, dataset_clips, dataset_source
from poselift.models.base import Lifter
from poselift.models.cards import EMBEDDED, ModelInfo, model_info
from poselift.models.predict import Refinement
from poselift.models.weights import load_model, load_refiner, save_model
from poselift.train.evaluate import evaluate_clips
from poselift.train.recipes import recipe

LICENCE = "CMU: free for research and commercial products; the data may not be resold directly"
SOURCE = (
    "CMU motion capture database (mocap.cs.cmu.edu, created with funding from NSF EIA-0196217), "
    "train performers of cmu17"
)
LIMITS = "One frame at a time: no smoothing. "
LIMITS_OF_SEQUENCES = "Sees 40 frames on either side: not for live use, and cuts in a video have to end a sequence. "
LIMITS_OF_ALL = (
    "Size is that of an average grown-up of the training data, so metres and "
    "distances share the error of that guess. Little sitting, lying and floor work in the training motion; no "
    "children, no props."
)
SHOWN = {"mpjpe_mm": "MPJPE", "p_mpjpe_mm": "P-MPJPE", "n_mpjpe_mm": "N-MPJPE", "joint_angle_error_deg": "angle"}
OF_SEQUENCES = {"mpjve_mm": "MPJVE", "accel_mm": "acceleration error"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("name")
    parser.add_argument("--data", required=True, help="folder with cmu.npz and cmu_dance.npz")
    args = parser.parse_args()
    info = model_info(args.model)
    if info.kind == "refiner":
        embed_refiner(info, args.name, args.data)
        return
    lifter = load_model(args.model)
    with tempfile.TemporaryDirectory() as folder:
        stored = load_model(save_model(lifter, Path(folder) / "stored", half=True))
    errors: dict[str, float] = {}
    for split in ("validation", "test"):
        for input in ("gt", "det"):
            clips = dataset_clips(DataConfig(path=args.data, input=input), split)
            summary = evaluate_clips(stored, clips).summary()
            for figure, label in (SHOWN if stored.single_frame else SHOWN | OF_SEQUENCES).items():
                unit = "deg" if figure.endswith("deg") else "mm"
                errors[f"{split} {input} {label} ({unit}, mean over frames)"] = round(summary[f"{figure}/frame"], 1)
    test = [v for k, v in errors.items() if k.startswith("test") and " MPJPE" in k]
    if not stored.single_frame:
        errors |= wild(stored, args.data)
    card = {
        "summary": info.card["summary"],
        "licence": "MIT",
        "data": "cmu17, train performers",
        "data_licence": LICENCE,
        "data_source": SOURCE,
        "recipe": info.card["recipe"],
        "step": info.card["step"],
        "commit": head(),
        "errors": {"test gt MPJPE mm": test[0], "test det MPJPE mm": test[1]},
        "figures": errors,
        "limits": (LIMITS if lifter.single_frame else LIMITS_OF_SEQUENCES) + LIMITS_OF_ALL,
    }
    print(save_model(lifter, EMBEDDED / args.name, card=card, half=True))
    print(errors)


@torch.no_grad()
def wild(lifter: Lifter, data: str) -> dict[str, float]:
    """MPJPE of windows with bodies, cameras and damage drawn at random: the lifter's, and that of single pictures'."""
    plan = recipe("default-sequence").data
    batch = dataset_source(replace(plan, path=data), "validation").batch(256, seeded())
    inputs = [x.split(32) for x in (batch.kp_img, batch.conf, batch.K, batch.size_wh)]
    found = {}
    for name, model in (("", lifter), (", by the default of single pictures", load_model("default"))):
        p = torch.cat([model.lift(*part) for part in zip(*inputs, strict=True)])
        p = lifter.output_frames(p) if model.single_frame else p
        off = (p - lifter.output_frames(batch.p_root)).norm(dim=-1).mean() * 1000
        found[f"validation wild MPJPE (mm, all joints){name}"] = round(float(off), 1)
    return found


def head() -> str:
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()


def embed_refiner(info: ModelInfo, name: str, data: str) -> None:
    """Measure a refiner with and without, and put it into the package."""
    lifter, refiner = load_model(info.card["lifter"]), load_refiner(info.folder)
    ways = {"lifted": None, "refined": Refinement(refiner=refiner)}
    errors: dict[str, float] = {}
    for split in ("validation", "test"):
        for input in ("gt", "det"):
            clips = dataset_clips(DataConfig(path=data, input=input), split)
            for way, refinement in ways.items():
                summary = evaluate_clips(lifter, clips, refinement=refinement).summary()
                for figure in ("mpjpe_mm", "p_mpjpe_mm"):
                    key = f"{split} {input} {SHOWN[figure]}, {way} (mm, mean over frames)"
                    errors[key] = round(float(summary[f"{figure}/frame"]), 1)  # type: ignore[arg-type]
    batch = dataset_source(DataConfig(path=data, input="wild"), "validation").batch(8192, seeded())
    with torch.no_grad():
        pose = lifter.lift(batch.kp_img, batch.conf, batch.K, batch.size_wh)
        after = refiner.refine(batch.kp_img, batch.conf, pose, None, batch.K)
    for way, p in (("lifted", pose), ("refined", after)):
        off = (p - batch.p_root).norm(dim=-1).mean() * 1000
        errors[f"validation wild MPJPE, {way} (mm, all joints)"] = round(float(off), 1)
    what = info.card["summary"]
    card = {
        "summary": f"For the lifter `{info.card['lifter']}`: {what[0].lower()}{what[1:]}",
        "licence": "MIT",
        "data": "cmu17, train performers",
        "data_licence": LICENCE,
        "data_source": SOURCE,
        "recipe": info.card["recipe"],
        "lifter": info.card["lifter"],
        "root": refiner.config.root,
        "commit": head(),
        "errors": {
            f"test {i} MPJPE mm": errors[f"test {i} MPJPE, refined (mm, mean over frames)"] for i in ("gt", "det")
        },
        "figures": errors,
        "limits": "Knows how long the bones of people in the training data are. Where bodies, marker sets and cameras "
        "vary more (`wild` above) it adds error: see the figures, and leave it out there.",
    }
    print(save_model(refiner, EMBEDDED / name, card=card))  # type: ignore[arg-type]
    print(errors)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


if __name__ == "__main__":
    main()
