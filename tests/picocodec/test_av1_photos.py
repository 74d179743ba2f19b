"""Tiles of photos as AV1: where it is tried, where it is taken, how it meets its neighbours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import features
from tiny import photo, sign

import picocodec
from picocodec.codec import av1, tiles
from picocodec.codec.av1 import decode_av1, encode_av1
from picocodec.codec.av1_photos import (
    MOST_CHANGE,
    QUICK_BYTES,
    QUICK_SPEED,
    TOP_SPEED,
    Detail,
    contrast_error,
    detail_of,
    encode_av1_photo,
    enough,
    foreseen,
    has_letters,
    is_worth_a_try,
    looks,
    most_bytes,
    quality_at,
    quality_for,
    told_at,
    two_toned_share,
)
from picocodec.codec.encoder import encode_tile
from picocodec.codec.networks import DEFAULT_MODEL, load_model
from picocodec.codec.tiles import MARGIN, Tile
from picocodec.errors import CorruptTile
from picocodec.format import container

Bytes = NDArray[np.uint8]

needs_av1 = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")

SIGN_BESIDE_PHOTO = np.concatenate([sign(150, 504), photo(150, 100)], axis=1)


def modes(data: bytes) -> list[int]:
    return [tile.mode for tile in container.read_header(data).tiles]


def error(a: Bytes, b: Bytes) -> float:
    return float(np.square(a.astype(float) - b).mean())


def test_shares_of_known_squares() -> None:
    y, x = np.mgrid[0:64, 0:64]
    chequers = ((x + y) % 2 * 200).astype(np.uint8)
    ramps = (x % 8 * 20).astype(np.uint8)  # 0 to 140: within 28 of the ends are 4 of 8
    assert two_toned_share(chequers) == 1
    assert two_toned_share(ramps) == 0.5
    assert two_toned_share(np.where(y < 32, chequers, ramps)) == 0.75


def test_weak_contrast_and_few_squares_mean_nothing() -> None:
    y, x = np.mgrid[0:64, 0:64]
    chequers = (x + y) % 2
    assert two_toned_share((chequers * 47).astype(np.uint8)) == 0
    assert two_toned_share((chequers * 48).astype(np.uint8)) == 1
    for squares, share in ((3, 0), (4, 1)):  # of 64
        few = chequers * 200 * ((y < 8) & (x < 8 * squares))
        assert two_toned_share(few.astype(np.uint8)) == share
    for shape in ((1, 1), (7, 200), (8, 8)):
        assert two_toned_share(np.zeros(shape, np.uint8)) == 0


def test_quality_rises_with_the_level_and_stays_below_what_is_nearly_lossless() -> None:
    qualities = [quality_at(level) for level in range(0, 1001, 25)]
    assert qualities == sorted(set(qualities))
    assert 10 <= qualities[0] and qualities[-1] == 92


def test_letters_are_told_from_photos() -> None:
    assert has_letters(sign(150, 300)[:, :, 1])
    assert not has_letters(photo(150, 300)[:, :, 1])


def test_what_takes_more_bytes_than_the_learned_coding_gets_a_lower_quality() -> None:
    usual = quality_at(500)
    assert quality_for(500, False, round(1000 * QUICK_BYTES), 1000) == usual
    assert quality_for(500, False, round(2000 * QUICK_BYTES), 1000) == usual - 16
    assert quality_for(500, False, round(500 * QUICK_BYTES), 1000) == usual + 16
    assert quality_for(500, False, 1_000_000, 1) == usual - MOST_CHANGE
    assert quality_for(0, False, 1_000_000, 1) == 1
    assert quality_for(1000, False, 2000, 1000) == quality_at(1000)  # where bytes do not count
    assert quality_for(500, True, 1_000_000, 1) == usual  # of letters


def test_contrast_that_is_lost_or_made_up_is_an_error_and_shifts_are_none() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 180, (40, 64, 3), np.uint8)
    assert contrast_error(pixels, pixels) == pytest.approx(0, abs=1e-3)
    assert contrast_error(pixels, pixels + np.uint8(40)) == pytest.approx(0, abs=1e-3)
    flat = np.full_like(pixels, 120)
    grainy = rng.integers(0, 240, pixels.shape, np.uint8)  # twice the contrast
    lost, made_up = contrast_error(pixels, flat), contrast_error(pixels, grainy)
    assert lost > 1 and 0.5 < made_up < 1
    assert contrast_error(flat, pixels) == pytest.approx(lost)
    for shape in ((1, 1, 3), (7, 200, 3)):
        assert contrast_error(np.zeros(shape, np.uint8), np.ones(shape, np.uint8)) < 0.01


def test_looks_count_bytes_below_the_top_and_contrast_always() -> None:
    assert looks(1, 1, 500) > 0  # equal errors are not enough
    assert looks(2, 0.5, 500) > looks(1, 0.5, 500) > looks(1, 0.25, 500)
    assert looks(1, 0.25, 500) < 0
    assert looks(4, 0.99, 1000) == looks(1, 0.99, 1000) < 0 < looks(1, 1.01, 1000)


def test_detail_tells_noise_from_blurred_edges() -> None:
    x = np.arange(256)
    blurred = (128 + 60 * np.sin(x / 20))[None].repeat(64, 0).astype(np.uint8)
    noise = np.random.default_rng(0).integers(100, 140, (64, 256), np.uint8)
    assert detail_of(noise).sharpness > detail_of(blurred).sharpness + 0.5
    assert detail_of(noise).contrast == pytest.approx(5.3, abs=0.1)  # 39 steps and 1
    assert detail_of(np.zeros((1, 1), np.uint8)) == Detail(0, 0, 0)


def taken(
    pixels: Bytes, level: int, size: int, decoded: Bytes, has_letters: bool = True
) -> bytes | None:
    """The AV1 stream of a tile that networks make `decoded` of in so many bytes, if it is taken."""
    return encode_av1_photo(pixels, level, has_letters, bytes(size), lambda _: decoded, 1)


@needs_av1
def test_what_looks_better_and_is_not_much_larger_is_taken() -> None:
    pixels = sign(100, 120)
    inner = pixels[MARGIN:-MARGIN, MARGIN:-MARGIN]
    rng = np.random.default_rng(0)
    noisy = (inner + rng.normal(0, 25, inner.shape)).clip(0, 255).astype(np.uint8)
    stream = taken(pixels, 500, 2000, noisy)
    assert stream is not None
    assert stream == encode_av1(pixels, quality_at(500), told=av1.LETTERS)
    assert len(stream) < 1.5 * 2000
    other = taken(pixels, 500, 2000, noisy, has_letters=False)
    assert other is not None
    assert 1000 < len(other) < 1.5 * 2000
    assert taken(pixels, 500, len(stream) // 8, noisy) is None
    assert taken(pixels, 500, 2000, inner) is None


@needs_av1
def test_a_quick_try_that_is_far_off_spares_the_careful_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[tuple[int, Mapping[str, str]]] = []

    def counted(
        pixels: Bytes, quality: int, threads: int, speed: int, told: Mapping[str, str]
    ) -> bytes | None:
        tries.append((speed, told))
        return encode_av1(pixels, quality, threads, speed, told)

    monkeypatch.setattr(av1, "encode_av1", counted)
    pixels = sign(100, 120)
    inner = pixels[MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert taken(pixels, 500, 2000, inner) is None
    assert tries == [(QUICK_SPEED, av1.USUAL)]
    assert taken(pixels, 500, 2000, np.zeros_like(inner)) is not None
    assert tries[1:] == [(QUICK_SPEED, av1.USUAL), (av1.SPEED, av1.LETTERS)]
    for letters, careful in ((True, (av1.SPEED, av1.LETTERS)), (False, (TOP_SPEED, av1.USUAL))):
        taken(pixels, 800, 2000, np.zeros_like(inner), letters)
        assert tries[-1] == careful


@needs_av1
def test_at_high_qualities_it_keeps_what_the_latent_does_not() -> None:
    rng = np.random.default_rng(0)
    grainy = (photo(96, 96) + rng.normal(0, 6, (96, 96, 1))).clip(0, 255).astype(np.uint8)
    assert modes(picocodec.encode(grainy, 50)) == [container.MODE_LEARNED]
    data = picocodec.encode(grainy, 100)
    assert modes(data) == [container.MODE_AV1_PHOTO]
    shown = picocodec.decode(data)
    learned = picocodec.encode(grainy, 69)
    assert modes(learned) == [container.MODE_LEARNED]
    assert error(shown, grainy) < 0.3 * error(picocodec.decode(learned), grainy)


def test_letters_are_copied_where_no_blocks_would_show() -> None:
    told = [told_at(level, letters) for level in (499, 500) for letters in (False, True)]
    assert told == [av1.USUAL, av1.USUAL, av1.USUAL, av1.LETTERS]
    most = [enough(level, letters) for level in (499, 500) for letters in (False, True)]
    assert most == [-0.3, 0.2, -0.3, 0.5]


def test_below_high_qualities_only_what_is_hoped_for_is_tried() -> None:
    noise, blur = Detail(1.0, 4.0, 8.0), Detail(-0.8, 4.0, 8.0)
    assert foreseen(blur, 500) < foreseen(noise, 500)
    assert not is_worth_a_try(noise, 500) and is_worth_a_try(noise, 700)
    assert is_worth_a_try(blur, 500)
    assert [most_bytes(level) for level in (0, 700, 850, 1000)] == pytest.approx(
        [1.5, 1.5, 2.25, 3]
    )


@needs_av1
def test_equal_errors_are_not_enough() -> None:
    """At the same bytes its error must be less than 0.63 of the networks', since it smooths."""
    pixels = sign(100, 120)
    inner = pixels[MARGIN:-MARGIN, MARGIN:-MARGIN].astype(float)
    stream = taken(pixels, 300, 1 << 20, np.zeros(inner.shape, np.uint8))
    assert stream is not None
    shown = decode_av1(stream, Tile(0, 0, 100, 120))[MARGIN:-MARGIN, MARGIN:-MARGIN]
    for factor, is_taken in ((1.2, False), (1.35, True)):  # of the deviation: squared 1.44, 1.82
        decoded = (inner + factor * (shown - inner)).round().clip(0, 255).astype(np.uint8)
        assert (taken(pixels, 300, len(stream), decoded) is not None) == is_taken
        assert taken(pixels, 300, len(stream), decoded, has_letters=False) is None


