"""The lifters: `LIFTERS` maps a name to (config dataclass, network). A new lifter is one file and one line here."""

from poselift.models.base import Lifter, LifterConfig
from poselift.models.lifters.lcn import LCN, LCNConfig
from poselift.models.lifters.repnet import RepNet, RepNetConfig
from poselift.models.lifters.residual_mlp import ResidualMLP, ResidualMLPConfig
from poselift.models.lifters.semgcn import SemGCN, SemGCNConfig
from poselift.models.lifters.simple_baseline import SimpleBaseline, SimpleBaselineConfig
from poselift.models.lifters.spatial_temporal import SpatialTemporal, SpatialTemporalConfig
from poselift.models.lifters.temporal_conv import TemporalConv, TemporalConvConfig
from poselift.models.lifters.ugcn import UGCN, UGCNConfig
from poselift.models.lifters.video_gan import VideoGAN, VideoGANConfig

__all__ = ["LIFTERS", "build_lifter", "family_of"]

LIFTERS: dict[str, tuple[type[LifterConfig], type[Lifter]]] = {
    "simple_baseline": (SimpleBaselineConfig, SimpleBaseline),
    "residual_mlp": (ResidualMLPConfig, ResidualMLP),
    "lcn": (LCNConfig, LCN),
    "semgcn": (SemGCNConfig, SemGCN),
    "repnet": (RepNetConfig, RepNet),
    "video_gan": (VideoGANConfig, VideoGAN),
    "temporal_conv": (TemporalConvConfig, TemporalConv),
    "ugcn": (UGCNConfig, UGCN),
    "spatial_temporal": (SpatialTemporalConfig, SpatialTemporal),
}


def family_of(config: LifterConfig) -> str:
    """The name in `LIFTERS` of the lifter that this config describes."""
    for name, (config_class, _) in LIFTERS.items():
        if type(config) is config_class:
            return name
    raise KeyError(f"no lifter has the config {type(config).__name__}")


def build_lifter(config: LifterConfig) -> Lifter:
    """The untrained lifter that this config describes. Raises `InputError` where the config contradicts itself."""
    return LIFTERS[family_of(config)][1](config)
