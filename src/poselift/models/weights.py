"""Native weights: a model is a folder of model.safetensors, config.json and README.md (`models.cards`), never a pickle.

save_model(lifter, "runs/a/model", card={"summary": ..., "data_licence": ...})
lifter = load_model("runs/a/model")          # or the name of embedded weights, or "hf:org/name[@revision]"

A model is of a kind: a lifter, a refiner (`load_refiner`), a root model (`load_root`), a critic (`load_critic`), or of
pictures: joints (`load_image`), roots (`load_image_root`), features (`load_backbone`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from poselift.errors import InputError, unknown_name
from poselift.models.base import Lifter, Refiner, RootModel
from poselift.models.cards import (
    CONFIG,
    README,
    WEIGHTS,
    ModelInfo,
    config_text,
    embedded_folder,
    embedded_models,
    model_info,
    readme_text,
)
from poselift.models.cards import list_models as list_models
from poselift.models.config_json import config_from_json, config_to_json
from poselift.models.critics.base import Critic
from poselift.models.images.base import ImagePose, ImageRoot
from poselift.models.kinds import KINDS, kind_and_family
from poselift.models.resnet import ResNet
from poselift.storage.atomic import write_folder_aside
from poselift.storage.hub import hub_file

__all__ = [
    "expected_shapes",
    "find_model",
    "hub_files",
    "list_models",
    "load_backbone",
    "load_critic",
    "load_image",
    "load_image_root",
    "load_model",
    "load_refiner",
    "load_root",
    "model_source",
    "save_model",
]

_RANDOM = {Tensor.normal_, Tensor.uniform_}
_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_PICKLES = (".pth", ".pt", ".bin", ".tar", ".ckpt", ".pkl", ".pickle", ".params", ".h5", ".npz")


def save_model(
    model: nn.Module, folder: str | Path, *, card: Mapping[str, Any] | None = None, half: bool = False
) -> Path:
    """Write the folder of a model of any kind, whole or not at all; returns it.

    card: plain values for people and for `list_models` (see `models.cards`). half: store floating weights in 16 bits
    (half the size; loading gives float32 again). Raises `OutputError` where it cannot be written.
    """
    from safetensors.torch import save

    folder, card = Path(folder), dict(card or {})
    kind, family = kind_and_family(model.config)
    config = config_to_json(model.config)
    state = {k: _stored(v, half) for k, v in model.state_dict().items()}
    with write_folder_aside(folder) as aside:
        (aside / WEIGHTS).write_bytes(save(state, metadata={"format": "pt", "sha256": _digest(state)}))
        (aside / CONFIG).write_text(config_text(kind=kind, family=family, config=config, card=card), encoding="utf-8")
        text = readme_text(name=folder.resolve().name, kind=kind, family=family, config=config, card=card)
        (aside / README).write_text(text, encoding="utf-8")
    return folder


def model_source(text: str) -> str | Path:
    """A folder where there is one: a model's name otherwise."""
    return Path(text) if Path(text).is_dir() else text


def load_model(source: str | Path, *, device: torch.device | str = "cpu") -> Lifter:
    """The lifter of a model folder, of embedded weights by name, or of the Hugging Face Hub; in eval mode, float32.

    Raises `InputError` for anything else: no such model, a pickle, a config of another architecture, tensors that are
    missing, left over, of another shape, damaged or not finite.
    """
    return cast(Lifter, _load(source, "lifter", device))


def load_refiner(source: str | Path, *, device: torch.device | str = "cpu") -> Refiner:
    """The refiner of a model folder, as `load_model` for lifters."""
    return cast(Refiner, _load(source, "refiner", device))


def load_root(source: str | Path, *, device: torch.device | str = "cpu") -> RootModel:
    """The root model of a model folder, as `load_model` for lifters."""
    return cast(RootModel, _load(source, "root", device))


def load_critic(source: str | Path, *, device: torch.device | str = "cpu") -> Critic:
    """The critic of a model folder, as `load_model` for lifters."""
    return cast(Critic, _load(source, "critic", device))


def load_image(source: str | Path, *, device: torch.device | str = "cpu") -> ImagePose:
    """The network from pictures to joints of a model folder, as `load_model` for lifters."""
    return cast(ImagePose, _load(source, "image", device))


def load_image_root(source: str | Path, *, device: torch.device | str = "cpu") -> ImageRoot:
    """The network from pictures to roots of a model folder, as `load_model` for lifters."""
    return cast(ImageRoot, _load(source, "image_root", device))


def load_backbone(source: str | Path, *, device: torch.device | str = "cpu") -> ResNet:
    """The backbone of a model folder, also one that a network of pictures has, as `load_model` for lifters."""
    kind = find_model(source).kind
    if kind not in ("image", "image_root"):
        return cast(ResNet, _load(source, "backbone", device))
    found = cast(ResNet, _load(source, kind, device).backbone)
    with torch.random.fork_rng(devices=[]):
        alone = ResNet(found.config)
    state = found.state_dict()  # a network's head may stand beside its backbone
    alone.load_state_dict({k: state[k] for k in alone.state_dict()})
    return alone.eval().to(device)


