"""Files that are handed to the importers: statistics in all their forms, and whatever is no checkpoint."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hostile import bombs, little_memory
from parity_vectors import vectors
from poselift.errors import InputError
from poselift.models.importers import ImportOptions, import_checkpoint
from poselift.models.importers.statistics import read_pca, statistics_2d, statistics_3d
from poselift.models.lifters.simple_baseline import FLAVOURS
from poselift.storage.mxnet import load_mxnet
from poselift.storage.tensorflow import load_tensorflow
from published_checkpoints import FIXTURES, mean_std, pca_of, save, save_pca, save_stats, save_videopose3d, state_of

NO_STATS = ImportOptions(no_stats=True)
RAW = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
OUT16 = FLAVOURS["pytorch"].joints_out or ()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return save(tmp_path / "small.pth.tar", state_of("erd_linear_small"))


@pytest.mark.parametrize("form", ["flat", "joints", "raw", "own", "npz", "gluon"])
def test_forms_of_statistics(form: str, tmp_path: Path):
    """The same numbers from every form: 17 joints, the network's 16, or the recordings' 32."""
    mean, std = mean_std(3)
    file = tmp_path / "stat"
    dims = [3 * j + k for j in RAW[1:] for k in range(3)]
    match form:
        case "raw":
            wide = np.full((2, 32, 3), 7.0)
            wide[0, RAW], wide[1, RAW] = mean, std
            save_stats(file, *wide, dim_use=np.array(dims))
        case "own":
            save_stats(file, mean[1:], std[1:])
        case "npz":
            np.savez(tmp_path / "stat.npz", mean=mean, std=std)
            file = tmp_path / "stat.npz"
        case "gluon":
            torch.save({"mean2d": mean[1:, :2], "std2d": std[1:, :2], "mean3d": mean[1:], "std3d": std[1:]}, file)
        case _:
            save_stats(file, mean, std) if form == "flat" else torch.save(
                {"mean": mean, "std": torch.tensor(std)}, file
            )
    got = statistics_3d(ImportOptions(stats_3d=file), OUT16)
    assert got is not None
    for a, b in zip(got, (mean, std), strict=True):
        assert np.allclose(1000 * a[1:].numpy(), b[1:], rtol=1e-5)
        assert (a[0] == 0).all()


def test_coordinates_that_never_vary(tmp_path: Path):
    """A keypoint's deviation of 0 is taken as 1; a pose's stays, and the joint comes out at its mean."""
    mean, std = mean_std(2)
    std[0] = 0
    options = ImportOptions(
        stats_2d=save_stats(tmp_path / "a", mean, std),
        stats_3d=save_stats(tmp_path / "b", np.hstack((mean, mean[:, :1])), np.hstack((std, std[:, :1]))),
    )
    two, three = statistics_2d(options), statistics_3d(options)
    assert two is not None
    assert three is not None
    assert (two[1][0] == 1).all()
    assert (three[1][0] == 0).all()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"mean": None}, "mean: expected finite numbers, found none"),
        ({"std": np.ones(50)}, "std: expected 51 or 96 numbers, found 50"),
        ({"std": np.full(51, np.nan)}, "std: expected finite numbers"),
        ({"std": -np.ones(51) * 100}, "std: expected deviations, found negative numbers"),
        ({"std": np.full(51, 0.3)}, "std: expected millimetres, found at most 0.3"),
        ({"mean": "texts"}, "mean: expected finite numbers"),
    ],
)
def test_statistics_that_are_none(change: dict[str, Any], complaint: str, tmp_path: Path, small: Path):
    (mean2, std2), (mean3, std3) = mean_std(2), mean_std(3)
    file = tmp_path / "b"
    torch.save({"mean": mean3.reshape(-1), "std": std3.reshape(-1), **change}, file)
    options = ImportOptions(stats_2d=save_stats(tmp_path / "a", mean2, std2), stats_3d=file)
    with pytest.raises(InputError, match=complaint):
        import_checkpoint(small, options=options)
    with pytest.raises(InputError, match=r"stats-3d: expected the file with mean and deviation of .*millimetres"):
        import_checkpoint(small, options=ImportOptions(stats_2d=options.stats_2d))
    with pytest.raises(InputError, match="no such file"):
        import_checkpoint(small, options=ImportOptions(stats_2d=tmp_path / "nowhere"))


def test_statistics_of_other_joints(tmp_path: Path):
    wide = np.full((2, 32, 3), 70.0)
    file = save_stats(tmp_path / "a", *wide, dim_use=np.arange(48))
    with pytest.raises(InputError, match="dim_use: expected the numbers of 16 joints"):
        statistics_3d(ImportOptions(stats_3d=file), OUT16)


def test_principal_components(tmp_path: Path):
    mean, axes = pca_of("erd_increment_delta_pca30")
    for name, m, c in (("arrays", mean, axes), ("tensors", torch.tensor(mean), torch.tensor(axes))):
        got = read_pca(save_pca(tmp_path / name, m, c), features=34)
        assert np.allclose(got[0], mean)
        assert np.allclose(got[1], axes)
    np.savez(tmp_path / "pca.npz", mean=mean, components=axes)
    assert np.allclose(read_pca(tmp_path / "pca.npz", features=34)[1], axes)
    with pytest.raises(InputError, match="a mean of 34 numbers"):
        read_pca(save_pca(tmp_path / "narrow", mean[:30], axes[:, :30]), features=34)
    torch.save({"mean_": mean, "components_": axes, "whiten": True}, tmp_path / "white")
    with pytest.raises(InputError, match="without whitening"):
        read_pca(tmp_path / "white", features=34)


def test_networks_and_their_components_must_agree(tmp_path: Path):
    mean, axes = pca_of("erd_increment_delta_pca30")
    lifter, chain = (
        save(tmp_path / n, state_of(n), inc_num=3) for n in ("erd_linear_pca30", "erd_increment_cat_pca30")
    )
    few = save_pca(tmp_path / "few", mean, axes[:20])
    with pytest.raises(InputError, match="expected 30 principal components, found 20"):
        import_checkpoint(lifter, options=ImportOptions(no_stats=True, pca=few))
    with pytest.raises(InputError, match="20 or 40 inputs, with 20 principal components, found 60"):
        import_checkpoint(chain, options=ImportOptions(no_stats=True, pca=few))
    for file in (lifter, chain):
        with pytest.raises(InputError, match="--pca: expected the file"):
            import_checkpoint(file, options=ImportOptions(stats_2d=save_stats(tmp_path / "s", *mean_std(2))))
        assert any("principal components" in n for n in import_checkpoint(file, options=NO_STATS).notes)


def test_what_the_refiner_sees(tmp_path: Path):
    file = save(tmp_path / "c", state_of("erd_increment_cat"), inc_num=3)
    imported: Any = import_checkpoint(file, options=NO_STATS)
    assert imported.model.config.features == "cat"
    assert any("--features" in n for n in imported.notes)
    with pytest.raises(InputError, match=r"--features: expected cat or catproj \(68 inputs\), found delta"):
        import_checkpoint(file, options=ImportOptions(no_stats=True, features="delta"))
    for number, complaint in ((0, "none of them is trained"), (4, "found 4")):
        with pytest.raises(InputError, match=f"inc_num: expected 1 to the 3 regressors.*{complaint}"):
            import_checkpoint(save(tmp_path / "c", state_of("erd_increment_cat"), inc_num=number), options=NO_STATS)


def test_the_layout_of_masks_is_said_and_chosen(tmp_path: Path):
    file = save(tmp_path / "c", state_of("erd_lcn_k2_h8"))
    arrays = vectors("erd_lcn_k2_h8")
    imported: Any = import_checkpoint(file, options=NO_STATS)
    assert (imported.model.config.mask_layout, imported.model.config.knn) == ("tiled", 2)
    assert any("tiled" in n for n in imported.notes)
    other: Any = import_checkpoint(file, options=ImportOptions(no_stats=True, mask_layout="block"))
    with torch.no_grad():
        assert (other.model.net(arrays["x0"]) - arrays["y0"]).abs().max() > 0.1


def test_the_card_says_where_it_came_from(tmp_path: Path, small: Path):
    options = ImportOptions(stats_2d=save_stats(tmp_path / "stat2", *mean_std(2)), no_stats=True)
    card = import_checkpoint(small, options=options).card
    assert card["imported_from"]["file"] == "small.pth.tar"
    assert len(card["imported_from"]["sha256"]) == 64
    assert card["what_the_checkpoint_says"] == {"epoch": 200, "lr": 1e-3, "error": 37.5, "inc_num": 0}
    assert card["options"] == {"stats_2d": "stat2", "no_stats": True}
    assert "research only" in card["data_licence"]
    assert "without the statistics of poses" in card["notes"]


def test_data_parallel_and_bare_state_dicts(tmp_path: Path):
    state = state_of("erd_linear_small")
    want = import_checkpoint(save(tmp_path / "a", state), options=NO_STATS).model.state_dict()
    torch.save(state, tmp_path / "b")
    parallel = save(tmp_path / "c", {f"module.{k}": v for k, v in state.items()})
    for file in (tmp_path / "b", parallel):
        got = import_checkpoint(file, options=NO_STATS).model.state_dict()
        assert all(torch.equal(v, want[k]) for k, v in got.items())


def test_nothing_is_run(tmp_path: Path):
    marker = tmp_path / "it_ran"
    for name, bomb in bombs(marker).items():
        for zipped in (True, False):
            file = save(tmp_path / name, state_of("erd_linear_small"), zipped=zipped, args=bomb)
            import_checkpoint(file, options=NO_STATS)
            torch.save(bomb, file, _use_new_zipfile_serialization=zipped)
            with pytest.raises(InputError):
                import_checkpoint(file, options=NO_STATS)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (torch.nn.Linear(2, 2), "whole object .*Linear.*state_dict"),
        ([1, 2], "found list"),
        ({"epoch": 3}, "'epoch' with a int"),
        ({"state_dict": {}}, "keys state_dict"),
        ({"weight": torch.ones(2)}, r"expected weights of one of linear-erd.*found 1 arrays \(weight"),
    ],
)
def test_torch_files_without_weights(value: Any, complaint: str, tmp_path: Path):
    torch.save(value, tmp_path / "c.pth")
    with pytest.raises(InputError, match=complaint):
        import_checkpoint(tmp_path / "c.pth")


def test_files_that_are_no_checkpoints(tmp_path: Path, small: Path):
    (tmp_path / "text").write_text("state_dict: none\n" * 9)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "cut").write_bytes(small.read_bytes()[:-2000])
    for name, complaint in (("text", "no pickle"), ("empty", "empty"), ("cut", "cut off"), ("nowhere", "no such file")):
        with pytest.raises(InputError, match=complaint):
            import_checkpoint(tmp_path / name, options=NO_STATS)
    with pytest.raises(InputError, match="a checkpoint file, found a folder"):
        import_checkpoint(tmp_path)
    with pytest.raises(InputError, match="did you mean 'linear-erd'"):
        import_checkpoint(small, family="linear_erd")
    with pytest.raises(InputError, match="expected the weights of a lcn-erd, found a linear-erd"):
        import_checkpoint(small, family="lcn-erd", options=NO_STATS)
    with pytest.raises(InputError, match="expected the weights of a linear-gluon, found a linear-erd"):
        import_checkpoint(small, family="linear-gluon", options=NO_STATS)


def test_a_lie_about_sizes_takes_no_memory(tmp_path: Path):
    state = {"w1.weight": torch.ones(1).expand(57 * 2 * 4000), "w1.bias": torch.ones(1).expand(17 * 4000)}
    torch.save({"state_dict": state}, tmp_path / "c")
    with little_memory(), pytest.raises(InputError, match="not the weights of a lcn-erd"):
        import_checkpoint(tmp_path / "c", options=NO_STATS)


@pytest.mark.parametrize(
    "name", ["gluon.params", "tf_v1", "tf_v2.index", "tf_v2.data-00000-of-00001", "zip", "legacy", "bin"]
)
def test_damage_is_refused_in_one_line(name: str, tmp_path: Path):
    """Cut anywhere, and single bytes changed: `InputError` or a model, nothing else."""
    rng = random.Random(name)
    if name in ("zip", "legacy"):
        good = save(tmp_path / "g", state_of("erd_lcn_k1_h8"), zipped=name == "zip").read_bytes()
        file = tmp_path / "c.pth.tar"
    elif name == "bin":  # with generators of numpy, and two networks
        one, other = state_of("vp3d_temporal_27"), state_of("vp3d_temporal_27:3")
        good, file = save_videopose3d(tmp_path / "g", one, other).read_bytes(), tmp_path / "c.bin"
    else:
        for part in FIXTURES.glob("tf_v2.*"):
            (tmp_path / part.name).write_bytes(part.read_bytes())
        good, file = (FIXTURES / name).read_bytes(), tmp_path / name
    head = min(len(good), 6000)
    for round_ in range(60):
        data = bytearray(good)
        if round_ % 3 == 0:
            del data[rng.randrange(len(data)) :]
        else:
            for _ in range(rng.choice((1, 1, 4))):
                at = rng.randrange(head) if round_ % 2 else len(data) - 1 - rng.randrange(head)
                data[at] = rng.randrange(256)
        file.write_bytes(data)
        with contextlib.suppress(InputError):
            import_checkpoint(file, options=NO_STATS)
        if round_ % 3 == 0 and name != "tf_v2.data-00000-of-00001":
            with pytest.raises(InputError):
                import_checkpoint(file, options=NO_STATS)


def test_readers_of_other_frameworks_say_what_is_wrong(tmp_path: Path):
    good = (FIXTURES / "gluon.params").read_bytes()
    sparse = bytearray(good)
    sparse[28:32] = (1).to_bytes(4, "little")
    (tmp_path / "sparse.params").write_bytes(sparse)
    with pytest.raises(InputError, match="expected dense arrays, found a sparse one"):
        load_mxnet(tmp_path / "sparse.params")
    (tmp_path / "many.params").write_bytes(good[:16] + (1 << 50).to_bytes(8, "little") + good[24:])
    with pytest.raises(InputError, match="arrays: expected at most 100,000"):
        load_mxnet(tmp_path / "many.params")
    with pytest.raises(InputError, match="expected an MXNet parameter file"):
        load_mxnet(FIXTURES / "tf_v1")
    (tmp_path / "tf_v2.index").write_bytes((FIXTURES / "tf_v2.index").read_bytes())
    with pytest.raises(InputError, match="data-00000-of-00001: no such file"):
        load_tensorflow(tmp_path / "tf_v2")
    (tmp_path / "tf_v2.data-00000-of-00001").write_bytes(b"\0" * 99)
    with pytest.raises(InputError, match="its data file is cut off"):
        load_tensorflow(tmp_path / "tf_v2.index")
    with pytest.raises(InputError, match="cut off, or something else"):
        load_tensorflow(FIXTURES / "gluon.params")


def test_both_formats_of_tensorflow_hold_the_same():
    one, two = load_tensorflow(FIXTURES / "tf_v1"), load_tensorflow(FIXTURES / "tf_v2")
    assert set(one) == set(two) - {"global_step"}
    assert all(np.array_equal(v, two[k]) for k, v in one.items())
