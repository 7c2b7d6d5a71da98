"""ASF/AMC: the joints of the CMU-17 benchmark, and files that are damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from motion_fixtures import CMU
from poselift.errors import InputError
from poselift.formats import detect, read_motion
from poselift.formats.asfamc import read_raw
from poselift.formats.base import ReadOptions
from poselift.structures.recordings import resample

AMC = CMU / "subjects/02/02_01.amc"


@pytest.mark.parametrize("path", [CMU, CMU / "subjects", CMU / "subjects/02", AMC])
def test_a_file_a_subject_or_the_whole_download(path: Path) -> None:
    assert detect(path).name == "asfamc"
    motions = read_motion(path)
    names = ["cmu/02/02_01", "cmu/03/03_02"] if path in (CMU, CMU / "subjects") else ["cmu/02/02_01"]
    assert [m.name for m in motions] == names
    assert (motions[0].subject, motions[0].fps, len(motions[0])) == ("cmu02", 120.0, 60)
    assert motions[0].meta["assumed_fps"]


def test_the_same_joints_as_the_benchmark() -> None:
    """Resampled to 50 per second; the height differs by the floor, which is found from the whole recording there."""
    ours = {m.name: resample(m, 50.0) for m in read_motion(CMU)}
    for theirs in read_motion(CMU / "cmu17_first20.npz"):
        gap = ours[theirs.name].p_world[:20].astype(np.float64) - theirs.p_world
        gap[..., 2] -= gap[..., 2].mean()
        assert np.linalg.norm(gap, axis=-1).max() < 2e-5, theirs.name  # metres


def test_glitches_are_cut() -> None:
    whole = read_raw(CMU / "subjects/03", ReadOptions())[0]
    piece = read_motion(CMU / "subjects/03")[0]
    assert (len(whole), len(piece), piece.meta["start"]) == (120, 64, 56)
    assert np.linalg.norm(np.diff(whole.p_world, axis=0), axis=-1).max() * 120 > 80
    assert np.linalg.norm(np.diff(piece.p_world, axis=0), axis=-1).max() * 120 < 4


def test_rate_given_by_the_user() -> None:
    (m,) = read_motion(AMC, options=ReadOptions(fps=60.0))
    assert m.fps == 60
    assert "assumed_fps" not in m.meta


def test_unit_and_radians(tmp_path: Path) -> None:
    """Twice the `length` makes the person half as large; radians are read as such."""
    copy(tmp_path)
    asf = tmp_path / "02.asf"
    asf.write_text(asf.read_text().replace("length 0.45", "length 0.9"))
    small, large = read_raw(tmp_path, ReadOptions())[0].p_world, read_raw(AMC, ReadOptions())[0].p_world
    np.testing.assert_allclose(small * 2, large, atol=1e-6)


def copy(folder: Path) -> Path:
    shutil.copy(AMC, folder)
    shutil.copy(AMC.with_name("02.asf"), folder)
    return folder / AMC.name


def damaged(folder: Path, change) -> str:
    """The message for an .amc whose lines `change` has altered; it is one line and names the file."""
    amc = copy(folder)
    lines = change(amc.read_text().splitlines())
    amc.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError) as caught:
        read_motion(amc)
    assert "\n" not in str(caught.value)
    assert str(amc) in str(caught.value)
    return str(caught.value)


def test_truncated_in_the_middle_of_a_frame(tmp_path: Path) -> None:
    message = damaged(tmp_path, lambda lines: lines[:1000])
    assert "line 1000" in message
    assert "29 bones in frame 34" in message
    assert "found 6 (truncated)" in message


def test_a_line_cut_short(tmp_path: Path) -> None:
    message = damaged(tmp_path, lambda lines: [*lines[:99], lines[99].split()[0], *lines[100:]])
    assert "line 100" in message
    assert "numbers" in message


def test_a_missing_frame(tmp_path: Path) -> None:
    message = damaged(tmp_path, lambda lines: lines[:33] + lines[63:])
    assert "then frame 2" in message
    assert "found frame 3" in message


@pytest.mark.parametrize("word", ["nan", "inf", "abc", "1e999"])
def test_what_is_no_number(tmp_path: Path, word: str) -> None:
    def change(lines: list[str]) -> list[str]:
        k = next(n for n, line in enumerate(lines) if line.startswith("ltibia") and n > 300)
        lines[k] = f"ltibia {word}"
        return lines

    message = damaged(tmp_path, change)
    assert "1 finite numbers" in message
    assert f"found ltibia {word}" in message


def test_no_frames(tmp_path: Path) -> None:
    assert "expected a frame number, found nothing" in damaged(tmp_path, lambda lines: lines[:3])
    assert "expected a frame number" in damaged(tmp_path, lambda lines: ["something else"])


def test_a_skeleton_is_missing_or_one_of_many(tmp_path: Path) -> None:
    amc = copy(tmp_path)
    (tmp_path / "02.asf").rename(tmp_path / "a.asf")
    assert len(read_motion(amc)) == 1  # the only one there is
    shutil.copy(tmp_path / "a.asf", tmp_path / "b.asf")
    with pytest.raises(InputError, match=r"one \.asf beside it.*found a\.asf, b\.asf"):
        read_motion(amc)
    for name in "ab":
        (tmp_path / f"{name}.asf").unlink()
    with pytest.raises(InputError, match=r"one \.asf beside it.*found none"):
        read_motion(amc)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("length 7.59371", "length x", "line 35, end of bone lfemur"),
        ("dof rx ry rz", "dof rx l", "degree of freedom l"),
        ("    lhipjoint lfemur\n", "", "lfemur ltibia"),
        ("name ltibia", "name lshin", "lfemur ltibia"),
        ("axis XYZ\n", "axis XYX\n", "axis order XYX"),
        ("direction 0.34202 -0.939693 0  \n", "direction 0.34202\n", "want 3 numbers"),
        (":hierarchy", ":nothing", "no hierarchy"),
    ],
)
def test_a_damaged_skeleton(tmp_path: Path, old: str, new: str, says: str) -> None:
    amc = copy(tmp_path)
    asf = tmp_path / "02.asf"
    text = asf.read_text()
    assert old in text
    asf.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read_motion(amc)
    assert str(asf) in str(caught.value)
    assert says in str(caught.value)


def test_a_skeleton_of_another_body(tmp_path: Path) -> None:
    amc = copy(tmp_path)
    asf = tmp_path / "02.asf"
    asf.write_text(asf.read_text().replace("upperneck", "neck2"))
    with pytest.raises(InputError, match="bones upperneck"):
        read_motion(amc)


def test_an_asf_alone(tmp_path: Path) -> None:
    copy(tmp_path)
    with pytest.raises(InputError, match="skeleton without motion"):
        read_motion(tmp_path / "02.asf", format="asfamc")
