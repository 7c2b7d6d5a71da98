"""Networks of pictures: tables of name → (config dataclass, network). A new one is one file and one line here."""

from poselift.models.images.base import ImageConfig, ImagePose, ImagePoseConfig, ImageRoot
from poselift.models.images.pose_resnet import PoseResNet, PoseResNetConfig
from poselift.models.images.rootnet import RootNet, RootNetConfig

__all__ = ["IMAGE_POSES", "IMAGE_ROOTS"]

IMAGE_POSES: dict[str, tuple[type[ImagePoseConfig], type[ImagePose]]] = {
    "pose_resnet": (PoseResNetConfig, PoseResNet),
}
"""From a crop of a person to its joints."""

IMAGE_ROOTS: dict[str, tuple[type[ImageConfig], type[ImageRoot]]] = {
    "rootnet": (RootNetConfig, RootNet),
}
"""From a crop of a person to where its root is."""
