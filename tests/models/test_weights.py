from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from poselift.errors import InputError, OutputError
from poselift.models import cards
from poselift.models.base import Lifter
from poselift.models.cards import list_models, model_info
from poselift.models.lifters.residual_mlp import ResidualMLP, ResidualMLPConfig
from poselift.models.lifters.simple_baseline import SimpleBaseline, SimpleBaselineConfig
from poselift.models.weights import load_model, load_refiner, load_root, save_model

CARD = {
    "summary": "A test.", "data": "thin air", "data_licence": "CC0", "licence": "MIT",
    "errors": {"air det mpjpe_mm/frame": 61.5},
}  # fmt: skip


def small(seed: int = 0) -> Lifter:
    torch.manual_seed(seed)
    lifter = SimpleBaseline(SimpleBaselineConfig(width=16, blocks=1))
    lifter.set_statistics(mean3d=torch.randn(17, 3), std3d=torch.rand(17, 3), mean2d=torch.randn(17, 2))
    return lifter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_model(small(), tmp_path / "model", card=CARD)


def test_round_trip_is_exact(folder: Path):
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    lifter, again = small(), load_model(folder)
    assert again.config == lifter.config
    assert not again.training
    want = lifter.state_dict()
    assert list(again.state_dict()) == list(want)
    assert all(torch.equal(v, want[k]) for k, v in again.state_dict().items())


def test_a_model_says_what_it_is(folder: Path):
    info = model_info(folder)
    assert (info.name, info.kind, info.family) == ("model", "lifter", "simple_baseline")
    assert (info.summary, info.data, info.data_licence) == ("A test.", "thin air", "CC0")
    assert info.errors == CARD["errors"]
    assert info.bytes == (folder / "model.safetensors").stat().st_size
    text = (folder / "README.md").read_text(encoding="utf-8")
    for words in ("license: mit", "# model", "A test.", "thin air", "CC0", "air det mpjpe_mm/frame | 61.5", "`h36m17`"):
        assert words in text


def test_loading_leaves_random_numbers_alone(folder: Path):
    torch.manual_seed(5)
    want = torch.rand(1)
    torch.manual_seed(5)
    load_model(folder)
    assert torch.equal(torch.rand(1), want)


def test_half_is_half_the_size(tmp_path: Path):
    torch.manual_seed(0)
    lifter = ResidualMLP(ResidualMLPConfig(width=128, hidden=128)).eval()
    full, half = save_model(lifter, tmp_path / "a"), save_model(lifter, tmp_path / "b", half=True)
    assert model_info(half).bytes < 0.55 * model_info(full).bytes
    again = load_model(half)
    assert {v.dtype for v in again.state_dict().values()} == {torch.float32}
    x = torch.randn(4, 1, 17, 4)
    assert 0 < (again(x) - lifter(x)).abs().max() < 0.01


def test_saving_over_a_model_replaces_it(folder: Path):
    save_model(small(1), folder, card={"summary": "second"})
    assert torch.equal(load_model(folder).mean3d, small(1).mean3d)
    assert model_info(folder).summary == "second"
    assert len(list(folder.iterdir())) == 3
    assert len(list(folder.parent.iterdir())) == 1, "nothing is left beside it"


def test_a_failed_save_leaves_the_old_model(folder: Path):
    with pytest.raises(TypeError):
        save_model(small(1), folder, card={"summary": object()})
    assert torch.equal(load_model(folder).mean3d, small(0).mean3d)
    assert len(list(folder.parent.iterdir())) == 1


def test_a_file_in_the_way(tmp_path: Path):
    (tmp_path / "model").write_text("mine")
    with pytest.raises(OutputError, match="model"):
        save_model(small(), tmp_path / "model")
    assert (tmp_path / "model").read_text() == "mine"


# ------------------------------------------------------------------ what is no model


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def edit_config(**changes: Any) -> Callable[[Path], object]:
    return lambda folder: (folder / "config.json").write_text(json.dumps({**config_of(folder), **changes}))


def edit_field(**changes: Any) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        edit_config(config={**config_of(folder)["config"], **changes})(folder)

    return apply


def edit_tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors")

    return apply


def edit_bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        file = folder / "model.safetensors"
        file.write_bytes(change(file.read_bytes()))

    return apply


