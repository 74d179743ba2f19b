"""Which tile gets which level."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picocodec.encoding.allocation import LEAST, MOST, level_offsets
from picocodec.encoding.features import Look, log_gradient, look_at


def stripes(step: int, side: int = 64) -> NDArray[np.uint8]:
    """Columns of 0 and of `step` in turn."""
    row = np.arange(side) % 2 * step
    return np.broadcast_to(row, (side, side)).astype(np.uint8)


def test_gradient_of_a_known_picture() -> None:
    assert log_gradient(stripes(8)) == pytest.approx(3)  # 8 across, nothing down
    assert log_gradient(stripes(8).T) == pytest.approx(3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (9, 9)])
def test_plain_areas_of_any_size_have_the_least_gradient(shape: tuple[int, int]) -> None:
    assert log_gradient(np.full(shape, 77, np.uint8)) == -4


def photo(gradient: float) -> Look:
    return Look(False, gradient)


def test_smooth_tiles_get_more_and_busy_ones_less_within_limits() -> None:
    assert level_offsets([photo(g) for g in (3, 3.5, 4, 4.5, 5)]) == [50, 25, 0, -25, -50]
    assert level_offsets([photo(-4), photo(6)]) == [MOST, LEAST]


def test_a_picture_s_own_level_is_that_of_its_mean_photo() -> None:
    assert level_offsets([photo(-2)]) == level_offsets([photo(6)]) == [0]
    assert level_offsets([photo(3), Look(True, -4), photo(5)]) == [50, MOST, -50]
    assert level_offsets([Look(True, -4), Look(True, 4)]) == [0, 0]


def test_drawings_are_told_from_photos() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert look_at(np.full((64, 64, 3), 9, np.uint8)) == Look(True, -4)
    brightness = np.asarray(Image.fromarray(noise).convert("L"))
    assert look_at(noise) == Look(False, log_gradient(brightness))
