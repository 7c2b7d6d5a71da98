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
}
"""Family → its parity vectors, a small one first."""


def state_of(name: str) -> dict[str, Tensor]:
    """The filled weights of a parity network, by its published names; made without any network of ours."""
    about = description(name)
    arrays, _ = fill_arrays({k: tuple(v) for k, v in about["state_dict"].items()}, **about["fill_overrides"])
    return {
        k: torch.from_numpy(np.asarray(arrays[k], np.float32)) if k in arrays else torch.zeros(v, dtype=torch.int64)
        for k, v in about["state_dict"].items()
    }


def save(file: Path, state: Mapping[str, Tensor], *, zipped: bool = True, **facts: Any) -> Path:
    """A checkpoint in the form of ERD's: the optimiser stands in it as an object, with its state."""
    weights = [torch.nn.Parameter(v.clone()) for v in state.values() if v.is_floating_point()][:2]
    optimizer = torch.optim.Adam(weights, lr=1e-3)
    sum(w.sum() for w in weights).backward()  # type: ignore[union-attr]
    optimizer.step()
    top = {"epoch": 200, "lr": 1e-3, "error": 37.5, "inc_num": 0, "state_dict": dict(state), "optimizer": optimizer}
    torch.save({**top, **facts}, file, _use_new_zipfile_serialization=zipped)
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
