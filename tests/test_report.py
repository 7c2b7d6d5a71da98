"""The report: which average is which, by hand; tables; refusals."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from poselift.errors import InputError
from poselift.metrics import AVERAGES, FIGURES, H36M_ACTIONS, Report
from poselift.metrics.tables import VIEWS
from poselift.structures import skeleton

H36M = skeleton("h36m17")


def shifted(frames: int, mm: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A clip whose every joint is wrong by so many mm, in a direction of its own (so that alignment cannot help)."""
    g = torch.Generator().manual_seed(seed)
    target = torch.randn(frames, 17, 3, generator=g) * 0.3
    off = torch.nn.functional.normalize(torch.randn(frames, 17, 3, generator=g), dim=-1)
    return target + off * mm / 1000, target


def three_clips() -> Report:
    report = Report(H36M)
    for name, action, frames, mm in (("a", "Walking", 10, 10), ("b", "Walking", 30, 50), ("c", "Eating", 60, 100)):
        report.add(name, action, *shifted(frames, mm), fps=50)
    return report


def test_the_three_averages_by_hand():
    s = three_clips().summary()
    assert s["mpjpe_mm/frame"] == pytest.approx((10 * 10 + 30 * 50 + 60 * 100) / 100, rel=1e-5)
    assert s["mpjpe_mm/clip"] == pytest.approx((10 + 50 + 100) / 3, rel=1e-5)
    assert s["mpjpe_mm/action"] == pytest.approx(((10 * 10 + 30 * 50) / 40 + 100) / 2, rel=1e-5)
    assert {k.split("/")[1] for k in s} == set(AVERAGES)
    absolute = {"mpjpe_abs_mm", *(f for f in FIGURES if f.startswith("mrpe"))}
    assert {k.split("/")[0] for k in s} == set(FIGURES) - absolute
    assert s["mpjve_mm_per_s/frame"] == pytest.approx(s["mpjve_mm/frame"] * 50)
    assert s["accel_mm_per_s2/frame"] == pytest.approx(s["accel_mm/frame"] * 2500)
    assert s["p_mpjpe_mm/frame"] < s["mpjpe_mm/frame"]


def test_value_and_unknown_names():
    report = three_clips()
    assert report.value("mpjpe_mm", "clip") == report.summary()["mpjpe_mm/clip"]
    assert math.isnan(report.value("mrpe_mm", "frame"))
    with pytest.raises(InputError, match="did you mean 'mpjpe_mm'"):
        report.value("mpjpe", "frame")
    with pytest.raises(InputError, match="unknown average"):
        report.value("mpjpe_mm", "median")


def test_actions_stand_in_the_published_order():
    assert len(H36M_ACTIONS) == 15
    report = Report(H36M)
    for action in reversed(H36M_ACTIONS):
        report.add("x", action, *shifted(2, 10))
    assert report.actions == H36M_ACTIONS
    assert tuple(report.per_action()) == H36M_ACTIONS
    report.add("x", "Dancing", *shifted(2, 10))
    assert report.actions == (*reversed(H36M_ACTIONS), "Dancing")


def test_no_action_average_unless_every_clip_has_an_action():
    report = three_clips()
    report.add("d", "", *shifted(5, 10))
    assert not any(k.endswith("/action") for k in report.summary())
    assert math.isnan(report.value("mpjpe_mm", "action"))
    assert list(report.per_action()) == ["Eating", "Walking"]


def test_a_figure_that_only_some_clips_have_is_in_no_overall_average():
    report = three_clips()
    p, t = shifted(8, 10)
    report.add("d", "Eating", p, t, root_pred=t[:, 1], root_target=t[:, 2])
    s = report.summary()
    assert not any(k.startswith(("mrpe", "mpjve_mm_per_s")) for k in s)
    assert report.value("mrpe_mm", "frame") > 0  # asked for by name, it is the average over those that have it


