"""ViTPose models in the form of the transformers library: found, checked and loaded without running anything in them.

A model is `config.json`, `model.safetensors` and, where its input is normalised otherwise than ImageNet's,
`preprocessor_config.json`.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from poselift.errors import InputError, MissingExtraError
from poselift.formats.layouts import by_names
from poselift.models.images.base import IMAGENET_MEAN, IMAGENET_STD
from poselift.models.weights import hub_files
from poselift.storage.text import load_json
from poselift.structures import Skeleton, skeleton

__all__ = ["VitPose", "load_vitpose"]

CONFIG, WEIGHTS, INPUT = "config.json", "model.safetensors", "preprocessor_config.json"
MAX_SIDE = 2048
_MOST_OUT = {"num_labels": 1024, "scale_factor": 16}
_MOST = {"hidden_size": 8192, "num_hidden_layers": 128, "num_attention_heads": 128, "num_experts": 32, "mlp_ratio": 16}
"""Larger networks are refused before memory is taken; the largest published has 1280 features in 32 layers."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VitPose:
    """A model ready to work. order: where the skeleton's joints stand among its own; mean, std: of 8-bit RGB."""

    name: str
    network: Any
    skeleton: Skeleton
    order: Tensor
    size_hw: tuple[int, int]
    mean: Tensor
    std: Tensor
    experts: int = 1

    def heatmaps(self, image: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b j rows columns"]:
        """Crops → a heatmap for every joint of the skeleton."""
        x = (image.to(self.mean) - self.mean) / self.std
        expert = {"dataset_index": torch.zeros(len(x), dtype=torch.long, device=x.device)} if self.experts > 1 else {}
        return self.network(x, **expert).heatmaps.index_select(1, self.order)


def load_vitpose(source: str, *, layout: str | None = None, device: torch.device | str = "cpu") -> VitPose:
    """The ViTPose of a folder or of the Hub (hf:organisation/name, or with @revision), in eval mode, float32.

    layout: the joints, where the config does not name them. Raises `InputError` for anything else, for weights that
    are damaged or another model's, `MissingExtraError` without the transformers library.
    """
    try:
        library: Any = importlib.import_module("transformers")
    except ImportError as error:
        if error.name not in (None, "transformers"):
            raise
        raise MissingExtraError("transformers", "vitpose", "ViTPose") from None
    folder = _folder(source)
    config, file = _checked_config(folder), folder / CONFIG
    backbone = config["backbone_config"]
    try:
        with _quiet():
            parsed = library.VitPoseConfig.from_dict(config)
            network, report = library.VitPoseForPoseEstimation.from_pretrained(
                folder, config=parsed, use_safetensors=True, local_files_only=True, dtype=torch.float32,
                output_loading_info=True,
            )  # fmt: skip
    except Exception as error:  # the library's errors have no common base
        if "ignore_mismatched_sizes" in str(error):
            raise InputError(file=folder / WEIGHTS, expected="the weights of this config", found="others") from None
        raise InputError(f"no ViTPose that can be loaded: {error}", file=folder) from None
    wrong = {k: sorted(map(str, report.get(k) or ())) for k in ("missing_keys", "unexpected_keys")}
    for what, names in wrong.items():
        if names:
            found = f"{len(names)} {what.replace('_', ' ')}: {names[0]}{', …' * (len(names) > 1)}"
            raise InputError(file=folder / WEIGHTS, expected="the weights of this config", found=found)
    if not all(bool(torch.isfinite(p.sum(dtype=torch.float64))) for p in network.parameters()):
        raise InputError(file=folder / WEIGHTS, expected="finite weights", found="NaN or infinite")
    skel, order = _joints(config, int(parsed.num_labels), layout, file)
    mean, std = _input(folder / INPUT)
    return VitPose(
        name=source.removeprefix("hf:").rstrip("/").rpartition("/")[2] or "ViTPose",
        network=network.eval().to(device),
        skeleton=skel,
        order=torch.from_numpy(order).to(device),
        size_hw=_pair(backbone.get("image_size", (256, 192)), file, "image_size"),
        mean=mean.to(device),
        std=std.to(device),
        experts=int(parsed.backbone_config.num_experts),
    )


def _folder(source: str) -> Path:
    if source.startswith("hf:"):
        return hub_files(source, (CONFIG, WEIGHTS), optional=(INPUT,))
    path = Path(source).expanduser()
    if not path.is_dir():
        what = "no such folder; a model of the Hub is hf:organisation/name"
        raise InputError(what if not path.exists() else "a file, not the folder of a ViTPose", file=source)
    for name in (CONFIG, WEIGHTS):
        if not (path / name).is_file():
            raise InputError(file=path, expected=f"{CONFIG} and {WEIGHTS}", found=f"no {name}")
    return path


def _checked_config(folder: Path) -> dict[str, Any]:
    """The config as plain values: of a ViTPose with its own backbone (others could be fetched from elsewhere)."""
    file = folder / CONFIG
    config = load_json(file)
    if not isinstance(config, dict):
        raise InputError(file=file, expected="an object", found=type(config).__name__)
    backbone = config.get("backbone_config")
    backbone = backbone if isinstance(backbone, dict) else {}
    if (config.get("model_type"), backbone.get("model_type")) != ("vitpose", "vitpose_backbone"):
        found = f"{config.get('model_type')} with a {backbone.get('model_type')}"
        raise InputError(file=file, field="model_type", expected="vitpose with a vitpose_backbone", found=found)
    _pair(backbone.get("image_size", (256, 192)), file, "image_size")
    for part, limits in ((config, _MOST_OUT), (backbone, _MOST)):
        for name, most in limits.items():
            found = part.get(name, 1)
            if not isinstance(found, int) or not 1 <= found <= most:
                raise InputError(file=file, field=name, expected=f"1 to {most}", found=found)
    return config


def _pair(value: Any, file: Path, field: str) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (list, tuple)) else (value, value)
    if len(pair) != 2 or not all(isinstance(n, int) and 32 <= n <= MAX_SIDE for n in pair):
        raise InputError(file=file, field=field, expected=f"height and width up to {MAX_SIDE} pixels", found=value)
    return pair[0], pair[1]


