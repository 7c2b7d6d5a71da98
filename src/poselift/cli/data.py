"""Arguments of `poselift data prepare` and `poselift data info`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from poselift.cli.lifting import Name, Number, Size

__all__ = ["Info", "Prepare"]

Input = Positional[Annotated[Path, arg(metavar="INPUT")]]


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Bring motion into the native form, once: one npz of plain arrays that opens at once.

    INPUT is a file or folder of BVH, npz or ASF/AMC (CMU as downloaded). Human3.6M needs no preparing:
    `--data human36m` reads VideoPose3D's files.
    """

    input: Input
    """Motion file or folder."""
    out: Annotated[Path, arg(aliases=["-o"], metavar="FILE")]
    """The npz to write."""
    fps: Number = 50.0
    """Frames per second of the result; 0 keeps those of the recordings."""
    keep_glitches: bool = False
    """Do not cut recordings at tracking glitches, nor put them on the floor."""

    def run(self) -> None:
        from poselift.data.prepare import prepare

        path, motions = prepare(self.input, self.out, fps=self.fps or None, cut=not self.keep_glitches)
        frames = sum(len(m) for m in motions)
        seconds = sum(len(m) / m.fps for m in motions)
        subjects = len({m.subject for m in motions})
        pieces = sum("#" in m.name for m in motions)
        if pieces and not self.keep_glitches:
            print(f"cut at tracking glitches (a joint faster than 20 m/s): {pieces} of the motions are clean pieces")
        print(f"{path}: {len(motions)} motions of {subjects} performers, {frames:,} frames, {seconds / 60:.1f} minutes")


@dataclass(frozen=True, kw_only=True)
class Info:
    """Describe a keypoint or motion file: people, frames, gaps, skeleton, and whether it looks like people."""

    input: Input
    """File or folder in any format that poselift reads."""
    format: Name = None
    """Format of the input where it is not recognised."""
    skeleton: Name = None
    """Joint layout where the file does not say it."""
    fps: Number = None
    """Frames per second where the file does not say it."""
    image_size: Size = None
    """Image width and height in pixels where the file does not say them."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        from poselift.data.info import describe
        from poselift.formats import ReadOptions

        options = ReadOptions(skeleton=self.skeleton, fps=self.fps, size_wh=self.image_size)
        found = describe(self.input, format=self.format, options=options)
        if self.json:
            print(json.dumps(found.to_dict(), indent=1))
            return
        rates = ", ".join(f"{r:g}" for r in found.fps) + (" (assumed)" if found.fps_assumed else "")
        print(f"{found.file}\n  {found.holds}, format {found.format}, skeleton {found.skeleton}")
        print(f"  {found.tracks} tracks, {found.frames:,} frames, {rates} per second, {found.seconds:.1f} s in all")
        print(f"  {found.gaps:,} frames without the person inside tracks; camera: {found.camera}")
        for check in found.checks:
            print(f"  {check.verdict:<8}{check.name}: {check.detail}")
