"""Windows, pieces and gaps over time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parity_vectors import vectors
from poselift.errors import InputError
from poselift.structures import Clip, skeleton
from poselift.structures.windows import fill_gaps, pad_edges, pieces, reach, window_indices


def test_windows_of_the_published_loader() -> None:
    """Parity `video_gan_windows`: every window that the published code makes complete."""
    v = {k: a.numpy() for k, a in vectors("video_gan_windows").items()}
    whole = v["window_length_published"] == 27
    assert whole.sum() > 60
    np.testing.assert_array_equal(window_indices(v["clip_lengths"], 27)[whole], v["window_frames"][whole])


def test_small_windows() -> None:
    assert window_indices(4, 3).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert window_indices(4, 3, causal=True).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]
    assert window_indices([2, 3], 3).tolist() == [[0, 0, 1], [0, 1, 1], [2, 2, 3], [2, 3, 4], [3, 4, 4]]
    assert window_indices([3, 0, 1], 1, stride=2).tolist() == [[0], [2], [3]]
    assert window_indices(1, 5).tolist() == [[0] * 5]
    assert window_indices(0, 5).shape == (0, 5)


@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5), size=st.integers(1, 12), stride=st.integers(1, 4),
    causal=st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None, database=None)
def test_windows_stay_in_their_clip(lengths: list[int], size: int, stride: int, causal: bool) -> None:
    found = window_indices(lengths, size, stride=stride, causal=causal)
    before, after = reach(size, causal=causal)
    assert before + 1 + after == size
    starts = np.cumsum([0, *lengths])
    expected = []
    for start, length in zip(starts, lengths, strict=False):
        frames = np.arange(length)
        for centre in range(0, length, stride):
            expected.append(start + pad_edges(frames, before, after)[centre : centre + size])
    assert found.tolist() == [list(map(int, e)) for e in expected]


@given(
    length=st.integers(1, 40), piece=st.integers(1, 15), size=st.integers(1, 13), causal=st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None, database=None)
def test_pieces_give_what_the_whole_gives(length: int, piece: int, size: int, causal: bool) -> None:
    x = np.random.default_rng(length).normal(size=(length, 2))

    def network(padded: np.ndarray) -> np.ndarray:
        return np.stack([padded[i : i + size].sum(0) for i in range(len(padded) - size + 1)])

    whole = network(pad_edges(x, *reach(size, causal=causal)))
    parts = []
    for p in pieces(length, piece=piece, size=size, causal=causal):
        out = network(pad_edges(x[p.read], p.before, p.after))
        assert len(out) == p.out.stop - p.out.start <= piece
        parts.append(out)
    np.testing.assert_allclose(np.concatenate(parts), whole)


def test_sizes_that_make_no_sense() -> None:
    for call in (lambda: reach(0), lambda: window_indices(5, 3, stride=0), lambda: next(pieces(5, piece=0))):
        with pytest.raises(InputError, match="at least one frame"):
            call()


def clip(frames: list[int], *, lifted: bool = False) -> Clip:
    t = len(frames)
    at = np.array(frames, np.float32)
    line = at[:, None, None] * np.ones((1, 17, 3), np.float32)
    return Clip(
        skeleton=skeleton("h36m17"), fps=30, kp_img=np.ones((t, 17, 2)), frames=np.array(frames),
        p_root=line if lifted else None, root_cam=line[:, 0] if lifted else None,
    )  # fmt: skip


def test_gaps_become_unseen_frames() -> None:
    whole = fill_gaps(clip([5, 6, 9, 12], lifted=True))
    assert whole.frame_numbers.tolist() == list(range(5, 13))
    assert whole.seen.tolist() == [True, True, False, False, True, False, False, True]
    assert whole.p_root is not None
    assert whole.root_cam is not None
    np.testing.assert_allclose(whole.p_root[:, 3, 1], np.arange(5, 13), atol=1e-5)
    np.testing.assert_allclose(whole.root_cam[:, 2], np.arange(5, 13), atol=1e-5)


def test_clips_without_gaps_stay_as_they_are() -> None:
    for frames in ([0], [3, 4, 5]):
        c = clip(frames)
        assert fill_gaps(c) is c


def test_a_gap_beyond_reason() -> None:
    with pytest.raises(InputError, match="gaps that make sense"):
        fill_gaps(clip([0, 10**9]))
