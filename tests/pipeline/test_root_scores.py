"""Figures of root files, worked out by hand and against the parity vectors, through small published folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from data.annotations import published_folders as folders
from parity_vectors import vectors
from poselift.cli import main
from poselift.data.annotations import read_annotations
from poselift.errors import InputError
from poselift.formats.rootnet import FoundRoot, write_roots
from poselift.pipeline.root_scores import score_roots

BOX = np.array([0.0, 0, 10, 10])


def test_mrpe_by_annotation(tmp_path: Path):
    """3DPW: metres, people told apart by their ids, in whatever order."""
    p = folders.pw3d(tmp_path)[:, 0]
    roots = [
        FoundRoot(image_id=3, ann_id=1, root_cam=p[1] + (0.03, 0, -0.04), box_xywh=BOX),
        FoundRoot(image_id=3, ann_id=0, root_cam=p[0] + (0, 0.01, 0), box_xywh=BOX),
    ]
    write_roots(roots, tmp_path / "r.json", unit="m", scores=False)
    found = score_roots(tmp_path / "r.json", "pw3d", tmp_path)
    want = {"mrpe_mm": (50 + 10) / 2, "mrpe_x_mm": 15, "mrpe_y_mm": 5, "mrpe_z_mm": 20}
    assert {k: found.figures[k] for k in want} == pytest.approx(want, rel=1e-6)
    assert (found.predictions, found.people, found.pairs) == (2, 2, 2)


def test_mrpe_by_picture_and_action(tmp_path: Path):
    """Human3.6M: no ids, one person a picture."""
    folders.human36m(tmp_path)
    pictures = read_annotations("human36m", tmp_path, "test").pictures
    rows = []
    for i, picture in enumerate(pictures):
        p = picture.people[0].p_cam
        assert p is not None
        rows.append(FoundRoot(image_id=picture.id, root_cam=p[0] + (0, 0, 0.01 * i), box_xywh=BOX))
    write_roots(rows, tmp_path / "r.json", scores=False)
    found = score_roots(tmp_path / "r.json", "human36m", tmp_path)
    assert found.pairs == len(pictures)
    errors = 10.0 * np.arange(len(pictures))
    assert found.figures["mrpe_z_mm"] == pytest.approx(errors.mean(), rel=1e-5)
    names = np.array([p.meta["action"] for p in pictures])
    assert found.actions == pytest.approx({n: errors[names == n].mean() for n in set(names)}, rel=1e-5)


def mupots(folder: Path, people: Sequence[tuple[int, Sequence[float], bool]], images: set[int]) -> Path:
    """The set with people (image, root in millimetres, valid) in some images."""
    listed = [{"id": i, "file_name": f"{i}.jpg", "intrinsic": [1, 1, 0, 0], **folders.SIZE} for i in sorted(images)]
    rows = [
        {
            "id": k, "image_id": i, "bbox": [5, 5, 50, 50], "is_valid": int(valid), "keypoints_cam": [list(p)] * 17,
            "keypoints_img": [[1, 1]] * 17, "keypoints_vis": [1] * 17,
        }
        for k, (i, p, valid) in enumerate(people)
    ]  # fmt: skip
    folders.write(folder / "data" / "MuPoTS-3D.json", {"images": listed, "annotations": rows})
    return folder


def test_ap_by_hand(tmp_path: Path):
    """Hit, miss, hit, double; recall's first step does not count, as published."""
    people = [(1, (0, 0, 3000), True), (1, (1000, 0, 3000), True), (2, (0, 0, 4000), True), (3, (0, 0, 1), False)]
    mupots(tmp_path, people, {1, 2, 3})
    said = [(1, (0, 0, 3.2), 0.9), (2, (0, 0, 4.3), 0.8), (1, (1.1, 0, 3.0), 0.7), (1, (0, 0, 3.0), 0.6)]
    said.append((3, (0, 0, 9), 1.0))
    roots = [FoundRoot(image_id=i, root_cam=np.array(p, float), box_xywh=BOX, score=s) for i, p, s in said]
    write_roots(roots, tmp_path / "r.json")
    found = score_roots(tmp_path / "r.json", "mupots", tmp_path)
    want = {"mrpe_mm": 300.0, "mrpe_x_mm": 0.0, "mrpe_y_mm": 0.0, "mrpe_z_mm": 300.0, "ap_25_percent": 100 * 2 / 3 / 3}
    assert found.figures == pytest.approx(want, rel=1e-6)
    assert (found.people, found.pairs) == (3, 1), "picture 2 has one person and one root"


