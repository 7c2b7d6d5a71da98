"""What every row of `OUTPUTS` promises: a new kind of file is tested without a new test."""

from __future__ import annotations

from pathlib import Path

import pytest

from motion_fixtures import lifted_clip
from poselift.errors import InputError
from poselift.formats import WRITERS
from poselift.pipeline.outputs import OUTPUTS, Caption, choose_outputs, write_output

OF_KEYPOINTS = [name for name in OUTPUTS if name != "overlay"]  # which needs pictures: tests/pipeline/test_watch.py


@pytest.fixture(params=OF_KEYPOINTS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_names_and_files_are_told_apart():
    assert set(WRITERS) <= set(OUTPUTS)
    files = [o.file for o in OUTPUTS.values()]
    assert len(set(files)) == len(files)
    for key in OF_KEYPOINTS:
        entry = OUTPUTS[key]
        assert 5 < len(entry.summary) < 80
        assert Path(entry.file).suffix == f".{key}"


def test_what_is_written_is_found(name: str, tmp_path: Path):
    clips = [lifted_clip(), lifted_clip().replace(track_id=7)]
    (tmp_path / "before.txt").write_text("of somebody else")
    made = write_output(name, clips, tmp_path, Caption(title="people", notes=["a note"], truth=clips[:1]))
    assert made
    assert all(file.parent == tmp_path and file.stat().st_size > 100 for file in made)
    assert {*made, tmp_path / "before.txt"} == set(tmp_path.iterdir()), "nothing else is left behind"
    stem = Path(OUTPUTS[name].file).stem
    assert all(file.name.startswith(stem) for file in made)


def test_one_that_is_asked_for_is_the_one(name: str):
    assert choose_outputs([name]) == ([name], [])
    with pytest.raises(InputError):
        choose_outputs([name + "x"])


def test_an_overlay_is_not_to_be_had_of_keypoints_alone():
    with pytest.raises(InputError, match="expected a video or pictures as input"):
        choose_outputs(["overlay"])
