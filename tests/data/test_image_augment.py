from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from parity_vectors import vectors
from poselift.data.image_augment import PLAIN, Draw, ImageAugment, person_sample
from poselift.data.images import ImageBatch
from poselift.errors import InputError
from poselift.models.images.base import ImageConfig, ImageModel
from poselift.structures import skeleton

H36M = skeleton("h36m17")


@pytest.mark.parametrize("i", [0, 1, 2])
def test_one_training_sample_of_rootnet_parity(i: int):
    """Pixels to 1.5 grey levels of the published sampler and a rounding; they are not divided by 255."""
    v = vectors("rootnet_sample")
    image = v["image_bgr"].flip(-1).permute(2, 0, 1).contiguous()
    K = torch.tensor([[1145.0, 0, 0], [0, 1143, 0], [0, 0, 1]])
    r, g, b = v[f"color{i}"].tolist()
    draw = Draw(rotation=float(v[f"rot{i}"].deg2rad()), flip=bool(v[f"flip{i}"]), color=(r, g, b))
    root = v[f"root_img{i}"].float()
    kp = root[:2].repeat(17, 1)
    sample = person_sample(
        image, skeleton=H36M, kp_img=kp, visible=torch.ones(17), root_img=root[:2], root_z=float(root[2]) / 1000,
        box_xywh=v[f"bbox{i}"].float(), K=K, out_hw=(64, 64), draw=draw,
    )  # fmt: skip
    assert_close(1000 * sample.k, v[f"y_k{i}"], rtol=1e-6, atol=0)
    assert_close(sample.root_patch[0] / 4, v[f"y_root{i}"][:2], atol=1e-4, rtol=0)
    assert_close(1000 * sample.root_z, v[f"y_root{i}"][2:], rtol=1e-6, atol=0)
    assert torch.equal(sample.root_visible, v[f"y_vis{i}"])
    assert torch.equal(sample.visible, v[f"y_vis{i}"].expand(1, 17))
    assert torch.equal(sample.has_depth.float(), v[f"y_have_depth{i}"])
    seen = ImageModel(ImageConfig(size_hw=(64, 64), unit_range=False)).normalize(sample.image)[0]
    difference = (seen - v[f"y_patch{i}"]).abs()
    assert difference.max() < 12
    assert difference.mean() < 2
    assert v[f"y_patch{i}"].std() > 30


def sample(draw: Draw = PLAIN, **other: object) -> ImageBatch:
    g = torch.Generator().manual_seed(0)
    fields: dict[str, object] = {
        "kp_img": 20 + 60 * torch.rand(17, 2, generator=g), "visible": torch.ones(17),
        "root_img": torch.tensor([50.0, 50.0]), "root_z": 4.0, "box_xywh": torch.tensor([10.0, 10, 80, 80]),
        "K": torch.diag(torch.tensor([1000.0, 1000, 1])), "out_hw": (64, 64),
    }  # fmt: skip
    image = torch.randint(0, 256, (3, 100, 120), dtype=torch.uint8, generator=g)
    return person_sample(image, skeleton=H36M, draw=draw, **{**fields, **other})  # type: ignore[arg-type]


def test_mirrored_joints_change_sides():
    plain, mirrored = sample(), sample(Draw(flip=True))
    want = torch.stack((64 - plain.kp_patch[..., 0], plain.kp_patch[..., 1]), -1)[:, list(H36M.flip)]
    assert_close(mirrored.kp_patch, want, atol=1e-4, rtol=0)
    assert torch.equal(mirrored.k, plain.k)
    hidden = torch.ones(17)
    hidden[H36M.index("l_knee")] = 0
    again = sample(Draw(flip=True), visible=hidden)
    assert again.visible[0, H36M.index("r_knee")] == 0
    assert again.visible[0, H36M.index("l_knee")] == 1


def test_a_larger_box_is_further_away():
    plain, larger = sample(), sample(Draw(scale=1.25))
    assert_close(larger.k, plain.k / 1.25)
    middle = torch.tensor([32.0, 32.0])
    assert_close(larger.root_patch - middle, (plain.root_patch - middle) / 1.25)


def test_joints_outside_the_crop_are_not_visible():
    found = sample(box_xywh=torch.tensor([40.0, 40, 20, 20]))
    assert 0 < int(found.visible.sum()) < 17
    assert found.root_visible == 1
    assert sample(root_z=None).has_depth.tolist() == [False]
    assert sample(root_z=None).root_z == 0


def test_what_is_drawn():
    gen = torch.Generator().manual_seed(0)
    draws = [ImageAugment(scale=0.25).draw(gen) for _ in range(2000)]
    turned = torch.tensor([d.rotation for d in draws]).rad2deg()
    assert float((turned != 0).float().mean()) == pytest.approx(0.6, abs=0.04)
    assert float(turned.abs().max()) == pytest.approx(60, abs=1e-3)
    assert sum(d.flip for d in draws) / 2000 == pytest.approx(0.5, abs=0.04)
    colors = torch.tensor([d.color for d in draws])
    assert 0.8 <= float(colors.min()) < 0.81
    assert 1.19 < float(colors.max()) <= 1.2
    sizes = torch.tensor([d.scale for d in draws])
    assert (float(sizes.min()), float(sizes.max())) == pytest.approx((0.75, 1.25))


def test_nothing_drawn_is_the_plain_crop_and_the_numbers_go_on_alike():
    off = ImageAugment(rotate=0, flip=0, color=0)
    a, b = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    assert off.draw(a) == PLAIN
    ImageAugment().draw(b)
    assert torch.equal(torch.rand(3, generator=a), torch.rand(3, generator=b))
    with pytest.raises(InputError, match="augment rotate: expected 0 to 1, found 2"):
        ImageAugment(rotate=2)