def test_per_joint_and_per_angle():
    report = Report(H36M)
    target = torch.randn(5, 17, 3)
    pred = target.clone()
    pred[:, H36M.index("l_wrist"), 2] += 0.17
    report.add("a", "", pred, target)
    joints = report.per_joint()
    assert joints["l_wrist"]["mpjpe_mm/frame"] == pytest.approx(170, rel=1e-4)
    assert joints["l_elbow"]["mpjpe_mm/frame"] == 0
    assert report.summary()["mpjpe_mm/frame"] == pytest.approx(10, rel=1e-4)
    angles = report.per_angle()
    assert angles["l_elbow"]["joint_angle_error_deg/frame"] > 0.1
    assert angles["r_elbow"]["joint_angle_error_deg/frame"] == 0
    assert report.summary()["joint_angle_error_deg/frame"] == pytest.approx(
        sum(a["joint_angle_error_deg/frame"] for a in angles.values()) / 8, rel=1e-4
    )


def test_masks_and_frames_without_a_joint():
    pred, target = shifted(10, 20)
    mask = torch.ones(10, 17, dtype=torch.bool)
    mask[:, 3] = False
    mask[4] = False
    pred[~mask], target[~mask] = torch.nan, torch.nan
    report = Report(H36M)
    report.add("a", "", pred.numpy(), target.numpy(), mask=mask.numpy())
    s = report.summary()
    assert s["mpjpe_mm/frame"] == pytest.approx(20, rel=1e-4)
    assert all(math.isfinite(v) for v in s.values())
    assert report.rows[0].sums["mpjpe_mm"][1] == 9
    assert report.rows[0].sums["mpjve_mm"][1] == 7
    assert math.isnan(report.per_joint()[H36M.joints[3]]["mpjpe_mm/frame"])


def test_roots_that_could_not_be_told_are_counted():
    pred, target = shifted(4, 10)
    root = torch.tensor([[0.0, 0, 5]]).expand(4, 3)
    found = root + torch.tensor([0.03, -0.04, 0.12])
    found[1] = torch.nan
    report = Report(H36M)
    report.add("a", "", pred, target, root_pred=found, root_target=root)
    s = report.summary()
    assert s["mrpe_mm/frame"] == pytest.approx(130, rel=1e-4)
    for axis, mm in (("x", 30), ("y", 40), ("z", 120)):
        assert s[f"mrpe_{axis}_mm/frame"] == pytest.approx(mm, rel=1e-3)
    kept = [0, 2, 3]  # absolute: what is wrong in the pose and in the root, of frames that have one
    apart = ((pred - target)[kept] + (found - root)[kept, None]).norm(dim=-1)
    assert s["mpjpe_abs_mm/frame"] == pytest.approx(apart.mean().item() * 1000, rel=1e-4)
    assert report.frames_without_root == 1
    assert "1 without a predicted root" in report.to_markdown()


def test_tables_name_their_averages():
    report = three_clips()
    text = report.to_markdown()
    for average, meaning in AVERAGES.items():
        assert f"{average} average" in text
        assert meaning in text
    assert "| mpjpe_mm | 76.0 | 53.3 | 70.0 |" in text
    assert "| Walking | 40.0 |" in text
    assert "| action average of 2 | 70.0 |" in text
    assert "l_wrist" in text
    assert "r_knee" in text
    assert "By clip" not in text
    assert "| a | Walking | – | 10 |" in report.to_markdown("clip")
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for view in VIEWS:
        console.print(report.to_rich_table(view))
    shown = console.export_text()
    assert AVERAGES["action"] in shown
    assert "mpjpe_mm/frame" in shown
    with pytest.raises(InputError, match="unknown table"):
        report.to_markdown("actions")


def by_subject() -> Report:
    """Two actions, three subjects, one of whom never boxes; S2 walks twice, 1 and 3 frames long."""
    report = Report(H36M)
    for subject, action, frames, mm in (
        ("S10", "Walking", 5, 40), ("S2", "Walking", 1, 10), ("S2", "Walking", 3, 50), ("S1", "Walking", 2, 20),
        ("S1", "Box", 9, 100), ("S2", "Box", 4, 60),
    ):  # fmt: skip
        report.add(f"{subject}/{action}", action, *shifted(frames, mm), subject=subject)
    return report


