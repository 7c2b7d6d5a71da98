"""Tiny ONNX models with the signatures of RTMDet, YOLOX and RTMPose, and answers that can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

__all__ = ["boxes_model", "pose_model", "raw_boxes_model"]


def _save(path: Path, nodes: list, outputs: dict[str, list], constants: dict[str, np.ndarray], shape: list) -> Path:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kinds = {"labels": TensorProto.INT64}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(n, kinds.get(n, TensorProto.FLOAT), s) for n, s in outputs.items()],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def boxes_model(path: Path, boxes: np.ndarray, labels: list[int], *, side: int = 64) -> Path:
    """Gives the same boxes (n, 5) and labels for every image."""
    from onnx import helper

    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["none"]),
        helper.make_node("Add", ["boxes", "none"], ["dets"]),
        helper.make_node("Identity", ["numbers"], ["labels"]),
    ]
    constants = {
        "boxes": boxes[None].astype(np.float32),
        "numbers": np.array([labels], np.int64),
        "nothing": np.zeros(1, np.float32),
    }
    n = len(boxes)
    return _save(path, nodes, {"dets": [1, n, 5], "labels": [1, n]}, constants, [1, 3, side, side])


def raw_boxes_model(path: Path, rows: np.ndarray, *, side: int = 64) -> Path:
    """YOLOX without suppression: rows (cells, 5 + classes)."""
    from onnx import helper

    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["none"]),
        helper.make_node("Add", ["rows", "none"], ["output"]),
    ]
    constants = {"rows": rows[None].astype(np.float32), "nothing": np.zeros(1, np.float32)}
    return _save(path, nodes, {"output": [1, *rows.shape]}, constants, [1, 3, side, side])


def pose_model(
    path: Path, joints: int = 17, *, size_wh: tuple[int, int] = (48, 64), batch: str | int = "batch"
) -> Path:
    """All joints lie on the reddest pixel of the patch: its maxima over columns and rows as SimCC, at twice the size.

    The values are divided so that a red pixel gives a confidence of about 1.
    """
    from onnx import helper

    w, h = size_wh
    nodes = []
    for axis, name in ((2, "simcc_x"), (3, "simcc_y")):
        nodes += [
            helper.make_node("Gather", ["input", "red"], [f"r_{name}"], axis=1),
            helper.make_node("ReduceMax", [f"r_{name}"], [f"m_{name}"], axes=[axis], keepdims=0),  # (b, 1, n)
            helper.make_node("Mul", [f"m_{name}", "scale"], [f"s_{name}"]),
            helper.make_node("MatMul", [f"s_{name}", f"twice_{name}"], [f"t_{name}"]),  # (b, 1, 2n)
            helper.make_node("Tile", [f"t_{name}", "repeats"], [name]),
        ]
    constants = {
        "red": np.array([0], np.int64),
        "scale": np.array([1 / 2.2], np.float32),
        "repeats": np.array([1, joints, 1], np.int64),
        "twice_simcc_x": np.repeat(np.eye(w, dtype=np.float32), 2, 1) * np.tile([1, 0.9], w).astype(np.float32),
        "twice_simcc_y": np.repeat(np.eye(h, dtype=np.float32), 2, 1) * np.tile([1, 0.9], h).astype(np.float32),
    }
    outputs: dict[str, list] = {"simcc_x": [batch, joints, 2 * w], "simcc_y": [batch, joints, 2 * h]}
    return _save(path, nodes, outputs, constants, [batch, 3, h, w])
