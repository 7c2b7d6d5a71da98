"""Parsing ASF and AMC files without trust: the skeleton, and the channels of a recording.

Every failure names the line. Format: http://research.cs.wisc.edu/graphics/Courses/cs-838-1999/Jeff/ASF-AMC.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from poselift.errors import InputError
from poselift.storage.text import load_text

__all__ = ["Asf", "Bone", "parse_amc", "parse_asf"]

_MAX_BYTES = 1 << 28
_METRES_PER_INCH = 0.0254


@dataclass(frozen=True, kw_only=True)
class Bone:
    """`direction` (3,) at rest, `length` in file units, `axis` (3,) radians applied in `order`, `dof` as words."""

    direction: tuple[float, ...] = (0.0, 0.0, 0.0)
    length: float = 0.0
    axis: tuple[float, ...] = (0.0, 0.0, 0.0)
    order: str = "XYZ"
    dof: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Asf:
    """A parsed .asf; `hierarchy` holds (child, parent), parents first; the bone "root" holds the root's channels."""

    metres: float = _METRES_PER_INCH
    degrees: bool = True
    bones: dict[str, Bone] = field(default_factory=dict)
    hierarchy: list[tuple[str, str]] = field(default_factory=list)
    position: tuple[float, ...] = (0.0, 0.0, 0.0)


def parse_asf(path: Path) -> Asf:
    """A skeleton file. Raises `InputError` with the line for what is malformed."""
    asf = Asf()
    section, bone, name = "", {}, ""
    where = ""
    try:
        for number, line in enumerate(load_text(path, max_bytes=_MAX_BYTES).splitlines(), 1):
            where, words = f"line {number}", line.split("#")[0].split()
            if not words:
                continue
            key, values = words[0].lower(), words[1:]
            if key.startswith(":"):
                section = key
            elif section == ":units" and key == "length":
                asf.metres = _METRES_PER_INCH / float(values[0])
            elif section == ":units" and key == "angle":
                asf.degrees = values[0].lower().startswith("deg")
            elif section == ":root":
                bone[key] = values
            elif section == ":bonedata" and key == "begin":
                if "root" not in asf.bones:
                    asf.bones["root"], asf.position = _root(bone, asf), _numbers(bone.get("position", ["0"] * 3))
                bone, name = {}, ""
            elif section == ":bonedata" and key == "end":
                where += f", end of bone {name}"
                if not name or name in asf.bones:
                    raise ValueError(f"bone {'without a name' if not name else name + ' twice'}")
                asf.bones[name] = _bone(bone, asf)
            elif section == ":bonedata" and key == "name":
                name = values[0]
            elif section == ":bonedata":
                bone[key] = values
            elif section == ":hierarchy" and values:
                asf.hierarchy += [(child, words[0]) for child in values]
        where = "hierarchy"
        _check_tree(asf)
    except (ValueError, IndexError) as error:
        raise InputError(file=path, field=where, expected="an .asf skeleton", found=error) from None
    return asf


def _numbers(words: list[str], count: int = 3) -> tuple[float, ...]:
    values = tuple(float(w) for w in words[:count])
    if len(values) != count or not np.isfinite(values).all():
        raise ValueError(f"{' '.join(words)} (want {count} numbers)")
    return values


def _bone(words: dict[str, list[str]], asf: Asf) -> Bone:
    axis = words.get("axis", ["0", "0", "0", "XYZ"])
    dof = tuple(w.lower() for w in words.get("dof", []))
    if unknown := set(dof) - {"rx", "ry", "rz"}:
        raise ValueError(f"degree of freedom {', '.join(sorted(unknown))} (want rx, ry, rz)")
    unit = np.pi / 180 if asf.degrees else 1.0
    return Bone(
        direction=_numbers(words["direction"]) if "direction" in words else (0.0, 0.0, 0.0),
        length=_numbers(words.get("length", []), 1)[0],
        axis=tuple(a * unit for a in _numbers(axis)),
        order=_order(axis[3] if len(axis) > 3 else "XYZ"),
        dof=dof,
    )


