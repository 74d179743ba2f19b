"""Tiles as still pictures of AV1: the same pixels everywhere, and nothing in them unforeseen."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, features
from tiny import photo, screen
from written import kinds

import picocodec
from picocodec.coders import av1
from picocodec.coders.av1 import decode_av1, encode_av1, to_rgb
from picocodec.errors import CorruptTile, UnsupportedVersion
from picocodec.format import container
from picocodec.format.streams import avif_file, check_stream
from picocodec.format.tiles import Tile

if not features.check("avif"):
    pytest.skip("Pillow without AVIF", allow_module_level=True)

TILE = Tile(0, 0, 60, 80)


def overexposed(height: int, width: int) -> NDArray[np.uint8]:
    """A photo whose upper half is white, and gets there softly."""
    half = height // 2
    pixels = photo(height, width).astype(float)
    share = np.clip((np.arange(height) - half) / 20, 0, 1)[:, None, None]
    return (255 + share * (pixels - 255)).round().astype(np.uint8)


def stream_of(pixels: NDArray[np.uint8], quality: int = 60) -> bytes:
    stream = encode_av1(pixels, quality)
    assert stream is not None
    return stream


GOOD = stream_of(photo(60, 80))
HEADER = GOOD[: 2 + GOOD[1]]


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / max(np.square(a.astype(float) - b).mean(), 1e-9)))


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (33, 65), (568, 20)])
def test_all_sizes_come_back(size: tuple[int, int]) -> None:
    pixels = photo(*size)
    decoded = decode_av1(stream_of(pixels, 95), Tile(0, 0, *size))
    assert decoded.shape == pixels.shape
    assert psnr(decoded, pixels) > 35


def test_tools_for_screens_take_fewer_bytes_for_what_repeats() -> None:
    pixels = np.tile(photo(32, 32), (4, 4, 1))
    usual, by_tools = (encode_av1(pixels, 60, told=told) for told in (av1.USUAL, av1.DRAWING))
    assert usual is not None and by_tools is not None
    assert len(by_tools) < 0.9 * len(usual)
    tile = Tile(0, 0, *pixels.shape[:2])
    assert psnr(decode_av1(by_tools, tile), pixels) > psnr(decode_av1(usual, tile), pixels) - 0.5


def test_colours_are_those_of_the_library_but_for_its_rounding() -> None:
    out = io.BytesIO()
    pixels = np.dstack([photo(60, 80, seed=k)[:, :, 0] for k in range(3)])
    options = {"quality": 60, "subsampling": "4:4:4", "speed": av1.SPEED, "autotiling": False}
    Image.fromarray(pixels).save(out, "AVIF", **options)
    with Image.open(out) as image:
        theirs = np.asarray(image.convert("RGB")).astype(int)
    ours = decode_av1(stream_of(pixels), TILE)
    assert np.abs(ours - theirs).max() <= 1 and (ours == theirs).mean() > 0.9


def test_the_conversion_is_the_formats() -> None:
    """BT.601 at full range, rounded to the nearest, which exact arithmetic tells."""
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 256, (150, 200, 3), np.uint8)
    cr, y, cb = planes.astype(np.float64).transpose(2, 0, 1)
    cr, cb = cr - 128, cb - 128
    exact = np.dstack(
        [y + 1.402 * cr, y - (0.114 * 1.772 * cb + 0.299 * 1.402 * cr) / 0.587, y + 1.772 * cb]
    ).clip(0, 255)
    assert np.abs(to_rgb(planes) - exact).max() < 0.505
    assert to_rgb(np.array([[[128, 200, 128]]], np.uint8)).tolist() == [[[200, 200, 200]]]
    assert to_rgb(np.array([[[255, 255, 0], [0, 0, 255]]], np.uint8)).tolist() == [
        [[255, 208, 28], [0, 48, 225]]
    ]


def test_a_file_around_the_stream_is_one_for_any_reader() -> None:
    level = check_stream(GOOD, TILE)
    with Image.open(io.BytesIO(avif_file(GOOD, TILE, level))) as image:
        assert (image.format, image.size, image.mode) == ("AVIF", (80, 60), "RGB")
        assert np.array_equal(to_rgb(np.asarray(image)), decode_av1(GOOD, TILE))


def test_no_bit_of_the_sequence_header_leads_astray() -> None:
    """It decodes to pixels of the tile's size, or is refused as corrupt; never anything else."""
    refused = 0
    for bit in range(8 * (2 + GOOD[1])):
        data = bytearray(GOOD)
        data[bit // 8] ^= 128 >> bit % 8
        try:
            assert decode_av1(bytes(data), TILE).shape == (60, 80, 3)
        except CorruptTile:
            refused += 1
    # What remains are tools, the level, colours nobody asks for and the bits that fill a byte.
    assert refused > 40


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "not a sequence header and a frame"),
        (GOOD[:-1], "not a sequence header and a frame"),
        (HEADER, "not a sequence header and a frame"),
        (GOOD[2 + GOOD[1] :], "not a sequence header and a frame"),
        (b"\x12\0" + GOOD, "not a sequence header and a frame"),
        (b"\x0a\xff\xff\xff\xff\xff", "not a sequence header and a frame"),
        (GOOD + b"\x12\0", "2 bytes follow the frame"),
        (b"\x0a\1\x38" + GOOD[2 + GOOD[1] :], "sequence header of its AV1 stream is too short"),
        (stream_of(photo(60, 81)), "81x60 pixels for a tile of 80x60"),
        (HEADER + bytes([0x32, 40]) + bytes(40), "cannot be read"),
    ],
    ids=["empty", "cut", "header", "frame", "delimiter", "size", "tail", "short", "other", "noise"],
)
def test_streams_that_no_encoder_writes(data: bytes, fault: str) -> None:
    with pytest.raises(CorruptTile, match=fault):
        decode_av1(data, TILE)


