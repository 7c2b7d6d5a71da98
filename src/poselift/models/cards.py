"""Models on disk: what a model folder says about itself. Reading it needs no torch.

    <folder>/model.safetensors   the weights (`models.weights`)
    <folder>/config.json         {format, format_version, library_version, kind, family, config, card}
    <folder>/README.md           the card for people, made from `card`

`card` is an open mapping of plain values. Known entries: `summary`, `data` and `data_licence` (what it was trained on),
`licence` (of the weights), `errors` or `validation` ({figure: value}), `commit`, `limits`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poselift.errors import InputError
from poselift.storage.text import load_json

__all__ = [
    "CONFIG", "EMBEDDED", "README", "WEIGHTS", "ModelInfo", "config_text", "embedded_folder", "embedded_models",
    "list_models", "model_info", "readme_text",
]  # fmt: skip

EMBEDDED = Path(__file__).parent / "embedded"
"""Folder of the weights that come with the package: one model folder for each name."""

WEIGHTS, CONFIG, README = "model.safetensors", "config.json", "README.md"
FORMAT, FORMAT_VERSION = "poselift-model", 1
MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What `config.json` says: one line of `poselift models`, and all that is needed to build the network."""

    name: str
    folder: Path
    kind: str
    family: str
    config: Mapping[str, Any]
    card: Mapping[str, Any]
    library_version: str
    bytes: int
    """Size of the weights."""

    @property
    def summary(self) -> str:
        return str(self.card.get("summary", ""))

    @property
    def data(self) -> str:
        """What it was trained on."""
        return str(self.card.get("data", "not stated"))

    @property
    def data_licence(self) -> str:
        """The licence of what it was trained on."""
        return str(self.card.get("data_licence", "not stated"))

    @property
    def errors(self) -> Mapping[str, Any]:
        """{figure: value}, the unit in the figure's name; empty if nothing was measured."""
        found = self.card.get("errors") or self.card.get("validation") or {}
        return found if isinstance(found, Mapping) else {}


def embedded_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(p.parent.name for p in EMBEDDED.glob(f"*/{CONFIG}"))


def embedded_folder(name: str) -> Path:
    """The folder of a model that comes with the package."""
    return EMBEDDED / name


def list_models() -> list[ModelInfo]:
    """The models that come with the package, each with data, licence, error and size."""
    return [model_info(embedded_folder(name)) for name in embedded_models()]


def model_info(folder: str | Path) -> ModelInfo:
    """What a model folder says about itself. Raises `InputError` for a folder that is no model."""
    folder = Path(folder)
    file = folder / CONFIG
    if not file.is_file():
        raise InputError(file=folder, expected=f"a model folder with {CONFIG} and {WEIGHTS}", found=f"no {CONFIG}")
    top = load_json(file, max_bytes=MAX_CONFIG_BYTES)
    if not isinstance(top, dict) or top.get("format") != FORMAT:
        raise InputError(file=file, field="format", expected=f"'{FORMAT}'", found="the config of something else")
    version = top.get("format_version")
    if version != FORMAT_VERSION:
        found = f"{version} (poselift {top.get('library_version', 'unknown')})"
        raise InputError(file=file, field="format_version", expected=FORMAT_VERSION, found=found)
    fields = {"kind": str, "family": str, "config": dict, "card": dict, "library_version": str}
    for name, kind in fields.items():
        if not isinstance(top.get(name), kind):
            expected = {str: "a text", dict: "an object"}[kind]
            raise InputError(file=file, field=name, expected=expected, found=type(top.get(name)).__name__)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise InputError(file=folder, expected=f"a model folder with {CONFIG} and {WEIGHTS}", found=f"no {WEIGHTS}")
    return ModelInfo(
        name=folder.resolve().name, folder=folder, bytes=weights.stat().st_size, **{name: top[name] for name in fields}
    )


def config_text(*, kind: str, family: str, config: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    """The text of `config.json`."""
    top = {
        "format": FORMAT, "format_version": FORMAT_VERSION, "library_version": _version(), "kind": kind,
        "family": family, "config": dict(config), "card": dict(card),
    }  # fmt: skip
    return json.dumps(top, indent=2, ensure_ascii=False) + "\n"


def readme_text(*, name: str, kind: str, family: str, config: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    """The model card for people (Markdown, with the header that the Hugging Face Hub reads)."""
    licence = card.get("licence")
    lines = ["---", "library_name: poselift", "tags: [3d-human-pose, pose-lifting]"]
    lines += [f"license: {str(licence).lower()}"] if licence else []
    lines += ["---", "", f"# {name}", ""]
    lines += [str(card["summary"]), ""] if card.get("summary") else []
    layout = f", skeleton `{config['skeleton']}`" if "skeleton" in config else ""
    lines += [f"A `{family}` of poselift {_version()}{layout}.", ""]
    for key, value in card.items():
        title = key.replace("_", " ").capitalize()
        if key == "summary":
            continue
        if isinstance(value, Mapping):
            lines += [f"## {title}", "", "| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in value.items()), ""]
        else:
            lines += [f"**{title}:** {value}", ""]
    load = "load_model" if kind == "lifter" else f"load_{kind}"
    lines += ["## Use", "", "```python", f"from poselift.models.weights import {load}", ""]
    lines += [f'{kind} = {load}("path/to/this/folder")', "```", "", "## Config", "", "```json"]
    return "\n".join([*lines, json.dumps(dict(config), indent=2), "```", ""])


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("poselift")
    except PackageNotFoundError:
        return "unknown"