def test_by_action_and_subject_as_published_for_humaneva():
    report = by_subject()
    assert report.subjects == ("S1", "S2", "S10")
    table = report.per_action_and_subject()
    assert {a: {s: round(v, 2) for s, v in row.items()} for a, row in table.items()} == {
        "Walking": {"S1": 20, "S2": 40, "S10": 40}, "Box": {"S1": 100, "S2": 60}
    }  # fmt: skip
    assert report.per_subject()["S2"]["mpjpe_mm/frame"] == pytest.approx((10 + 150 + 240) / 8, rel=1e-5)
    heads, _, *rows = report.to_markdown("action-subject").splitlines()[2:]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in rows]
    assert [h.strip() for h in heads.strip("|").split("|")][:5] == [
        "action", "S1 mpjpe_mm/frame", "S2 mpjpe_mm/frame", "S10 mpjpe_mm/frame", "mean mpjpe_mm",
    ]  # fmt: skip
    assert [row[:5] for row in cells] == [
        ["Walking", "20.0", "40.0", "40.0", "33.3"],
        ["Box", "100.0", "60.0", "–", "80.0"],
        ["mean", "60.0", "50.0", "40.0", "52.0"],
    ]
    assert all(float(row[5]) < float(row[1]) for row in cells)
    assert len(cells[0]) == 9
    assert "| S10 | 40.0 |" in report.to_markdown("subject")
    assert "| S2/Box | Box | S2 | 4 |" in report.to_markdown("clip")
    with pytest.raises(InputError, match="unknown figure"):
        report.per_action_and_subject("mpjpe")


def test_without_subjects_or_actions_the_tables_have_a_dash():
    report = Report(H36M)
    report.add("a", "", *shifted(5, 30))
    assert "| – | 30.0 |" in report.to_markdown("subject")
    text = report.to_markdown("action-subject")
    assert "| action | – mpjpe_mm/frame | mean mpjpe_mm |" in text
    assert "| – | 30.0 | 30.0 |" in text
    assert "| mean | 30.0 | 30.0 |" in text


def test_the_dictionary_is_json_and_explains_itself():
    report = three_clips()
    report.add("one frame", "Eating", *shifted(1, 10), fps=50)  # no velocity
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["averages"] == AVERAGES
    assert data["overall"] == pytest.approx(report.summary())
    assert data["per_clip"][3]["mpjve_mm/frame"] is None
    assert data["frames"] == 101
    assert data["actions"] == ["Eating", "Walking"]
    assert data["subjects"] == [""]
    assert data["per_action_and_subject"]["mpjpe_mm"]["Walking"] == {"": pytest.approx(40, rel=1e-5)}
    assert report.summary()["mpjve_mm/clip"] == pytest.approx(
        np.mean([c["mpjve_mm/frame"] for c in report.per_clip()[:3]])
    )


def test_an_empty_report_says_nothing():
    report = Report(H36M)
    assert report.summary() == {}
    assert report.to_dict()["clips"] == 0
    report.to_markdown()
    report.to_rich_table()


@pytest.mark.parametrize(
    ("pred", "target", "extra", "message"),
    [
        (torch.zeros(5, 16, 3), torch.zeros(5, 16, 3), {}, "expected two .frames, 17, 3"),
        (torch.zeros(5, 17, 3), torch.zeros(4, 17, 3), {}, "found .5, 17, 3. and .4, 17, 3."),
        (torch.zeros(0, 17, 3), torch.zeros(0, 17, 3), {}, "expected two"),
        (torch.full((5, 17, 3), torch.nan), torch.zeros(5, 17, 3), {}, "prediction.*finite"),
        (torch.zeros(5, 17, 3), torch.full((5, 17, 3), torch.inf), {}, "target.*finite"),
        (torch.zeros(5, 17, 3), torch.zeros(5, 17, 3), {"mask": torch.ones(5, 16)}, "mask"),
        (torch.zeros(5, 17, 3), torch.zeros(5, 17, 3), {"root_pred": torch.ones(4, 3), "root_target": torch.ones(5, 3)},
         "roots"),
    ],
)  # fmt: skip
def test_what_cannot_be_scored_is_refused_by_name(
    pred: torch.Tensor, target: torch.Tensor, extra: dict[str, Any], message: str
):
    with pytest.raises(InputError, match=f"^clip 7.*{message}"):
        Report(H36M).add("clip 7", "", pred, target, **extra)
