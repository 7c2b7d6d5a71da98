"""ONNX models of the user's: opened with a known input size, on the device asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from poselift.errors import InputError, MissingExtraError

__all__ = ["OnnxModel", "check_onnxruntime", "open_onnx"]

MAX_BYTES = 4 << 30


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxModel:
    """An open session: one input (b, 3, h, w) of stated height and width; `batched` if b is free."""

    path: Path
    session: Any
    size_wh: tuple[int, int]
    batched: bool
    outputs: tuple[str, ...]

    def __call__(self, patches: Float32[np.ndarray, "b 3 h w"]) -> list[np.ndarray]:
        """All outputs for a batch, one by one where the model takes one image only. Raises `InputError`."""
        name = self.session.get_inputs()[0].name
        parts = [patches] if self.batched else [patches[i : i + 1] for i in range(len(patches))]
        try:
            made: list[Any] = [self.session.run(None, {name: part}) for part in parts]
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise InputError(f"the model fails: {error}", file=self.path) from None
        return [np.concatenate([one[i] for one in made]) for i in range(len(self.outputs))]


def check_onnxruntime() -> None:
    """Raises `MissingExtraError` where there is no ONNX Runtime."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        raise MissingExtraError("onnxruntime", "onnx", "running ONNX detectors") from None


def open_onnx(path: Path, device: str | None) -> OnnxModel:
    """Open a model file. Raises `InputError` for a damaged one or one with other inputs, `MissingExtraError`."""
    check_onnxruntime()
    import onnxruntime

    if not path.is_file():
        raise InputError("no such file", file=path)
    if not 0 < path.stat().st_size <= MAX_BYTES:
        raise InputError(file=path, expected=f"1 to {MAX_BYTES:,} bytes", found=f"{path.stat().st_size:,}")
    providers: list[Any] = ["CPUExecutionProvider"]
    available = onnxruntime.get_available_providers()
    if device != "cpu" and "CUDAExecutionProvider" in available and (device is None or device.startswith("cuda")):
        index = int(device.partition(":")[2] or 0) if device else 0
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": index}))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise InputError(f"no ONNX model that can be run, or damaged: {why}", file=path) from None
    inputs = session.get_inputs()
    shape = inputs[0].shape if inputs else []
    sized = len(inputs) == 1 and len(shape) == 4 and shape[1] == 3 and all(isinstance(n, int) for n in shape[2:])
    if not sized or inputs[0].type != "tensor(float)" or not all(16 <= n <= 4096 for n in shape[2:]):
        want = "one float image (batch, 3, height, width) of stated size"
        raise InputError(file=path, field="input", expected=want, found=f"{len(inputs)} of {shape}")
    outputs = tuple(o.name for o in session.get_outputs())
    size = (int(shape[3]), int(shape[2]))
    return OnnxModel(path=path, session=session, size_wh=size, batched=not isinstance(shape[0], int), outputs=outputs)
