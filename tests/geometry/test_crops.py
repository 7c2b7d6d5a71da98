from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from parity_vectors import vectors
from poselift.geometry.crops import (
    clip_box,
    crop_affine,
    crop_patches,
    distance_measure,
    extend_box,
    invert_affine,
    transform_points,
)  # fmt: skip
from poselift.models.heatmaps import quarter_cell


def focal_K(focal: Tensor) -> Tensor:
    return torch.diag_embed(torch.cat((focal, torch.ones_like(focal[..., :1])), -1))


@pytest.mark.parametrize("hw", [(256, 256), (256, 192)])
def test_boxes_and_distance_measure_parity(hw: tuple[int, int]):
    """Boxes that are rejected are NaN there."""
    v = vectors("rootnet_k")
    h, w = hw
    want = v[f"bbox_{h}x{w}"]
    box, fine = clip_box(v["raw_bbox"], v["image_wh"].double())
    assert torch.equal(fine, want.isfinite().all(-1))
    assert 0 < int(fine.sum()) < len(fine)
    box = extend_box(box, w / h)
    assert_close(box[fine], want[fine], atol=1e-9, rtol=1e-12)
    for real in ((2000, 2000), (2, 2), (3000, 1500), (1800, 1800)):
        k = distance_measure(box, focal_K(v["focal"]), (float(real[0]), float(real[1])))
        assert_close(k[fine].float(), v[f"k_{h}x{w}_real{real[0]}x{real[1]}"][fine], rtol=2e-7, atol=0)


@pytest.mark.parametrize(
    ("box", "fine"),
    [((5, 5, 0, 10), False), ((5, 5, 1, 1), False), ((5, 5, 2, 1), True), ((120, 5, 10, 10), False),
     ((-30, 5, 20, 20), True), ((5, float("nan"), 10, 10), False), ((5, 5, -10, -10), False)],
)  # fmt: skip
def test_boxes_that_show_nothing(box: tuple[float, ...], fine: bool):
    clipped, found = clip_box(torch.tensor([box], dtype=torch.float64), torch.tensor([100.0, 100.0]).double())
    assert bool(found) == fine
    if fine:
        assert (distance_measure(extend_box(clipped, 1), torch.eye(3).double()) > 0).all()


def test_affine_parity():
    """The published matrix is of the mirrored image; its points are rounded to float32."""
    v = vectors("crop_affine")
    rotation, width = v["rotation_deg"].deg2rad(), v["image_width"].double()
    affine = crop_affine(v["bbox"], (256, 256), rotation=rotation, flip=v["flip"], image_width=width)
    mirror = torch.eye(3).double().repeat(20, 1, 1)
    mirror[:, 0, 0] = torch.where(v["flip"], -1.0, 1.0)
    mirror[:, 0, 2] = torch.where(v["flip"], v["image_width"].double() - 1, 0.0)
    assert_close(affine @ mirror, v["affine"], atol=1e-3, rtol=1e-6)
    assert_close(transform_points(affine, v["points"]), v["points_out"], atol=1e-3, rtol=0)
    inverse = invert_affine(affine)
    assert_close(transform_points(inverse, transform_points(affine, v["points"])), v["points"], atol=1e-8, rtol=0)
    assert_close(mirror[:, :2, :2] @ inverse[..., :2], v["affine_inverse"][..., :2], atol=1e-5, rtol=0)


def test_patches_parity():
    """To 1.5 grey levels: the published crops are made with a fixed-point sampler."""
    v = vectors("crop_affine")
    image = v["image"].flip(-1).permute(2, 0, 1).contiguous()  # bgr, channels last
    affine = crop_affine(
        v["patch_bbox"], (32, 32), rotation=v["patch_rot"].deg2rad(), flip=v["patch_flip"], image_width=80
    )
    patches = crop_patches(image, affine, (32, 32))
    difference = (patches.float() - v["patch"].permute(0, 3, 1, 2)).abs()
    assert difference.max() <= 2
    assert difference.mean() < 0.5
    assert v["patch"].std() > 20


def test_mpii_decoding_parity():
    """Highest cell with its quarter, back through the crop of centre and scale (200 pixels)."""
    v = vectors("mpii_decode")
    box = torch.cat((v["center"] - 100 * v["scale"], 200 * v["scale"]), -1)
    xy, _ = quarter_cell(v["x0"])
    at = transform_points(invert_affine(crop_affine(box, (64, 64))), xy.double())
    assert_close(at, v["y0"].double(), atol=1e-3, rtol=0)
    affine = crop_affine(box, (256, 256), rotation=v["affine_rot"].deg2rad())
    assert_close(affine, v["affine_256"], atol=2e-3, rtol=2e-6)


def test_a_crop_of_the_whole_image_is_the_image():
    image = torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8)
    box = torch.tensor([[0.0, 0, 30, 20]])
    assert torch.equal(crop_patches(image, crop_affine(box, (30, 20)), (20, 30))[0], image)
    mirrored = crop_affine(box, (30, 20), flip=torch.tensor([True]), image_width=30)
    # the box's corner, not its first pixel's corner, goes to 0: as published, a mirrored crop is one pixel aside
    assert torch.equal(crop_patches(image, mirrored, (20, 30))[0, :, :, 1:], image.flip(-1)[:, :, :-1])


def test_a_quarter_turn():
    image = torch.zeros(3, 21, 21, dtype=torch.uint8)
    image[:, 10, 15] = 200  # right of the middle
    affine = crop_affine(torch.tensor([[0.5, 0.5, 20, 20]]), (20, 20), rotation=torch.tensor([math.pi / 2]))
    at = transform_points(affine, torch.tensor([[[15.0, 10.0]]]))
    assert_close(at, torch.tensor([[[9.5, 5.5]]]), atol=1e-4, rtol=0)


def test_beyond_the_image_is_black():
    image = torch.full((3, 20, 30), 255, dtype=torch.uint8)
    boxes = torch.tensor([[-100.0, -100, 50, 50], [20.0, 10, 20, 20], [500.0, 5, 10, 10]])
    away, part, right = crop_patches(image, crop_affine(boxes, (8, 8)), (8, 8))
    assert not away.any()
    assert not right.any()
    assert part[:, 0, 0].min() == 255
    assert part[:, 7, 7].max() == 0
