"""Annotation sets in the published layouts, and what is wrong with files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.annotations import published_folders as folders
from poselift.data.annotations import ANNOTATIONS, AnnotatedPerson, AnnotationOptions, AnnotationSet, read_annotations
from poselift.data.annotations.base import DEFAULT_FOCAL
from poselift.data.annotations.spatial import far_enough
from poselift.errors import InputError

EXAMPLES: dict[str, Callable[[Path], np.ndarray]] = {
    "human36m": folders.human36m, "mpii": folders.mpii, "mscoco": folders.mscoco, "muco": folders.muco,
    "mupots": folders.mupots, "pw3d": folders.pw3d, "coco": folders.coco,
}  # fmt: skip


def places(person: AnnotatedPerson) -> np.ndarray:
    assert person.p_cam is not None
    return person.p_cam


def check(found: AnnotationSet, root: Path) -> None:
    """What every set promises."""
    assert found.people > 0
    for picture in found.pictures:
        assert picture.file.is_relative_to(root)
        assert picture.K.shape == (3, 3)
        for person in picture.people:
            j = len(found.skeleton)
            assert person.kp_img.shape == (j, 2)
            assert person.visible.shape == (j,)
            assert (person.p_cam is not None) == found.has_depth
            if person.p_cam is not None:
                kp = person.p_cam[:, :2] / person.p_cam[:, 2:] * picture.K[[0, 1], [0, 1]] + picture.K[:2, 2]
                assert np.allclose(kp, person.kp_img, atol=1e-3)
                assert 1.4 < person.p_cam[found.skeleton.root, 2] < 12  # metres


@pytest.mark.parametrize("name", sorted(ANNOTATIONS))
def test_sets_are_read_from_their_published_folders(name: str, tmp_path: Path) -> None:
    EXAMPLES[name](tmp_path)
    for split in ANNOTATIONS[name].splits:
        if (name, split) != ("human36m", "train"):  # the same code on more files
            check(read_annotations(name, tmp_path, split), tmp_path)
    with pytest.raises(InputError, match="tset"):
        read_annotations(name, tmp_path, "tset")
    with pytest.raises(InputError, match="no such file or folder"):
        read_annotations(name, tmp_path / "nowhere", ANNOTATIONS[name].splits[0])


def test_human36m_takes_the_published_frames_boxes_and_metres(tmp_path: Path) -> None:
    p = folders.human36m(tmp_path)
    found = read_annotations("human36m", tmp_path, "test", AnnotationOptions(boxes="published"))
    assert [x.meta["frame"] for x in found.pictures] == [
        0,
        64,
        128,
    ]  # and the clip of S11 that does not exist is left out
    assert {x.meta["subject"] for x in found.pictures} == {"S9"}
    assert found.pictures[0].meta["action"] == "Discussion"
    assert np.allclose(places(found.pictures[1].people[0]), p[64] / 1000)
    assert found.pictures[1].found is not None
    assert found.pictures[1].found[0].box_xywh.tolist() == [5, 6, 70, 80]  # the last one wins
    train = read_annotations("human36m", tmp_path, "train")
    assert len(train.pictures) == 5 * 26
    with pytest.raises(InputError, match="box of image 9032"):
        read_annotations("human36m", tmp_path, "test", AnnotationOptions(boxes="published", every=32))


def test_human36m_knows_the_older_camera_files(tmp_path: Path) -> None:
    folders.human36m(tmp_path)
    file = tmp_path / "annotations" / "Human36M_subject9_camera.json"
    camera = json.loads(file.read_text())
    camera["1"]["t"] = [10.0, 900.0, -4000.0]
    folders.write(file, camera)
    with pytest.raises(InputError, match=r"R\(X - t\)"):
        read_annotations("human36m", tmp_path, "test")


def test_2d_sets_get_the_default_camera_and_lose_people_without_keypoints(tmp_path: Path) -> None:
    kp = folders.mpii(tmp_path)
    found = read_annotations("mpii", tmp_path, "train")
    assert len(found.pictures) == 1
    assert found.dropped == {"people without keypoints": 1}
    assert not found.has_depth
    assert not found.pictures[0].K_known
    assert found.pictures[0].K[0].tolist() == [DEFAULT_FOCAL, 0, 320]
    assert found.pictures[0].file == tmp_path / "images" / "a.jpg"
    assert np.allclose(found.pictures[0].people[0].kp_img, kp[0])


def test_coco_gets_a_thorax_and_a_pelvis(tmp_path: Path) -> None:
    kp = folders.mscoco(tmp_path)
    found = read_annotations("mscoco", tmp_path, "validation")
    assert found.pictures[0].file == tmp_path / "images" / "val2017" / "0001.jpg"
    assert found.dropped == {"crowds": 1, "people without keypoints": 1}
    person = found.pictures[0].people[0]
    assert np.allclose(person.kp_img[18], kp[0, 11:13].mean(0))
    assert person.visible[[5, 6, 17, 18]].tolist() == [0, 1, 0, 1]
    assert found.skeleton.joints[found.skeleton.root] == "pelvis"


def test_muco_takes_the_nearest_and_those_who_stand_apart(tmp_path: Path) -> None:
    folders.muco(tmp_path)
    found = read_annotations("muco", tmp_path, "train")
    assert [p.id for p in found.pictures[0].people] == [0]
    assert found.dropped == {"people too near to others or out of range": 3}
    roots = np.array([[0, 0, 2.0], [0.1, 0, 2.2], [1.0, 0, 3.0], [1.0, 0.2, 6.0], [-2, 0, 7.6]])
    assert far_enough(roots).tolist() == [True, False, False, False, False]
    assert far_enough(roots[:3]).tolist() == [True, False, True]
    assert far_enough(np.array([[0, 0, 1.2], [3, 0, 4.0]])).tolist() == [False, True]


def test_mupots_marks_who_counts_and_keeps_the_order_of_boxes(tmp_path: Path) -> None:
    folders.mupots(tmp_path)
    found = read_annotations("mupots", tmp_path, "test", AnnotationOptions(boxes="published"))
    assert [p.valid for p in found.pictures[0].people] == [True, False]
    assert [[b.score for b in x.found or ()] for x in found.pictures] == [[0.2, 0.8], [0.9]]
    assert read_annotations("mupots", tmp_path, "test").pictures[0].found is None


def test_3dpw_is_in_metres_and_sees_what_is_in_the_picture(tmp_path: Path) -> None:
    p = folders.pw3d(tmp_path)
    found = read_annotations("pw3d", tmp_path, "validation")
    first, second = found.pictures[0].people
    assert np.allclose(places(first), p[0])
    assert 0 < second.visible.sum() < 24
    assert found.pictures[0].file == tmp_path / "data" / "imageFiles" / "walk_00" / "image_00001.jpg"


def test_own_files_name_joints_in_any_order(tmp_path: Path) -> None:
    p = folders.coco(tmp_path)
    value = json.loads((tmp_path / "train.json").read_text())
    order = list(reversed(range(17)))
    value["categories"] = [{"keypoints": [folders.JOINTS[i] for i in order]}]
    for a in value["annotations"]:
        for key in ("keypoints_cam", "keypoints_img"):
            a[key] = [a[key][i] for i in order]
    file = folders.write(tmp_path / "turned.json", value)
    found = read_annotations("coco", file, "train")
    assert found.skeleton.name == "h36m17"
    assert np.allclose(places(found.pictures[0].people[1]), p[1] / 1000)
    metres = read_annotations("coco", file, "train", AnnotationOptions(unit="m"))
    assert np.allclose(places(metres.pictures[0].people[1]), p[1])


def damage(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Change the MuPoTS file of a folder."""

    def apply(root: Path) -> None:
        file = root / "data" / "MuPoTS-3D.json"
        value = json.loads(file.read_text())
        change(value)
        file.write_text(json.dumps(value))

    return apply


