"""The critics: `CRITICS` maps a name to (config dataclass, network). A new critic is one file and one line here."""

from poselift.models.critics.base import Critic, CriticConfig
from poselift.models.critics.motion import MotionCritic, MotionCriticConfig
from poselift.models.critics.repnet import RepNetCritic, RepNetCriticConfig

__all__ = ["CRITICS"]

CRITICS: dict[str, tuple[type[CriticConfig], type[Critic]]] = {
    "repnet": (RepNetCriticConfig, RepNetCritic),
    "motion": (MotionCriticConfig, MotionCritic),
}