def test_encoders_that_fail_are_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where Pillow was built with a decoder alone."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Failed to encode image: No codec available")

    pixels = screen(150, 300)
    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "save", fail)
        assert encode_av1(pixels, 50) is None
    monkeypatch.setattr(av1, "encode_av1", lambda *_, **__: None)
    assert not set(kinds(picocodec.encode(pixels, 30))) & {"AV1", "AV1 block", "AV1 margin"}


def test_pillow_without_avif_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    data = picocodec.encode(screen(150, 300), 30)
    assert kinds(data) == ["AV1"]
    monkeypatch.setattr(av1, "is_available", lambda: False)
    with pytest.raises(UnsupportedVersion, match="without AVIF"):
        decode_av1(GOOD, TILE)
    with pytest.raises(UnsupportedVersion, match="tile 0: it is an AV1"):
        picocodec.decode(data)


def test_pages_with_photos_are_av1_and_photos_are_not() -> None:
    """Text stays sharp, with a photo beside it, and neighbours that are photos are learned."""
    pixels = np.concatenate([screen(150, 504), photo(150, 100)], axis=1)
    data = picocodec.encode(pixels, 40)
    assert kinds(data) == ["AV1", "learned"]
    info = picocodec.read_info(data)
    assert (info.tiles, info.learned_tiles) == (2, 1)
    decoded = picocodec.decode(data)
    assert psnr(decoded[:, 200:504], pixels[:, 200:504]) > 32
    part = picocodec.decode(data, region=(450, 5, 90, 60))
    assert np.array_equal(part, decoded[5:65, 450:540])


def test_blocks_are_one_stream() -> None:
    pixels = np.tile(screen(150, 420), (4, 3, 1))
    data = picocodec.encode(pixels, 20)
    [piece] = container.read_header(data).pieces
    assert kinds(data) == ["AV1 block"] * 6 and (piece.rows, piece.columns) == (2, 3)
    decoded = picocodec.decode(data)
    for threads in (1, 3):
        assert np.array_equal(picocodec.decode(data, threads=threads), decoded)
        assert picocodec.encode(pixels, 20, threads=threads) == data
    part = picocodec.decode(data, region=(600, 320, 500, 200))
    assert np.array_equal(part, decoded[320:520, 600:1100])


def test_without_avif_pages_are_learned_or_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av1, "is_available", lambda: False)
    data = picocodec.encode(screen(150, 300), 30)
    assert not set(kinds(data)) & {"AV1", "AV1 block", "AV1 margin"}
    assert picocodec.decode(data).shape == (150, 300, 3)


@pytest.mark.parametrize("quality", [30, 60, 95])
def test_flat_parts_of_photos_end_at_no_line(quality: int) -> None:
    """Drawn, for all that is known of them, and so without a margin; where they are AV1, that is
    near enough to what lies beside them."""
    share = np.clip((np.arange(704) - 250) / 60, 0, 1)[:, None]
    pixels = (255 + share * (photo(240, 704).astype(float) - 255)).round().astype(np.uint8)
    data = picocodec.encode(pixels, quality)
    assert kinds(data) == ["AV1", "learned"]
    error = picocodec.decode(data).astype(float) - pixels
    steps = np.abs(np.diff(error, axis=1).mean(0)).max(1)  # from each column to the next
    assert steps[503] < 2 * steps[440:503].mean() + 1