def text(words: str) -> Callable[[Path], Any]:
    return lambda root: (root / "data" / "MuPoTS-3D.json").write_text(words)


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut off": (text('{"images": [{"id": 1'), "not valid JSON, cut off"),
    "empty": (text(""), "an empty file"),
    "a list": (text("[]"), "an object with 'images' and 'annotations'"),
    "no images": (text('{"annotations": []}'), "images: expected a list"),
    "image without id": (damage(lambda v: v["images"][0].pop("id")), "image entry 0: expected an object with 'id'"),
    "image twice": (damage(lambda v: v["images"].append(v["images"][0])), "1 again"),
    "annotation without image_id": (damage(lambda v: v["annotations"][0].pop("image_id")), "annotation entry 0"),
    "unlisted image": (damage(lambda v: v["annotations"][0].update(image_id=99)), "image_id 99"),
    "no size": (damage(lambda v: v["images"][0].pop("width")), "image 1: expected 'width'"),
    "size 0": (damage(lambda v: v["images"][0].update(width=0)), "image 1 size"),
    "no intrinsics": (damage(lambda v: v["images"][0].pop("intrinsic")), "image 1 intrinsics"),
    "focal 0": (damage(lambda v: v["images"][0].update(intrinsic=[0, 1, 2, 3])), "image 1 focal length"),
    "no box": (damage(lambda v: v["annotations"][0].pop("bbox")), "annotation 0: expected 'bbox'"),
    "box of three": (damage(lambda v: v["annotations"][0].update(bbox=[1, 2, 3])), "annotation 0 bbox"),
    "box of words": (damage(lambda v: v["annotations"][0].update(bbox="abcd")), "annotation 0 bbox"),
    "box NaN": (damage(lambda v: v["annotations"][0].update(bbox=[1, 2, 3, float("nan")])), "finite"),
    "joints": (damage(lambda v: v["annotations"][0].update(keypoints_img=[[1, 2]])), "keypoints_img"),
    "path out": (damage(lambda v: v["images"][0].update(file_name="../../x.jpg")), "a path below the folder"),
    "absolute path": (damage(lambda v: v["images"][0].update(file_name="/etc/x.jpg")), "a path below the folder"),
    "name missing": (damage(lambda v: v["images"][0].pop("file_name")), "file_name"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_one_clear_line(case: str, tmp_path: Path) -> None:
    folders.mupots(tmp_path)
    change, words = BAD[case]
    change(tmp_path)
    with pytest.raises(InputError) as error:
        read_annotations("mupots", tmp_path, "test")
    assert words in str(error.value)
    assert "MuPoTS-3D.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_intrinsics_of_ones_own_file_as_four_numbers_or_as_a_matrix(tmp_path: Path) -> None:
    folders.coco(tmp_path)
    file = tmp_path / "test.json"
    (before,) = read_annotations("coco", tmp_path, "test").pictures
    for given, words in (
        (before.K.tolist(), None), (7, "expected [fx, fy, cx, cy] or K, 3 × 3, found int"),
        ([1, 2], "found 2 entries"), ([[1, 2], [3], [4]], "image 1 intrinsic"),
    ):  # fmt: skip
        value = json.loads(file.read_text())
        value["images"][0]["intrinsic"] = given
        file.write_text(json.dumps(value))
        if words is None:
            (picture,) = read_annotations("coco", tmp_path, "test").pictures
            assert np.array_equal(picture.K, before.K)
            continue
        with pytest.raises(InputError) as error:
            read_annotations("coco", tmp_path, "test")
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([10, 10, 0, 50], "area"),
        ([10, 10, -5, -5], "area"),
        ([900, 10, 50, 50], "outside"),
        ([-80, 9, 50, 50], "outside"),
    ],
)
def test_boxes_that_show_nothing_are_left_out_and_counted(box: list[float], reason: str, tmp_path: Path) -> None:
    folders.mupots(tmp_path)
    damage(lambda v: v["annotations"][0].update(bbox=box))(tmp_path)
    found = read_annotations("mupots", tmp_path, "test")
    assert found.people == 1
    ((words, n),) = found.dropped.items()
    assert reason in words
    assert n == 1
