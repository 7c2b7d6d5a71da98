"""Roots of people in pictures: boxes, k and files as published, whatever the pictures and boxes come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from data.annotations import published_folders as folders
from parity_vectors import vectors
from poselift.cli import main
from poselift.data.annotations import read_annotations
from poselift.errors import InputError
from poselift.formats.rootnet import read_boxes, read_roots
from poselift.geometry.crops import crop_affine, crop_patches, distance_measure, extend_box
from poselift.models.images.rootnet import RootNet, RootNetConfig
from poselift.models.weights import save_model
from poselift.pipeline import roots as pipeline
from poselift.pipeline.root_tasks import RootTaskOptions, root_tasks
from poselift.pipeline.roots import find_roots, write_root_file

BOXES = [[30.0, 20, 40, 60], [80, 30, 30, 60], [90, 10, 60, 60]]
"""x, y, width, height in pictures of 128 × 96; the last one reaches beyond the edge."""


@pytest.fixture(scope="module")
def model() -> RootNet:
    torch.manual_seed(0)
    return RootNet(RootNetConfig(depth=18, size_hw=(64, 64), filters=(8, 8, 8))).eval()


def pictures(folder: Path, names: list[str], size_wh: tuple[int, int] = (128, 96)) -> Path:
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (size_wh[1], size_wh[0], 3)).astype(np.uint8)).save(folder / name)
    return folder


def coco(folder: Path, boxes: dict[int, list[list[float]]], **image: Any) -> Path:
    """A file in COCO's form with nothing but boxes, and its pictures."""
    pictures(folder, [f"{i:012d}.png" for i in boxes])
    images = [{"id": i, "file_name": f"{i:012d}.png", "width": 128, "height": 96, **image} for i in boxes]
    rows = [{"id": 100 * i + k, "image_id": i, "bbox": b} for i, bb in boxes.items() for k, b in enumerate(bb)]
    (folder / "boxes.json").write_text(json.dumps([{**r, "score": 0.5} for r in rows]))
    (folder / "a.json").write_text(json.dumps({"images": images, "annotations": rows}))
    return folder / "a.json"


def test_roots_are_what_the_network_sees_in_crops(model: RootNet, tmp_path: Path):
    file = coco(tmp_path, {139: BOXES[:2], 285: BOXES[1:2]}, f=[600, 620], c=[60, 50])
    done = write_root_file(model, file, tmp_path / "out.json", RootTaskOptions(), batch=2)
    assert (done.people, done.pictures, done.left_out) == (3, 2, {})
    assert not any("not known" in note for note in done.notes)
    rows = json.loads((tmp_path / "out.json").read_text())
    assert list(rows[0]) == ["image_id", "ann_id", "bbox", "root_cam", "score"]
    assert [(r["image_id"], r["ann_id"]) for r in rows] == [(139, 13900), (139, 13901), (285, 28500)]
    image = torch.from_numpy(np.array(Image.open(tmp_path / f"{139:012d}.png"))).permute(2, 0, 1)
    inside = torch.tensor([[x, y, w - 1, h - 1] for x, y, w, h in BOXES[:2]], dtype=torch.float64)
    box = extend_box(inside, 1.0)
    K = torch.tensor([[600.0, 0, 60], [0, 620, 50], [0, 0, 1]]).expand(2, 3, 3)
    crops = crop_patches(image, crop_affine(box, (64, 64)), (64, 64))
    with torch.no_grad():
        want = model.locate(crops, distance_measure(box.float(), K), box.float(), K)
    found = read_roots(tmp_path / "out.json")
    for r, b, p in zip(found, box, want, strict=False):
        assert np.allclose(r.box_xywh, b)
        assert np.allclose(r.root_cam, p, atol=1e-5)
    assert 1 < found[0].root_cam[2] < 100, "metres, as k is"


