"""Figures of the field (functions per frame) and the report that averages them over clips and actions."""

from poselift.metrics.figures import (
    RootError,
    accel_mm,
    auc,
    bone_length_deviation_mm,
    bone_length_variation_mm,
    joint_angle_error_deg,
    joint_distances_mm,
    mpjpe_mm,
    mpjve_mm,
    mrpe_mm,
    n_mpjpe_mm,
    p_mpjpe_mm,
    pck,
)
from poselift.metrics.identities import Identities, identities
from poselift.metrics.keypoints import PCKh, head_size, pckh
from poselift.metrics.people import PeoplePCK, RootAP, match_people, rescale_bones, root_ap
from poselift.metrics.report import AVERAGES, FIGURES, H36M_ACTIONS, Report

__all__ = [
    "AVERAGES", "FIGURES", "H36M_ACTIONS", "Identities", "PCKh", "PeoplePCK", "Report", "RootAP", "RootError",
    "accel_mm", "auc", "bone_length_deviation_mm", "bone_length_variation_mm", "head_size", "identities",
    "joint_angle_error_deg", "joint_distances_mm", "match_people",
    "mpjpe_mm", "mpjve_mm", "mrpe_mm", "n_mpjpe_mm", "p_mpjpe_mm", "pck", "pckh", "rescale_bones",
    "root_ap",
]  # fmt: skip
