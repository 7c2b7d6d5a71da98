"""The BVH file itself: parsing without trust, and forward kinematics of all frames at once.

A parser of our own because bvhio's waits for ever at the end of a truncated file and walks joint by joint through every
frame; the tests hold the two against each other. Format: https://research.cs.wisc.edu/graphics/Courses/cs-838-1999/Jeff/BVH.html
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
from jaxtyping import Float

from poselift.errors import InputError
from poselift.formats.kinematics import axis_rotation
from poselift.storage.text import read_bytes

__all__ = ["BvhFile", "forward", "parse_bvh"]

_MAX_BYTES = 1 << 30
_MAX_NODES = 4096
_BLOCK = 8192
_CHANNELS = {a + kind for a in "XYZ" for kind in ("position", "rotation")}


@dataclass(frozen=True, kw_only=True)
class BvhFile:
    """Nodes in file order, parents first (-1 for the root); end sites are nodes named PARENT_end without channels.

    offsets (n, 3) and positions in the file's length unit; values (t, channels) as in the file, angles in degrees;
    channels: one tuple of names per node, in the order of the columns of `values`.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    channels: tuple[tuple[str, ...], ...]
    values: np.ndarray
    fps: float

    @property
    def rest(self) -> np.ndarray:
        """Node positions (n, 3) with all channels at zero."""
        p = np.zeros((len(self.names), 3))
        for k, parent in enumerate(self.parents):
            p[k] = self.offsets[k] + (p[parent] if parent >= 0 else 0)
        return p


def forward(bvh: BvhFile) -> Float[np.ndarray, "t n 3"]:
    """Node positions (t, n, 3) in file axes and units.

    Rotations multiply in the order in which the channels are written; position channels take the offset's place.
    """
    t, column = len(bvh.values), 0
    p = np.empty((t, len(bvh.names), 3))
    turns: list[np.ndarray] = []
    for k, parent in enumerate(bvh.parents):
        local, turn = np.tile(bvh.offsets[k], (t, 1)), None
        for name in bvh.channels[k]:
            axis, value = "XYZ".index(name[0]), bvh.values[:, column]
            if name.endswith("position"):
                local[:, axis] = value
            else:
                r = axis_rotation(np.radians(value), axis)
                turn = r if turn is None else turn @ r
            column += 1
        if parent < 0:
            p[:, k] = local
            turns.append(np.eye(3) if turn is None else turn)
        else:
            p[:, k] = p[:, parent] + np.einsum("...ij,...j->...i", turns[parent], local)
            turns.append(turns[parent] if turn is None else turns[parent] @ turn)
    return p


def parse_bvh(path: Path) -> BvhFile:
    """A BVH file. Raises `InputError` with the line for what is malformed, truncated or does not add up.

    The declared number of frames is compared with the lines that are there before memory is taken.
    """
    data = read_bytes(path, max_bytes=_MAX_BYTES)
    if not data.strip():
        raise InputError("an empty file", file=path)
    lines = data.decode("utf-8-sig", errors="replace").splitlines()
    return _Parser(path, lines).file()


def _rate(written: str, seconds: float) -> float:
    """Frames per second of a frame time, which is a rounded number: 0.008333 means 120, 0.0333667 means 29.97."""
    whole = round(1 / seconds)
    rounding = 10.0 ** int(Decimal(written).as_tuple().exponent)
    return float(whole) if whole and abs(seconds - 1 / whole) < rounding else 1 / seconds


