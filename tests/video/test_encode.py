"""Writing videos: what goes in comes out again, at its time, in any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poselift.errors import OutputError
from poselift.video import open_frames
from poselift.video.encode import open_video
from video_files import red_corner


@pytest.mark.parametrize(("size", "even"), [((64, 48), (64, 48)), ((65, 49), (66, 50))])
def test_round_trip(size: tuple[int, int], even: tuple[int, int], tmp_path: Path):
    with open_video(tmp_path / "o.mp4", 29.97) as writer:
        for i in range(12):
            writer.add(100 + i + (3 if i > 5 else 0), red_corner(i, *size))
    (source,) = open_frames(tmp_path / "o.mp4")
    assert source.size_wh == even
    frames = list(source.frames())
    assert [f.number for f in frames] == [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14]
    assert source.fps == pytest.approx(29.97, rel=1e-3)
    for i, f in enumerate(frames):
        assert np.abs(f.image[: size[1], : size[0]].astype(int) - red_corner(i, *size))[::8, ::8].mean() < 15


def test_it_is_h264_that_browsers_play(tmp_path: Path):
    import av

    with open_video(tmp_path / "o.mp4", 25) as writer:
        writer.add(0, red_corner(0, 64, 48))
    with av.open(str(tmp_path / "o.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")
    data = (tmp_path / "o.mp4").read_bytes()
    assert data.find(b"moov") < data.find(b"mdat"), "it plays while it loads"


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(OutputError, match=r"o\.mp4"), open_video(tmp_path / "no" / "o.mp4", 25) as writer:
        writer.add(0, red_corner(0, 64, 48))
