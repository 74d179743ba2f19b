"""Screenshots and drawings: tiles without loss where that is the better bargain."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter, features
from tiny import drawing, photo
from written import kinds, unlearned

import picocodec
from picocodec.coders.lossless import decode_lossless, encode_lossless, webp_file
from picocodec.encoding import encoder
from picocodec.encoding.drawings import encode_drawn
from picocodec.encoding.features import is_flat
from picocodec.encoding.judge import price_of_errors
from picocodec.encoding.palettes import Colours, bands, posterised
from picocodec.errors import CorruptTile, DamagedPicture
from picocodec.format import container
from picocodec.format.tiles import Tile, layout

pytestmark = pytest.mark.skipif(not features.check("webp"), reason="Pillow without WebP")

BEST_FOR_PHOTOS = "AV1 photo" if features.check("avif") else "learned"


@pytest.fixture
def without_av1(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where Pillow was built without AVIF."""
    monkeypatch.setattr("picocodec.coders.av1.is_available", lambda: False)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.square(a.astype(float) - b).mean(), 1e-9)))


def test_drawings_are_kept_without_loss() -> None:
    pixels = drawing(200, 300)
    data = picocodec.encode(pixels, 95)
    assert kinds(data) == ["lossless"]
    assert np.array_equal(picocodec.decode(data), pixels)
    assert len(data) == container.read_header(data).size + len(encode_lossless(pixels))


def test_or_in_few_colours_where_that_saves_much() -> None:
    """Twelve grays in squares, with faint specks that cost more than they are worth."""
    rng = np.random.default_rng(0)
    squares = np.kron(rng.integers(0, 12, (12, 12)) * 20, np.ones((20, 20), int))
    specks = rng.integers(3, 11, squares.shape) * (rng.random(squares.shape) < 0.1)
    pixels = (squares + specks).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    drawn = encode_drawn(pixels, pixels, 200, 83.2, 1 << 20, np.inf)
    assert drawn is not None
    decoded = decode_lossless(drawn.payload, Tile(0, 0, 240, 240))
    assert len(np.unique(decoded)) <= 64 and psnr(decoded, pixels) > 40
    assert len(drawn.payload) < 0.8 * len(encode_lossless(pixels))
    assert drawn.price == 8 * len(drawn.payload) + price_of_errors(pixels, decoded, 83.2)
    assert np.array_equal(decoded[specks == 0], pixels[specks == 0])  # areas stay what they are
    exact = encode_drawn(pixels, pixels, 900, 6446.0, 1 << 20, np.inf)
    assert exact is not None and exact.payload == encode_lossless(pixels)


def test_the_colours_of_a_palette_are_kept_exactly() -> None:
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (16, 3), np.uint8)
    pixels = palette[rng.integers(0, 16, (40, 50))]
    assert np.array_equal(Colours(pixels).reduced_to(16), pixels)
    assert len(np.unique(Colours(pixels).reduced_to(8).reshape(-1, 3), axis=0)) <= 8


def test_bands_are_steps_on_slopes_only() -> None:
    slope = np.repeat(np.arange(240, dtype=np.uint8)[None, :, None], 50, axis=0).repeat(3, axis=2)
    stairs = slope // 8 * 8
    assert bands(slope, slope) == 0 and 0.1 < bands(slope, stairs) < 0.13
    assert bands(stairs, stairs) == 0
    assert bands(stairs, np.zeros_like(stairs)) == 0