class _Parser:
    """Reads line by line; `k` is the number of the line last taken, counted from 1."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self.path, self.lines, self.k = path, lines, 0
        self.names: list[str] = []
        self.parents: list[int] = []
        self.offsets: list[list[float]] = []
        self.channels: list[tuple[str, ...]] = []

    def fail(self, expected: str, found: object) -> InputError:
        return InputError(file=self.path, field=f"line {self.k}", expected=expected, found=found)

    def take(self, expected: str) -> list[str]:
        """The words of the next line that is not blank."""
        while self.k < len(self.lines):
            self.k += 1
            if words := self.lines[self.k - 1].split():
                return words
        raise self.fail(expected, "the end of the file (truncated)")

    def numbers(self, words: list[str], count: int, what: str) -> list[float]:
        try:
            values = [float(w) for w in words]
        except ValueError:
            values = []
        if len(values) != count or not all(math.isfinite(v) for v in values):
            raise self.fail(f"{what}: {count} finite numbers", " ".join(words)[:80] or "nothing")
        return values

    def file(self) -> BvhFile:
        if (words := self.take("HIERARCHY"))[0].upper() != "HIERARCHY":
            raise self.fail("HIERARCHY", " ".join(words)[:80])
        self.hierarchy()
        words = self.take("Frames: N")
        if words[0].lower().rstrip(":") != "frames" or not words[-1].isdecimal() or len(words[-1]) > 18:
            raise self.fail("Frames: N", " ".join(words)[:80])
        declared, declared_at = int(words[-1]), self.k
        words = self.take("Frame Time: SECONDS")
        if [w.lower().rstrip(":") for w in words[:2]] != ["frame", "time"]:
            raise self.fail("Frame Time: SECONDS", " ".join(words)[:80])
        seconds = self.numbers(words[2:], 1, "Frame Time")[0]
        if not 1e-4 <= seconds <= 1e4:
            raise self.fail("a frame time between 0.0001 and 10000 seconds", seconds)
        rows = [(n, line) for n, line in enumerate(self.lines[self.k :], self.k + 1) if line.strip()]
        if len(rows) != declared or not declared:
            field = f"line {declared_at}: Frames"
            raise InputError(
                file=self.path, field=field, expected=f"{declared or 'some'} lines of motion", found=len(rows)
            )
        return BvhFile(
            names=tuple(self.names),
            parents=tuple(self.parents),
            offsets=np.array(self.offsets),
            channels=tuple(self.channels),
            values=self.motion(rows),
            fps=_rate(words[2], seconds),
        )

    def hierarchy(self) -> None:
        """From ROOT to MOTION. A stack instead of recursion, so that no depth of nesting hurts."""
        stack: list[int] = []
        while True:
            words = self.take("ROOT, JOINT, End Site, } or MOTION")
            word = words[0].upper()
            if word == "MOTION":
                if stack or not self.names:
                    raise self.fail("a closed hierarchy before MOTION", f"{len(stack)} open brackets")
                return
            if word == "}" and stack:
                stack.pop()
            elif word in ("ROOT", "JOINT", "END") and len(words) > 1 and bool(stack) == (word != "ROOT"):
                if word == "ROOT" and self.names:
                    raise self.fail("one ROOT", f"a second one, {' '.join(words[1:])}")
                self.node(
                    " ".join(words[1:]) if word != "END" else self.names[stack[-1]] + "_end", stack, word == "END"
                )
            else:
                raise self.fail("ROOT, JOINT, End Site, } or MOTION", " ".join(words)[:80])

    def node(self, name: str, stack: list[int], end: bool) -> None:
        if len(self.names) >= _MAX_NODES:
            raise self.fail(f"at most {_MAX_NODES} joints", "more")
        if (words := self.take("{")) != ["{"]:
            raise self.fail("{", " ".join(words)[:80])
        self.names.append(name)
        self.parents.append(stack[-1] if stack else -1)
        stack.append(len(self.names) - 1)
        if (words := self.take("OFFSET x y z"))[0].upper() != "OFFSET":
            raise self.fail("OFFSET x y z", " ".join(words)[:80])
        self.offsets.append(self.numbers(words[1:], 3, "OFFSET"))
        self.channels.append(())
        if end:
            return
        here = self.k
        if (words := self.take("CHANNELS n …"))[0].upper() != "CHANNELS":
            self.k = here  # a joint without channels is rigid
            return
        channels = tuple(w[:1].upper() + w[1:].lower() for w in words[2:])
        if (
            len(words) < 2
            or words[1] != str(len(channels))
            or set(channels) - _CHANNELS
            or len(set(channels)) != len(channels)
        ):
            raise self.fail("CHANNELS n and n distinct names such as Zrotation", " ".join(words)[:120])
        self.channels[-1] = channels

    def motion(self, rows: list[tuple[int, str]]) -> np.ndarray:
        """Numbers (t, channels) of the lines of motion; in blocks, since words take ten times the memory."""
        count = sum(map(len, self.channels))
        blocks = []
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            words = [line.split() for _, line in block]
            try:
                values = np.array(words, dtype=np.float64)
            except ValueError:
                values = np.empty((0, 0))
            if values.shape != (len(block), count) or not np.isfinite(values).all():
                for (self.k, _), w in zip(block, words, strict=True):
                    if len(w) != count:
                        raise self.fail(f"{count} numbers, one per channel", len(w))
                    self.numbers(w, count, "motion")
            blocks.append(values)
        return np.concatenate(blocks)
