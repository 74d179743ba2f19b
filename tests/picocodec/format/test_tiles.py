from __future__ import annotations

import numpy as np
import pytest
from tiny import photo

from picocodec.format import tiles
from picocodec.format.tiles import MARGIN
from picocodec.images.canvas import cut, own

SIZES = [(1, 1), (1, 700), (700, 1), (503, 504), (568, 569), (570, 1073), (512, 1080)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_tiles_cover_the_picture_once(height: int, width: int) -> None:
    covered = np.zeros((height, width), int)
    for tile in tiles.layout(width, height):
        covered[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_what_a_tile_owns_of_its_canvas_is_what_was_cut(height: int, width: int) -> None:
    rgb = photo(height, width)
    out = np.zeros_like(rgb)
    for tile in tiles.layout(width, height):
        canvas = cut(rgb, tile)
        assert canvas.shape == (1, 3, *tile.padded) and canvas.dtype == np.float32
        assert all(side % 64 == 0 and side <= 576 for side in tile.padded)
        rows, columns = (
            slice(tile.top, tile.top + tile.height),
            slice(tile.left, tile.left + tile.width),
        )
        out[rows, columns] = own(canvas, tile)
    assert np.array_equal(out, rgb)


def test_margins_show_the_neighbours() -> None:
    rgb = photo(600, 1100)
    left, right = tiles.layout(1100, 600)[0:2]
    seen = (cut(rgb, right)[0].transpose(1, 2, 0) * 255).round()
    assert np.array_equal(seen[MARGIN : MARGIN + 504, :MARGIN], rgb[:504, 500:504])
    assert np.array_equal(seen[MARGIN : MARGIN + 504, 508:512], rgb[:504, 1008:1012])
    seen = (cut(rgb, left)[0].transpose(1, 2, 0) * 255).round()
    assert np.array_equal(seen[508:512, MARGIN : MARGIN + 504], rgb[504:508, :504])


def test_outermost_pixels_are_repeated_beyond_the_picture() -> None:
    rgb = photo(5, 3)
    canvas = cut(rgb, tiles.layout(3, 5)[0])[0]
    assert canvas.shape == (3, 64, 64)
    assert (canvas[:, :5, :5] == canvas[:, 4:5, 4:5]).all()
    assert (canvas[:, 8:, 6:] == canvas[:, 8:9, 6:7]).all()


def test_used_part_of_y_covers_tile_and_margin() -> None:
    for side in (1, 7, 8, 9, 100, 504, 568):
        tile = tiles.layout(side, side)[0]
        rows, _ = tile.y_used
        assert (rows - 1) * 16 < side + 8 <= rows * 16


def test_pixels_beyond_the_range_and_those_that_are_not_numbers() -> None:
    canvas = np.zeros((1, 3, 64, 64), np.float32)
    canvas[0, 0, 4, 4:8] = np.nan, np.inf, -np.inf, 7
    owned = own(canvas, tiles.layout(4, 3)[0])
    assert owned[0, :, 0].tolist() == [0, 255, 0, 255] and not owned[1:].any()