def test_bands_in_one_tile_of_a_block_count_as_in_that_tile() -> None:
    slope = np.repeat(np.arange(504, dtype=np.uint8)[None, :, None], 504, axis=0).repeat(3, axis=2)
    plain = np.zeros((504, 1512, 3), np.uint8)
    alone, beside = bands(slope, slope // 8 * 8), np.hstack([plain, slope])
    assert bands(beside, beside // 8 * 8) == pytest.approx(alone, rel=0.02)


def test_a_quick_try_predicts_the_careful_one() -> None:
    """Or drawings would be given up unseen: the encoder allows for a factor of two."""
    for pixels in (drawing(504, 504), drawing(90, 700)):
        assert len(encode_lossless(pixels, quick=True)) < 2 * len(encode_lossless(pixels))


def test_photos_are_not() -> None:
    assert kinds(picocodec.encode(photo(120, 200), 20)) == ["learned"]
    [mode] = kinds(picocodec.encode(photo(120, 200)))
    assert mode in ("learned", "AV1 photo")


def test_no_drawing_is_tried_of_an_overexposed_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flat where it is white, and the rest tells that a try would be in vain."""
    pixels = photo(240, 400)
    pixels[:120] = 255
    assert is_flat(pixels)

    def never(*_: object, **__: object) -> bytes:
        raise AssertionError("a try")

    monkeypatch.setattr("picocodec.coders.lossless.encode_lossless", never)
    assert kinds(picocodec.encode(pixels, 10)) == ["learned"]
    with pytest.raises(AssertionError, match="a try"):
        picocodec.encode(drawing(240, 400), 10)


def test_each_tile_has_its_own_mode() -> None:
    """A page with a photo that begins shortly before the border between two tiles."""
    pixels = np.concatenate([drawing(100, 480), photo(100, 424)], axis=1)
    data = picocodec.encode(pixels, 95)
    assert kinds(data) == ["lossless", BEST_FOR_PHOTOS]
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


@pytest.mark.usefixtures("without_av1")
def test_a_block_may_be_in_few_colours() -> None:
    """Grays in squares with faint specks, the same in both tiles: a palette for both."""
    rng = np.random.default_rng(0)
    squares = np.kron(rng.integers(0, 12, (18, 18)) * 20, np.ones((28, 28), int))
    specks = rng.integers(3, 11, squares.shape) * (rng.random(squares.shape) < 0.02)
    page = np.tile(squares + specks, 2).astype(np.uint8)
    pixels = page[:, :, None].repeat(3, axis=2)
    data = picocodec.encode(pixels, 30)
    decoded = picocodec.decode(data)
    assert kinds(data) == ["lossless block"] * 2
    assert len(np.unique(decoded.reshape(-1, 3), axis=0)) <= 128 and psnr(decoded, pixels) > 40
    assert len(data) < 0.8 * len(encode_lossless(pixels))


def test_a_block_with_a_photo_in_it_is_not_joined() -> None:
    pixels = np.concatenate([drawing(90, 1008), photo(90, 504)], axis=1)
    data = picocodec.encode(pixels, 95)
    assert kinds(data) == ["lossless", "lossless", BEST_FOR_PHOTOS]
    assert np.array_equal(picocodec.decode(data)[:, :1008], pixels[:, :1008])


def test_gray_drawings_stay_gray_and_alpha_is_beside() -> None:
    gray = drawing(90, 90)[:, :, 0]
    assert np.array_equal(picocodec.decode(picocodec.encode(gray, 90)), gray)
    with_alpha = np.dstack([drawing(90, 90), gray])
    assert np.array_equal(picocodec.decode(picocodec.encode(with_alpha, 90)), with_alpha)


def test_a_smooth_slope_is_left_to_the_networks() -> None:
    """Flat by its rows, and cheap for the networks: what lossless costs more is not worth it."""
    rng = np.random.default_rng(0)
    rows = (128 + np.cumsum(rng.normal(0, 0.6, (400, 60, 3)), axis=0)).clip(0, 255).astype(np.uint8)
    pixels = np.repeat(rows, 7, axis=1)
    assert is_flat(pixels)
    assert kinds(picocodec.encode(pixels, 0)) == ["learned"]


def test_a_small_photo_in_a_drawing_is_no_posterised_one() -> None:
    """A palette would serve the page well, and not the photo."""
    pixels = drawing(400, 500).copy()
    pixels[300:340, 200:250] = photo(40, 50)
    decoded = picocodec.decode(picocodec.encode(pixels, 50))
    assert psnr(decoded[300:340, 200:250], pixels[300:340, 200:250]) > 28
    reduced = Colours(pixels).reduced_to(16)
    blurred = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1)))
    assert posterised(pixels, reduced, blurred)
    assert not posterised(pixels[:300], reduced[:300], blurred[:300])


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


def test_rows_of_blocks_are_joined_as_they_come_and_their_pixels_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A drawing of many rows keeps what its tiles decode to for one row of blocks."""
    kept: list[int] = []
    settle = encoder._Pass.settle_last_row

    def spy(self: encoder._Pass) -> None:
        kept.append(sum(tile.learned is not None for tile in self.coded))
        settle(self)
        assert all(tile.learned is None for tile in self.coded)

    monkeypatch.setattr(encoder._Pass, "settle_last_row", spy)
    pixels = np.tile(drawing(200, 300), (13, 2, 1))
    data = picocodec.encode(pixels, quality=95)
    assert kept == [8, 4]
    np.testing.assert_array_equal(picocodec.decode(data), pixels)
