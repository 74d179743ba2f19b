"""Which tile gets which level."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from picocodec.codec.allocation import LEAST, MOST, TYPICAL, log_gradient, tile_level


def stripes(step: int, side: int = 64) -> NDArray[np.uint8]:
    """Columns of 0 and of `step` in turn."""
    row = np.arange(side) % 2 * step
    return np.broadcast_to(row[None, :, None], (side, side, 3)).astype(np.uint8)


def test_gradient_of_a_known_picture() -> None:
    assert log_gradient(stripes(8)) == pytest.approx(3)  # 8 across, nothing down
    assert log_gradient(stripes(8).transpose(1, 0, 2)) == pytest.approx(3)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 3), (9, 1, 3), (9, 9, 3)])
def test_plain_areas_of_any_size_have_the_least_gradient(shape: tuple[int, int, int]) -> None:
    assert log_gradient(np.full(shape, 77, np.uint8)) == -4


def test_smooth_tiles_get_more_and_busy_ones_less_within_limits() -> None:
    levels = [tile_level(stripes(step), 500) for step in (0, 4, 8, 16, 32, 255)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == 500 + MOST and levels[-1] == 500 + LEAST
    assert tile_level(stripes(round(2**TYPICAL)), 500) == pytest.approx(500, abs=2)
    assert len(set(levels)) >= 5


@pytest.mark.parametrize("level", [0, 10, 990, 1000])
def test_levels_stay_levels(level: int) -> None:
    assert 0 <= tile_level(stripes(255), level) <= tile_level(stripes(0), level) <= 1000
