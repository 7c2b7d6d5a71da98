"""Files as the published codes write them, with the weights of the parity vectors."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.fill import fill_arrays
from parity_vectors import description, vectors

FIXTURES = Path(__file__).parent / "fixtures" / "checkpoints"
FAMILIES = {
    "linear-erd": ["erd_linear_small", "erd_linear_pca30", "erd_linear_17"],
    "lcn-erd": ["erd_lcn_k1_h8", "erd_lcn_k2_h8", "erd_lcn_k3_h64"],
    "semgcn-erd": ["erd_semgcn_small", "erd_semgcn_nononlocal", "erd_semgcn_nl"],
    "refiner-erd": [f"erd_increment_{f}" for f in ("delta", "proj", "ori", "cat", "catproj")]
    + [f"erd_increment_{f}_pca30" for f in ("delta", "proj", "cat")],
    "pelvis-erd": ["erd_regress_pelvis"],
    "linear-pytorch": ["linear_16_pytorch"],
    "semgcn-original": ["semgcn_original", "semgcn_original_nonlocal"],
    "videopose3d": [f"vp3d_temporal_{n}" for n in ("27", "27_causal", "27_dense", "243", "243_causal")],
    "videopose3d-root": [f"vp3d_temporal_{n}:3" for n in ("27", "27_causal", "27_dense", "243")],
    "ugcn": ["ugcn", "ugcn_rev_2022_02_23", "ugcn_rev_2022_02_17"],
    "repnet": ["repnet_generator"],
    "video-gan": ["video_gan_pose"],
    "video-gan-root": ["video_gan_root"],
    "rootnet": ["rootnet18"],
    "pose-resnet": ["pose_resnet18"],
    "resnet-imagenet": ["resnet18"],
}
"""Family → its parity vectors, a small one first. name:n is the network whose last layer has the first n outputs.
Those of 18 layers have no vector: only their names and shapes are published (`shapes18`)."""


def shapes18(name: str) -> dict[str, list[int]]:
    """Names and shapes of a ResNet of 18 layers with its classifier, or with the heads of its family."""
    shapes: dict[str, list[int]] = {"conv1.weight": [64, 3, 7, 7]}

    def norm(key: str, n: int) -> None:
        shapes.update({f"{key}.{k}": [n] for k in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{key}.num_batches_tracked"] = []

    norm("bn1", 64)
    inputs = 64
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in (f"layer{stage}.0", f"layer{stage}.1"):
            for conv, i in ((1, inputs), (2, width)):
                shapes[f"{block}.conv{conv}.weight"] = [width, i, 3, 3]
                norm(f"{block}.bn{conv}", width)
            if inputs != width:
                shapes[f"{block}.downsample.0.weight"] = [width, inputs, 1, 1]
                norm(f"{block}.downsample.1", width)
            inputs = width
    if name == "resnet18":
        return {**shapes, "fc.weight": [1000, 512], "fc.bias": [1000]}
    root = "root." if name == "rootnet18" else ""
    shapes = {f"backbone.{k}" if root else k: v for k, v in shapes.items()}
    for layer, i in ((0, 512), (3, 256), (6, 256)):
        shapes[f"{root}deconv_layers.{layer}.weight"] = [i, 256, 4, 4]
        norm(f"{root}deconv_layers.{layer + 1}", 256)
    heads = {"root.xy_layer": (1, 256), "root.depth_layer": (1, 512)} if root else {"final_layer": (16, 256)}
    for key, (o, i) in heads.items():
        shapes |= {f"{key}.weight": [o, i, 1, 1], f"{key}.bias": [o]}
    return shapes


def state_of(name: str) -> dict[str, Tensor]:
    """The filled weights of a parity network, by its published names; made without any network of ours."""
    name, _, outputs = name.partition(":")
    if name.endswith("18"):
        about: dict[str, Any] = {"state_dict": shapes18(name), "fill_overrides": {}}
    else:
        about = description(name)
    arrays, _ = fill_arrays({k: tuple(v) for k, v in about["state_dict"].items()}, **about["fill_overrides"])
    kept = about["fill_overrides"].get("keep", ())
    state = {k: torch.zeros(v, dtype=torch.int64) for k, v in about["state_dict"].items()}
    state |= {k: torch.from_numpy(np.asarray(v, np.float32)) for k, v in arrays.items()}
    state |= {k: vectors(name)[k] for k in kept if k in vectors(name)}
    if outputs:
        state |= {k: v[: int(outputs)] for k, v in state.items() if k.startswith("shrink.")}
    return state


def save(file: Path, state: Mapping[str, Tensor], *, zipped: bool = True, **facts: Any) -> Path:
    """A checkpoint in the form of ERD's: the optimiser stands in it as an object, with its state."""
    weights = [torch.nn.Parameter(v.clone()) for v in state.values() if v.is_floating_point()][:2]
    optimizer = torch.optim.Adam(weights, lr=1e-3)
    sum(w.sum() for w in weights).backward()  # type: ignore[union-attr]
    optimizer.step()
    top = {"epoch": 200, "lr": 1e-3, "error": 37.5, "inc_num": 0, "state_dict": dict(state), "optimizer": optimizer}
    torch.save({**top, **facts}, file, _use_new_zipfile_serialization=zipped)
    return file


