"""Published checkpoints become models: `IMPORTERS` maps a family to what reads it. A new one is a function and a row.

    imported = import_checkpoint("ckpt_best.pth.tar", options=ImportOptions(stats_2d=…, stats_3d=…))
    save_model(imported.model, "runs/erd", card=imported.card)

The family is told from the names and shapes in the file where it is not given. Reading the table needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poselift.errors import InputError, unknown_name
from poselift.models.importers.base import Importer, ImportOptions, Shapes

if TYPE_CHECKING:
    from torch import nn

__all__ = ["IMPORTERS", "ImportOptions", "Imported", "Importer", "detect", "import_checkpoint"]

_BOTH = frozenset({"stats_2d", "stats_3d", "no_stats"})
_ERD_STATS = "stat_custom_2d.pth.tar and stat_custom_3d.pth.tar of ERD's data"
_LICENCE = "for research only, as far as its parts are; the weights' own licence is their authors'"


def _outputs(shapes: Shapes) -> int:
    """Outputs of a SimpleBaseline of torch, 0 for anything else."""
    last = shapes.get("w2.weight") or shapes.get("w2.bias") or (0,)
    return last[0] if len(shapes.get("w1.weight", ())) == 2 else 0


def _filters(shapes: Shapes) -> int:
    """Outputs of a network of VideoPose3D, 0 for anything else."""
    return (shapes.get("shrink.weight") or (0,))[0] if "expand_conv.weight" in shapes else 0


def _steps(shapes: Shapes) -> int:
    """Outputs of a network of the temporal GAN, 0 for anything else."""
    return (shapes.get("w4.weight") or (0,))[0] if len(shapes.get("w1.weight", ())) == 3 else 0


def _edges(shapes: Shapes) -> tuple[int, ...]:
    return shapes.get("gconv_input.0.gconv.e", ())


IMPORTERS: dict[str, Importer] = {
    "linear-erd": Importer(
        summary="SimpleBaseline of ERD (BMVC 2020), lifting stage; with PCA input too",
        container="torch",
        detect=lambda s: _outputs(s) == 51,
        where="poselift.models.importers.linear:build_erd",
        needs=f"{_ERD_STATS}; with PCA input --pca",
        options=_BOTH | {"pca"},
    ),
    "lcn-erd": Importer(
        summary="LCN of ERD, lifting stage",
        container="torch",
        detect=lambda s: len(s.get("w1.weight", ())) == 1,
        where="poselift.models.importers.graphs:build_lcn_erd",
        needs=_ERD_STATS,
        options=_BOTH | {"mask_layout"},
    ),
    "semgcn-erd": Importer(
        summary="SemGCN of ERD, lifting stage",
        container="torch",
        detect=lambda s: _edges(s) == (17, 17),
        where="poselift.models.importers.graphs:build_semgcn_erd",
        needs=_ERD_STATS,
        options=_BOTH,
    ),
    "refiner-erd": Importer(
        summary="the regressors of ERD, increment stage: a refiner",
        container="torch",
        detect=lambda s: "model.0.w1.0.weight" in s,
        where="poselift.models.importers.residual:build_refiner",
        needs="stat_custom_2d.pth.tar of ERD's data; with PCA input --pca",
        options=frozenset({"stats_2d", "no_stats", "pca", "features"}),
    ),
    "pelvis-erd": Importer(
        summary="the network for the root in ERD's code: a root model",
        container="torch",
        detect=lambda s: "w1.0.weight" in s,
        where="poselift.models.importers.residual:build_pelvis",
        needs="stat_custom_2d.pth.tar of ERD's data",
        options=frozenset({"stats_2d", "no_stats"}),
    ),
    "linear-pytorch": Importer(
        summary="SimpleBaseline, the PyTorch port of 3d-pose-baseline (16 joints)",
        container="torch",
        detect=lambda s: _outputs(s) == 48,
        where="poselift.models.importers.linear:build_pytorch",
        needs="stat_3d.pth.tar of its data, and the keypoints' mean and std",
        options=_BOTH,
    ),
    "semgcn-original": Importer(
        summary="SemGCN of its authors, with and without non-local blocks (16 joints)",
        container="torch",
        detect=lambda s: len(_edges(s)) == 2 and _edges(s)[0] == 1,
        where="poselift.models.importers.graphs:build_semgcn_original",
        needs="nothing: it gives metres",
    ),
    "linear-gluon": Importer(
        summary="SimpleBaseline of Gluon (MXNet .params, 16 joints)",
        container="mxnet",
        detect=lambda s: any(k.endswith("gamma") for k in s),
        where="poselift.models.importers.linear:build_gluon",
        needs="the meanstd .pkl in its data's cache folder, for both",
        options=_BOTH,
    ),
    "linear-original": Importer(
        summary="SimpleBaseline, the TensorFlow original 3d-pose-baseline (16 joints)",
        container="tensorflow",
        detect=lambda s: any(k.endswith("linear_model/w1") for k in s),
        where="poselift.models.importers.linear:build_original",
        needs="mean and std of its training data, which its code computes anew at every start",
        options=_BOTH | {"max_norm"},
    ),
    "videopose3d": Importer(
        summary="VideoPose3D: temporal convolutions, 17 joints of Human3.6M",
        container="torch",
        detect=lambda s: _filters(s) > 3,
        where="poselift.models.importers.temporal:build_videopose3d",
        needs="nothing: it gives metres; of a causal one --causal True",
        options=frozenset({"causal", "part"}),
    ),
    "videopose3d-root": Importer(
        summary="the trajectory network of VideoPose3D's semi-supervised training: a root model",
        container="torch",
        detect=lambda s: _filters(s) == 3,
        where="poselift.models.importers.temporal:build_videopose3d_root",
        needs="--part model_traj; of a causal one --causal True",
        options=frozenset({"causal", "part"}),
    ),
    "ugcn": Importer(
        summary="UGCN, the public implementation in three revisions",
        container="torch",
        detect=lambda s: "A" in s and "data_bn.weight" in s,
        where="poselift.models.importers.temporal:build_ugcn",
        needs="nothing: it gives metres",
    ),
    "repnet": Importer(
        summary="RepNet, the PyTorch adaptation",
        container="torch",
        detect=lambda s: "camera_stages1.w1.weight" in s,
        where="poselift.models.importers.adversarial:build_repnet",
        needs="nothing: it gives metres",
        options=frozenset({"part"}),
    ),
    "video-gan": Importer(
        summary="the temporal GAN's network of poses",
        container="torch",
        detect=lambda s: _steps(s) > 3,
        where="poselift.models.importers.adversarial:build_video_gan",
        needs="nothing: it gives metres",
        options=frozenset({"part"}),
    ),
    "video-gan-root": Importer(
        summary="the temporal GAN's network of roots: a root model",
        container="torch",
        detect=lambda s: _steps(s) == 3,
        where="poselift.models.importers.adversarial:build_video_gan_root",
        needs="--part model_G_root",
        options=frozenset({"part"}),
    ),
    "rootnet": Importer(
        summary="RootNet, snapshot_N.pth.tar: roots from pictures",
        container="torch",
        detect=lambda s: "root.xy_layer.weight" in s,
        where="poselift.models.importers.images:build_rootnet",
        needs="nothing: γ has no unit",
        data="Human3.6M and MPII, or MuCo-3DHP and MS COCO, as its authors say (the file does not say which)",
        data_licence=_LICENCE,
    ),
    "pose-resnet": Importer(
        summary="Pose ResNet of its authors (MPII, COCO) and its Human3.6M variant: joints from pictures",
        container="torch",
        detect=lambda s: "deconv_layers.0.weight" in s and "final_layer.weight" in s,
        where="poselift.models.importers.images:build_pose_resnet",
        needs="nothing; the crop's size is read from the file's name (…_256x192…)",
        data="MPII, MS COCO or Human3.6M, as its authors say (nothing in the file proves it)",
        data_licence=_LICENCE,
    ),
    "resnet-imagenet": Importer(
        summary="a ResNet of torchvision (18 to 152 layers): the backbone of networks of pictures",
        container="torch",
        detect=lambda s: {"conv1.weight", "layer4.0.conv1.weight"} <= set(s) and "final_layer.weight" not in s,
        where="poselift.models.importers.images:build_backbone",
        needs="nothing",
        data="ImageNet, as its authors say (nothing in the file proves it)",
        data_licence="ImageNet: research only; the weights' own licence is their authors'",
    ),
}
"""Family → what reads it."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A model, its family, what its user should know, and the card for `save_model`."""

    model: nn.Module
    family: str
    notes: list[str] = field(default_factory=list)
    card: Mapping[str, Any] = field(default_factory=dict)


