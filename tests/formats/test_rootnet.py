"""Box files and root files: written, read, and told apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from poselift.errors import InputError
from poselift.formats.rootnet import FoundBox, FoundRoot, read_boxes, read_roots, write_boxes, write_roots


def test_boxes_come_back_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "bbox.json"
    boxes: dict[int | str, list[FoundBox]] = {
        3: [FoundBox(box_xywh=np.array([1.0, 2, 3, 4]), score=0.5), FoundBox(box_xywh=np.array([5.0, 6, 7, 8]))]
    }
    write_boxes(boxes, file)
    assert json.loads(file.read_text())[0] == {"image_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}
    found = read_boxes(file)
    assert [b.box_xywh.tolist() for b in found[3]] == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert [b.score for b in found[3]] == [0.5, 1.0]


def test_of_cocos_detections_only_people_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "coco.json"
    file.write_text(json.dumps([{"image_id": 1, "category_id": c, "bbox": [c, 0, 9, 9], "score": 1} for c in (1, 18)]))
    assert [b.box_xywh[0] for b in read_boxes(file)[1]] == [1]


@pytest.mark.parametrize("unit", ["mm", "m"])
def test_roots_are_metres_here_and_the_files_unit_there(unit: str, tmp_path: Path) -> None:
    file = tmp_path / "roots.json"
    roots = [FoundRoot(image_id=1, root_cam=np.array([0.1, -0.2, 4.5]), box_xywh=np.array([1.0, 2, 3, 4]), ann_id=8)]
    write_roots(roots, file, unit=unit)  # type: ignore[arg-type]
    row = json.loads(file.read_text())[0]
    assert row["root_cam"] == pytest.approx([100, -200, 4500] if unit == "mm" else [0.1, -0.2, 4.5])
    assert list(row) == ["image_id", "ann_id", "bbox", "root_cam", "score"]
    found = read_roots(file, unit=unit)[0]  # type: ignore[arg-type]
    assert np.allclose(found.root_cam, roots[0].root_cam)
    assert (found.ann_id, found.score) == (8, 1.0)
    write_roots(roots, file, scores=False)
    assert "score" not in json.loads(file.read_text())[0]


def test_files_with_roots_are_no_box_files(tmp_path: Path) -> None:
    file = tmp_path / "roots.json"
    write_roots([FoundRoot(image_id=1, root_cam=np.ones(3), box_xywh=np.ones(4))], file)
    with pytest.raises(InputError, match="not extended"):
        read_boxes(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1}', "a list"), ("[1]", "entry 0"), ('[{"bbox": [1, 2, 3, 4]}]', "image_id"), ("[{", "not valid JSON"),
        ('[{"image_id": 1}]', "entry 0 bbox"),
        ('[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": "x"}]', "entry 0 score"),
    ],
)  # fmt: skip
def test_bad_files_are_named(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "bbox.json"
    file.write_text(text)
    with pytest.raises(InputError, match=r"bbox\.json") as error:
        read_boxes(file)
    assert words in str(error.value)
