"""Tiny ViTPose models with random weights, as the transformers library saves them."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

__all__ = ["tiny_vitpose"]

NAMES = (
    "Nose", "L_Eye", "R_Eye", "L_Ear", "R_Ear", "L_Shoulder", "R_Shoulder", "L_Elbow", "R_Elbow", "L_Wrist", "R_Wrist",
    "L_Hip", "R_Hip", "L_Knee", "R_Knee", "L_Ankle", "R_Ankle",
)  # fmt: skip
"""Of COCO's joints, as the published configs have them."""


def tiny_vitpose(folder: Path, *, experts: int = 1, names: bool = True) -> Path:
    """The folder of a model that sees 64 × 48 pixels."""
    import torch

    library: Any = importlib.import_module("transformers")
    library.utils.logging.disable_progress_bar()
    backbone = library.VitPoseBackboneConfig(
        image_size=[64, 48], patch_size=[16, 16], hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_experts=experts, part_features=8, out_indices=[2],
    )  # fmt: skip
    torch.manual_seed(0)
    model = library.VitPoseForPoseEstimation(library.VitPoseConfig(backbone_config=backbone, num_labels=len(NAMES)))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))  # untrained maps are almost flat
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(i): name if names else f"LABEL_{i}" for i, name in enumerate(NAMES)}
    (folder / "config.json").write_text(json.dumps(config))
    return folder