def detect(container: str, shapes: Shapes) -> list[str]:
    """The families whose networks have arrays of these names and shapes."""
    return [name for name, i in IMPORTERS.items() if i.container == container and i.detect(shapes)]


def import_checkpoint(file: str | Path, *, family: str | None = None, options: ImportOptions | None = None) -> Imported:
    """The model of a published checkpoint, in eval mode. Nothing in the file is executed.

    Raises `InputError` for a file that is no checkpoint, of another family, with keys that are missing, left over or
    misshapen, weights that are not finite, or without the statistics that the family needs.
    """
    from poselift.models.importers.checkpoints import read_weights

    if family is not None and family not in IMPORTERS:
        raise unknown_name("family", family, IMPORTERS)
    options = options or ImportOptions()
    container, weights = read_weights(file, part=options.part)
    found = detect(container, weights.shapes)
    if family is None:
        if len(found) != 1:
            keys = ", ".join(list(weights.tensors)[:8])
            expected = f"weights of one of {', '.join(IMPORTERS)}"
            raise InputError(file=file, expected=expected, found=f"{len(weights.tensors)} arrays ({keys}, …)")
        (family,) = found
    elif IMPORTERS[family].container != container or (found and family not in found):
        is_one = f"a {found[0]}" if found else f"a checkpoint of {container}"
        raise InputError(file=file, expected=f"the weights of a {family}", found=is_one)
    weights = replace(weights, family=family)
    built = IMPORTERS[family].build(weights, options)
    notes = built.notes
    if weights.left_out:
        notes = [f"taken from the file: {weights.part}; left out: {', '.join(weights.left_out)} (see --part)", *notes]
    return Imported(model=built.model, family=family, notes=notes, card=_card(family, weights, options, notes))


def _card(family: str, weights: Any, options: ImportOptions, notes: list[str]) -> dict[str, Any]:
    from poselift.models.importers.checkpoints import sha256

    used = {f.name: getattr(options, f.name) for f in fields(options) if getattr(options, f.name) != f.default}
    card: dict[str, Any] = {
        "summary": f"Imported weights: {IMPORTERS[family].summary}.",
        "data": IMPORTERS[family].data,
        "data_licence": IMPORTERS[family].data_licence,
        "imported_from": {"family": family, "file": weights.file.name},
    }
    if weights.file.is_file():
        card["imported_from"]["sha256"] = sha256(weights.file)
    if used:
        card["options"] = {k: v.name if isinstance(v, Path) else v for k, v in used.items()}
    if weights.facts:
        card["what_the_checkpoint_says"] = dict(weights.facts)
    return {**card, "notes": "; ".join(notes)} if notes else card
