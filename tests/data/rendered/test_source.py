"""Rendered people: the truth belongs to the pixels, splits are those of cmu17, a seed says everything."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from poselift.data import cmu17
from poselift.data.images import ImageBatch
from poselift.data.rendered import Frames, RenderedSource, RenderOptions, SceneOptions, rendered_source
from poselift.data.rendered.scenes import draw_scenes
from poselift.errors import InputError
from poselift.geometry.projection import project


@pytest.fixture(scope="module")
def source() -> RenderedSource:
    return rendered_source(None, "train", crop=64)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def frames(source: RenderedSource) -> Frames:
    return source.frames(16, generator(1), size_wh=(200, 160))


def test_a_seed_says_everything(source: RenderedSource) -> None:
    a, b, c = (source.batch(5, generator(s)) for s in (0, 0, 1))
    assert all(torch.equal(v, b.as_dict()[k]) for k, v in a.as_dict().items())
    assert not torch.equal(a.image, c.image)
    one, two = (source.frames(2, generator(0), size_wh=(64, 64)) for _ in range(2))
    assert all(torch.equal(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(Frames))


def test_crops_hold_what_image_batches_promise(source: RenderedSource) -> None:
    batch = source.batch(24, generator(2))
    assert batch.image.shape == (24, 3, 64, 64)
    assert bool(batch.has_depth.all())
    area = batch.box_xywh[:, 2] * batch.box_xywh[:, 3]
    assert torch.allclose(batch.k, (batch.K[:, 0, 0] * batch.K[:, 1, 1] * 4 / area).sqrt())
    # the published way from the crop back to the image
    root_img = batch.root_patch * batch.box_xywh[:, 2:] / 64 + batch.box_xywh[:, :2]
    inside = ((root_img > -0.5) & (root_img < 2000)).all(-1)
    assert torch.equal(inside & (batch.root_visible > 0), batch.root_visible > 0)
    assert torch.equal(batch.kp_patch[:, 0], batch.root_patch)
    shown = batch.visible > 0
    assert float(batch.kp_patch[shown].min()) >= -0.5
    assert float(batch.kp_patch[shown].max()) < 63.5
    assert float(shown.float().mean()) > 0.8
    # a person of average size: k tells the distance up to a factor
    ratio = batch.k / batch.root_z
    assert 0.6 < float(ratio.median()) < 1.6
    assert float(batch.root_z.min()) > 1.2


def test_the_size_of_crops_changes_nothing_but_their_scale(source: RenderedSource) -> None:
    small, large = (RenderedSource(source.bank, crop=n).batch(6, generator(3)) for n in (48, 96))
    assert torch.allclose(small.kp_patch * 2, large.kp_patch, atol=1e-2)
    assert torch.allclose(small.box_xywh, large.box_xywh)
    assert torch.equal(small.root_z, large.root_z)
    assert small.image.shape[-2:] == (48, 48)


def test_joints_are_the_projected_points_and_the_root_is_the_first(frames: Frames) -> None:
    kp = project(frames.p_cam, frames.K)
    assert torch.allclose(kp, frames.kp_img, atol=1e-3, equal_nan=True)
    assert torch.equal(frames.root_cam, frames.p_cam[:, :, 0])


def joints_of(frames: Frames) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of all seen joints: picture, person, x, y."""
    b, m, j = frames.seen.nonzero().unbind(-1)
    x, y = frames.kp_img[b, m, j].round().long().unbind(-1)
    return b, m, x, y


def test_seen_joints_lie_within_their_own_body_and_nothing_is_before_them(frames: Frames) -> None:
    b, m, x, y = joints_of(frames)
    assert len(b) > 200
    own = frames.person[b, y, x] == m
    assert float(own.float().mean()) > 0.95  # a joint may come to lie a pixel outside of its outline
    z = frames.p_cam[frames.seen][:, 2]
    depth = frames.depth[b, y, x]
    inside = (z - depth)[own]
    assert float(inside.min()) > -0.05
    assert float(inside.max()) < 0.26
    assert not bool(frames.seen[~frames.there].any())


