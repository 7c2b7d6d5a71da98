"""What every entry of `PICTURES` promises. A new one is tested by being in the table and having an example here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch

from data.annotations import published_folders as folders
from poselift.data.annotations import AnnotationOptions, read_annotations
from poselift.data.annotations.source import AnnotatedSource
from poselift.data.images import ImageBatch
from poselift.data.pictures import PICTURES, PictureConfig, PictureSource, picture_source
from poselift.errors import InputError
from poselift.geometry.crops import distance_measure


def folder_of(make: Callable[[Path], np.ndarray], name: str) -> Callable[[Path], PictureConfig]:
    def example(root: Path) -> PictureConfig:
        make(root)
        for split in PICTURES[name].splits:
            options = AnnotationOptions(every=64)
            folders.draw_pictures(p.file for p in read_annotations(name, root, split, options).pictures)
        return PictureConfig(
            pictures=name, path=str(root), crop=32, annotations=AnnotationOptions(every=64)  # type: ignore[arg-type]
        )  # fmt: skip

    return example


EXAMPLES: dict[str, Callable[[Path], PictureConfig]] = {
    "rendered": lambda _: PictureConfig(pictures="rendered", crop=32),
    **{
        make.__name__: folder_of(make, make.__name__)
        for make in (
            folders.human36m, folders.mpii, folders.mscoco, folders.muco, folders.mupots, folders.pw3d, folders.coco
        )
    },
}  # fmt: skip


@pytest.fixture(params=sorted(PICTURES))
def config(request: pytest.FixtureRequest, tmp_path: Path) -> PictureConfig:
    name = request.param
    assert name in EXAMPLES, f"tests/contracts/test_pictures.py needs an example of the picture set '{name}'"
    return EXAMPLES[name](tmp_path)


def test_batches_are_the_generators(config: PictureConfig) -> None:
    for split in PICTURES[config.pictures].splits:
        source = picture_source(config, split)
        assert isinstance(source, PictureSource)
        assert source.size > 0
        one, same, other = (source.batch(4, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
        assert one.skeleton == source.skeleton
        assert one.image.shape == (4, 3, 32, 32)
        assert all(torch.equal(v, same.as_dict()[k]) for k, v in one.as_dict().items())
        if split == "train" or config.pictures == "rendered":
            assert not torch.equal(one.image, other.image)
        assert torch.allclose(one.k, distance_measure(one.box_xywh, one.K), rtol=1e-4)
        assert bool(((one.root_z > 0) == one.has_depth).all())
        assert float(one.visible.max()) == 1
        ImageBatch.cat([one, source.batch(1, torch.Generator().manual_seed(2))])


def test_an_unknown_set_an_unknown_split_and_a_missing_folder_are_named(config: PictureConfig) -> None:
    with pytest.raises(InputError, match="tset"):
        picture_source(config, "tset")
    wrong = PictureConfig()
    object.__setattr__(wrong, "pictures", "rendred")  # what the command line would refuse
    with pytest.raises(InputError, match="'rendered'"):
        picture_source(wrong, "train")
    split = PICTURES[config.pictures].splits[0]
    object.__setattr__(config, "path", "no_such_folder")
    with pytest.raises(InputError, match="no_such_folder"):
        picture_source(config, split)


def test_the_command_line_knows_every_set() -> None:
    assert set(get_args(get_type_hints(PictureConfig)["pictures"])) == set(PICTURES)


def test_the_joint_stays_on_its_pixel(tmp_path: Path) -> None:
    """A white square around one wrist of black pictures is where the crop's wrist is."""
    p = folders.mupots(tmp_path)
    found = read_annotations("mupots", tmp_path, "test")
    wrist = found.skeleton.index("l_wrist")
    x, y = folders.pixels(p)[0, wrist].round().astype(int)
    image = np.zeros((480, 640, 3), np.uint8)
    image[y - 6 : y + 7, x - 6 : x + 7] = 255
    folders.draw_pictures([found.pictures[0].file], image)
    for joints in (None, "h36m17"):
        batch = AnnotatedSource(found, 128, joints=joints).take([0], torch.Generator())
        v, u = (batch.image[0, 0] > 127).nonzero().float().mean(0)
        at = batch.kp_patch[0, batch.skeleton.index("l_wrist")]
        assert torch.allclose(at, torch.stack((u, v)), atol=0.8)
        assert float(batch.root_z) == pytest.approx(p[0, found.skeleton.root, 2] / 1000)


def test_a_picture_of_another_size_is_named(tmp_path: Path) -> None:
    folders.mupots(tmp_path)
    found = read_annotations("mupots", tmp_path, "test")
    folders.draw_pictures([found.pictures[0].file], np.zeros((100, 90, 3), np.uint8))
    with pytest.raises(InputError, match="640 x 480 pixels, found 90 x 100 pixels"):
        AnnotatedSource(found).take([0], torch.Generator())
    found.pictures[0].file.unlink()
    with pytest.raises(InputError, match="no such file"):
        AnnotatedSource(found).take([0], torch.Generator())
