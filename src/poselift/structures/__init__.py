"""Central types: Skeleton, Camera, Clip, Motion, windows and conversions between skeletons."""

from poselift.structures.camera import DEFAULT_FOV_DEG, Camera
from poselift.structures.clip import Clip, Motion
from poselift.structures.skeleton import SKELETONS, Skeleton, skeleton

__all__ = ["DEFAULT_FOV_DEG", "SKELETONS", "Camera", "Clip", "Motion", "Skeleton", "skeleton"]