@needs_av1
def test_letters_on_grain_are_av1_where_the_networks_make_noise() -> None:
    """What AV1 smooths away of paper's grain counts less than noise around letters."""
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 5, (200, 240, 1))
    pixels = (sign(200, 240) * 0.8 + 20 + grain).clip(0, 255).astype(np.uint8)
    inner = pixels[MARGIN:-MARGIN, MARGIN:-MARGIN]
    noise = np.random.default_rng(1).normal(0, 9, inner.shape)
    decoded = (inner + noise).clip(0, 255).astype(np.uint8)  # contrast remains
    assert taken(pixels, 300, 3000, decoded) is not None
    assert taken(pixels, 300, 3000, decoded, has_letters=False) is None


@needs_av1
@pytest.mark.parametrize("quality", [30, 60])
def test_signs_are_read_better_beside_photos_that_are_learned(
    monkeypatch: pytest.MonkeyPatch, quality: int
) -> None:
    data = picocodec.encode(SIGN_BESIDE_PHOTO, quality)
    assert modes(data) == [container.MODE_AV1_PHOTO, container.MODE_LEARNED]
    assert picocodec.read_info(data).learned_tiles == 1
    decoded = picocodec.decode(data)
    with monkeypatch.context() as patched:
        patched.setattr(av1, "is_available", lambda: False)
        learned = picocodec.encode(SIGN_BESIDE_PHOTO, quality)
    assert modes(learned) == [container.MODE_LEARNED] * 2
    assert len(data) < 1.2 * len(learned)
    text = np.s_[:, :500]
    assert error(decoded[text], SIGN_BESIDE_PHOTO[text]) < 0.6 * error(
        picocodec.decode(learned)[text], SIGN_BESIDE_PHOTO[text]
    )
    for threads in (1, 3):
        assert picocodec.encode(SIGN_BESIDE_PHOTO, quality, threads=threads) == data
        assert np.array_equal(picocodec.decode(data, threads=threads), decoded)


