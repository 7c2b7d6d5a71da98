"""Put a trained model into the package, with its card: measured on validation and test performers of `cmu17`.

    python tools/embed_weights.py runs/default/model default --data DIR

Weights are stored in 16 bits; the figures are those of the stored weights.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from poselift.data.datasets import DataConfig, dataset_clips
from poselift.models.cards import EMBEDDED, model_info
from poselift.models.weights import load_model, save_model
from poselift.train.evaluate import evaluate_clips

LICENCE = "CMU: free for research and commercial products; the data may not be resold directly"
SOURCE = (
    "CMU motion capture database (mocap.cs.cmu.edu, created with funding from NSF EIA-0196217), "
    "train performers of cmu17"
)
LIMITS = (
    "One frame at a time: no smoothing. Size is that of an average grown-up of the training data, so metres and "
    "distances share the error of that guess. Little sitting, lying and floor work in the training motion; no "
    "children, no props."
)
SHOWN = {"mpjpe_mm": "MPJPE", "p_mpjpe_mm": "P-MPJPE", "n_mpjpe_mm": "N-MPJPE", "joint_angle_error_deg": "angle"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("name")
    parser.add_argument("--data", required=True, help="folder with cmu.npz and cmu_dance.npz")
    args = parser.parse_args()
    info = model_info(args.model)
    lifter = load_model(args.model)
    with tempfile.TemporaryDirectory() as folder:
        stored = load_model(save_model(lifter, Path(folder) / "stored", half=True))
    errors: dict[str, float] = {}
    for split in ("validation", "test"):
        for input in ("gt", "det"):
            clips = dataset_clips(DataConfig(path=args.data, input=input), split)
            summary = evaluate_clips(stored, clips).summary()
            for figure, label in SHOWN.items():
                unit = "deg" if figure.endswith("deg") else "mm"
                errors[f"{split} {input} {label} ({unit}, mean over frames)"] = round(summary[f"{figure}/frame"], 1)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    test = [v for k, v in errors.items() if k.startswith("test") and " MPJPE" in k]
    card = {
        "summary": info.card["summary"],
        "licence": "MIT",
        "data": "cmu17, train performers",
        "data_licence": LICENCE,
        "data_source": SOURCE,
        "recipe": info.card["recipe"],
        "step": info.card["step"],
        "commit": commit,
        "errors": {"test gt MPJPE mm": test[0], "test det MPJPE mm": test[1]},
        "figures": errors,
        "limits": LIMITS,
    }
    print(save_model(lifter, EMBEDDED / args.name, card=card, half=True))
    print(errors)


if __name__ == "__main__":
    main()