def _joints(config: dict[str, Any], count: int, layout: str | None, file: Path) -> tuple[Skeleton, np.ndarray]:
    """The skeleton, and where its joints stand in the model: as the user says, else by the config's names."""
    if layout is not None:
        chosen = skeleton(layout)
        if len(chosen) != count:
            raise InputError(file=file, field="skeleton", expected=f"one of {count} joints", found=f"{layout}")
        return chosen, np.arange(count)
    labels = config.get("id2label")
    names = [str(labels.get(str(i))) for i in range(count)] if isinstance(labels, dict) else []
    known = by_names(names)
    if known is None:
        want = "joints of a known skeleton in id2label (--skeleton names it otherwise)"
        raise InputError(file=file, field="id2label", expected=want, found=", ".join(names[:4]) or "none")
    return known


def _input(file: Path) -> tuple[Tensor, Tensor]:
    """Mean and deviation of 8-bit RGB."""
    value = load_json(file) if file.is_file() else {}
    if not isinstance(value, dict):
        raise InputError(file=file, expected="an object", found=type(value).__name__)
    factor = value.get("rescale_factor", 1 / 255) if value.get("do_rescale", True) else 1.0
    if not isinstance(factor, (int, float)) or not 1e-6 < factor < 1e6:
        raise InputError(file=file, field="rescale_factor", expected="a positive number", found=factor)
    unit = 1 / factor
    pair = [IMAGENET_MEAN, IMAGENET_STD]
    if value:
        pair = [value.get("image_mean", pair[0]), value.get("image_std", pair[1])]
    if not value.get("do_normalize", True):
        pair = [(0.0,) * 3, (1.0,) * 3]
    try:
        mean, std = (unit * torch.tensor(v, dtype=torch.float32).view(3, 1, 1) for v in pair)
    except (TypeError, ValueError, RuntimeError):
        mean = std = torch.full((3, 1, 1), math.nan)
    if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
        raise InputError(file=file, field="image_mean, image_std", expected="three numbers, std above 0", found=pair)
    return mean, std


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the library's reports and bars out of the user's sight; what is wrong is said by us."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