def set_nan(state: dict[str, torch.Tensor]) -> None:
    state["net.w1.weight"][3, 2] = float("nan")


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "found no model.safetensors"),
    "no config": (lambda f: (f / "config.json").unlink(), "found no config.json"),
    "config cut off": (lambda f: (f / "config.json").write_text('{"format": '), "not valid JSON"),
    "config empty": (lambda f: (f / "config.json").write_text(""), "empty"),
    "another's config": (lambda f: (f / "config.json").write_text('{"model_type": "bert"}'), "of something else"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "of something else"),
    "newer format": (edit_config(format_version=2, library_version="9.0"), "expected 1, found 2 (poselift 9.0)"),
    "config no object": (edit_config(config=[1]), "config: expected an object, found list"),
    "other kind": (edit_config(kind="critic"), "kind: expected lifter, found critic"),
    "unknown family": (edit_config(family="simple_bassline"), "did you mean 'simple_baseline'"),
    "other family": (edit_config(family="residual_mlp", config={}), "not the weights of a residual_mlp"),
    "unknown field": (edit_field(witdh=3), "did you mean 'width'"),
    "wrong field": (edit_field(width="16"), "config width: expected int, found '16'"),
    "impossible config": (edit_field(dropout=7.0), "model dropout: expected 0 to 0.999, found 7.0"),
    "other width": (edit_field(width=17), "expected shape (17, 34), found shape (16, 34)"),
    "immense width": (edit_field(width=65_536), "expected shape (65536, 34), found shape (16, 34)"),
    "more blocks": (edit_field(blocks=2), "tensors missing (net.linear_stages.1."),
    "fewer blocks": (edit_field(blocks=0), "tensors left over (net.linear_stages.0."),
    "tensor missing": (edit_tensors(lambda s: s.pop("net.w2.bias")), "1 tensor missing (net.w2.bias)"),
    "tensor left over": (edit_tensors(lambda s: s.update(x=torch.ones(1))), "1 tensor left over (x)"),
    "tensor of integers": (edit_tensors(lambda s: s.update({"mean3d": s["mean3d"].long()})), "expected torch.float32"),
    "not finite": (edit_tensors(set_nan), "net.w1.weight: expected finite weights"),
    "cut off": (edit_bytes(lambda b: b[:-100]), "expected a whole safetensors file"),
    "empty weights": (edit_bytes(lambda b: b""), "expected a whole safetensors file"),
    "one bit": (edit_bytes(lambda b: b[:-5] + bytes([b[-5] ^ 1]) + b[-4:]), "damaged"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_models_are_one_clear_line(case: str, folder: Path):
    spoil, message = BROKEN[case]
    spoil(folder)
    with pytest.raises(InputError) as caught:
        load_model(folder)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


class Trap:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_pickles_are_refused_and_never_run(folder: Path, tmp_path: Path):
    mark = tmp_path / "ran"
    bait = pickle.dumps(Trap(mark))
    (tmp_path / "ckpt_best.pth.tar").write_bytes(bait)
    with pytest.raises(InputError, match=r"expected a model folder .* found a pickle"):
        load_model(tmp_path / "ckpt_best.pth.tar")
    (folder / "model.safetensors").write_bytes(bait)
    with pytest.raises(InputError, match="expected a whole safetensors file"):
        load_model(folder)
    torch.save({"state_dict": Trap(mark)}, folder / "model.safetensors")
    with pytest.raises(InputError, match="expected a whole safetensors file"):
        load_model(folder)
    assert not mark.exists()
    pickle.loads(bait)
    assert mark.exists(), "the bait works"


# ------------------------------------------------------------------ names, paths, hub


def test_by_name_path_or_file(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(cards, "EMBEDDED", tmp_path)
    assert torch.equal(load_model("model").mean3d, small().mean3d)
    assert torch.equal(load_model(str(folder / "config.json")).mean3d, small().mean3d)
    assert [(m.name, m.data_licence, m.errors) for m in list_models()] == [("model", "CC0", CARD["errors"])]
    with pytest.raises(InputError, match="unknown model 'modell'; did you mean 'model'"):
        load_model("modell")
    for missing in ("./nowhere", Path("nowhere"), "runs/nowhere"):
        with pytest.raises(InputError, match="nowhere: no such model folder"):
            load_model(missing)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="found a file"):
        load_model(tmp_path / "notes.txt")


def test_models_that_come_with_the_package_load():
    for info in list_models():
        model: Any = {"lifter": load_model, "refiner": load_refiner, "root": load_root}[info.kind](info.name)
        assert info.bytes < 20_000_000
        assert info.data_licence != "not stated"
        assert info.errors
        assert model.skeleton.name == info.config["skeleton"]


def test_loading_lifters_does_not_import_the_compiler():
    """Whatever a network computes while it is built on the meta device may import seconds of torch's decompositions."""
    code = (
        "import sys; from poselift.models.cards import list_models; from poselift.models.weights import load_model\n"
        "for m in list_models():\n    if m.kind == 'lifter': load_model(m.name)\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_from_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def fetch(repo: str, name: str, *, revision: str | None = None) -> str:
        asked.append((repo, name, revision))
        return str(folder / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    assert torch.equal(load_model("hf:some-org/a.model@v1").mean3d, small().mean3d)
    assert asked == [("some-org/a.model", "config.json", "v1"), ("some-org/a.model", "model.safetensors", "v1")]

    def fail(*_: Any, **__: Any) -> str:
        raise OSError("no\nnetwork")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(InputError, match="hf:some-org/x: cannot be fetched from the Hugging Face Hub: no network"):
        load_model("hf:some-org/x")
    for bad in ("hf:", "hf:name", "hf:a/b/c", "hf:../../etc"):
        with pytest.raises(InputError, match="hf:organisation/name"):
            load_model(bad)