def forged(faded: bool, streams: list[bytes], modes: list[int]) -> bytes:
    height, width = SIGN_BESIDE_PHOTO.shape[:2]
    return container.write(
        width=width,
        height=height,
        level=300,
        model=load_model(DEFAULT_MODEL, 1).identity,
        tiles=streams,
        tile_modes=[(mode, 300) for mode in modes],
        faded=faded,
    )


@needs_av1
def test_its_margin_fades_into_a_learned_neighbour() -> None:
    model = load_model(DEFAULT_MODEL, 1)
    left, right = tiles.layout(*SIGN_BESIDE_PHOTO.shape[1::-1])
    stream = encode_av1(tiles.with_margin(SIGN_BESIDE_PHOTO, left), 40)
    assert stream is not None
    pieces = [stream, encode_tile(model, SIGN_BESIDE_PHOTO, right, 300)]
    apart, faded = (
        picocodec.decode(forged(way, pieces, [7, 0])).astype(int) for way in (False, True)
    )
    border = np.s_[:, 504 - MARGIN : 504 + MARGIN]
    changed = apart != faded
    assert changed[border].mean() > 0.3
    changed[border] = False
    assert not changed.any()
    canvas = decode_av1(stream, left.grown(MARGIN)).astype(int)
    assert np.array_equal(apart[:, :504], canvas[MARGIN:-MARGIN, MARGIN:-MARGIN])
    # A pixel left of the border is by 9/16 the left tile's, right of it by 7/16, and there the
    # margin of the left one is all that says so.
    beyond = canvas[MARGIN:-MARGIN, 504 + MARGIN]
    np.testing.assert_allclose(faded[:, 504], (7 * beyond + 9 * apart[:, 504]) / 16, atol=1)


