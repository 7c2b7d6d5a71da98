"""The files of a lifted scene: `OUTPUTS` names what can be written and under which name."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from poselift.errors import InputError, MissingExtraError, unknown_name
from poselift.formats import WRITERS
from poselift.structures import Clip
from poselift.video import FrameSource

__all__ = ["OUTPUTS", "Caption", "Output", "choose_outputs", "write_output"]


@dataclass(frozen=True, kw_only=True)
class Caption:
    """What stands beside the pictures: title, notes, and the true motion where it is known.

    frames: the recording that the people are in, where there is one, or an overlay of it that is drawn already;
    progress(done, total) of what takes long.
    """

    title: str = "poselift"
    notes: Sequence[str] = ()
    truth: Sequence[Clip] = ()
    frames: FrameSource | Path | None = None
    progress: Callable[[int, int | None], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Output:
    """A row of `OUTPUTS`: `write(clips, path, caption)`; `library` of the extra `extra` is needed for it.

    asked: written only where it is named; pixels: only where there are frames to draw on.
    """

    file: str
    summary: str
    write: Callable[[list[Clip], Path, Caption], object]
    library: str | None = None
    extra: str = "view"
    asked: bool = False
    pixels: bool = False

    @property
    def available(self) -> bool:
        return self.library is None or importlib.util.find_spec(self.library) is not None


def _page(clips: list[Clip], path: Path, caption: Caption) -> object:
    from poselift.view.page import write_page

    return write_page(clips, path, truth=caption.truth, title=caption.title, notes=caption.notes)


def _sheet(clips: list[Clip], path: Path, caption: Caption) -> object:
    from poselift.view.sheet import write_contact_sheet

    return write_contact_sheet(clips, path, truth=caption.truth)


def _overlay(clips: list[Clip], path: Path, caption: Caption) -> object:
    from poselift.view.overlay import write_overlay

    assert caption.frames is not None
    if isinstance(caption.frames, Path):
        return shutil.move(caption.frames, path)
    return write_overlay(clips, caption.frames, path, progress=caption.progress)


OUTPUTS: dict[str, Output] = {
    name: Output(
        file="poses" + w.suffix, summary=w.summary, write=lambda clips, path, _, w=w: w.write(clips, path),
        library=w.library, extra="export", asked=w.asked,
    )
    for name, w in WRITERS.items()
} | {
    "html": Output(
        file="index.html", summary="3D scene with a time line: open it in a browser", write=_page, library="viser"
    ),
    "png": Output(file="contact_sheet.png", summary="a few moments in 2D and 3D", write=_sheet, library="matplotlib"),
    "overlay": Output(
        file="overlay.mp4", summary="the video or picture with the 2D skeletons drawn in", write=_overlay, library="av",
        extra="video", pixels=True,
    ),
}  # fmt: skip


def choose_outputs(wanted: Sequence[str] | None, *, pixels: bool = False) -> tuple[list[str], list[str]]:
    """Names to write and notes. None: the usual ones; a missing extra is then a note, else `MissingExtraError`.

    pixels: there are frames to draw on. Raises `InputError` for an unknown name, or one that needs frames.
    """
    if wanted is None:
        usual = [n for n, o in OUTPUTS.items() if not o.asked and (pixels or not o.pixels)]
        missing = [n for n in usual if not OUTPUTS[n].available]
        notes = [
            f"{OUTPUTS[n].file} left out: it needs {OUTPUTS[n].library} (pip install 'poselift[{OUTPUTS[n].extra}]')"
            for n in missing
        ]
        return [n for n in usual if n not in missing], notes
    if not wanted:
        raise InputError(field="formats", expected=f"some of {', '.join(OUTPUTS)}", found="none")
    for name in wanted:
        if name not in OUTPUTS:
            raise unknown_name("output format", name, OUTPUTS)
        if OUTPUTS[name].pixels and not pixels:
            raise InputError(field=f"format {name}", expected="a video or pictures as input", found="keypoints")
        if not OUTPUTS[name].available:
            raise MissingExtraError(str(OUTPUTS[name].library), OUTPUTS[name].extra, f"writing {OUTPUTS[name].file}")
    return [n for n in OUTPUTS if n in wanted], []


def write_output(name: str, clips: list[Clip], folder: Path, caption: Caption) -> list[Path]:
    """Write one scene in one format into a folder; the files that it made there."""
    before = set(folder.iterdir())
    OUTPUTS[name].write(clips, folder / OUTPUTS[name].file, caption)
    return sorted(set(folder.iterdir()) - before)
