"""poselift: from what one camera sees of people to metric, absolute 3D pose.

    clips = poselift.lift("keypoints.json").clips          # like `poselift lift`, in Python
    model = poselift.load_model("default")

Importing this package imports nothing else; the names below load what they need when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poselift.errors import InputError, MissingExtraError, OutputError, PoseliftError
    from poselift.formats import read, read_motion
    from poselift.models.weights import list_models, load_model, save_model
    from poselift.pipeline.lift import lift
    from poselift.structures import Camera, Clip, Motion, Skeleton, skeleton

__version__ = "0.1.0"

__all__ = [
    "Camera", "Clip", "InputError", "MissingExtraError", "Motion", "OutputError", "PoseliftError", "Skeleton",
    "__version__", "lift", "list_models", "load_model", "read", "read_motion", "save_model", "skeleton",
]  # fmt: skip

_HOME = {
    "poselift.errors": ("InputError", "MissingExtraError", "OutputError", "PoseliftError"),
    "poselift.formats": ("read", "read_motion"),
    "poselift.models.weights": ("list_models", "load_model", "save_model"),
    "poselift.pipeline.lift": ("lift",),
    "poselift.structures": ("Camera", "Clip", "Motion", "Skeleton", "skeleton"),
}


def __getattr__(name: str) -> Any:
    import importlib

    for module, names in _HOME.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'poselift' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
