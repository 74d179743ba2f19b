"""Tiles of photos as AV1: where it is tried, where it is taken, how it meets its neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import features
from tiny import photo, sign
from written import kinds, learned, unlearned

import picocodec
from picocodec.coders import av1
from picocodec.coders.av1 import decode_av1, encode_av1
from picocodec.coders.learned import LearnedCoder
from picocodec.coders.protocol import Candidate
from picocodec.encoding.candidates import Av1Photo
from picocodec.encoding.features import has_letters, plainness_of, two_toned_share
from picocodec.encoding.judge import (
    contrast_error,
    enough,
    foreseen,
    is_worth_a_try,
    looks,
    most_bytes,
    squared_error,
)
from picocodec.encoding.photos import (
    MORE_BYTES,
    MOST_CHANGE,
    QUICK_BYTES,
    QUICK_SPEED,
    encode_av1_page,
    encode_av1_photo,
    quality_at,
    quality_for,
    told_at,
)
from picocodec.errors import CorruptTile
from picocodec.format import container, tiles
from picocodec.format.pieces import Piece
from picocodec.format.tiles import MARGIN, Tile
from picocodec.images.canvas import cut, part, with_margin
from picocodec.model.store import DEFAULT_MODEL, load_model

Bytes = NDArray[np.uint8]

needs_av1 = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")

SIGN_BESIDE_PHOTO = np.concatenate([sign(150, 504), photo(150, 100)], axis=1)


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
    for times, change in ((1, 0), (2, -16), (0.5, 16)):
        quick = round(times * MORE_BYTES * 1000 * QUICK_BYTES)
        assert quality_for(500, False, quick, 1000) == usual + change
    assert quality_for(500, False, 1_000_000, 1) == usual - MOST_CHANGE
    assert quality_for(0, False, 1_000_000, 1) == 1
    assert quality_for(1000, False, 2000, 1000) == quality_at(1000)  # where bytes do not count


def test_letters_keep_their_quality_unless_they_take_too_much() -> None:
    usual = quality_at(500)
    for quick in (100, 1000, 1400):
        assert quality_for(500, True, quick, 1000) == usual
    assert quality_for(500, True, round(1.35 * 2000 * QUICK_BYTES), 1000) == usual - 16
    assert quality_for(500, True, 1_000_000, 1) == usual - MOST_CHANGE


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


def test_looks_count_bytes_below_the_top_and_errors_always() -> None:
    assert looks(1, 1, 1, 500) > 0  # equal errors are not enough
    assert looks(2, 0.5, 1, 500) > looks(1, 0.5, 1, 500) > looks(1, 0.25, 1, 500)
    assert looks(1, 1, 0.5, 500) > looks(1, 1, 0.25, 500)
    assert looks(1, 0.5, 0.5, 500) < 0
    for better, worse in (((0.99, 1), (1.01, 1)), ((1, 0.99), (1, 1.01))):
        assert looks(4, *better, 1000) == looks(1, *better, 1000) < 0 < looks(1, *worse, 1000)


def test_plainness_is_what_has_no_noise() -> None:
    y, x = np.mgrid[0:64, 0:64]
    ramp = (2 * x + y).astype(np.uint8)
    assert plainness_of(ramp) == 0
    assert plainness_of(((x + y) % 2).astype(np.uint8)) == -10  # 1 + 1 - 0 - 0
    noise = np.random.default_rng(0).integers(0, 20, (64, 64), np.uint8)
    assert plainness_of(ramp // 2 + noise) < -2
    half = np.where(x < 32, ramp, noise).astype(np.uint8)
    assert -1.1 < plainness_of(half) < -0.7
    for shape in ((1, 1), (1, 9), (9, 1)):
        assert plainness_of(np.zeros(shape, np.uint8)) == 0


def taken(
    pixels: Bytes, level: int, size: int, decoded: Bytes, has_letters: bool = True
) -> bytes | None:
    """The AV1 stream of a tile that networks make `decoded` of in so many bytes, if it is taken."""
    shown = np.pad(decoded, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)))
    learned = Candidate(bytes(size), lambda: shown)
    photo = encode_av1_photo(pixels, level, has_letters, learned, 1)
    return photo.stream if photo else None


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
    for letters, told in ((True, av1.LETTERS), (False, av1.USUAL)):
        taken(pixels, 800, 2000, np.zeros_like(inner), letters)
        assert tries[-1] == (av1.SPEED, told)


@needs_av1
def test_at_high_qualities_it_keeps_what_the_latent_does_not() -> None:
    rng = np.random.default_rng(0)
    grainy = (photo(96, 96) + rng.normal(0, 6, (96, 96, 1))).clip(0, 255).astype(np.uint8)
    assert kinds(picocodec.encode(grainy, 50)) == ["learned"]
    data = picocodec.encode(grainy, 100)
    assert kinds(data) == ["AV1 photo"]
    shown = picocodec.decode(data)
    learned = picocodec.encode(grainy, 69)
    assert kinds(learned) == ["learned"]
    assert error(shown, grainy) < 0.3 * error(picocodec.decode(learned), grainy)


def test_letters_are_copied_where_no_blocks_would_show() -> None:
    told = [told_at(level, letters) for level in (499, 500) for letters in (False, True)]
    assert told == [av1.USUAL, av1.USUAL, av1.USUAL, av1.LETTERS]


def test_letters_are_taken_more_readily_and_the_last_tiles_of_pages_most() -> None:
    for level in (0, 300, 500, 700):
        assert (enough(level, False), enough(level, True)) == (-0.2, 0.1)
        assert enough(level, False, is_among_last=True) == 0.2
        assert enough(level, True, is_among_last=True) == 0.2
    assert -0.2 < enough(900, False) < 0 < enough(900, True) < 0.1
    assert enough(1000, False) == enough(1000, True) == 0


def test_below_high_qualities_only_what_is_hoped_for_is_tried() -> None:
    """Many bits for a plain tile are structure, for a noisy one noise."""
    noise, plain = -4.0, -0.5
    assert foreseen(plain, 0.5) < foreseen(noise, 0.5)
    assert foreseen(plain, 0.5) < foreseen(plain, 0.1)
    assert not is_worth_a_try(noise, 0.2, 500) and is_worth_a_try(noise, 0.2, 700)
    assert is_worth_a_try(plain, 0.8, 500)
    assert not is_worth_a_try(plain, 0.0, 500)
    assert [most_bytes(level) for level in (0, 700, 850, 1000)] == pytest.approx(
        [1.5, 1.5, 2.25, 3]
    )


@needs_av1
def test_equal_errors_are_not_enough() -> None:
    """At the same bytes its errors must be less than the networks', since it smooths: those of
    letters by a little, others clearly."""
    pixels = sign(100, 120)
    inner = pixels[MARGIN:-MARGIN, MARGIN:-MARGIN].astype(float)
    stream = taken(pixels, 300, 1 << 20, np.zeros(inner.shape, np.uint8))
    assert stream is not None
    shown = decode_av1(stream, Tile(0, 0, 100, 120))[MARGIN:-MARGIN, MARGIN:-MARGIN]
    for factor, letters, others in ((1.1, False, False), (1.2, True, False), (1.5, True, True)):
        decoded = (inner + factor * (shown - inner)).round().clip(0, 255).astype(np.uint8)
        assert (taken(pixels, 300, len(stream), decoded) is not None) == letters
        other = taken(pixels, 300, len(stream), decoded, has_letters=False)
        assert (other is not None) == others


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
@pytest.mark.parametrize("quality", [20, 30, 60])
def test_signs_are_read_better_beside_photos_that_are_learned(
    monkeypatch: pytest.MonkeyPatch, quality: int
) -> None:
    grain = np.random.default_rng(0).normal(0, 8, (150, 100, 1))
    grainy = (photo(150, 100) + grain).clip(0, 255).astype(np.uint8)
    both = np.concatenate([sign(150, 504), grainy], axis=1)
    data = picocodec.encode(both, quality)
    assert kinds(data) == ["AV1 photo", "learned"]
    assert picocodec.read_info(data).learned_tiles == 1
    decoded = picocodec.decode(data)
    with monkeypatch.context() as patched:
        patched.setattr(av1, "is_available", lambda: False)
        learned = picocodec.encode(both, quality)
    assert kinds(learned) == ["learned"] * 2
    assert len(data) < 1.2 * len(learned)
    text = np.s_[:, :500]
    assert error(decoded[text], both[text]) < 0.6 * error(
        picocodec.decode(learned)[text], both[text]
    )
    for threads in (1, 3):
        assert picocodec.encode(both, quality, threads=threads) == data
        assert np.array_equal(picocodec.decode(data, threads=threads), decoded)


@needs_av1
def test_a_picture_whose_tiles_all_are_av1_is_one_piece() -> None:
    pixels = sign(150, 900)
    data = picocodec.encode(pixels, 60)
    assert kinds(data) == ["AV1 block"] * 2
    whole = picocodec.decode(data)
    grown = [with_margin(pixels, tile) for tile in tiles.layout(900, 150)]
    parts = [encode_av1(part, quality_at(600)) or b"" for part in grown]
    assert all(parts) and len(data) < sum(map(len, parts))
    assert error(whole, pixels) < 60
    part = picocodec.decode(data, region=(495, 11, 20, 99))
    assert np.array_equal(part, whole[11:110, 495:515])
    for threads in (1, 3):
        assert picocodec.encode(pixels, 60, threads=threads) == data
    filled = picocodec.encode(pixels, target_size=len(data))
    assert "AV1 block" not in kinds(filled)


@needs_av1
def test_one_piece_must_be_smaller_or_closer() -> None:
    pixels = sign(150, 900)
    parts = []
    for tile in tiles.layout(900, 150):
        stream = encode_av1(with_margin(pixels, tile), 50)
        assert stream is not None
        shown = decode_av1(stream, tile.grown(MARGIN))[MARGIN:-MARGIN, MARGIN:-MARGIN]
        parts.append(Av1Photo(stream, 50, squared_error(part(pixels, tile), shown)))
    whole = encode_av1_page(pixels, 300, parts, 1)
    assert whole is not None and whole == encode_av1(pixels, 50)
    closer = [replace(part, squared=part.squared / 2) for part in parts]
    assert encode_av1_page(pixels, 300, closer, 1) is None
    smaller = [replace(part, stream=part.stream[: len(whole) // 4]) for part in parts]
    assert encode_av1_page(pixels, 300, smaller, 1) is None
    assert encode_av1_page(pixels, 1000, smaller, 1) is not None  # where bytes do not count


@needs_av1
def test_pages_are_of_letters_and_what_is_no_drawing_and_no_more_than_a_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (150, 504, 3), np.uint8)
    one_of_two = np.concatenate([sign(150, 504), noise], axis=1)
    assert "AV1 block" not in kinds(picocodec.encode(one_of_two, 40))
    drawing = np.full((150, 504, 3), 200, np.uint8)
    with_drawing = np.concatenate([sign(150, 1008), drawing], axis=1)
    assert "AV1 block" not in kinds(picocodec.encode(with_drawing, 60))
    five = np.concatenate([sign(40, 504, seed) for seed in range(5)], axis=1)
    assert kinds(picocodec.encode(five, 60)) == ["AV1 photo"] * 5
    last: list[bool] = []

    def counted(*arguments: Any) -> Av1Photo | None:
        last.append(arguments[-1])
        return encode_av1_photo(*arguments)

    monkeypatch.setattr("picocodec.encoding.photos.encode_av1_photo", counted)
    page = np.concatenate([sign(150, 1008), photo(150, 504)], axis=1)
    assert kinds(picocodec.encode(page, 30)) == ["AV1 block"] * 3
    assert True in last  # a tile that would have been learned


def forged(*pieces: Piece) -> bytes:
    height, width = SIGN_BESIDE_PHOTO.shape[:2]
    model = load_model(DEFAULT_MODEL, 1).identity
    return container.write(width=width, height=height, level=300, model=model, pieces=pieces)


@needs_av1
def test_its_margin_fades_into_a_learned_neighbour() -> None:
    model = load_model(DEFAULT_MODEL, 1)
    left, right = tiles.layout(*SIGN_BESIDE_PHOTO.shape[1::-1])
    stream = encode_av1(with_margin(SIGN_BESIDE_PHOTO, left), 40)
    assert stream is not None
    coder = LearnedCoder(model)
    right_payload = coder.encode(with_margin(SIGN_BESIDE_PHOTO, right), 300).payload
    pieces = unlearned("AV1 photo", stream, 300), learned(right_payload, 300)
    faded = picocodec.decode(forged(*pieces)).astype(int)
    shown = [
        decode_av1(stream, left.grown(MARGIN)),
        coder.decode(right_payload, right.grown(MARGIN), 300),
    ]
    inner = [pixels[MARGIN:-MARGIN, MARGIN:-MARGIN].astype(int) for pixels in shown]
    apart = np.concatenate(inner, axis=1)
    border = np.s_[:, 504 - MARGIN : 504 + MARGIN]
    changed = apart != faded
    assert changed[border].mean() > 0.3
    changed[border] = False
    assert not changed.any()
    # A pixel left of the border is by 9/16 the left tile's, right of it by 7/16, and there the
    # margin of the left one is all that says so.
    beyond = shown[0].astype(int)[MARGIN:-MARGIN, 504 + MARGIN]
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
    data = forged(*[unlearned("AV1 photo", own, 300)] * 2)
    with pytest.raises(CorruptTile, match="504x150 pixels for a tile of 512x158"):
        picocodec.decode(data)


@pytest.mark.parametrize("size", [(1, 1), (3, 600), (40, 50)])
def test_margins_repeat_the_outermost_pixels_of_a_picture(size: tuple[int, int]) -> None:
    pixels = photo(*size)
    whole = np.pad(pixels, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), "edge")
    for tile in tiles.layout(size[1], size[0]):
        rows = slice(tile.top, tile.top + tile.height + 2 * MARGIN)
        columns = slice(tile.left, tile.left + tile.width + 2 * MARGIN)
        assert np.array_equal(with_margin(pixels, tile), whole[rows, columns])
        canvas = cut(pixels, tile)[0].transpose(1, 2, 0)
        height, width = whole[rows, columns].shape[:2]
        assert np.array_equal(np.rint(255 * canvas[:height, :width]), whole[rows, columns])
