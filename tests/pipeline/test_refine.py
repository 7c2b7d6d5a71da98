"""The refiner after the lifter: files, streams and memory agree, no frame gets worse than finite, no picture is taken
for what it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from flat_lifter import CAMERA, Flat, FlatConfig, pose, root, save_keypoints, walking_clip, with_gap
from poselift.cli import main
from poselift.errors import InputError
from poselift.formats import read
from poselift.models.base import RefinerConfig
from poselift.models.lifters import build_lifter
from poselift.models.lifters.residual_mlp import ResidualMLPConfig
from poselift.models.predict import Refinement
from poselift.models.refiners.erd import ResidualDescent, ResidualDescentConfig
from poselift.models.roots.pelvis import PelvisRegressor, PelvisRegressorConfig
from poselift.models.weights import save_model
from poselift.pipeline import refine, spool
from poselift.pipeline.lift import Lifted, lift
from poselift.pipeline.pictures import check_pictures
from poselift.pipeline.place import place_root
from poselift.structures import Camera, Clip, skeleton

MIDDLE, SPREAD = (680.0, 360.0), (60.0, 150.0)
"""Where `walking_clip` has its keypoints, pixels."""


def erd(*, still: bool = False, middle: tuple[float, float] = MIDDLE, **config: Any) -> ResidualDescent:
    """A small untrained refiner of pictures like those of `walking_clip`; `still`: its increments are all 0."""
    torch.manual_seed(0)
    refiner = ResidualDescent(ResidualDescentConfig(**{"steps": 2, "width": 16, **config}))
    j = len(refiner.skeleton)
    refiner.set_statistics(mean2d=torch.tensor(middle).repeat(j, 1), std2d=torch.tensor(SPREAD).repeat(j, 1))
    with torch.no_grad():
        for module in refiner.model:
            last = cast(Any, module).w2
            last.weight.mul_(0 if still else 100)  # centimetres, so that it shows
            last.bias.mul_(0 if still else 100)
    return refiner.eval()


def same(a: Clip, b: Clip) -> bool:
    return np.allclose(pose(a), pose(b), atol=1e-5) and np.allclose(root(a), root(b), atol=1e-3)


def people() -> list[Clip]:
    return [with_gap(walking_clip(40, track_id=3), 10, 14), walking_clip(25, start=9, track_id=8, seed=1)]


def said(lifted: Lifted) -> str:
    return "\n".join(lifted.notes)


@pytest.mark.parametrize("source", ["given", "least_squares", "resolved"])
def test_increments_of_zero_change_nothing(source: str):
    for clip in people():
        plain, refined = (lift(clip, model=Flat(), refine=r).clips[0] for r in (None, erd(still=True, root=source)))
        assert np.array_equal(pose(plain), pose(refined))
        assert np.array_equal(root(plain), root(refined))
        assert np.array_equal(plain.confidence, refined.confidence)


@pytest.mark.parametrize("source", ["least_squares", "resolved"])
def test_poses_roots_and_gaps_are_those_of_the_refiner(source: Any):
    clip = with_gap(walking_clip(30), 10, 14).replace(camera=CAMERA)
    refiner = erd(root=source)
    plain, found = (lift(clip, model=Flat(), refine=r).clips[0] for r in (None, refiner))
    kp, conf, p = (torch.from_numpy(x) for x in (clip.kp_img, clip.confidence, pose(plain)))
    K = torch.tensor(CAMERA.K, dtype=torch.float32).repeat(len(clip), 1, 1)
    want = Refinement(refiner=refiner).frames(kp, conf, p, K)
    want = want - want[:, :1]
    seen = clip.seen
    assert np.allclose(pose(found)[seen], want[seen].numpy(), atol=1e-6)
    assert np.abs(pose(found) - pose(plain))[seen].max() > 1e-3
    assert (pose(found)[:, 0] == 0).all(), "p_root is still relative to the root"
    assert np.allclose(root(found)[seen], place_root(kp, conf, want, K)[seen].numpy(), atol=1e-4)
    assert not np.allclose(root(found)[seen], root(plain)[seen], atol=1e-4)
    assert (found.confidence[10:14] == 0).all()
    bones = np.linalg.norm(pose(found)[:, 1] - pose(found)[:, 0], axis=-1)
    assert (bones[10:14] >= bones[[9, 14]].min() - 1e-6).all(), "the gap lies between refined poses"
    assert (bones[10:14] <= bones[[9, 14]].max() + 1e-6).all(), "the gap lies between refined poses"


@pytest.mark.parametrize("config", [FlatConfig(), FlatConfig(field=9)], ids=str)
def test_batches_and_streams_change_nothing(config: FlatConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = save_keypoints(tmp_path / "people.npz", people())
    options: Any = {"model": Flat(config), "refine": erd(root="resolved"), "formats": ["npz"]}
    whole = lift(file, out=tmp_path / "a", **options)
    for a, b in zip(whole.clips, lift(file, out=tmp_path / "b", batch=7, **options).clips, strict=True):
        assert same(a, b)
    monkeypatch.setattr(spool, "LARGE_BYTES", 0)
    monkeypatch.setattr(spool, "_ROWS", 7)
    streamed = lift(file, out=tmp_path / "c", batch=11, **options)
    assert streamed.clips == []
    for a, b in zip(whole.clips, read(streamed.files["npz"][0]), strict=True):
        assert same(a, b)
        assert b.meta["refiner"] == "ResidualDescent"
    assert said(streamed).count("refined by ResidualDescent") == 1


def test_distortion_is_taken_out_before_refining():
    lens = Camera.from_focal(focal=1000.0, size_wh=(1280, 720), dist=np.array([-0.2, 0.05, 0, 0.001, 0.001]))
    exact = walking_clip(5, noise=0)
    p = np.concatenate([(exact.kp_img - (639.5, 359.5)) / 1000, np.ones((5, 17, 1))], -1)
    bent = exact.replace(kp_img=lens.project(p), camera=lens)
    assert np.abs(bent.kp_img - exact.kp_img).max() > 1
    a, b = (lift(c, model=Flat(), refine=erd(root="resolved")).clips[0] for c in (exact.replace(camera=CAMERA), bent))
    assert np.allclose(pose(a), pose(b), atol=1e-4)


class Odd:
    """A refiner without statistics: adds 0.1 m, but NaN in frame 2 and 50 m in frame 3."""

    skeleton = skeleton("h36m17")
    config = RefinerConfig(root="least_squares")

    def refine(self, kp_img: Tensor, conf: Tensor, p_root: Tensor, *_: Any, **__: Any) -> Tensor:
        p = p_root + 0.1 * torch.arange(17)[:, None] / 17
        p[2], p[3] = torch.nan, p[3] * 50 + torch.arange(17)[:, None]
        return p


def test_a_frame_that_goes_wrong_keeps_the_lifters_pose():
    plain = lift(walking_clip(9), model=Flat()).clips[0]
    lifted = lift(walking_clip(9), model=Flat(), refine=Odd())
    moved = np.abs(pose(lifted.clips[0]) - pose(plain)).max((1, 2))
    assert np.allclose(moved, [0.1 * 16 / 17] * 2 + [0] * 2 + [0.1 * 16 / 17] * 5, atol=1e-5)
    assert "more than 1 m, the lifter's pose is kept" in said(lifted)
    assert "is kept" not in said(lift(walking_clip(9), model=Flat(), refine=erd()))


@pytest.mark.parametrize("source", ["given", "resolved"])
@pytest.mark.parametrize("features", ["delta", "cat", "ori"])
def test_hostile_keypoints_stay_finite_and_leave_the_others_alone(source: Any, features: Any):
    clip = walking_clip(40)
    kp, conf = clip.kp_img.copy(), clip.confidence.copy()
    kp[3, 5] = 9e4  # a joint far outside
    kp[5] = kp[5, :1]  # all joints in one place: no depth
    kp[7] = 1e-3 * np.arange(34).reshape(17, 2)  # a person of no size
    kp[9, :, 1] = kp[9, ::-1, 1]
    conf[11, 4:] = 0
    kp[13, 2:7] = np.nan
    conf[15, 3:], conf[17] = 0, 0
    conf[19, 0] = 0  # the root joint itself
    bad = np.zeros(40, bool)
    bad[3:20:2] = True
    good, mixed = (
        lift(c, model=Flat(), refine=erd(root=source, features=features), camera=CAMERA).clips[0]
        for c in (clip, clip.replace(kp_img=kp, conf=conf))
    )
    assert np.isfinite(pose(mixed)).all()
    assert np.isfinite(root(mixed)).all()
    assert same(good[0:3], mixed[0:3])
    assert np.allclose(pose(good)[~bad], pose(mixed)[~bad], atol=1e-5)


class TestWhatIsSaid:
    def test_notes_files_and_a_later_lift(self, tmp_path: Path):
        folder = save_model(erd(root="resolved"), tmp_path / "descent")
        lifted = lift(
            walking_clip(5), model=Flat(), refine=folder, out=tmp_path / "out", formats=["npz", "json", "html"]
        )
        assert "refined by descent" in said(lifted)
        assert "refined by descent" in (tmp_path / "out" / "index.html").read_text()
        assert lifted.clips[0].meta["refiner"] == "descent"
        for name in ("npz", "json"):
            assert read(lifted.files[name][0])[0].meta["refiner_root"] == "resolved"
        again = lift(lifted.files["npz"][0], model=Flat())
        assert "refiner" not in again.clips[0].meta
        assert "refiner_root" not in again.clips[0].meta
        assert "refine" not in said(again)

    def test_the_model_of_a_run_goes_by_the_runs_name(self, tmp_path: Path):
        save_model(erd(), tmp_path / "run7" / "model")
        assert "refined by run7/model" in said(lift(walking_clip(5), model=Flat(), refine=tmp_path / "run7" / "model"))

    def test_a_refiner_of_true_roots_gets_a_solved_one(self):
        given, solved = (lift(walking_clip(5), model=Flat(), refine=erd(root=r)) for r in ("given", "least_squares"))
        assert same(given.clips[0], solved.clips[0])
        assert "trained with the true root" in said(given)
        assert "trained with the true root" not in said(solved)
        assert given.clips[0].meta["refiner_root"] == "least_squares"

    def test_a_root_model_gives_the_root(self, tmp_path: Path):
        model = PelvisRegressor(PelvisRegressorConfig(width=8))
        model.set_statistics(
            mean2d=torch.tensor(MIDDLE).repeat(17, 1), std2d=torch.tensor(SPREAD).repeat(17, 1),
            mean_root=torch.tensor((0.0, 0.0, 9.0)), std_root=torch.full((3,), 0.1),
        )  # fmt: skip
        folder, refiner = save_model(model, tmp_path / "pelvis"), erd(root="resolved")
        found, other = (lift(walking_clip(5), model=Flat(), refine=refiner, root_model=m) for m in (folder, None))
        assert not np.allclose(pose(found.clips[0]), pose(other.clips[0]), atol=1e-4)
        assert found.clips[0].meta["refiner_root"] == "root model"
        by_hand = Refinement(refiner=refiner, root="given", root_model=model.eval())
        assert same(found.clips[0], lift(walking_clip(5), model=Flat(), refine=by_hand).clips[0])

    @pytest.mark.parametrize(
        ("trained", "noted"), [("tiny", False), ("folder", False), ("zoo/tiny", False), ("other", True), (None, False)]
    )
    def test_poses_of_another_lifter(self, trained: str | None, noted: bool, tmp_path: Path):
        model = save_model(build_lifter(ResidualMLPConfig(width=8, hidden=8, blocks=1)), tmp_path / "tiny")
        card = {} if trained is None else {"lifter": str(model) if trained == "folder" else trained}
        refiner = save_model(erd(), tmp_path / "descent", card=card)
        assert (
            "of the lifter other, these are of tiny" in said(lift(walking_clip(5), model=model, refine=refiner))
        ) == noted
        assert "of the lifter" not in said(lift(walking_clip(5), model=Flat(), refine=refiner))


class TestChain:
    """Several refiners, one after the other."""

    def chain(self) -> list[ResidualDescent]:
        """Two that do not do the same in the other order."""
        return [erd(root="least_squares"), erd(root="resolved", features="cat", steps=3)]

    def test_each_refines_what_the_one_before_gave(self, tmp_path: Path):
        a, b = self.chain()
        clip = walking_clip(12)
        found = lift(clip, model=Flat(), refine=[a, b]).clips[0]
        assert found.meta["refiner"] == "ResidualDescent + ResidualDescent"
        assert found.meta["refiner_root"] == "least_squares + resolved"
        plain = lift(clip, model=Flat(), camera=CAMERA).clips[0]
        kp, conf, p = (torch.from_numpy(x) for x in (clip.kp_img, clip.confidence, pose(plain)))
        K = torch.tensor(CAMERA.K, dtype=torch.float32).repeat(len(clip), 1, 1)
        for refiner in (a, b):
            p = refiner.refine(kp[:, None], conf[:, None], p[:, None], None, K)[:, 0]
        found = lift(clip, model=Flat(), refine=[a, b], camera=CAMERA).clips[0]
        assert np.allclose(pose(found), (p - p[:, :1]).detach().numpy(), atol=1e-5)
        turned = lift(clip, model=Flat(), refine=[b, a], camera=CAMERA).clips[0]
        assert not np.allclose(pose(found), pose(turned), atol=1e-3)

    def test_one_alone_and_none_are_no_chain(self):
        a, _ = self.chain()
        plain, none, one, alone = (lift(walking_clip(5), model=Flat(), refine=r).clips[0] for r in (None, [], [a], a))
        assert same(plain, none)
        assert same(one, alone)
        assert one.meta == alone.meta

    def test_a_chain_handed_in_keeps_its_roots(self):
        a, b = (Refinement(refiner=r) for r in self.chain())
        by_hand = Refinement(refiner=b.refiner, after=a)
        found, want = (lift(walking_clip(5), model=Flat(), refine=r).clips[0] for r in (by_hand, [a, b]))
        assert same(found, want)
        assert found.meta == want.meta

    def test_every_refiner_has_its_notes(self, tmp_path: Path):
        a = save_model(erd(), tmp_path / "a")
        b = save_model(erd(middle=(350.0, 360.0), features="cat"), tmp_path / "b")
        notes = lift(walking_clip(5), model=Flat(), refine=[a, b]).notes
        assert notes[1] == "The poses are refined by a, then by b."
        assert [n.split()[0] for n in notes if "true root" in n] == ["a", "b"]
        assert [n.split()[0] for n in notes if "trained on pictures" in n] == ["b"]

    @pytest.mark.parametrize(
        ("after", "chain", "noted"),
        [
            ("first", ["first", "second"], ""),
            ("", ["second"], ""),
            ("first", ["second"], "of the lifter tiny refined by first, these are of tiny:"),
            ("", ["first", "second"], "of the lifter tiny, these are of tiny refined by first:"),
            ("other", ["first", "second"], "of the lifter tiny refined by other, these are of tiny refined by first:"),
        ],
    )
    def test_poses_that_were_refined_otherwise(self, after: str, chain: list[str], noted: str, tmp_path: Path):
        model = save_model(build_lifter(ResidualMLPConfig(width=8, hidden=8, blocks=1)), tmp_path / "tiny")
        save_model(erd(still=True), tmp_path / "first", card={"lifter": "tiny"})
        save_model(erd(still=True), tmp_path / "second", card={"lifter": "tiny"} | ({"after": after} if after else {}))
        lifted = lift(walking_clip(5), model=model, refine=[tmp_path / name for name in chain])
        assert ("second was trained on poses" in said(lifted)) == bool(noted)
        assert noted in said(lifted)


class TestPictures:
    """People are at (680, 360), and spread by (60, 150) px."""

    def shifted(self, by: float, *, scale: float = 1.0) -> Clip:
        clip = walking_clip(20)
        return clip.replace(kp_img=clip.kp_img * scale + (by, 0), camera=CAMERA)

    def test_as_in_training(self):
        assert "pictures" not in said(lift(self.shifted(60), model=Flat(), refine=erd(features="cat")))

    def test_somewhat_elsewhere_is_a_note(self):
        lifted = lift(self.shifted(330), model=Flat(), refine=erd(features="cat"))
        assert "trained on pictures with people about (680, 360) px" in said(lifted)
        assert "it may make the poses worse" in said(lifted)

    def test_far_from_there_is_an_error(self):
        with pytest.raises(
            InputError, match=r"refiner ResidualDescent: expected pictures like .*\(680, 360\).*found.*1670"
        ):
            lift(self.shifted(1000), model=Flat(), refine=erd(features="cat"))

    def test_differences_alone_do_not_care_where(self):
        assert "pictures" not in said(lift(self.shifted(1000), model=Flat(), refine=erd()))
        with pytest.raises(InputError, match="pictures"):
            lift(self.shifted(0, scale=30.0), model=Flat(), refine=erd())

    def test_a_few_wrong_keypoints_are_no_other_picture(self):
        clip = self.shifted(0)
        kp = clip.kp_img.copy()
        kp[:, 4] = 9e4
        assert "pictures" not in said(lift(clip.replace(kp_img=kp), model=Flat(), refine=erd(features="cat")))

    def test_without_statistics_there_is_nothing_to_compare(self):
        assert "pictures" not in said(lift(self.shifted(1000), model=Flat(), refine=Odd()))


def sixteen(folder: Path) -> Path:
    return save_model(erd(skeleton="h36m16"), folder / "descent16")


REFUSED: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "a lifter": (lambda f: {"refine": "default"}, "expected refiner, found lifter"),
    "a refiner as model": (
        lambda f: {"model": save_model(erd(), f / "descent"), "refine": None},
        "expected lifter, found refiner",
    ),
    "no such name": (lambda f: {"refine": "nothing"}, "unknown model 'nothing'"),
    "no such folder": (lambda f: {"refine": f / "nothing"}, "no such model folder"),
    "another skeleton": (
        lambda f: {"refine": sixteen(f)},
        "refiner descent16: expected poses of h36m16, found a lifter of h36m17",
    ),
    "another skeleton in a chain": (lambda f: {"refine": [erd(), sixteen(f)]}, "refiner descent16: expected poses of"),
    "a lifter in a chain": (lambda f: {"refine": [erd(), "default"]}, "expected refiner, found lifter"),
    "a refiner as root model": (
        lambda f: {"refine": erd(), "root_model": save_model(erd(), f / "descent")},
        "expected root, found refiner",
    ),
    "another skeleton's root": (
        lambda f: {
            "refine": erd(),
            "root_model": PelvisRegressor(PelvisRegressorConfig(width=8, skeleton="h36m16")),
        },
        "root model: expected poses of h36m16",
    ),
}


@pytest.mark.parametrize(("options", "expected"), REFUSED.values(), ids=list(REFUSED))
def test_refused(options: Callable[[Path], dict[str, Any]], expected: str, tmp_path: Path):
    with pytest.raises(InputError) as error:
        lift(walking_clip(3), out=tmp_path / "out", **{"model": Flat(), **options(tmp_path)})
    assert expected in str(error.value)
    assert not (tmp_path / "out").exists()


class TestEval:
    @pytest.fixture
    def models(self, tmp_path: Path) -> dict[str, str]:
        """Untrained, but for their names; `delta` moves the poses, `still` does not."""
        made: dict[str, torch.nn.Module] = {
            "tiny": build_lifter(ResidualMLPConfig(width=8, hidden=8, blocks=1)),
            "delta": erd(middle=(512.0, 512.0)),
            "still": erd(still=True),
            "sixteen": erd(skeleton="h36m16"),
            "pelvis": PelvisRegressor(PelvisRegressorConfig(width=8)),
        }
        return {name: str(save_model(model, tmp_path / name)) for name, model in made.items()}

    def report(self, models: dict[str, str], out: Path, *options: str) -> dict[str, Any]:
        argv = [
            "eval",
            models["tiny"],
            "--every",
            "400",
            "--by",
            "overall",
            "--device",
            "cpu",
            "-o",
            str(out),
            *options,
        ]
        assert main(argv) == 0
        return json.loads((out / "report.json").read_text())

    def test_tables_are_those_of_the_refined_poses(
        self, models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ):
        plain = self.report(models, tmp_path / "a")
        assert "about" not in plain
        still = self.report(models, tmp_path / "b", "--refine", models["still"])
        assert still["overall"] == plain["overall"]
        capsys.readouterr()
        given = self.report(models, tmp_path / "c", "--refine", models["delta"])
        assert "refiner delta, refiner root given" in " ".join(capsys.readouterr().out.split())
        assert "refiner delta, refiner root given" in (tmp_path / "c" / "report.md").read_text()
        assert given["about"] == {"refiner": "delta", "refiner_root": "given"}
        figures = [given["overall"]["mpjpe_mm/frame"], plain["overall"]["mpjpe_mm/frame"]]
        for options in (["--root", "resolved"], ["--root", "least_squares"], ["--root-model", models["pelvis"]]):
            found = self.report(models, tmp_path / "d", "--refine", models["delta"], *options)
            assert found["about"]["refiner_root"] == ("root model" if "model" in options[0] else options[1])
            figures.append(found["overall"]["mpjpe_mm/frame"])
        twice = self.report(models, tmp_path / "e", "--refine", models["delta"], "--refine", models["delta"])
        assert twice["about"] == {"refiner": "delta + delta", "refiner_root": "given + given"}
        figures.append(twice["overall"]["mpjpe_mm/frame"])
        assert len(set(figures)) == len(figures), "every root and chain gives poses of its own"
        again = self.report(models, tmp_path / "f", "--refine", models["still"], "--refine", models["delta"])
        assert again["overall"] == given["overall"]

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["--refine", "tiny"], "expected refiner, found lifter"),
            (["--refine", "sixteen"], "expected poses of h36m16"),
            (["--refine", "delta", "--refine", "sixteen"], "expected poses of h36m16"),
            (["--root", "given"], "root: expected a refiner"),
            (["--root-model", "delta"], "expected root, found refiner"),
            (["--root", "given", "--root-model", "pelvis"], "root: expected a refiner"),
            (
                ["--refine", "delta", "--root", "resolved", "--root-model", "pelvis"],
                "expected given, where there is a root",
            ),
            (["--refine", "delta", "--root-model", "delta"], "expected root, found refiner"),
            (["--refine", "delta", "--root", "solved"], "solved"),
        ],
    )
    def test_bad_options(
        self, options: list[str], expected: str, models: dict[str, str], tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ):  # fmt: skip
        argv = ["eval", models["tiny"], "-o", str(tmp_path / "out"), *(models.get(o, o) for o in options)]
        assert main(argv) == 2
        err = capsys.readouterr().err
        assert err.startswith("poselift: ")
        assert err.count("\n") == 1
        assert expected in err
        assert not (tmp_path / "out").exists()


def test_one_pass_tells_the_pictures_apart_in_pieces():
    chosen = refine.choose_refinement(erd(features="cat"), lifter=Flat(), source=Flat())
    assert chosen is not None
    clip = walking_clip(30)
    with pytest.raises(InputError) as whole:
        check_pictures(chosen, [(clip.replace(kp_img=clip.kp_img + 900), CAMERA)])
    with pytest.raises(InputError) as pieces:
        check_pictures(chosen, [(clip.replace(kp_img=clip.kp_img + 900), CAMERA)], batch=7)
    assert str(whole.value) == str(pieces.value)
