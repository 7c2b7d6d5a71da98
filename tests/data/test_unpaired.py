"""2D of some performers, 3D of others: who is on which side, and that no pair is in a batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from poselift.data.bank import Batch, MotionBank
from poselift.data.cmu17 import load_motions
from poselift.data.datasets import DataConfig, MotionSource, dataset_source
from poselift.data.unpaired import Unpaired, divide_performers, of_performers
from poselift.errors import InputError
from poselift.geometry.projection import project
from poselift.geometry.roots import root_least_squares


@pytest.fixture(scope="module")
def source() -> MotionSource:
    found = dataset_source(DataConfig(input="gt"), "train")
    assert isinstance(found, MotionSource)
    return found


def frames_of(bank: MotionBank) -> set[bytes]:
    return {row.numpy().tobytes() for row in bank.p_world}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_performers_are_divided_by_share(source: MotionSource, share: float):
    bank = source.bank
    seen, shown = divide_performers(bank, share)
    assert seen
    assert shown
    assert not seen & shown
    assert seen | shown == set(bank.subjects)
    assert (seen, shown) == divide_performers(bank, share)
    assert len(of_performers(bank, seen)) / len(bank) == pytest.approx(share, abs=0.05)


def test_a_part_of_the_bank_is_those_motions_whole(source: MotionSource):
    names = divide_performers(source.bank, 0.5)
    parts = [of_performers(source.bank, n) for n in names]
    assert sum(map(len, parts)) == len(source.bank)
    assert not frames_of(parts[0]) & frames_of(parts[1])
    for part, performers in zip(parts, names, strict=True):
        motions = [m for m in load_motions(None, "train") if m.subject in performers]
        want = MotionBank.from_motions(motions)
        assert part.names == want.names
        assert part.subjects == want.subjects
        for field in ("p_world", "starts", "clip_of", "fps"):
            assert torch.equal(getattr(part, field), getattr(want, field))


def residual(batch: Batch, p_root: torch.Tensor) -> torch.Tensor:
    """(b 2D, b 3D): pixels between every 2D of a batch and every pose, each where it fits best."""
    b = len(batch)
    kp = batch.kp_img[:, 0, None].expand(b, b, 17, 2)
    p = p_root[None, :, 0].expand(b, b, 17, 3)
    at = root_least_squares(kp, p, batch.K)
    return (project(p + at[..., None, :], batch.K) - kp).norm(dim=-1).mean(-1)


def test_no_pair_is_in_a_batch(source: MotionSource):
    """No pose of a batch explains any 2D of the batch; in a paired batch every one explains its own."""
    paired = source.batch(64, torch.Generator().manual_seed(1))
    assert residual(paired, paired.p_root).diagonal().max() < 0.1
    unpaired = Unpaired.of(source, 0.5)
    for seed in range(4):
        batch = unpaired.batch(64, torch.Generator().manual_seed(seed))
        truth = unpaired.seen.batch(64, torch.Generator().manual_seed(seed))
        assert torch.equal(batch.kp_img, truth.kp_img), "the 2D is that of the performers who are seen"
        assert residual(truth, truth.p_root).diagonal().max() < 0.1
        found = residual(batch, batch.p_root)
        assert not (found < 1).any()
        assert torch.isnan(batch.root_cam).all()


def test_no_pair_is_in_a_batch_of_windows():
    """Nor in any frame of it, and a window is one person's from beginning to end."""
    found = dataset_source(DataConfig(input="gt", frames=27), "train")
    unpaired = Unpaired.of(found, 0.5)
    assert unpaired.windows is not None
    assert unpaired.windows.frames == 27
    assert isinstance(unpaired.seen, MotionSource)
    assert isinstance(unpaired.shown, MotionSource)
    assert not set(unpaired.seen.bank.subjects) & set(unpaired.shown.bank.subjects)
    assert not frames_of(unpaired.seen.bank) & frames_of(unpaired.shown.bank)
    for seed in range(2):
        batch = unpaired.batch(32, torch.Generator().manual_seed(seed))
        truth = unpaired.seen.batch(32, torch.Generator().manual_seed(seed))
        assert batch.kp_img.shape[:2] == batch.p_root.shape[:2] == (32, 27)
        assert torch.equal(batch.kp_img, truth.kp_img)
        assert torch.isnan(batch.root_cam).all()
        assert torch.isfinite(truth.root_cam).all()
        for t in (0, 13, 26):
            cut = {name: getattr(batch, name)[:, t : t + 1] for name in ("kp_img", "conf", "p_root", "root_cam")}
            one = replace(batch, **cut)
            assert not (residual(one, one.p_root) < 1).any()
            assert residual(one, truth.p_root[:, t : t + 1]).diagonal().max() < 0.1


def test_the_3d_is_that_of_performers_who_are_not_seen(source: MotionSource):
    """Statures tell who is who: performer n is made n times as large."""
    bank = source.bank
    subjects = sorted(set(bank.subjects))
    size = torch.tensor([1.0 + subjects.index(s) for s in bank.subjects])[bank.clip_of]
    p = torch.randn(1, 17, 3, generator=torch.Generator().manual_seed(0)) * 0.1 + torch.tensor((0.0, 0.0, 1.0))
    giants = MotionSource(
        type(bank)(
            skeleton=bank.skeleton, p_world=p * size[:, None, None], starts=bank.starts, clip_of=bank.clip_of,
            fps=bank.fps, names=bank.names, subjects=bank.subjects,
        ),
        source.views,
    )  # fmt: skip
    unpaired = Unpaired.of(giants, 0.5)

    def who(p_root: torch.Tensor) -> set[str]:
        s = bank.skeleton
        length = (p_root[:, 0, s.index("r_hip")]).norm(dim=-1) / (p[0, s.index("r_hip")] - p[0, s.root]).norm()
        return {subjects[int(n) - 1] for n in length.round()}

    batch = unpaired.batch(4096, torch.Generator().manual_seed(3))
    truth = unpaired.seen.batch(4096, torch.Generator().manual_seed(3))
    seen, shown = divide_performers(bank, 0.5)
    assert who(batch.p_root) == shown
    assert who(truth.p_root) == seen


def test_what_cannot_be_divided_is_refused(source: MotionSource):
    one = of_performers(source.bank, [source.bank.subjects[0]])
    with pytest.raises(InputError, match="two performers"):
        divide_performers(one, 0.5)
    with pytest.raises(InputError, match="between 0 and 1"):
        divide_performers(source.bank, 1.0)
    with pytest.raises(InputError, match="expected some of the bank"):
        of_performers(source.bank, ["nobody"])
    with pytest.raises(InputError, match="recorded views"):
        Unpaired.of(Unpaired.of(source, 0.5), 0.5)
