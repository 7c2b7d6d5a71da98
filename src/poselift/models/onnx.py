"""Lifters as ONNX files: export with a check of parity, and `OnnxLifter`, which runs them without torch.

A file holds the whole of `Lifter.lift` (part "lift": image keypoints → metres in camera axes, flip averaging inside
if asked for) or only the network (part "forward"). Persons b and frames t are free. The file's metadata says part,
family, config, card and receptive field, so that it is complete by itself like a model folder.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from poselift.errors import InputError, MissingExtraError
from poselift.storage.atomic import write_aside
from poselift.structures.skeleton import Skeleton, skeleton

if TYPE_CHECKING:
    from poselift.models.base import Lifter

__all__ = ["OnnxLifter", "check_onnx", "export_onnx"]

Part = Literal["lift", "forward"]
INPUTS: dict[str, tuple[str, ...]] = {"lift": ("kp_img", "conf", "K", "size_wh"), "forward": ("kp_norm",)}
OUTPUT = "p_root"
METADATA = "poselift"
TOLERANCE_M = 1e-4
MAX_ONNX_BYTES = 2 << 30


def export_onnx(
    lifter: Lifter,
    path: str | Path,
    *,
    part: Part = "lift",
    flip_average: bool = False,
    card: Mapping[str, Any] | None = None,
) -> float:
    """Write a lifter as one ONNX file; returns its largest difference from torch in metres.

    flip_average is only for part "lift". Lifters of whole sequences are refused (`InputError`): the exporter does not
    follow the lengths of a network that goes down to every 16th frame and up again. The file appears only if the
    difference is within 0.1 mm (`RuntimeError` otherwise). Raises `OutputError` where it cannot be written,
    `MissingExtraError` without the extra `onnx`.
    """
    if lifter.sequence:
        raise InputError(field="model", expected="a lifter of frames or of windows", found="one of whole sequences")
    for library in ("onnx", "onnxscript", "onnxruntime"):
        _need(library, "exporting to ONNX")
    import copy

    import torch

    from poselift.models.config_json import config_to_json
    from poselift.models.lifters import family_of

    lifter = copy.deepcopy(lifter).cpu().float().eval()
    t = lifter.receptive_field + 1
    b_dim, t_dim = torch.export.Dim("b", min=1, max=1 << 24), torch.export.Dim("t", min=lifter.receptive_field)
    inputs = _example(lifter, part, people=2, frames=t)
    over_time = {"kp_img", "conf", "kp_norm"}
    shapes = {n: {0: b_dim, 1: t_dim} if n in over_time else {0: b_dim} for n in INPUTS[part]}
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            _part_module(lifter, part, flip_average=flip_average), tuple(inputs), input_names=INPUTS[part],
            output_names=[OUTPUT], dynamic_shapes=tuple(shapes.values()), dynamo=True, verbose=False,
            external_data=False,
        )  # fmt: skip
    assert program is not None
    proto = program.model_proto
    about = {
        "part": part, "flip_average": flip_average, "skeleton": lifter.skeleton.name, "in_channels": lifter.in_channels,
        "receptive_field": lifter.receptive_field, "causal": lifter.causal, "family": family_of(lifter.config),
        "config": config_to_json(lifter.config), "card": dict(card or {}), "axes": "x right, y down, z forward",
        "units": "metres, root-relative",
    }  # fmt: skip
    proto.metadata_props.add(key=METADATA, value=json.dumps(about))
    with write_aside(path) as aside:
        aside.write_bytes(proto.SerializeToString())
        return check_onnx(lifter, aside)


def check_onnx(lifter: Lifter, path: str | Path) -> float:
    """Run a file and the lifter it was made from on the same keypoints (persons and joints missing, one frame, many).

    Returns the largest difference in metres. Raises `RuntimeError` where it exceeds 0.1 mm (relative to poses of a
    metre; more for a network whose output is larger).
    """
    import torch

    runner = OnnxLifter(path)
    lifter = lifter.eval()
    module, worst = _part_module(lifter, runner.part, flip_average=runner.flip_average), 0.0
    for people, frames in ((1, lifter.receptive_field), (5, lifter.receptive_field + 3)):
        inputs = _example(lifter, runner.part, people=people, frames=frames)
        with torch.no_grad():
            want = module(*inputs).numpy()
        got = runner.run(*(x.numpy() for x in inputs))
        difference = float(np.abs(got - want).max()) if got.shape == want.shape else np.inf
        if not difference <= TOLERANCE_M * max(1.0, float(np.abs(want).max())):
            raise RuntimeError(f"{path}: ONNX and torch differ by {difference:.2e} m ({got.shape}, {want.shape})")
        worst = max(worst, difference)
    return worst


class OnnxLifter:
    """A lifter from an ONNX file of `export_onnx`; needs onnxruntime and numpy only.

    skeleton, receptive_field, causal as of a `Lifter`; part, flip_average, config, card as it was exported.
    threads: 0 lets onnxruntime choose. Raises `InputError` for a file that is none of ours, `MissingExtraError`.
    """

    def __init__(self, path: str | Path, *, providers: Sequence[str] | None = None, threads: int = 0) -> None:
        _need("onnxruntime", "running an ONNX model")
        import onnxruntime as ort

        self.file = Path(path)
        if not self.file.is_file():
            raise InputError("no such file", file=path)
        if self.file.stat().st_size > MAX_ONNX_BYTES:
            raise InputError(file=path, expected=f"at most {MAX_ONNX_BYTES:,} bytes", found="more")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(self.file), options, providers=list(providers or ["CPUExecutionProvider"])
            )
            text = self._session.get_modelmeta().custom_metadata_map.get(METADATA)
        except Exception as error:  # onnxruntime has a class of its own for every way a file can be broken
            raise InputError(file=path, expected="a whole ONNX model", found=error) from None
        try:
            about = json.loads(text or "")
            self.part: Part = about["part"]
            self.skeleton: Skeleton = skeleton(about["skeleton"])
            self.receptive_field, self.causal = int(about["receptive_field"]), bool(about["causal"])
            self.in_channels, self.flip_average = int(about["in_channels"]), bool(about["flip_average"])
            self.family, self.config, self.card = about["family"], about["config"], about["card"]
            names = tuple(i.name for i in self._session.get_inputs())
            if names != INPUTS[self.part]:
                raise KeyError(str(names))
        except (KeyError, TypeError, ValueError):
            found = "metadata of something else" if text else "no metadata of poselift"
            raise InputError(file=path, expected="an ONNX lifter made by poselift", found=found) from None

    def lift(
        self,
        kp_img: Float[np.ndarray, "b t j 2"],
        conf: Float[np.ndarray, "b t j"],
        K: Float[np.ndarray, "b 3 3"],
        size_wh: Float[np.ndarray, "b 2"],
    ) -> Float[np.ndarray, "b t_out j 3"]:
        """Pixels → p_root in metres, camera axes, as `Lifter.lift`. Raises `InputError` if only the network is here."""
        self._must_be("lift")
        return self.run(kp_img, conf, K, size_wh)

    def forward(self, kp_norm: Float[np.ndarray, "b t j c"]) -> Float[np.ndarray, "b t_out j 3"]:
        """Network input → p_root in metres, axes of the input frame, as `Lifter.forward`."""
        self._must_be("forward")
        return self.run(kp_norm)

    def run(self, *inputs: np.ndarray) -> np.ndarray:
        """The file's inputs in their order (`INPUTS`), any float type → its output, float32."""
        feed = {
            name: np.ascontiguousarray(x, dtype=np.float32) for name, x in zip(INPUTS[self.part], inputs, strict=True)
        }
        return np.asarray(self._session.run([OUTPUT], feed)[0])

    def _must_be(self, part: Part) -> None:
        if self.part != part:
            raise InputError(file=self.file, field="part", expected=f"'{part}'", found=f"'{self.part}'")