@pytest.mark.parametrize("case", range(4))
def test_ap_parity(case: int, tmp_path: Path):
    """What the published evaluation says of the same roots, through files in the published layouts."""
    v = {k.removesuffix(f"_{case}"): x.tolist() for k, x in vectors("root_ap").items() if k.endswith(f"_{case}")}
    people = list(zip(v["gt_image"], v["gt_root"], map(bool, v["gt_valid"]), strict=True))
    mupots(tmp_path, people, {*v["gt_image"], *v["pred_image"]})
    rows = zip(v["pred_image"], v["pred_root"], v["pred_score"], strict=True)
    said = [{"image_id": i, "root_cam": p, "bbox": [0, 0, 1, 1], "score": s} for i, p, s in rows]
    (tmp_path / "r.json").write_text(json.dumps(said))
    found = score_roots(tmp_path / "r.json", "mupots", tmp_path)
    assert found.figures["ap_25_percent"] == pytest.approx(100 * v["ap25"], abs=1e-7)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    p = folders.pw3d(tmp_path)[:, 0]
    write_roots([FoundRoot(image_id=3, ann_id=0, root_cam=p[0], box_xywh=BOX)], tmp_path / "r.json", unit="m")
    argv = ["eval", "roots", str(tmp_path / "r.json"), "--data", "pw3d", "--path", str(tmp_path)]
    assert main(argv) == 0
    assert "mrpe_z_mm" in capsys.readouterr().out
    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 1


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"image_id": 4}], "entry 0 image_id: expected an image of pw3d"), ([{"ann_id": 9}], "entry 0 ann_id"),
        ([{}, {}], "each person once"), ([{"root_cam": [1, 2]}], "entry 0 root_cam"),
    ],
)  # fmt: skip
def test_bad_files_are_one_line(rows: list[dict], expected: str, tmp_path: Path):
    folders.pw3d(tmp_path)
    plain = {"image_id": 3, "ann_id": 0, "root_cam": [0, 0, 3], "bbox": [0, 0, 1, 1]}
    (tmp_path / "r.json").write_text(json.dumps([{**plain, **r} for r in rows]))
    with pytest.raises(InputError, match=r"r\.json") as error:
        score_roots(tmp_path / "r.json", "pw3d", tmp_path)
    assert expected in str(error.value)


def test_a_camera_that_nobody_states_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    p = folders.coco(tmp_path)[0, 0]
    write_roots([FoundRoot(image_id=1, ann_id=0, root_cam=p, box_xywh=BOX)], tmp_path / "r.json", scores=False)
    argv = ["eval", "roots", str(tmp_path / "r.json"), "--data", "coco", "--path", str(tmp_path)]
    assert main(argv) == 0
    assert "focal length" not in capsys.readouterr().out
    file = tmp_path / "test.json"
    value = json.loads(file.read_text())
    del value["images"][0]["intrinsic"]
    file.write_text(json.dumps(value))
    assert main(argv) == 0
    assert "pictures whose focal length nobody states: 1; their roots" in capsys.readouterr().out


def test_a_set_without_depth(tmp_path: Path):
    folders.mscoco(tmp_path)
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(InputError, match="where people are"):
        score_roots(tmp_path / "r.json", "mscoco", tmp_path, split="validation")
