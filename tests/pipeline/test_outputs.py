"""Which files are written: the table, what the documents say of it, and files of people who are gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flat_lifter import Flat, walking_clip
from poselift.cli import lifting
from poselift.errors import InputError, MissingExtraError
from poselift.formats import READERS, WRITERS
from poselift.pipeline import outputs
from poselift.pipeline.lift import lift
from poselift.pipeline.outputs import OUTPUTS, choose_outputs

ROOT = Path(__file__).parents[2]
USUAL = ["npz", "json", "csv", "bvh", "html", "png"]


def test_the_documents_tables_are_the_tables() -> None:
    lines = (ROOT / "docs/formats.md").read_text(encoding="utf-8").splitlines()
    written = [line for line in lines if re.match(r"\| `\w+` \| `", line)]
    each = {n: "poses_track0" + WRITERS[n].suffix for n in WRITERS if "one file per person" in WRITERS[n].summary}
    assert written == [
        f"| `{n}` | `{each.get(n, o.file)}` | {o.summary} | {'no' if o.asked else 'yes'} |" for n, o in OUTPUTS.items()
    ]
    read = [line for line in lines if re.match(r"\| `\w[\w-]*` \| [^`]+ \| (clips|motion) \|$", line)]
    assert read == [f"| `{n}` | {r.summary} | {r.gives} |" for n, r in READERS.items()]


def test_the_command_lines_help_names_them_all() -> None:
    text = Path(lifting.__file__).read_text(encoding="utf-8")
    (said,) = re.findall(r'"""What to write, with commas: (\S+) \(these where nothing is said\), (\S+)\."""', text)
    assert said[0].split(",") == [*USUAL, "overlay"]
    assert {*said[0].split(","), *said[1].split(",")} == set(OUTPUTS)


def test_the_usual_files_are_what_nobody_has_to_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_outputs(None) == (USUAL, [])
    assert choose_outputs(None, pixels=True) == ([*USUAL, "overlay"], [])
    assert choose_outputs(["c3d", "npz", "glb"]) == (["npz", "glb", "c3d"], [])
    with pytest.raises(InputError, match="unknown output format 'fbx'"):
        choose_outputs(["fbx"])
    real = outputs.importlib.util.find_spec
    monkeypatch.setattr(
        outputs.importlib.util, "find_spec", lambda name: None if name in ("ezc3d", "viser") else real(name)
    )
    names, notes = choose_outputs(None)
    assert names == [n for n in USUAL if n != "html"]
    assert notes == ["index.html left out: it needs viser (pip install 'poselift[view]')"]
    with pytest.raises(MissingExtraError, match=r"writing poses.c3d needs ezc3d: .*poselift\[export\]"):
        choose_outputs(["c3d"])
    with pytest.raises(MissingExtraError, match=r"poselift\[export\]"):
        WRITERS["c3d"].write([], "a.c3d")


def test_files_of_people_who_are_gone_are_removed(tmp_path: Path) -> None:
    first, second = walking_clip(8), walking_clip(8).replace(track_id=3)
    names = ("bvh", "trc", "mot", "glb", "c3d")
    lifted = lift([first, second], model=Flat(), out=tmp_path, formats=names)
    each = [f"poses_track{k}.{s}" for k in (0, 3) for s in names[:3]]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*each, "poses.glb", "poses.c3d"])
    assert {k: [f.name for f in v] for k, v in lifted.files.items()}["trc"] == ["poses_track0.trc", "poses_track3.trc"]
    lift(first, model=Flat(), out=tmp_path, formats=("bvh", "trc"))
    left = sorted(p.name for p in tmp_path.iterdir() if "track3" in p.name)
    assert left == ["poses_track3.mot"], "only formats that are written anew"