def _part_module(lifter: Lifter, part: Part, *, flip_average: bool) -> Any:
    """The module that is exported: `lift` with its switch set, or the lifter itself."""
    from torch import Tensor, nn

    if part == "forward":
        if flip_average:
            raise InputError(field="flip_average", expected="part 'lift'", found="part 'forward'")
        return lifter

    class Lift(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lifter = lifter

        def forward(self, kp_img: Tensor, conf: Tensor, K: Tensor, size_wh: Tensor) -> Tensor:
            return self.lifter.lift(kp_img, conf, K, size_wh, flip_average=flip_average)

    return Lift().eval()


def _example(lifter: Lifter, part: Part, *, people: int, frames: int) -> list[Any]:
    """Inputs as they come: people in a 1000 × 800 picture; a joint, and of several people one, are missing."""
    import torch

    g, j = torch.Generator().manual_seed(0), len(lifter.skeleton)
    centre = torch.tensor((500.0, 400.0)) + 100 * torch.randn(people, 1, 1, 2, generator=g)
    kp = centre + 80 * torch.randn(people, frames, j, 2, generator=g)
    conf = 0.2 + 0.8 * torch.rand(people, frames, j, generator=g)
    conf[:, :, j // 2] = 0
    if people > 1:
        conf[-1, -1] = 0
    K = torch.tensor([[1100.0, 0, 499.5], [0, 1100, 399.5], [0, 0, 1]]).repeat(people, 1, 1)
    size = torch.tensor((1000.0, 800.0)).repeat(people, 1)
    if part == "lift":
        return [kp, conf, K, size]
    with torch.no_grad():
        return [lifter.encode(kp, conf, K, size)[0]]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own workings (torchvision that is not there, names of axes)."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _need(library: str, purpose: str) -> None:
    from importlib.util import find_spec

    if find_spec(library) is None:
        raise MissingExtraError(library, "onnx", purpose)