@needs_av1
def test_regions_and_previews_are_those_of_the_whole() -> None:
    data = picocodec.encode(SIGN_BESIDE_PHOTO, 40)
    whole = picocodec.decode(data)
    part = picocodec.decode(data, region=(495, 11, 20, 99))
    assert np.array_equal(part, whole[11:110, 495:515])
    half = picocodec.decode(data, scale=1 / 2).astype(int)
    means = whole[:, :500].reshape(75, 2, 250, 2, 3).mean((1, 3))
    np.testing.assert_allclose(half[:, :250], means, atol=0.75)


@needs_av1
def test_a_stream_without_the_margin_is_corrupt() -> None:
    own = encode_av1(SIGN_BESIDE_PHOTO[:, :504], 40)
    assert own is not None
    data = forged(True, [own, own], [7, 7])
    with pytest.raises(CorruptTile, match="504x150 pixels for a tile of 512x158"):
        picocodec.decode(data)


@pytest.mark.parametrize("size", [(1, 1), (3, 600), (40, 50)])
def test_margins_repeat_the_outermost_pixels_of_a_picture(size: tuple[int, int]) -> None:
    pixels = photo(*size)
    whole = np.pad(pixels, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), "edge")
    for tile in tiles.layout(size[1], size[0]):
        rows = slice(tile.top, tile.top + tile.height + 2 * MARGIN)
        columns = slice(tile.left, tile.left + tile.width + 2 * MARGIN)
        assert np.array_equal(tiles.with_margin(pixels, tile), whole[rows, columns])
        canvas = tiles.cut(pixels, tile)[0].transpose(1, 2, 0)
        height, width = whole[rows, columns].shape[:2]
        assert np.array_equal(np.rint(255 * canvas[:height, :width]), whole[rows, columns])
