"""What every entry of `PICTURES` promises. A new one is tested by being in the table and having an example here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from poselift.data.pictures import PICTURES, PictureConfig, PictureSource, picture_source
from poselift.data.rendered import RenderOptions
from poselift.errors import InputError

EXAMPLES: dict[str, Callable[[Path], PictureConfig]] = {
    "rendered": lambda _: PictureConfig(pictures="rendered", render=RenderOptions(size=32)),
}


@pytest.fixture(params=sorted(PICTURES))
def config(request: pytest.FixtureRequest, tmp_path: Path) -> PictureConfig:
    name = request.param
    assert name in EXAMPLES, f"tests/contracts/test_pictures.py needs an example of the picture set '{name}'"
    return EXAMPLES[name](tmp_path)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_batches_are_the_generators(config: PictureConfig, split: str) -> None:
    source = picture_source(config, split)
    assert isinstance(source, PictureSource)
    assert source.size > 0
    one, same, other = (source.batch(4, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert one.skeleton == source.skeleton
    assert all(torch.equal(v, same.as_dict()[k]) for k, v in one.as_dict().items())
    assert not torch.equal(one.image, other.image)


def test_an_unknown_set_and_an_unknown_split_are_named(config: PictureConfig) -> None:
    with pytest.raises(InputError, match="tset"):
        picture_source(config, "tset")
    wrong = PictureConfig()
    object.__setattr__(wrong, "pictures", "rendred")  # what the command line would refuse
    with pytest.raises(InputError, match="'rendered'"):
        picture_source(wrong, "train")