def _load(source: str | Path, kind: str, device: torch.device | str) -> nn.Module:
    info = find_model(source)
    model = _build(info, kind)
    model.load_state_dict(_read_state(info.folder / WEIGHTS, model))
    return model.eval().to(device)


def find_model(source: str | Path) -> ModelInfo:
    """Where a model is and what it says about itself. Raises `InputError` (see `load_model`)."""
    text = str(source)
    if isinstance(source, str) and text.startswith("hf:"):
        return model_info(hub_files(text, (CONFIG, WEIGHTS)))
    path = Path(source).expanduser()
    if path.is_dir():
        return model_info(path)
    if path.is_file():
        if path.name in (WEIGHTS, CONFIG):
            return model_info(path.parent)
        what = "a pickle or another framework's checkpoint" if path.suffix.lower() in _PICKLES else "a file"
        raise InputError(file=path, expected=f"a model folder with {CONFIG} and {WEIGHTS}", found=what)
    if text in embedded_models():
        return model_info(embedded_folder(text))
    if isinstance(source, Path) or "/" in text or "\\" in text or text.startswith("."):
        raise InputError("no such model folder", file=source)
    raise unknown_name("model", text, embedded_models())


def hub_files(source: str, names: Sequence[str], *, optional: Sequence[str] = ()) -> Path:
    """The local folder with these files of `hf:organisation/name[@revision]` of the Hub, fetched if need be.

    Raises `InputError` where one cannot be had; those in `optional` may be missing there.
    """
    match = _HUB.fullmatch(source.removeprefix("hf:"))
    if match is None:
        raise InputError(field="model", expected="hf:organisation/name, or with @revision", found=source)
    repository, revision = match["repo"], match["revision"]
    files = [hub_file(repository, name, revision=revision) for name in names]
    for name in optional:
        hub_file(repository, name, revision=revision, optional=True)
    assert files[0] is not None
    return files[0].parent


def _build(info: ModelInfo, kind: str) -> nn.Module:
    """The network of a config, checked against the weights' header before memory is taken for it."""
    file, table = info.folder / CONFIG, KINDS[kind]
    if info.kind != kind:
        raise InputError(file=file, field="kind", expected=kind, found=info.kind)
    if info.family not in table:
        raise unknown_name(kind, info.family, table, file=file)
    config_class, model_class = table[info.family]
    config = config_from_json(config_class, info.config, file=file)
    try:
        _compare(expected_shapes(model_class, config), _shapes(info.folder / WEIGHTS), info)
        with torch.random.fork_rng(devices=[]):  # reading a model leaves the caller's random numbers alone
            return model_class(config)
    except InputError as error:
        raise error if error.file is not None else InputError(str(error), file=file) from None


def expected_shapes(model_class: type[nn.Module], config: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a model's state, without memory for it. Raises `InputError` for an impossible config."""
    with torch.device("meta"), _NoInitialisation():
        return {k: tuple(v.shape) for k, v in model_class(config).state_dict().items()}


class _NoInitialisation(TorchFunctionMode):
    """On the meta device there is nothing to fill; torch would import its decompositions (seconds) to do so."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _RANDOM or getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes in a safetensors file; reads its header only."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as f:
            return {k: tuple(f.get_slice(k).get_shape()) for k in f.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise InputError(file=file, expected="a whole safetensors file", found=error) from None


def _compare(expected: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]], info: ModelInfo) -> None:
    file = info.folder / WEIGHTS
    what = f"not the weights of a {info.family} of this config"
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or extra:
        named = [(k, n) for k, n in (("missing", missing), ("left over", extra)) if n]
        parts = [f"{len(n)} tensor{'s' * (len(n) > 1)} {k} ({n[0]}{', …' * (len(n) > 1)})" for k, n in named]
        raise InputError(f"{what}: {', '.join(parts)}", file=file)
    for name, shape in expected.items():
        if found[name] != shape:
            raise InputError(what, file=file, field=name, expected=f"shape {shape}", found=f"shape {found[name]}")


def _read_state(file: Path, model: nn.Module) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as f:
            metadata = f.metadata() or {}
            state = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise InputError(file=file, expected="a whole safetensors file", found=error) from None
    if metadata.get("sha256") not in (None, _digest(state)):
        raise InputError("the weights are damaged: their checksum is not the stored one", file=file)
    for name, own in model.state_dict().items():
        t = state[name]
        if t.is_floating_point() != own.is_floating_point() or t.is_complex():
            raise InputError(file=file, field=name, expected=str(own.dtype), found=str(t.dtype))
        if not torch.isfinite(t.sum(dtype=torch.float64)):  # one pass; NaN and infinity stay in a sum
            raise InputError(file=file, field=name, expected="finite weights", found="NaN or infinite")
    return state


def _stored(t: Tensor, half: bool) -> Tensor:
    """A copy on the CPU that is stored; running variances keep 32 bits, their range is wide."""
    t = t.detach().cpu()
    return (t.half() if half and t.is_floating_point() and t.ndim > 1 else t).contiguous().clone()


def _digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names and bytes of all tensors, in the order of their names."""
    sha = hashlib.sha256()
    for name in sorted(state):
        sha.update(name.encode())
        sha.update(state[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
