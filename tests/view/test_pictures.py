"""The contact sheet and the plots, looked at pixel by pixel."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from poselift.errors import InputError, MissingExtraError, OutputError
from poselift.view.palette import track_colours
from poselift.view.plots import plot_bars, plot_curves
from poselift.view.sheet import write_contact_sheet
from view import scenes

pytest.importorskip("matplotlib")


def pixels(path: Path) -> np.ndarray:
    from matplotlib.image import imread

    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    return (imread(path)[..., :3] * 255).round().astype(int)


def where(image: np.ndarray, colour: str) -> np.ndarray:
    """(n, 2) rows and columns of pixels of that colour."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.argwhere((np.abs(image - rgb) <= 2).all(-1))


def test_left_and_right_stand_where_the_camera_sees_them(tmp_path):
    write_contact_sheet([scenes.clip(90)], tmp_path / "s.png", columns=1)
    image = pixels(tmp_path / "s.png")
    colours = track_colours(1)[0]
    high = image.shape[0]
    for top, bottom, hues in ((0.08, 0.36, colours.on_dark()), (0.36, 0.66, colours)):  # 2D, 3D from the camera
        rows = image[int(top * high) : int(bottom * high)]
        left, right = where(rows, hues.left), where(rows, hues.right)
        assert min(len(left), len(right)) > 100
        assert left[:, 1].mean() < right[:, 1].mean() - 5


def test_the_figure_has_true_proportions(tmp_path):
    """Equal axes: the trunk's and head's height over the hips' width is what it is in metres."""
    p = np.tile(np.asarray(scenes.clip(1, posed=True).p_root), (60, 1, 1))
    c = scenes.clip(60, posed=True, speed=0.0).replace(p_root=p)
    write_contact_sheet([c], tmp_path / "s.png", columns=3)
    image = pixels(tmp_path / "s.png")
    high, wide = image.shape[:2]
    row = image[int(0.37 * high) : int(0.65 * high), : wide // 3 + 40]
    limbs = np.concatenate([where(row, colour) for colour in track_colours(1)[0]])
    span = np.ptp(limbs, axis=0)
    assert span[0] / span[1] == pytest.approx((1.72 - 0.08) / 0.48, rel=0.15)


def test_only_moments_with_somebody_are_shown(tmp_path):
    c = scenes.hide(scenes.clip(200), 2, 200)
    write_contact_sheet([c], tmp_path / "s.png")
    write_contact_sheet([scenes.clip(200)], tmp_path / "all.png")
    few, many = pixels(tmp_path / "s.png"), pixels(tmp_path / "all.png")
    assert few.shape[1] < 0.6 * many.shape[1]
    assert 1500 < many.shape[1] < 2400


def test_a_crowd_gets_wide_cells_and_its_own_colours(tmp_path):
    clips = [scenes.clip(30, track_id=i, start=(1.8 * i - 2.7, 0.5 * i)) for i in range(4)]
    write_contact_sheet(clips, tmp_path / "s.png", truth=clips)
    image = pixels(tmp_path / "s.png")
    for colours in track_colours(4):
        assert len(where(image, colours.trunk)) > 100
    assert image.shape[0] < 0.62 * image.shape[1]


def test_sheet_refusals(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="3D"):
        write_contact_sheet([scenes.clip(3).replace(p_root=None)], tmp_path / "s.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_contact_sheet([scenes.clip(3)], tmp_path / "file" / "s.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        write_contact_sheet([scenes.clip(3)], tmp_path / "s.png")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_pyplot_is_left_alone(tmp_path):
    sys.modules.pop("matplotlib.pyplot", None)
    write_contact_sheet([scenes.clip(3)], tmp_path / "s.png")
    plot_bars({"a": 1.0}, tmp_path / "b.png")
    assert "matplotlib.pyplot" not in sys.modules


def test_curves_have_a_panel_for_each_quantity(tmp_path):
    log = {"step": [0, 1, 2, 3], "loss": ["3", "2", 1.5, 1.2], "val/mpjpe_mm": [90, "", None, 60], "lr": [1e-3] * 4}
    plot_curves(log, tmp_path / "three.png", title="run")
    plot_curves({k: log[k] for k in ("step", "loss")}, tmp_path / "one.png")
    assert pixels(tmp_path / "three.png").shape[1] > 1.8 * pixels(tmp_path / "one.png").shape[1]


def test_a_falling_curve_falls(tmp_path):
    plot_curves({"loss": np.linspace(5, 4, 40).tolist()}, tmp_path / "c.png")
    line = where(pixels(tmp_path / "c.png"), "#2b7de9")
    line = line[line[:, 0] > np.percentile(line[:, 0], 20)]  # without the legend's sample
    assert np.polyfit(line[:, 1], line[:, 0], 1)[0] > 0.2


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"step": [1, 2], "loss": [1]}, "equal lengths"),
        ({"step": [1, 2]}, "at least one column of numbers"),
        ({"loss": ["low", 1]}, "numbers"),
        ({"loss": [None, float("nan")]}, "at least one column"),
        ({}, "at least one column"),
    ],
)
def test_bad_columns(tmp_path, columns, says):
    with pytest.raises(InputError, match=says):
        plot_curves(columns, tmp_path / "c.png")
    assert not list(tmp_path.iterdir())


def test_bars_are_as_long_as_their_values(tmp_path):
    plot_bars({"Walking": 20.0, "Sitting": 40.0}, tmp_path / "b.png", mean=False)
    bars = where(pixels(tmp_path / "b.png"), "#2b7de9")
    widths = [np.ptp(bars[bars[:, 0] == r][:, 1]) for r in np.unique(bars[:, 0])]
    assert widths[-3] / widths[3] == pytest.approx(2, rel=0.02)


def test_bars_of_several_series(tmp_path):
    values = {"Walking": {"MPJPE": 50.0, "P-MPJPE": 40.0}, "Sitting": {"MPJPE": 70.0, "P-MPJPE": float("nan")}}
    plot_bars(values, tmp_path / "b.png", title="Error per action")
    image = pixels(tmp_path / "b.png")
    blue, orange = where(image, "#2b7de9"), where(image, "#f0742b")
    assert len(blue) > 2 * len(orange) > 2000


@pytest.mark.parametrize("values", [{}, {"a": float("nan")}, {"a": {}}])
def test_no_bars(tmp_path, values):
    with pytest.raises(InputError, match="at least one"):
        plot_bars(values, tmp_path / "b.png")
