"""MediaPipe's pose models: taken once from the package that carries them, kept in the user's cache.

MediaPipe's current packages hold no models; that of 0.10.21 (Apache-2.0) does. pip fetches its wheel, two members
are taken out, compared with the SHA-256 stated here and kept; nothing of the wheel is run. Bundled with the
normalisation of their input that the Tasks API wants to read in them they make a pose landmarker's .task file.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poselift.errors import InputError, MissingExtraError
from poselift.storage.archives import open_archive
from poselift.storage.atomic import write_aside
from poselift.storage.cache import cache_folder, sha256_of

__all__ = ["CARRIER", "MODELS", "ModelFile", "landmarker_task", "model_files"]

CARRIER = "mediapipe==0.10.21"
_WHEEL = "mediapipe-0.10.21-*.whl"
# One fixed wheel, whatever this machine is: the models in it are the same for all.
_PIP = (
    "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--implementation", "cp",
    "--python-version", "3.12", "--abi", "cp312", "--platform", "manylinux_2_28_x86_64", "--retries", "1", CARRIER,
)  # fmt: skip
_WAIT_S = 900


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """One model: its place in the wheel, its SHA-256, its name in the .task file, and input = (pixel - mean) / std."""

    member: str
    sha256: str
    name: str
    mean: float
    std: float


MODELS = (
    ModelFile(
        member="mediapipe/modules/pose_detection/pose_detection.tflite",
        sha256="9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        name="pose_detector.tflite",
        mean=127.5,
        std=127.5,
    ),
    ModelFile(
        member="mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
        sha256="e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        name="pose_landmarks_detector.tflite",
        mean=0.0,
        std=255.0,
    ),
)


def landmarker_task(*, say: Callable[[str], None] | None = None) -> bytes:
    """A pose landmarker's .task file. Raises `InputError`, `MissingExtraError`."""
    held = model_files(say=say)
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as archive:
        for model in MODELS:
            info = zipfile.ZipInfo(model.name, (1980, 1, 1, 0, 0, 0))
            start = bundle.tell() + 30 + len(model.name)
            info.extra = b"\0\0" + (pad := -(start + 4) % 16).to_bytes(2, "little") + bytes(pad)
            archive.writestr(info, _with_normalisation(held[model.name], model))
    return bundle.getvalue()


def model_files(*, say: Callable[[str], None] | None = None) -> dict[str, bytes]:
    """The models by their name in the .task file, from the cache if they are there and sound, else fetched.

    Raises `InputError` where they cannot be fetched, or where what was fetched is not what it should be.
    """
    folder = cache_folder("mediapipe-0.10.21")
    held = {m.name: _sound(folder / m.name, m) for m in MODELS}
    damaged = [m.name for m in MODELS if held[m.name] is None and (folder / m.name).exists()]
    missing = [m for m in MODELS if held[m.name] is None]
    if missing:
        fetched = _from_carrier(folder, missing, damaged, say)
        for model in missing:
            held[model.name] = fetched[model.name]
            with write_aside(folder / model.name) as aside:
                aside.write_bytes(fetched[model.name])
    return {name: data for name, data in held.items() if data is not None}


def _sound(path: Path, model: ModelFile) -> bytes | None:
    """The bytes of a cached model, None if it is not there or not the one it should be."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if sha256_of(data) == model.sha256 else None


def _from_carrier(
    folder: Path, wanted: list[ModelFile], damaged: list[str], say: Callable[[str], None] | None
) -> dict[str, bytes]:
    """Members of a wheel that the user put into the cache folder, or else of the one that pip fetches."""
    wheels = sorted(folder.glob(_WHEEL))
    if wheels:
        return _members(wheels[0], wanted)
    if say is not None:
        say("fetching MediaPipe's pose models, once (36 MB)")
    with tempfile.TemporaryDirectory() as temporary:
        why = _pip_download(Path(temporary))
        wheels = sorted(Path(temporary).glob(_WHEEL))
        if wheels:
            return _members(wheels[0], wanted)
    state = f"damaged in the cache ({', '.join(damaged)}) and " if damaged else ""
    else_where = f"Without a network: put a wheel of {CARRIER} into {folder}"
    raise InputError(f"MediaPipe's pose models are {state}not to be fetched: {why}. {else_where}", field="detector")


def _pip_download(folder: Path) -> str:
    """Lets pip fetch the wheel into a folder; why it did not, if it did not."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", *_PIP, "--dest", str(folder)],
            capture_output=True, text=True, timeout=_WAIT_S, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"pip: {error}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["pip gave no wheel"]
    return errors[-1].removeprefix("ERROR: ")[:160]


def _members(wheel: Path, wanted: list[ModelFile]) -> dict[str, bytes]:
    """The wanted models out of a wheel, each what it should be. Raises `InputError`."""
    out = {}
    with open_archive(wheel, max_bytes=1 << 30) as archive:
        for model in wanted:
            if model.member not in archive:
                raise InputError(file=wheel.name, expected=model.member, found="none")
            data = archive.read(model.member, max_bytes=64 << 20)
            if (found := sha256_of(data)) != model.sha256:
                want = f"SHA-256 {model.sha256[:12]}…"
                raise InputError(file=wheel.name, field=model.member, expected=want, found=f"{found[:12]}…")
            out[model.name] = data
    return out


def _with_normalisation(tflite: bytes, model: ModelFile) -> bytes:
    """The model with mean and standard deviation of its input written into its metadata."""
    try:
        import flatbuffers
        from mediapipe.tasks.metadata import metadata_schema_py_generated as meta
        from mediapipe.tasks.metadata import schema_py_generated as schema
    except ImportError:
        raise MissingExtraError("mediapipe", "video", "finding people in pictures") from None
    schemas: Any = schema
    metas: Any = meta

    numbers = metas.NormalizationOptionsT()
    numbers.mean, numbers.std = [model.mean], [model.std]
    unit = metas.ProcessUnitT()
    unit.optionsType, unit.options = metas.ProcessUnitOptions.NormalizationOptions, numbers
    tensor, graph, told = metas.TensorMetadataT(), metas.SubGraphMetadataT(), metas.ModelMetadataT()
    tensor.processUnits, graph.inputTensorMetadata, told.subgraphMetadata = [unit], [tensor], [graph]
    packed = flatbuffers.Builder(256)
    packed.Finish(told.Pack(packed), b"M001")

    network = schemas.ModelT.InitFromPackedBuf(tflite, 0)
    buffer, entry = schemas.BufferT(), schemas.MetadataT()
    buffer.data = list(bytes(packed.Output()))
    network.buffers.append(buffer)
    entry.name, entry.buffer = "TFLITE_METADATA", len(network.buffers) - 1
    network.metadata = [m for m in network.metadata or [] if bytes(m.name) != b"TFLITE_METADATA"] + [entry]
    out = flatbuffers.Builder(len(tflite) + 4096)
    out.Finish(network.Pack(out), b"TFL3")
    return bytes(out.Output())