def test_boxes_and_k_parity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Published boxes and k for 256 × 256. Boxes that are rejected there are left out, and so is one that ends left of
    its picture, which the published code moves in.
    """
    v = vectors("rootnet_k")
    images, rows = [], []
    for i, (box, wh, f) in enumerate(zip(v["raw_bbox"], v["image_wh"], v["focal"], strict=True)):
        w, h = wh.tolist()
        Image.new("L", (w, h)).save(tmp_path / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "width": w, "height": h, "f": f.tolist(), "c": [w / 2, h / 2]})
        rows.append({"id": i, "image_id": i, "bbox": box.tolist()})
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": rows}))
    model = RootNet(RootNetConfig(depth=18, filters=(8, 8, 8)))
    seen: list[Tensor] = []

    def locate(image: Tensor, k: Tensor, box_xywh: Tensor, K: Tensor) -> Tensor:
        seen.append(k)
        return torch.zeros(len(k), 3)

    monkeypatch.setattr(model, "locate", locate)
    done = write_root_file(model, tmp_path / "a.json", tmp_path / "out.json", RootTaskOptions(skip=True), batch=5)
    want = v["bbox_256x256"]
    fine = want.isfinite().all(-1) & ((v["raw_bbox"][:, :2] + v["raw_bbox"][:, 2:]) > 0).all(-1)
    assert done.people == int(fine.sum())
    assert sum(done.left_out.values()) == int((~fine).sum()) > 0
    found = read_roots(tmp_path / "out.json")
    assert np.allclose(np.stack([r.box_xywh for r in found]), want[fine], atol=1e-9)
    assert torch.allclose(torch.cat(seen), v["k_256x256_real2x2"][fine], rtol=1e-6)


def test_published_sets_give_published_files(model: RootNet, tmp_path: Path):
    """Fields, order and units of each set's file; valid people only; the box file's boxes with their scores."""
    size = (640, 480)

    def rows(name: str, options: RootTaskOptions) -> list[dict[str, Any]]:
        folder = tmp_path / name
        found = read_annotations(name, folder, options.split)
        for p in found.pictures:
            pictures(p.file.parent, [p.file.name], size)
        write_root_file(model, folder, tmp_path / "out.json", options)
        return json.loads((tmp_path / "out.json").read_text())

    folders.mupots(tmp_path / "mupots")
    out = rows("mupots", RootTaskOptions(data="mupots"))
    assert [list(r) for r in out] == [["image_id", "bbox", "root_cam", "score"]]
    assert out[0]["score"] == 1.0
    assert 500 < out[0]["root_cam"][2] < 50_000, "millimetres"
    published = read_boxes(tmp_path / "mupots" / "bbox" / "bbox_mupots_output.json")
    out = rows("mupots", RootTaskOptions(data="mupots", boxes="published", skip=True))
    assert {r["score"] for r in out} <= {b.score for bb in published.values() for b in bb}
    folders.pw3d(tmp_path / "pw3d")
    out = rows("pw3d", RootTaskOptions(data="pw3d"))
    assert list(out[0]) == ["image_id", "ann_id", "bbox", "root_cam"]
    assert 0.5 < out[0]["root_cam"][2] < 50, "metres"
    folders.mscoco(tmp_path / "mscoco")
    out = rows("mscoco", RootTaskOptions(data="mscoco", split="validation"))
    assert [list(r) for r in out] == [["image_id", "bbox", "root_cam"]]
    with pytest.raises(InputError, match="gt with mscoco"):
        root_tasks(tmp_path / "mscoco", RootTaskOptions(data="mscoco", split="validation", boxes="b.json"))


def test_a_folder_of_pictures_and_a_box_file(model: RootNet, tmp_path: Path):
    """By name, by name without its ending, by number; the focal length is said."""
    pictures(tmp_path / "p", ["a.png", "frame_2.jpg", "frame_10.jpg"])
    rows = [{"image_id": i, "bbox": BOXES[0], "score": 0.25} for i in ("a.png", "frame_2", 10)]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    options = RootTaskOptions(boxes=str(tmp_path / "boxes.json"))
    done = write_root_file(model, tmp_path / "p", tmp_path / "out.json", options)
    assert "3 pictures is not known: focal length 1500 px" in done.notes[0]
    near = read_roots(tmp_path / "out.json")
    assert [r.image_id for r in near] == ["a.png", "frame_2", 10]
    assert [r.score for r in near] == [0.25] * 3
    write_root_file(model, tmp_path / "p", tmp_path / "far.json", options, focal=3000.0, unit="m")
    for a, b in zip(near, read_roots(tmp_path / "far.json", unit="m"), strict=True):
        assert b.root_cam == pytest.approx(a.root_cam * (1, 1, 2), rel=1e-5), "twice the focal length, twice the depth"


def test_a_coco_file_with_other_categories_crowds_and_found_boxes(model: RootNet, tmp_path: Path):
    file = coco(tmp_path / "notes", {1: BOXES, 2: BOXES[:1]})
    value = json.loads(file.read_text())
    value["categories"] = [{"id": 7, "name": "person"}, {"id": 8, "name": "dog"}]
    for a, category in zip(value["annotations"], (7, 8, 7, 7), strict=True):
        a["category_id"] = category
    value["annotations"][2]["iscrowd"] = 1
    file.write_text(json.dumps(value))
    found = root_tasks(file, RootTaskOptions())
    assert [t.ann_ids for t in found.tasks] == [(100,), (200,)]
    assert found.left_out == {"crowds": 1}
    value["annotations"][0]["category_id"] = [7]
    file.write_text(json.dumps(value))
    assert [t.ann_ids for t in root_tasks(file, RootTaskOptions()).tasks] == [(200,)], "a list is no person"
    moved = file.rename(tmp_path / "a.json")
    boxes = str(tmp_path / "notes" / "boxes.json")
    found = root_tasks(moved, RootTaskOptions(boxes=boxes, pictures=tmp_path / "notes"))
    assert [len(t.boxes) for t in found.tasks] == [3, 1]


def test_portions_change_nothing_and_pictures_are_not_gathered(
    model: RootNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tasks = root_tasks(coco(tmp_path, {i: BOXES[: i % 3 + 1] for i in range(20)}), RootTaskOptions())
    one, many = (list(find_roots(model, tasks, batch=n)) for n in (1, 64))
    assert len(one) == tasks.people
    assert np.allclose([r.root_cam for r in one], [r.root_cam for r in many], atol=1e-4)
    read: list[Path] = []
    plain = pipeline.read_picture
    monkeypatch.setattr(pipeline, "read_picture", lambda p: read.append(p) or plain(p))
    found = find_roots(model, tasks, batch=2)
    next(found)
    assert len(read) < 10
    del found


def damaged(folder: Path, change: str) -> None:
    """Something wrong with the data, the boxes or the pictures of `coco`."""
    file, picture = folder / "a.json", folder / "000000000002.png"
    value = json.loads(file.read_text())
    boxes = json.loads((folder / "boxes.json").read_text())
    if change == "missing picture":
        picture.unlink()
    elif change == "cut picture":
        picture.write_bytes(picture.read_bytes()[:2000])
    elif change == "another size":
        Image.new("RGB", (64, 64)).save(picture)
    elif change == "no image id":
        del value["annotations"][0]["image_id"]
    elif change == "no id":
        del value["images"][0]["id"]
    elif change == "outside":
        value["annotations"][0]["bbox"] = [500, 20, 30, 40]
    elif change == "no area":
        value["annotations"][0]["bbox"] = [50, 20, 0, 40]
    elif change == "half a camera":
        value["images"][0]["f"] = [600, 600]
    elif change == "unknown image":
        boxes[0]["image_id"] = 77
    elif change == "extended":
        boxes[0]["root_cam"] = [0, 0, 0]
    elif change == "no bbox":
        del boxes[0]["bbox"]
    file.write_text(json.dumps(value))
    (folder / "boxes.json").write_text(json.dumps(boxes))


@pytest.mark.parametrize(
    ("change", "boxes", "expected"),
    [
        ("missing picture", False, "000000000002.png: no such picture"), ("cut picture", False, "cut off"),
        ("another size", False, "128 x 96 pixels, as annotated, found 64 x 64"), ("no image id", False, "image_id"),
        ("no id", False, "'id'"), ("outside", False, "box of image_id 1"), ("no area", False, "box of image_id 1"),
        ("half a camera", False, "'c'"), ("unknown image", True, "image_id 77"), ("extended", True, "not extended"),
        ("no bbox", True, "entry 0 bbox"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(
    change: str, boxes: bool, expected: str, model: RootNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    coco(tmp_path, {1: BOXES, 2: BOXES[:1]})
    damaged(tmp_path, change)
    folder = str(save_model(model, tmp_path / "model"))
    argv = ["roots", str(tmp_path / "a.json"), "-o", str(tmp_path / "out.json"), "--model", folder, "--device", "cpu"]
    argv += ["--boxes", str(tmp_path / "boxes.json")] if boxes else []
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert expected in err
    assert not [p for p in tmp_path.iterdir() if "out" in p.name]


def test_roots_that_are_no_numbers_are_not_written(model: RootNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(model, "locate", lambda image, *_: torch.full((len(image), 3), torch.inf))
    file = coco(tmp_path, {1: BOXES})
    with pytest.raises(InputError, match="NaN or infinite"):
        write_root_file(model, file, tmp_path / "out.json", RootTaskOptions())
    assert not [p for p in tmp_path.iterdir() if "out" in p.name]


def test_what_cannot_be_used_is_left_out_and_said(model: RootNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    coco(tmp_path, {1: BOXES, 2: BOXES[:1], 3: BOXES[:1]})
    damaged(tmp_path, "cut picture")
    damaged(tmp_path, "no area")
    (tmp_path / "000000000003.png").unlink()
    folder = str(save_model(model, tmp_path / "model"))
    argv = ["roots", str(tmp_path / "a.json"), "-o", str(tmp_path / "out.json"), "--model", folder, "--device", "cpu"]
    assert main([*argv, "--skip"]) == 0
    text = capsys.readouterr().out
    assert "roots of 2 people in 1 pictures" in text
    for reason in ("1 boxes without area", "1 pictures that are missing", "1 pictures that cannot be read"):
        assert reason in text
    assert "1500" in text
    assert [r.ann_id for r in read_roots(tmp_path / "out.json")] == [101, 102]


def test_options_that_cannot_be(model: RootNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    coco(tmp_path, {1: BOXES})
    folder = str(save_model(model, tmp_path / "model"))
    for more, expected in (
        (["--model", "default"], "image_root"), (["--model", folder, "--batch", "0"], "batch"),
        (["--model", folder, "--focal", "-3"], "focal"), (["--model", folder, "--data", "mupost"], "did you mean"),
        ([], "--model"),
    ):  # fmt: skip
        assert main(["roots", str(tmp_path / "a.json"), "-o", str(tmp_path / "out.json"), *more]) == 2
        assert expected in capsys.readouterr().err
    assert main(["roots", str(tmp_path), "-o", str(tmp_path / "out.json"), "--model", folder]) == 2
    assert "--boxes FILE" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_an_interruption_leaves_nothing(model: RootNet, tmp_path: Path):
    file = coco(tmp_path, {i: BOXES for i in range(6)})

    def stop(done: int, total: int | None, stage: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_root_file(model, file, tmp_path / "out.json", RootTaskOptions(), batch=2, progress=stop)
    assert not [p for p in tmp_path.iterdir() if "out" in p.name]