def save_videopose3d(file: Path, pos: Mapping[str, Tensor], traj: Mapping[str, Tensor] | None = None) -> Path:
    """`epoch_60.bin`: numpy's generators stand in it as objects; without semi-supervision two entries are None."""
    weight = torch.nn.Parameter(next(iter(pos.values())).clone())
    top = {
        "epoch": 60, "lr": 4.6e-5, "random_state": np.random.RandomState(1234),
        "optimizer": torch.optim.Adam([weight], amsgrad=True).state_dict(), "model_pos": dict(pos),
        "model_traj": dict(traj) if traj else None,
        "random_state_semi": np.random.RandomState(4321) if traj else None,
    }  # fmt: skip
    torch.save(top, file, _use_new_zipfile_serialization=False)
    return file


def save_gan(file: Path, **networks: Mapping[str, Tensor]) -> Path:
    """`repnet_resnet.tar`, `video_absolute_resnet.tar`: generators and critic, the error a scalar of numpy."""
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict()
    top = {"optimizer_G": optimizer, "optimizer_D": optimizer, "iteration": 50_000, "best_error": np.float64(70.5)}
    torch.save({**{k: dict(v) for k, v in networks.items()}, **top}, file, _use_new_zipfile_serialization=False)
    return file


def save_pictures(file: Path, key: str, network: Mapping[str, Tensor], **facts: Any) -> Path:
    """`snapshot_18.pth.tar` of RootNet (`network`), files of Pose ResNet (`state_dict`, `model`), with an optimiser."""
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict()
    torch.save({**facts, key: dict(network), "optimizer": optimizer}, file, _use_new_zipfile_serialization=False)
    return file


def mean_std(c: int, joints: int = 17, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Plausible statistics (joints, c): pixels for 2, millimetres for 3."""
    rng = np.random.default_rng(seed)
    scale = 500.0 if c == 2 else 300.0
    return scale * rng.normal(1, 0.2, (joints, c)), 0.3 * scale * rng.uniform(0.5, 1.0, (joints, c))


def save_stats(file: Path, mean: np.ndarray, std: np.ndarray, **more: Any) -> Path:
    """`stat_custom_2d.pth.tar` and its like: flat arrays in a torch file."""
    torch.save({"mean": mean.reshape(-1), "std": std.reshape(-1), **more}, file, _use_new_zipfile_serialization=False)
    return file


def save_pca(file: Path, mean: Any, components: Any) -> Path:
    """A pickled PCA of scikit-learn, which need not be here: its class is made for the while."""
    names = ("sklearn", "sklearn.decomposition", "sklearn.decomposition.pca")
    modules = {n: types.ModuleType(n) for n in names}
    kind: Any = type("PCA", (), {"__module__": names[2]})
    modules[names[2]].PCA = kind  # type: ignore[attr-defined]
    old = {n: sys.modules.get(n) for n in names}
    sys.modules.update(modules)
    try:
        pca = kind()
        pca.__dict__.update(n_components=len(components), whiten=False, mean_=mean, components_=components)
        torch.save(pca, file, _use_new_zipfile_serialization=False)
    finally:
        for n, module in old.items():
            sys.modules.pop(n)
            if module is not None:
                sys.modules[n] = module
    return file


def pca_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The principal components of a parity vector, or made-up ones where it has none."""
    arrays = vectors(name)
    if "pca_mean" in arrays:
        return arrays["pca_mean"].numpy(), arrays["pca_components"].numpy()
    rng = np.random.default_rng(1)
    return rng.normal(0, 0.1, 34), np.linalg.qr(rng.normal(size=(34, 34)))[0][:30]
