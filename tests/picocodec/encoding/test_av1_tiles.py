"""Tiles of photos as AV1: where it is tried, where it is taken, how it meets its neighbours."""

from __future__ import annotations

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
from picocodec.errors import CorruptTile
from picocodec.format import container, tiles
from picocodec.format.pieces import Piece
from picocodec.format.tiles import MARGIN
from picocodec.images.canvas import cut, with_margin
from picocodec.model.store import DEFAULT_MODEL, load_model

Bytes = NDArray[np.uint8]

needs_av1 = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")

SIGN_BESIDE_PHOTO = np.concatenate([sign(150, 504), photo(150, 100)], axis=1)


def error(a: Bytes, b: Bytes) -> float:
    return float(np.square(a.astype(float) - b).mean())


@needs_av1
def test_at_high_qualities_it_keeps_what_the_latent_does_not() -> None:
    rng = np.random.default_rng(0)
    grainy = (photo(96, 96) + rng.normal(0, 6, (96, 96, 1))).clip(0, 255).astype(np.uint8)
    data = picocodec.encode(grainy, 100)
    assert kinds(data) == ["AV1 margin"]
    shown = picocodec.decode(data)
    learned = picocodec.encode(grainy, 79, effort=0)
    assert kinds(learned) == ["learned"]
    assert error(shown, grainy) < 0.3 * error(picocodec.decode(learned), grainy)


@needs_av1
@pytest.mark.parametrize("quality", [20, 30])
def test_signs_are_read_better_beside_photos_that_are_learned(
    monkeypatch: pytest.MonkeyPatch, quality: int
) -> None:
    grain = np.random.default_rng(0).normal(0, 8, (150, 100, 1))
    grainy = (photo(150, 100) + grain).clip(0, 255).astype(np.uint8)
    both = np.concatenate([sign(150, 504), grainy], axis=1)
    data = picocodec.encode(both, quality)
    assert kinds(data) == ["AV1 margin", "learned"]
    assert picocodec.read_info(data).learned_tiles == 1
    decoded = picocodec.decode(data)
    with monkeypatch.context() as patched:
        patched.setattr(av1, "is_available", lambda: False)
        learned = picocodec.encode(both, quality)
    assert kinds(learned) == ["learned"] * 2
    text = np.s_[:, :500]
    errors = [error(p[text], both[text]) for p in (decoded, picocodec.decode(learned))]
    assert len(data) * errors[0] < 0.6 * len(learned) * errors[1]
    for threads in (1, 3):
        assert picocodec.encode(both, quality, threads=threads) == data
        assert np.array_equal(picocodec.decode(data, threads=threads), decoded)


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
    pieces = unlearned("AV1 margin", stream, 300), learned(right_payload, 300)
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
    data = forged(*[unlearned("AV1 margin", own, 300)] * 2)
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
