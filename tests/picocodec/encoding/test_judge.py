"""Bits, and what a distortion is worth in bits."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import photo

from picocodec.encoding.judge import Judge, parts_of_distortion


def test_what_is_exact_costs_its_bits_alone() -> None:
    pixels = photo(40, 50)
    assert Judge(500).cost(7, pixels, pixels.copy()) == 56


def test_squared_errors_are_those_of_all_pixels() -> None:
    pixels = photo(41, 50) // 2
    brighter = pixels + np.uint8(3)
    errors, detail = parts_of_distortion(pixels, brighter)
    assert errors == pytest.approx(41 * 50 * (3 / 255) ** 2)
    assert detail == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (7, 200), (64, 64)])
def test_detail_that_is_lost_or_made_up_counts_alike_in_all_shapes(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    flat = np.full((*shape, 3), 120, np.uint8)
    grainy = rng.integers(60, 180, (*shape, 3), np.uint8)
    lost, made_up = (parts_of_distortion(*pair)[1] for pair in ((grainy, flat), (flat, grainy)))
    assert lost == pytest.approx(made_up)
    assert parts_of_distortion(grainy, grainy) == (0, 0)
    if min(shape) > 1:
        # Steps of 120 levels at most, the mean of two such, beside what is hardly seen to differ.
        assert 2 < lost / (shape[0] * shape[1]) < 6


def test_areas_add_up() -> None:
    rng = np.random.default_rng(0)
    pixels = photo(64, 96)
    shown = (pixels + rng.normal(0, 9, pixels.shape)).clip(0, 255).astype(np.uint8)
    whole = parts_of_distortion(pixels, shown)
    halves = [
        parts_of_distortion(pixels[:32], shown[:32]),
        parts_of_distortion(pixels[32:], shown[32:]),
    ]
    assert whole[0] == pytest.approx(halves[0][0] + halves[1][0])
    assert whole[1] == pytest.approx(halves[0][1] + halves[1][1], rel=0.05)  # steps at the cut


def test_errors_are_worth_more_bits_at_higher_levels() -> None:
    pixels = photo(40, 50)
    shown = pixels // 8 * 8
    worth = [Judge(level).distortion(pixels, shown) for level in range(0, 1001, 100)]
    assert worth == sorted(worth) and worth[0] > 0 and worth[-1] > 20 * worth[0]


def test_a_broken_promise_costs_more_than_any_bits() -> None:
    pixels = photo(40, 50) // 2
    shown = pixels + np.uint8(4)  # 36 dB
    assert Judge(799).cost(7, pixels, pixels // 128 * 128) < np.inf
    assert Judge(900).cost(7, pixels, shown) < np.inf
    assert Judge(1000).cost(7, pixels, shown) == np.inf
    assert Judge(1000).cost(7, pixels, pixels) == 56
