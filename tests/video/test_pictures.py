"""Reading pictures of every kind as upright RGB, and refusing what is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hostile import little_memory
from poselift.errors import InputError
from poselift.video import Selection, kind_of, open_frames
from poselift.video.pictures import read_picture
from video_files import png_header, red_corner

RGB = red_corner(5, 30, 20)


def image_of(path: Path) -> np.ndarray:
    (source,) = open_frames(path)
    (frame,) = source.frames()
    assert source.still
    assert source.count == 1
    assert frame.image.shape[:2] == source.size_wh[::-1]
    return frame.image


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp"])
def test_kinds_of_files(suffix: str, tmp_path: Path):
    path = tmp_path / f"Bild mit Größe.{suffix}"
    Image.fromarray(RGB).save(path, lossless=True)
    assert kind_of(path) == "picture"
    assert np.array_equal(image_of(path), RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(orientation: int, tmp_path: Path):
    """The camera stores what it sees; EXIF says how to turn it."""
    undo = {
        1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud,
        5: lambda x: x.transpose(1, 0, 2), 6: lambda x: np.rot90(x, 1), 7: lambda x: np.rot90(x, 2).transpose(1, 0, 2),
        8: lambda x: np.rot90(x, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.png"
    Image.fromarray(np.ascontiguousarray(undo[orientation](RGB))).save(path, exif=exif)
    assert np.array_equal(image_of(path), RGB)


def test_grey_of_8_and_16_bits(tmp_path: Path):
    grey = np.arange(0, 256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "8.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.tif")
    for name in ("8.png", "16.png", "16.tif"):
        assert np.array_equal(image_of(tmp_path / name), np.repeat(grey[..., None], 3, -1)), name


def test_transparent_palette_cmyk_and_bitmap(tmp_path: Path):
    clear = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    clear[:, 20:, 3] = 0
    Image.fromarray(clear).save(tmp_path / "rgba.png")
    got = image_of(tmp_path / "rgba.png")
    assert np.array_equal(got[:, :20], RGB[:, :20])
    assert (got[:, 20:] == 128).all()
    Image.fromarray(RGB).quantize(8).save(tmp_path / "palette.png")
    assert np.abs(image_of(tmp_path / "palette.png").astype(int) - RGB).max() < 8
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    assert np.abs(image_of(tmp_path / "cmyk.jpg").astype(int) - RGB)[3:-3, 3:12].mean() < 12
    Image.fromarray(RGB[..., 0] > 200).save(tmp_path / "bits.png")
    assert set(np.unique(image_of(tmp_path / "bits.png"))) == {0, 255}


def test_a_png_of_16_bits_per_colour(tmp_path: Path):
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in RGB)
    head = struct.pack(">IIBBBBB", 30, 20, 16, 2, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    assert np.array_equal(image_of(tmp_path / "deep.png"), RGB)


def test_floating_point_is_refused(tmp_path: Path):
    Image.fromarray(RGB[..., 0].astype(np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(InputError, match="floating-point"):
        image_of(tmp_path / "f.tif")


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_moving_pictures(suffix: str, tmp_path: Path):
    frames = [Image.fromarray(red_corner(i, 32, 24)) for i in range(6)]
    path = tmp_path / f"moving.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 40, 120, 40, 40, 40], lossless=True)
    (source,) = open_frames(path)
    assert not source.still
    assert source.fps == pytest.approx(25)
    got = list(source.frames())
    assert [f.number for f in got] == [0, 1, 2, 5, 6, 7]
    assert np.abs(got[4].image.astype(int) - red_corner(4, 32, 24)).max() < 12


def test_a_folder_is_a_recording_in_the_order_of_its_numbers(tmp_path: Path):
    folder = tmp_path / "shots"
    folder.mkdir()
    for i in (10, 2, 1, 33):
        Image.fromarray(np.full((8, 10, 3), i, np.uint8)).save(folder / f"f_{i}.png")
    (folder / "readme.txt").write_text("from the camera")
    assert kind_of(folder) == "pictures"
    (source,) = open_frames(folder)
    assert [int(f.image[0, 0, 0]) for f in source.frames()] == [1, 2, 10, 33]
    assert (source.fps, source.assumed_fps, source.count) == (30.0, True, 4)
    assert source.notes[0].endswith("These leave some out: frames are counted from 0 without a gap.")
    (timed,) = open_frames(folder, Selection(every=2), fps=10)
    assert [(f.number, f.seconds) for f in timed.frames()] == [(0, 0.0), (1, 0.2)]
    assert (timed.fps, timed.assumed_fps) == (5.0, False)


def test_pictures_of_several_sizes_have_nothing_to_do_with_each_other(tmp_path: Path):
    for i, size in enumerate([(8, 10), (10, 8), (8, 10)]):
        Image.new("RGB", size, (i, 0, 0)).save(tmp_path / f"{i}.png")
    sources = open_frames(tmp_path)
    assert [s.name for s in sources] == ["0.png", "1.png", "2.png"]
    assert all(s.still for s in sources)


def test_keypoint_folders_are_no_pictures(tmp_path: Path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a_keypoints.json").write_text("{}")
    assert kind_of(tmp_path) is None


def test_focal_length_from_exif(tmp_path: Path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    Image.new("RGB", (400, 300)).save(tmp_path / "a.jpg", exif=exif)
    (source,) = open_frames(tmp_path / "a.jpg")
    assert source.focal == pytest.approx(26 / np.hypot(36, 24) * 500)
    Image.new("RGB", (400, 300)).save(tmp_path / "b.jpg")
    assert open_frames(tmp_path / "b.jpg")[0].focal is None


def test_a_header_of_ten_thousand_million_pixels(tmp_path: Path):
    path = png_header(tmp_path / "huge.png", 100_000, 100_000)
    with (
        little_memory(5 << 20),
        pytest.raises(InputError, match=r"huge\.png: size: expected at most 134 megapixels, found 10000 megapixels"),
    ):
        read_picture(path)
    just_above = png_header(tmp_path / "large.png", 20_000, 7_000)
    with little_memory(5 << 20), pytest.raises(InputError, match="140 megapixels"):
        open_frames(just_above)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.tif", "a.webp"])
def test_damaged_pictures(name: str, tmp_path: Path):
    path = tmp_path / name
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=f"{name}.*(damaged|no picture|cut off)"):
        image_of(path)
    path.write_text("hello")
    with pytest.raises(InputError, match="no picture"):
        image_of(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        image_of(path)


def test_nothing_there(tmp_path: Path):
    with pytest.raises(InputError, match="no such file"):
        open_frames(tmp_path / "no.png")
    (tmp_path / "keypoints.json").write_text("{}")
    with pytest.raises(InputError, match="a video, a picture"):
        open_frames(tmp_path / "keypoints.json")
