"""Imports point down only and rooms of one level never see each other, lazy imports and tables included.

errors → {storage, geometry} → structures → {formats, losses, metrics, models, video} → {data, detect, view} →
{train, pipeline} → cli, lowest first. The package's own `__init__` is above all of them.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "poselift"

LEVELS = (
    {"errors"},
    {"storage", "geometry"},
    {"structures"},
    {"formats", "losses", "losses_adversarial", "metrics", "models", "video"},
    {"data", "detect", "view"},
    {"train", "pipeline"},
    {"cli"},
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
TOP = {"__init__", "__main__"}
WITHOUT_TORCH = ("errors", "storage", "structures", "formats", "cli")

_DOTTED = re.compile(r"poselift(\.\w+)+(:\w+)?")


def imported_rooms(code: str) -> Iterator[tuple[int, str]]:
    """(line, room) for every import of a room of poselift, wherever it stands; dotted names in texts count too."""
    for node in ast.walk(ast.parse(code)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = ["poselift.<relative>"]
        elif isinstance(node, ast.ImportFrom) and node.module == "poselift":
            names = [f"poselift.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOTTED.fullmatch(node.value):
            names = [node.value]
        for name in names:
            parts = re.split(r"[.:]", name)
            if parts[0] == "poselift" and len(parts) > 1 and parts[1] not in ("__version__", ""):
                yield getattr(node, "lineno", 0), parts[1]


def violations(room: str, code: str) -> list[str]:
    """What a module of a room imports though it must not."""
    out = []
    for line, target in imported_rooms(code):
        if target == room or room in TOP:
            continue
        if target not in LEVEL:
            out.append(f"line {line}: '{target}' is no room of LEVELS")
        elif LEVEL[target] > LEVEL[room]:
            out.append(f"line {line}: {room} imports {target}, which is above it")
        elif LEVEL[target] == LEVEL[room]:
            out.append(f"line {line}: {room} imports its sibling {target}")
    return out


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


MODULES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_down(path: Path):
    room = room_of(path)
    assert room in LEVEL or room in TOP, f"{room} is not in LEVELS"
    assert violations(room, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("room", "code", "complaint"),
    [
        ("models", "import poselift.data.cmu17", "models imports data, which is above it"),
        ("models", "from poselift.formats import read", "models imports its sibling formats"),
        ("formats", "def f():\n    from poselift.models.base import Lifter", "formats imports its sibling models"),
        ("geometry", "from poselift import structures", "geometry imports structures, which is above it"),
        ("view", "TABLE = {'a': 'poselift.train.loop:train'}", "view imports train, which is above it"),
        (
            "errors",
            "if TYPE_CHECKING:\n    from poselift.storage.text import x",
            "errors imports storage, which is above it",
        ),
        ("data", "from ..formats import read", "'<relative>' is no room"),
        ("cli", "import poselift.helpers", "'helpers' is no room"),
    ],
)
def test_a_made_up_module_that_breaks_the_rule_is_found(room: str, code: str, complaint: str):
    (found,) = violations(room, code)
    assert complaint in found


def test_allowed_imports_pass():
    code = "import torch\nimport poselift.errors\nfrom poselift import __version__\nimport poselift.models.x"
    assert violations("models", code) == []


def _fresh(program: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(SOURCE.parent)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_light_rooms_import_without_torch():
    names = [
        "poselift." + ".".join(p.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for p in MODULES
        if room_of(p) in WITHOUT_TORCH
    ]
    heavy = "('torch', 'matplotlib', 'viser', 'onnx', 'onnxruntime', 'lightning_fabric', 'bvhio')"
    program = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
    heavy = [m for m in {heavy} if m in sys.modules]
    assert not heavy, (name, heavy)
print('light')
"""
    assert _fresh(program).strip() == "light"


def test_importing_the_package_does_nothing():
    loaded = _fresh("import sys, poselift; print(*sys.modules)").split()
    assert [m for m in loaded if m.partition(".")[0] in ("poselift", "numpy", "torch", "tyro")] == ["poselift"]


def test_lazy_names_lead_somewhere():
    import poselift

    for name in poselift.__all__:
        assert getattr(poselift, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = poselift.nonsense
