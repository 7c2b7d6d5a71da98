"""`rendered`: pictures of people that everyone may use, drawn on the fly from CMU motion (`docs/rendered.md`)."""

from poselift.data.rendered.scenes import SceneOptions
from poselift.data.rendered.source import Frames, RenderedSource, RenderOptions, rendered_source

__all__ = ["Frames", "RenderOptions", "RenderedSource", "SceneOptions", "rendered_source"]
