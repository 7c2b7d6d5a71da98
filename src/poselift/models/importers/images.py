"""Weights of networks of pictures: RootNet, Pose ResNet, and ResNets of ImageNet as backbones."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from poselift.errors import InputError
from poselift.models.images.pose_resnet import FLAVOURS, PoseResNet, PoseResNetConfig
from poselift.models.images.rootnet import RootNet, RootNetConfig
from poselift.models.importers.base import Built, ImportOptions, Weights, fill
from poselift.models.resnet import DEPTHS, Depth, ResNet, ResNetConfig

__all__ = ["build_backbone", "build_pose_resnet", "build_rootnet"]

_SIZE = re.compile(r"(?<!\d)(\d{2,4})x(\d{2,4})(?!\d)")
_CLASSIFIER = ("fc.weight", "fc.bias")


def build_rootnet(weights: Weights, options: ImportOptions) -> Built:
    """RootNet: it was trained on pixels that were not divided by 255, and needs them so."""
    del options
    config = RootNetConfig(depth=_depth(weights, "backbone."), unit_range=False)
    notes = [
        "it sees pixels that are not divided by 255, as in its training",
        "k is that of extended boxes and 2 m × 2 m (geometry.crops): then depth is in metres",
    ]
    return Built(model=fill(weights, RootNet, config, prefix="net."), notes=notes)


def build_pose_resnet(weights: Weights, options: ImportOptions) -> Built:
    """Pose ResNet: joints by their number and by the file's layout, size of the crop by the file's name."""
    del options
    joints = weights.size("final_layer.weight", 0, axes=4)
    of_variant = weights.part == "model"
    if joints == 17:
        config = FLAVOURS["human36m"] if of_variant else replace(FLAVOURS["mpii"], skeleton="coco17")
    elif joints == 16:
        config = FLAVOURS["mpii"]
    else:
        expected = "16 joints (MPII) or 17 (COCO, Human3.6M)"
        raise InputError(file=weights.file, field="final_layer.weight", expected=expected, found=joints)
    layers = [f"deconv_layers.{i}.weight" for i in range(0, weights.blocks("deconv_layers."), 3)]
    form: dict[str, Any] = {
        "depth": _depth(weights, ""), "deconv_bias": "deconv_layers.0.bias" in weights.tensors,
        "filters": tuple(weights.size(n, 1, axes=4) for n in layers),
        "kernels": tuple(weights.size(n, 2, axes=4) for n in layers),
        "final_kernel": weights.size("final_layer.weight", 2, axes=4),
    }  # fmt: skip
    notes = [f"taken to give the joints of {config.skeleton}, and to see {config.channels.upper()}"]
    named = _SIZE.search(weights.file.name)
    size = tuple(map(int, named.groups())) if named else config.size_hw
    if not named:
        notes.append(f"taken to see crops of {size[0]} × {size[1]}, as its name does not say")
    if "caffe" in weights.file.name:
        form["style"] = "caffe"
        notes.append("its stride is in the first convolution of a block (caffe), as its name says")
    made: PoseResNetConfig = replace(config, **form, size_hw=size)
    return Built(model=fill(weights, PoseResNet, made, prefix="net."), notes=notes)


def build_backbone(weights: Weights, options: ImportOptions) -> Built:
    """A ResNet of torchvision or of the same form; its classifier is left out."""
    del options
    rest = {k: v for k, v in weights.tensors.items() if k not in _CLASSIFIER}
    notes = [] if len(rest) == len(weights.tensors) else ["its classifier is left out"]
    weights = replace(weights, tensors=rest)
    return Built(model=fill(weights, ResNet, ResNetConfig(depth=_depth(weights, ""))), notes=notes)


def _depth(weights: Weights, before: str) -> Depth:
    """Layers, by the blocks of the four stages and the convolutions in one."""
    blocks = tuple(weights.blocks(f"{before}layer{s}.") for s in range(1, 5))
    bottleneck = f"{before}layer1.0.conv3.weight" in weights.tensors
    for depth in DEPTHS:
        if DEPTHS[depth] == blocks and (depth >= 50) == bottleneck:
            return depth
    expected = f"the blocks of a ResNet of {', '.join(map(str, DEPTHS))} layers"
    raise InputError(f"not the weights of a {weights.family}", file=weights.file, expected=expected, found=blocks)
