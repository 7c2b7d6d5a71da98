"""RTMPose's published models: fetched once, checked, kept, mended; no network here, the Hub is a folder of zips."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onnx_detectors import boxes_model, pose_model
from poselift.cli import main
from poselift.detect import DetectorOptions, build_detector
from poselift.detect import rtmpose_models as models
from poselift.detect.person_boxes import KINDS
from poselift.detect.rtmpose_models import SETS, ModelSet, OnnxFile, cached_models, published_models
from poselift.errors import InputError, MissingExtraError
from poselift.storage.cache import cache_folder
from video_files import write_video

BOX = np.array([[5.0, 5, 55, 60, 0.9]])
PLACE = "rtmposev1/onnx_sdk/"


class Hub:
    """Stands in for the Hub: zips in a folder, a count of what was asked, and a cable that can be pulled."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked, self.offline = folder, [], False
        folder.mkdir()

    def download(self, repository: str, name: str, *, revision: str | None = None, local_dir: Path) -> str:
        assert (repository, revision) == ("Tau-J/RTMPose", None)
        self.asked.append(name)
        if self.offline:
            raise ConnectionError("no\nnetwork")
        target = local_dir / name
        target.parent.mkdir(parents=True)
        shutil.copy(self.folder / Path(name).name, target)
        return str(target)

    def put(self, model: OnnxFile, members: dict[str, bytes]) -> None:
        with zipfile.ZipFile(self.folder / f"{model.name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("20230831")
            for name, data in members.items():
                archive.writestr(name, data)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Small networks in the place of the published ones."""
    folder = tmp_path_factory.mktemp("tiny")
    makers: dict[str, Callable[[Path], Path]] = {
        "people": lambda p: boxes_model(p, BOX, [0]),
        "coco17": pose_model,
        "halpe26": lambda p: pose_model(p, 26),
    }
    return {name: make(folder / f"{name}.onnx").read_bytes() for name, make in makers.items()}


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: dict[str, bytes]) -> Hub:
    """An empty cache, and a Hub with zips of the small networks, whose SHA-256 are the right ones."""
    monkeypatch.setenv("POSELIFT_CACHE", str(tmp_path / "cache"))
    out = Hub(tmp_path / "hub")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", out.download)

    def made_up(model: OnnxFile, content: bytes) -> OnnxFile:
        folder = f"20230831/{model.name}/"
        out.put(model, {folder + "end2end.onnx": content, folder + "pipeline.json": b"{}"})
        return dataclasses.replace(model, sha256=hashlib.sha256(content).hexdigest())

    sets = {
        name: ModelSet(
            people=made_up(s.people, tiny["people"]), joints={k: made_up(m, tiny[k]) for k, m in s.joints.items()}
        )
        for name, s in SETS.items()
    }
    monkeypatch.setattr(models, "SETS", sets)
    return out


@pytest.fixture
def cache(hub: Hub) -> Path:
    return cache_folder("rtmpose")


def fetched(**options: object) -> tuple[Path, ...]:
    return cached_models(published_models(None, None), **options)  # type: ignore[arg-type]


def test_the_published_sets():
    assert models.DEFAULT_SET in SETS
    files = [m for s in SETS.values() for m in (s.people, *s.joints.values())]
    assert len({m.name for m in files}) == len({m.sha256 for m in files}) == len(files) == 9
    assert all(re.fullmatch("[0-9a-f]{64}", m.sha256) for m in files)
    for s in SETS.values():
        assert sum(kind in s.people.name for kind in KINDS) == 1, "the name tells which of the two it is"
        assert set(s.joints) == {"coco17", "halpe26"}
        for layout, model in s.joints.items():
            assert not any(kind in model.name for kind in KINDS)
            assert ("halpe26" in model.name) == (layout == "halpe26")


def test_fetched_once_and_then_from_the_cache(hub: Hub, cache: Path, tiny: dict[str, bytes]):
    said: list[str] = []
    paths = fetched(say=said.append)
    assert [p.read_bytes() for p in paths] == [tiny["people"], tiny["coco17"]]
    assert said == ["fetching RTMPose's models, once (155 MB)"]
    assert sorted(cache.iterdir()) == sorted(paths), "neither zips nor anything half-written"
    assert [n.removeprefix(PLACE) for n in hub.asked] == [f"{p.stem}.zip" for p in paths]
    hub.offline = True
    assert fetched(say=said.append) == paths
    assert len(said) == 1
    assert len(hub.asked) == 2


def test_sets_share_what_they_have_in_common(hub: Hub):
    cached_models(published_models("performance", None))
    cached_models(published_models("performance", "halpe26"))
    assert len(hub.asked) == 3


def test_a_damaged_cache_is_fetched_again(hub: Hub, tiny: dict[str, bytes]):
    pose = fetched()[1]
    pose.write_bytes(tiny["coco17"][:-7] + b"damaged")
    said: list[str] = []
    fetched(say=said.append)
    assert pose.read_bytes() == tiny["coco17"]
    assert said == ["fetching RTMPose's models, once (54 MB)"]
    assert len(hub.asked) == 3


def test_without_a_network(hub: Hub, cache: Path):
    hub.offline = True
    with pytest.raises(InputError, match=r"not to be fetched.*Without a network: put yolox_m_8x") as caught:
        build_detector("rtmpose", DetectorOptions(device="cpu"))
    text = str(caught.value)
    assert "\n" not in text
    assert (
        f"rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504.zip of huggingface.co/{models.REPOSITORY}"
        in text
    )
    assert f"into {cache}" in text
    assert not cache.exists()
    hub.offline = False
    pose = fetched()[1]
    hub.offline = True
    pose.write_bytes(b"damaged")
    with pytest.raises(InputError, match=rf"damaged in the cache \({re.escape(pose.name)}\).*put rtmpose-m.*into"):
        fetched()
    assert pose.read_bytes() == b"damaged", "nothing half-written in its place"


@pytest.mark.parametrize("what", ["zip", "onnx"])
def test_files_put_into_the_cache_will_do(what: str, hub: Hub, cache: Path, tiny: dict[str, bytes]):
    people, joints = published_models("lightweight", "halpe26")
    cache.mkdir(parents=True)
    if what == "zip":
        for model in (people, joints):
            shutil.copy(hub.folder / f"{model.name}.zip", cache)
    else:
        (cache / f"{people.name}.onnx").write_bytes(tiny["people"])
        (cache / f"{joints.name}.onnx").write_bytes(tiny["halpe26"])
    hub.offline = True
    said: list[str] = []
    assert [p.read_bytes() for p in cached_models((people, joints), say=said.append)] == [
        tiny["people"],
        tiny["halpe26"],
    ]
    assert (said, hub.asked) == ([], [])


BAD: dict[str, tuple[dict[str, bytes], str]] = {
    "a name that leaves it": ({"../evil.onnx": b"x"}, "leads out of the archive"),
    "an absolute name": ({"/tmp/evil.onnx": b"x"}, "leads out of the archive"),
    "no model": ({"a/readme.txt": b"x"}, "one .onnx file in it, found none"),
    "two models": ({"a/one.onnx": b"x", "a/two.onnx": b"y"}, "found a/one.onnx, a/two.onnx"),
    "another model": ({"a/end2end.onnx": b"evil"}, "end2end.onnx: expected SHA-256 .*…, found b5c1fb2efc6d…"),
}


@pytest.mark.parametrize(("members", "expected"), BAD.values(), ids=list(BAD))
def test_a_zip_with_something_else_in_it(
    members: dict[str, bytes], expected: str, hub: Hub, cache: Path, tmp_path: Path
):
    people = published_models(None, None)[0]
    hub.put(people, members)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=rf"{people.name}\.zip.*{expected}"):
        fetched()
    assert set(tmp_path.rglob("*")) - before <= {cache.parent, cache}, "nothing is written"


def test_a_zip_that_is_cut_off(hub: Hub, cache: Path):
    file = hub.folder / f"{published_models(None, None)[0].name}.zip"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=r"yolox_m.*\.zip: no zip archive, or cut off"):
        fetched()
    assert not cache.exists()


def test_names_that_are_not_there(hub: Hub, tmp_path: Path):
    def complaint(**options: object) -> str:
        with pytest.raises(InputError) as error:
            build_detector("rtmpose", DetectorOptions(device="cpu", **options))  # type: ignore[arg-type]
        return str(error.value)

    known = "did you mean 'balanced'? known: balanced, lightweight, performance"
    assert complaint(model="balancd") == f"unknown set of RTMPose models 'balancd'; {known}"
    assert "coco17 or halpe26, the joints of the published models, found mpii16" in complaint(skeleton="mpii16")
    assert "did you mean 'halpe26'" in complaint(skeleton="halpe")
    assert "not both, found balanced" in complaint(model="balanced", files=tmp_path)
    assert "mirrored crops" in complaint(flip_average=True)
    assert hub.asked == []


def test_without_onnxruntime_nothing_is_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match="onnxruntime"):
        build_detector("rtmpose")
    assert hub.asked == []


def test_from_a_shell(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    import torch

    from poselift.formats import read
    from poselift.models.lifters import build_lifter
    from poselift.models.lifters.residual_mlp import ResidualMLPConfig
    from poselift.models.weights import save_model

    torch.manual_seed(0)
    model = save_model(build_lifter(ResidualMLPConfig(width=16, hidden=16, blocks=1)), tmp_path / "tiny")
    argv = ["lift", str(write_video(tmp_path / "a.mp4", 6)), "--model", str(model), "--detector", "rtmpose"]
    argv += ["--device", "cpu", "--formats", "npz", "-o"]
    assert main([*argv, str(tmp_path / "out")]) == 0
    assert len(hub.asked) == 2
    hub.offline = True
    assert main([*argv, str(tmp_path / "again"), "--detector-model", "balanced"]) == 0
    (first,), (again,) = (read(tmp_path / name / "poses.npz") for name in ("out", "again"))
    assert first.meta["detector"] == "rtmpose"
    assert np.array_equal(first.kp_img, again.kp_img)
    hub.offline = False
    argv += [str(tmp_path / "feet"), "--detector-model", "lightweight", "--skeleton", "halpe26"]
    assert main(argv) == 0
    assert [n.removeprefix(PLACE)[:9] for n in hub.asked[2:]] == ["yolox_tin", "rtmpose-s"]
    hub.offline = True
    capsys.readouterr()
    argv[argv.index("lightweight")] = "performance"
    argv[argv.index(str(tmp_path / "feet"))] = str(tmp_path / "none")
    assert main(argv) == 2
    said, error = capsys.readouterr().err.splitlines()
    assert said.startswith("poselift: fetching RTMPose's models, once (")
    assert error.startswith("poselift: detector: RTMPose's models are not to be fetched.")
    assert not (tmp_path / "none").exists()
