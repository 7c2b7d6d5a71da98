"""Colours of tracks: one for the trunk, one for the left and one for the right limbs of each."""

from __future__ import annotations

from typing import NamedTuple

from poselift.structures import Skeleton

__all__ = ["TRUTH", "Colours", "side_of", "track_colours"]


class Colours(NamedTuple):
    """Hex colours of one figure."""

    left: str
    trunk: str
    right: str

    def of(self, side: str) -> str:
        """Colour of a side, "l", "r" or ""."""
        return {"l": self.left, "r": self.right}.get(side, self.trunk)

    def rgb(self, side: str) -> tuple[int, int, int]:
        """Colour of a side as red, green, blue in 0..255."""
        h = self.of(side)
        return int(h[1:3], 16), int(h[3:5], 16), int(h[5:7], 16)

    def on_dark(self) -> Colours:
        """The same colours, lifted towards white where they would drown in a dark background."""
        lifted = []
        for side in ("l", "", "r"):
            r, g, b = self.rgb(side)
            lift = max(0.0, 0.5 - (0.3 * r + 0.59 * g + 0.11 * b) / 255)
            lifted.append("#" + "".join(f"{round(v + (255 - v) * lift):02x}" for v in (r, g, b)))
        return Colours(*lifted)


_ALONE = Colours("#2b7de9", "#566072", "#f0742b")
_SEVERAL = (
    Colours("#7ab5ff", "#2b7de9", "#143f8a"),
    Colours("#ffb685", "#f0742b", "#96420f"),
    Colours("#7fdcab", "#16a066", "#0a5738"),
    Colours("#c7a5ff", "#8a4fe0", "#472088"),
    Colours("#ff9ecb", "#dd3f8d", "#84124d"),
    Colours("#86dce3", "#139fac", "#085259"),
    Colours("#f0d26a", "#c29508", "#654d03"),
    Colours("#ff9a94", "#d8382f", "#7c1510"),
)
TRUTH = Colours("#9aa3ad", "#8a939d", "#7a838d")
"""The figure that is compared with: grey, so that it never passes for a track."""


def track_colours(n: int) -> list[Colours]:
    """Colours of n figures. One alone wears blue (left) and orange (right); several have a hue
    each, its light shade on the left and its dark shade on the right."""
    return [_ALONE] if n == 1 else [_SEVERAL[i % len(_SEVERAL)] for i in range(n)]


def side_of(skeleton: Skeleton, joint: int) -> str:
    """Side of a joint, and of the bone that ends in it: "l", "r" or "" for the trunk."""
    return "l" if joint in skeleton.left else "r" if joint in skeleton.right else ""
