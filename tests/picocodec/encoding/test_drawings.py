"""Screenshots and drawings: tiles without loss where that is the better bargain."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, features
from tiny import drawing, photo
from written import kinds, unlearned

import picocodec
from picocodec.coders import lossless
from picocodec.coders.lossless import decode_lossless, encode_lossless
from picocodec.encoding.candidates import LEAST_OF_QUICK
from picocodec.encoding.features import is_flat, look_at
from picocodec.errors import CorruptTile, DamagedPicture
from picocodec.format import container
from picocodec.format.streams import webp_file
from picocodec.format.tiles import Tile, layout

pytestmark = pytest.mark.skipif(not features.check("webp"), reason="Pillow without WebP")


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.square(a.astype(float) - b).mean(), 1e-9)))


def test_drawings_are_kept_without_loss() -> None:
    pixels = drawing(200, 300)
    data = picocodec.encode(pixels, 95)
    assert kinds(data) == ["lossless"]
    assert np.array_equal(picocodec.decode(data), pixels)
    assert len(data) == container.read_header(data).size + len(encode_lossless(pixels))


def test_a_quick_try_predicts_the_careful_one() -> None:
    """Or drawings would be given up unseen."""
    for pixels in (drawing(504, 504), drawing(90, 700)):
        quick = len(encode_lossless(pixels, quick=True))
        assert LEAST_OF_QUICK * quick < len(encode_lossless(pixels))


def test_where_pixels_hardly_change_exact_ones_are_not_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A soft photo of a plain wall is flat, and costs networks next to nothing."""
    tries: list[bool] = []
    encode = lossless.encode_lossless

    def counted(pixels: np.ndarray, quick: bool = False) -> bytes:
        tries.append(quick)
        return encode(pixels, quick)

    monkeypatch.setattr(lossless, "encode_lossless", counted)
    rows = np.linspace(90, 130, 300) + np.linspace(0, 4, 200)[:, None]
    noise = np.random.default_rng(1).normal(0, 0.4, rows.shape)
    wall = np.repeat((rows + noise).round().astype(np.uint8)[..., None], 3, 2)
    assert look_at(wall).flat
    assert kinds(picocodec.encode(wall, 30)) == ["learned"]
    assert tries == []
    assert kinds(picocodec.encode(drawing(200, 300), 95)) == ["lossless"]
    assert tries == [True, False]


def test_photos_are_not() -> None:
    assert kinds(picocodec.encode(photo(120, 200), 20)) == ["learned"]
    [mode] = kinds(picocodec.encode(photo(120, 200)))
    assert mode in ("learned", "AV1 margin")


def test_each_tile_has_its_own_mode() -> None:
    """A page with a photo that begins shortly before the border between two tiles."""
    pixels = np.concatenate([drawing(100, 480), photo(100, 424)], axis=1)
    data = picocodec.encode(pixels, 90)
    assert kinds(data) == ["lossless", "learned"]
    decoded = picocodec.decode(data)
    assert np.array_equal(decoded[:, :504], pixels[:, :504])
    part = picocodec.decode(data, region=(490, 5, 50, 60))
    assert np.array_equal(part, decoded[5:65, 490:540])
    # No seam: along the border, the photo is no further from the picture than elsewhere.
    error = np.abs(decoded[:, 504:].astype(float) - pixels[:, 504:]).mean((0, 2))
    assert error[:4].mean() < 1.5 * error.mean()


def test_blocks_say_once_what_repeats() -> None:
    """Six tiles in one piece, for less than one by one; regions and damage find their part."""
    pixels = np.tile(drawing(300, 310), (3, 4, 1))[:800, :1200]
    data = picocodec.encode(pixels, 90)
    header = container.read_header(data)
    assert kinds(data) == ["lossless block"] * 6
    assert [(piece.rows, piece.columns) for piece in header.pieces] == [(2, 3)]
    assert len(data) < 0.6 * sum(
        len(encode_lossless(pixels[t.top : t.top + t.height, t.left : t.left + t.width]))
        for t in layout(1200, 800)
    )
    for threads in (1, 3):
        assert np.array_equal(picocodec.decode(data, threads=threads), pixels)
    part = picocodec.decode(data, region=(600, 520, 500, 200))
    assert np.array_equal(part, pixels[520:720, 600:1100])
    broken = bytearray(data)
    broken[header.size + 30] ^= 1
    with pytest.raises(CorruptTile):
        picocodec.decode(bytes(broken))
    with pytest.warns(DamagedPicture) as told:
        picocodec.decode(bytes(broken), allow_damaged=True)
    assert told[0].message.tiles == tuple(range(6))


