"""Figures of several people in single pictures: who is found, and how well (MuPoTS-3D's protocols).

Predictions are matched to the truth here, and nobody may be matched twice. Metres in, millimetres as thresholds.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from poselift.errors import InputError
from poselift.metrics.figures import MM, joint_distances_mm
from poselift.structures.skeleton import Skeleton

__all__ = ["PeoplePCK", "RootAP", "match_people", "rescale_bones", "root_ap"]


class RootAP(NamedTuple):
    """AP (0 to 1) as published; and, in the order of the scores, which predictions of pictures that count are right."""

    ap: float
    true_positive: Tensor


def root_ap(
    pred_root: Float[Tensor, "p 3"],
    score: Float[Tensor, " p"],
    pred_image: Int[Tensor, " p"],
    true_root: Float[Tensor, "g 3"],
    true_image: Int[Tensor, " g"],
    valid: Bool[Tensor, " g"],
    *,
    threshold_mm: float | int = 250,
) -> RootAP:
    """AP of roots in camera metres: area under precision over recall of all predictions by falling score.

    AP_25 is that of 25 cm. A prediction is right if the valid person nearest to it (in its picture, within 10 m) is
    nearer than the threshold and nobody before has got that one; there is no second choice. Pictures without a valid
    person do not count. As published the recall that the very first prediction brings is left out; NaN without valid
    people. Source: Moon et al., RootNet, ICCV 2019, evaluation of MuPoTS.
    """
    true_root, true_image = true_root[valid], true_image[valid]
    free = torch.ones(len(true_root), dtype=torch.bool)
    hits: list[bool] = []
    for i in torch.argsort(score, descending=True, stable=True).tolist():
        people = (true_image == pred_image[i]).nonzero()[:, 0]
        if len(people) == 0:
            continue
        distance = (true_root[people] - pred_root[i]).norm(dim=-1) * MM
        nearest = int(people[distance.argmin()])
        hits.append(float(distance.min()) < threshold_mm and bool(free[nearest]))
        if hits[-1]:
            free[nearest] = False
    right = torch.tensor(hits, dtype=torch.bool)
    if len(true_root) == 0:
        return RootAP(float("nan"), right)
    found = right.double().cumsum(0)
    precision = found / torch.arange(1, len(right) + 1)
    recall = found / len(true_root)
    return RootAP(float((precision[1:] * recall.diff()).sum()), right)


def match_people(
    pred_img: Float[Tensor, "p j 2"],
    true_img: Float[Tensor, "g j 2"],
    visible: Bool[Tensor, "g j"] | None = None,
    *,
    threshold_px: float | int = 40,
) -> Int[Tensor, " g"]:
    """For each true person the prediction that shows the same one, or -1: the pairing with most joints within 40 px.

    Among pairings with as many joints the one with the smallest mean distance. MuPoTS's own matching comes with its
    download and may differ from this in crowds.
    """
    from scipy.optimize import linear_sum_assignment

    distance = (true_img[:, None] - pred_img[None]).norm(dim=-1)
    near = distance < threshold_px
    if visible is not None:
        near = near & visible[:, None]
    count = near.sum(-1)
    # within a joint's worth: all joints at the threshold cost as much as one joint less
    gain = count - (distance.clamp(max=threshold_px).nan_to_num(threshold_px) * near).sum(-1) / (
        threshold_px * (1 + near.shape[-1])
    )
    match = torch.full((len(true_img),), -1, dtype=torch.long)
    for g, p in zip(*linear_sum_assignment(-gain.numpy(force=True)), strict=True):
        if count[g, p] > 0:
            match[g] = int(p)
    return match


def rescale_bones(
    pred: Float[Tensor, "*b j 3"], target: Float[Tensor, "*b j 3"], skeleton: Skeleton
) -> Float[Tensor, "*b j 3"]:
    """The prediction with every bone as long as the truth's, from the root outwards; the root stays where it is."""
    out = pred.clone()
    for j in skeleton.order:
        parent = skeleton.parents[j]
        if parent >= 0:
            bone = pred[..., j, :] - pred[..., parent, :]
            length = (target[..., j, :] - target[..., parent, :]).norm(dim=-1, keepdim=True)
            out[..., j, :] = out[..., parent, :] + bone * length / bone.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    return out


class PeoplePCK:
    """3DPCK over people, relative to the root and absolute, as MuPoTS-3D counts it: joints within 150 mm, after the
    prediction's bones have been given the truth's lengths (in both, unless `rescale` is off).

    `add` every picture, then `summary`. `all`: people that nobody found count as all wrong; `matched`: they do not.
    """

    def __init__(self, skeleton: Skeleton, *, threshold_mm: float | int = 150, rescale: bool = True) -> None:
        self.skeleton, self.threshold_mm, self.rescale = skeleton, threshold_mm, rescale
        self.rows: list[tuple[str, bool, float, float]] = []

    def add(
        self,
        pred_img: Float[Tensor, "p j 2"],
        pred_cam: Float[Tensor, "p j 3"],
        true_img: Float[Tensor, "g j 2"],
        true_cam: Float[Tensor, "g j 3"],
        *,
        group: str = "",
        match_joints: tuple[str, ...] | None = None,
    ) -> None:
        """One picture: predicted and true people, pixels and camera metres; `group` is its sequence.

        match_joints: the joints by which people are matched; all but the heads' ends if not given.
        """
        if pred_img.shape[1:] != (len(self.skeleton), 2) or true_img.shape[1:] != (len(self.skeleton), 2):
            found = f"{tuple(pred_img.shape)} and {tuple(true_img.shape)}"
            raise InputError(field="people", expected=f"two (people, {len(self.skeleton)}, 2)", found=found)
        names = match_joints or tuple(n for n in self.skeleton.joints if not n.startswith("head"))
        use = self.skeleton.indices(*names)
        match = match_people(pred_img[:, use], true_img[:, use])
        r = self.skeleton.root
        for g, p in enumerate(match.tolist()):
            if p < 0:
                self.rows.append((group, False, 0.0, 0.0))
                continue
            pose, truth = pred_cam[p], true_cam[g]
            if self.rescale:
                pose = rescale_bones(pose, truth, self.skeleton)
            absolute = joint_distances_mm(pose, truth) < self.threshold_mm
            relative = joint_distances_mm(pose - pose[r], truth - truth[r]) < self.threshold_mm
            self.rows.append((group, True, float(relative.double().mean()), float(absolute.double().mean())))

    def summary(self) -> dict[str, float]:
        """Percent, unweighted over the groups (MuPoTS: its 20 sequences) of the mean over each one's people."""
        groups = list(dict.fromkeys(row[0] for row in self.rows))
        out: dict[str, float] = {}
        for name, at in (("pck3d_rel_percent", 2), ("pck3d_abs_percent", 3)):
            for which in ("all", "matched"):
                means = []
                for group in groups:
                    values = [row[at] for row in self.rows if row[0] == group and (which == "all" or row[1])]
                    means += [100 * float(torch.tensor(values).double().mean())] if values else []
                out[f"{name}/{which}"] = sum(means) / len(means) if means else float("nan")
        return out
