"""Tiles that fade into each other."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from numpy.typing import NDArray

from picocodec.decoding.seams import Fader, Frame, Strip, blend, frame_of
from picocodec.format.tiles import MARGIN, Tile, layout
from picocodec.images.canvas import own

WIDTH, HEIGHT = 504 + 70, 2 * 504 + 80
TILES = layout(WIDTH, HEIGHT)
WHOLE = Tile(0, 0, HEIGHT, WIDTH)

Canvases = dict[Tile, NDArray[np.float32]]


@pytest.fixture(scope="module")
def canvases() -> Canvases:
    generator = np.random.default_rng(0)
    shapes = {tile: (1, 3, *tile.padded) for tile in TILES}
    return {t: generator.random(shape, np.float32) * 1.2 - 0.1 for t, shape in shapes.items()}


def expected(canvases: Canvases, drawn: set[Tile]) -> NDArray[np.uint8]:
    """As the format has it, over whole canvases."""
    size = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
    total, weights = np.zeros((3, *size)), np.zeros(size)

    def ramp(length: int) -> NDArray[np.float64]:
        rising = np.minimum((np.arange(length + 2 * MARGIN) + 0.5) / (2 * MARGIN), 1)
        return rising * rising[::-1]

    for tile, canvas in canvases.items():
        if tile not in drawn:
            weight = ramp(tile.height)[:, None] * ramp(tile.width)
            place = tile.grown(MARGIN).within(WHOLE.grown(MARGIN))
            seen = canvas[0, :, : weight.shape[0], : weight.shape[1]].clip(0, 1)
            total[:, *place] += weight * seen
            weights[place] += weight
    inner = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)
    faded = total[:, *inner] / np.maximum(weights[inner], 1e-9)
    pixels = np.rint(255 * faded).astype(np.uint8).transpose(1, 2, 0)
    for tile in drawn:
        pixels[tile.within(WHOLE)] = own(canvases[tile], tile)
    return pixels


def by_rows(canvases: Canvases, drawn: set[Tile], wanted: Tile) -> NDArray[np.uint8]:
    """As the decoder does it: a row of tiles after the other."""
    fader = Fader(wanted, lambda pixels: pixels)
    done = []
    touched = [tile for tile in TILES if tile.meets(wanted.grown(MARGIN))]
    for top, group in groupby(touched, key=lambda tile: tile.top):
        row = list(group)
        whole = Tile(top, row[0].left, row[0].height, sum(tile.width for tile in row))
        place = whole.common(wanted)
        band = np.zeros((max(0, place.height), place.width, 3), np.uint8)
        for tile in row:
            part = tile.common(place)
            if not part.is_empty:
                band[part.within(place)] = own(canvases[tile], tile)[part.within(tile)]
        frames = [frame_of(canvases[tile], tile) for tile in row if tile not in drawn]
        done.append(fader.next(band, whole, frames))
    assert fader.rest is not None
    return np.concatenate([*done, fader.rest])


@pytest.mark.parametrize("drawn", [(), (0,), (3,), (2, 3), (1, 2, 5)])
def test_rows_of_tiles_fade_as_the_format_says(canvases: Canvases, drawn: tuple[int, ...]) -> None:
    chosen = {TILES[i] for i in drawn}
    difference = by_rows(canvases, chosen, WHOLE).astype(int) - expected(canvases, chosen)
    assert np.abs(difference).max() <= 1  # of rounding
    assert (difference != 0).mean() < 1e-4


@pytest.mark.parametrize(
    "wanted",
    [
        Tile(0, 0, 504, 504),
        Tile(500, 500, 1, 8),
        Tile(503, 0, 2, WIDTH),
        Tile(504, 504, 3, 3),
        Tile(505, 10, 501, 493),
        Tile(1004, 100, 8, 450),
        Tile(1011, 502, 77, 72),
    ],
)
def test_a_region_is_the_crop_of_the_whole(canvases: Canvases, wanted: Tile) -> None:
    drawn = {TILES[4]}
    crop = by_rows(canvases, drawn, WHOLE)[wanted.within(WHOLE)]
    np.testing.assert_array_equal(by_rows(canvases, drawn, wanted), crop)


def test_a_step_becomes_a_slope_of_eight_pixels() -> None:
    left, right = layout(1008, 504)
    frames: list[Frame] = [
        frame_of(np.full((1, 3, 512, 512), value, np.float32), tile)
        for tile, value in ((left, 0.2), (right, 0.6))
    ]
    strips: list[Strip] = [frames[0].right, frames[1].left]
    row = blend(strips, Tile(100, 500, 1, 8))[0, :, 0]
    share = (np.arange(8) + 0.5) / 8
    np.testing.assert_array_equal(row, np.rint(255 * (0.2 + 0.4 * share)))