def _root(words: dict[str, list[str]], asf: Asf) -> Bone:
    dof = tuple(w.lower() for w in words.get("order", ["tx", "ty", "tz", "rx", "ry", "rz"]))
    if sorted(dof) != ["rx", "ry", "rz", "tx", "ty", "tz"]:
        raise ValueError(f"root order {' '.join(dof)}")
    unit = np.pi / 180 if asf.degrees else 1.0
    axis = tuple(a * unit for a in _numbers(words.get("orientation", ["0"] * 3)))
    return Bone(axis=axis, order=_order(words.get("axis", ["XYZ"])[0]), dof=dof)


def _order(word: str) -> str:
    if sorted(word.upper()) != ["X", "Y", "Z"]:
        raise ValueError(f"axis order {word}")
    return word.upper()


def _check_tree(asf: Asf) -> None:
    placed = {"root"}
    for child, parent in asf.hierarchy:
        if child not in asf.bones or parent not in placed or child in placed:
            raise ValueError(f"{parent} {child} (unknown, repeated or before its parent)")
        placed.add(child)
    if not asf.hierarchy:
        raise ValueError("no hierarchy")


def parse_amc(path: Path, asf: Asf) -> dict[str, np.ndarray]:
    """Channels (t, dofs) of every moving bone. Raises `InputError` with the line for what is malformed."""
    lines = [
        (n, line)
        for n, line in enumerate(load_text(path, max_bytes=_MAX_BYTES).split("\n"), 1)
        if line.strip() and line[0] not in "#:"
    ]
    starts = [k for k, (_, line) in enumerate(lines) if re.fullmatch(r"\s*\d+\s*", line)]
    if not starts or starts[0] != 0:
        found = lines[0][1] if lines else "nothing"
        raise InputError(file=path, field=f"line {lines[0][0] if lines else 1}", expected="a frame number", found=found)
    t, size = len(starts), (starts[1] if len(starts) > 1 else len(lines))
    names = [line.split(None, 1)[0] for _, line in lines[1:size]]
    moving = {b: len(bone.dof) for b, bone in asf.bones.items() if bone.dof}
    if missing := [b for b in moving if b not in names]:
        raise InputError(file=path, field="frame 1", expected=f"bones {', '.join(missing)}", found="none of them")
    first = int(lines[0][1])
    for k, start in enumerate(starts):
        if start != k * size or int(lines[start][1]) != first + k:
            found = f"{start - starts[k - 1] - 1}" if start != k * size else f"frame {lines[start][1].strip()}"
            want = f"{size - 1} bones in frame {first + k - 1}, then frame {first + k}"
            raise InputError(file=path, field=f"line {lines[start][0]}", expected=want, found=found)
    if len(lines) != t * size:
        found = f"{len(lines) - starts[-1] - 1} (truncated)"
        want = f"{size - 1} bones in frame {first + t - 1}"
        raise InputError(file=path, field=f"line {lines[-1][0]}", expected=want, found=found)
    return {b: _column(path, lines[1 + names.index(b) :: size], b, n) for b, n in moving.items()}


def _column(path: Path, lines: list[tuple[int, str]], bone: str, count: int) -> np.ndarray:
    """Numbers (t, count) of the lines of one bone, one line per frame."""
    words = [line.split() for _, line in lines]
    for (number, line), w in zip(lines, words, strict=True):
        if w[0] != bone or len(w) != count + 1:
            raise InputError(file=path, field=f"line {number}", expected=f"{bone} and {count} numbers", found=line)
    try:
        values = np.array([w[1:] for w in words], dtype=np.float64)
        if np.isfinite(values).all():
            return values
    except ValueError:
        pass
    for (number, line), w in zip(lines, words, strict=True):
        try:
            if np.isfinite([float(x) for x in w[1:]]).all():
                continue
        except ValueError:
            pass
        raise InputError(file=path, field=f"line {number}", expected=f"{count} finite numbers", found=line)
    raise AssertionError("a line that numpy refuses and float() takes")
