"""Cheap looks at tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tiny import photo, screen, sign

from picocodec.encoding.features import (
    has_letters,
    is_flat,
    two_toned_share,
)


def overexposed(height: int, width: int) -> NDArray[np.uint8]:
    """A photo whose upper half is white, and gets there softly."""
    half = height // 2
    pixels = photo(height, width).astype(float)
    share = np.clip((np.arange(height) - half) / 20, 0, 1)[:, None, None]
    return (255 + share * (pixels - 255)).round().astype(np.uint8)


def test_shares_of_known_squares() -> None:
    y, x = np.mgrid[0:64, 0:64]
    chequers = ((x + y) % 2 * 200).astype(np.uint8)
    ramps = (x % 8 * 20).astype(np.uint8)  # 0 to 140: within 28 of the ends are 4 of 8
    assert two_toned_share(chequers) == 1
    assert two_toned_share(ramps) == 0.5
    assert two_toned_share(np.where(y < 32, chequers, ramps)) == 0.75


def test_weak_contrast_means_nothing_and_one_square_is_enough() -> None:
    y, x = np.mgrid[0:64, 0:64]
    chequers = (x + y) % 2
    assert two_toned_share((chequers * 47).astype(np.uint8)) == 0
    assert two_toned_share((chequers * 48).astype(np.uint8)) == 1
    for squares, share in ((0, 0), (1, 1)):  # of 64
        few = chequers * 200 * ((y < 8) & (x < 8 * squares))
        assert two_toned_share(few.astype(np.uint8)) == share
    for shape in ((1, 1), (7, 200), (8, 8)):
        assert two_toned_share(np.zeros(shape, np.uint8)) == 0


def test_letters_are_told_from_photos() -> None:
    assert has_letters(sign(150, 300)[:, :, 1])
    assert not has_letters(photo(150, 300)[:, :, 1])


def test_screens_and_photos_with_a_white_part_are_flat() -> None:
    assert is_flat(screen(150, 300)) and is_flat(overexposed(240, 400))
    assert not is_flat(photo(150, 300))
    for shape in ((1, 1, 3), (5, 1, 3)):
        assert not is_flat(np.zeros(shape, np.uint8))