def test_a_joint_behind_another_person_is_hidden(frames: Frames) -> None:
    where = (frames.kp_img >= 0) & (frames.kp_img < torch.tensor((199.5, 159.5)))
    b, m, j = (where.all(-1) & frames.there[..., None]).nonzero().unbind(-1)
    x, y = frames.kp_img[b, m, j].round().long().unbind(-1)
    who = frames.person[b, y, x]
    other = (who >= 0) & (who != m) & (frames.depth[b, y, x] < frames.p_cam[b, m, j, 2])
    assert int(other.sum()) > 10
    assert not bool(frames.seen[b, m, j][other].any())


def test_boxes_hold_masks_and_fit_those_who_stand_free(source: RenderedSource) -> None:
    alone = RenderedSource(source.bank, RenderOptions(scenes=SceneOptions(people=(1, 1), aside=0.05)))
    frames = alone.frames(12, generator(4), size_wh=(256, 256))
    tight = 0
    for i in range(len(frames)):
        y, x = frames.mask_of(0)[i].nonzero().unbind(-1)
        x0, y0, w, h = frames.box_xywh[i, 0].tolist()
        bounds = torch.tensor((x.min() - x0, y.min() - y0, x0 + w - 1 - x.max(), y0 + h - 1 - y.max()))
        assert float(bounds.min()) > -1.01
        tight += int(bounds.max() < 1.5)
    assert tight >= 9  # the others are partly hidden by things


def test_people_of_a_scene_are_different_performers_and_stand_on_the_floor(source: RenderedSource) -> None:
    scenes = draw_scenes(source.bank, 40, SceneOptions(people=(2, 4)), generator(5))
    assert set(scenes.there.sum(1).tolist()) == {2, 3, 4}
    for row in source.bank.clip_of[scenes.frame].tolist():
        subjects = [source.bank.subjects[i] for i in row]
        assert len(set(subjects)) == len(subjects)
    root = scenes.p_world[:, :, 0, :2]
    gap = (root[:, :, None] - root[:, None]).norm(dim=-1) + 9 * torch.eye(4)
    assert float(gap.min()) > 0.45
    assert float(scenes.p_world[..., 2].amin(-1).min()) > 0.03
    distance = (scenes.p_world[:, 0].mean(1) - scenes.eye).norm(dim=-1)
    assert 1.99 < float(distance.min()) < 4
    assert 8 < float(distance.max()) < 10.01


def test_splits_are_those_of_the_benchmark() -> None:
    for split in cmu17.SPLITS:
        bank = rendered_source(None, split).bank
        assert {cmu17.split_of(s) for s in bank.subjects} == {split}
    few = rendered_source(None, "validation").frames(2, generator(0), size_wh=(32, 32))
    assert few.there.shape[1] <= len(set(rendered_source(None, "validation").bank.subjects))


def test_large_batches_are_rendered_in_portions(source: RenderedSource) -> None:
    cut = RenderedSource(source.bank, RenderOptions(max_pixels=64 * 64 * 2), 64)
    batch = cut.batch(5, generator(0))
    assert isinstance(batch, ImageBatch)
    assert len(batch) == 5


def test_wrong_options_are_named(source: RenderedSource) -> None:
    for call, words in (
        (lambda: SceneOptions(people=(0, 2)), "people"),
        (lambda: SceneOptions(distance=(4.0, 2.0)), "distance"),
        (lambda: SceneOptions(fov_deg=(30.0, 170.0)), "fov_deg"),
        (lambda: RenderedSource(source.bank, crop=5), "crop size"),
        (lambda: RenderOptions(jitter=-1), "jitter"),
        (lambda: source.frames(1, generator(0), size_wh=(0, 5)), "size_wh"),
        (lambda: rendered_source(None, "tset"), "tset"),
    ):
        with pytest.raises(InputError, match=words):
            call()