def test_a_block_with_a_photo_in_it_is_not_joined() -> None:
    pixels = np.concatenate([drawing(90, 1008), photo(90, 504)], axis=1)
    data = picocodec.encode(pixels, 90)
    assert kinds(data) == ["lossless", "lossless", "learned"]
    assert np.array_equal(picocodec.decode(data)[:, :1008], pixels[:, :1008])


def test_gray_drawings_stay_gray_and_alpha_is_beside() -> None:
    gray = drawing(90, 90)[:, :, 0]
    assert np.array_equal(picocodec.decode(picocodec.encode(gray, 90)), gray)
    with_alpha = np.dstack([drawing(90, 90), gray])
    assert np.array_equal(picocodec.decode(picocodec.encode(with_alpha, 90)), with_alpha)


def test_a_smooth_slope_is_not_kept_exactly() -> None:
    """Flat by its rows, and cheap to code with loss: what lossless costs more is not worth it."""
    rng = np.random.default_rng(0)
    rows = (128 + np.cumsum(rng.normal(0, 0.6, (400, 60, 3)), axis=0)).clip(0, 255).astype(np.uint8)
    pixels = np.repeat(rows, 7, axis=1)
    assert is_flat(pixels)
    assert kinds(picocodec.encode(pixels, 0)) != ["lossless"]
    assert kinds(picocodec.encode(pixels, 0, effort=0)) == ["learned"]


def whole(pixels: np.ndarray) -> bytes:
    """A lossless WebP file."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", lossless=True, quality=100, method=4)
    return out.getvalue()


TILE = Tile(0, 0, 60, 80)
GOOD = encode_lossless(drawing(60, 80))
FILE = whole(drawing(60, 80))


def forged(data: bytes) -> bytes:
    """A picture of one tile, `TILE`."""
    model = container.read_header(picocodec.encode(photo(60, 80))).model
    pieces = [unlearned("lossless", data)]
    return container.write(width=80, height=60, level=500, model=model, pieces=pieces)


def test_a_stream_is_what_a_webp_file_says_beyond_its_size() -> None:
    assert webp_file(GOOD, TILE) == FILE and len(FILE) - len(GOOD) in (25, 26)
    assert np.array_equal(decode_lossless(GOOD, TILE), drawing(60, 80))
    assert np.array_equal(picocodec.decode(forged(GOOD)), drawing(60, 80))


@pytest.mark.parametrize(
    "data",
    [b"", GOOD[:20], FILE, GOOD[:5] + bytes(len(GOOD) - 5)],
    ids=["empty", "cut", "file", "noise"],
)
def test_streams_that_no_encoder_writes(data: bytes) -> None:
    with pytest.raises(CorruptTile, match="tile 0: .*cannot be read"):
        picocodec.decode(forged(data))


def test_noise_in_a_good_stream_never_crashes() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        data = bytearray(GOOD)
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(256)
        try:
            assert decode_lossless(bytes(data), TILE).shape == (60, 80, 3)
        except CorruptTile:
            pass


def test_dithered_and_halftone_pictures_are_drawn() -> None:
    """Hardly a pixel equals its neighbour, and yet there are two colours."""
    y, x = np.mgrid[0:200, 0:300]
    for bright in ((x + y) % 2, np.random.default_rng(0).random((200, 300)) > x / 300):
        pixels = (bright * 255).astype(np.uint8)[:, :, None].repeat(3, 2)
        assert np.array_equal(picocodec.decode(picocodec.encode(pixels, 50)), pixels)
