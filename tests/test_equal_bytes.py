"""examples/equal_bytes.py: no panel of the README's picture has more bytes than it may."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import equal_bytes


class Linear:
    """A codec whose files have `rate` times 10 bytes."""

    name, version, settings, extension = "linear", "1", "", ".bin"
    rates: tuple[float, ...] = ()

    def encode(self, image: equal_bytes.Picture, rate: float) -> bytes:
        return b"\0" * int(rate * 10)

    def decode(self, data: bytes) -> equal_bytes.Picture:
        return np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(("budget", "size"), [(10, 10), (555, 550), (550, 550), (5000, 1000)])
def test_the_highest_rate_within_the_budget(budget: int, size: int) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    assert len(equal_bytes.largest_within(Linear(), image, budget)) == size


def test_a_budget_that_nothing_fits_ends_with_a_sentence() -> None:
    with pytest.raises(SystemExit, match="linear: no file of 9 bytes"):
        equal_bytes.largest_within(Linear(), np.zeros((8, 8, 3), np.uint8), 9)


def test_panels_are_the_box_enlarged_in_a_row() -> None:
    pixels = np.full((8, 8, 3), 7, np.uint8)
    shown = [equal_bytes.Panel("original", pixels), equal_bytes.Panel("codec", pixels, 1234)]
    row = equal_bytes.draw(shown, (2, 3, 6, 8))
    assert row.size == (2 * 8 + equal_bytes.GAP, 10 + equal_bytes.LABEL)
    assert row.getpixel((0, equal_bytes.LABEL)) == (7, 7, 7)
    assert row.getpixel((8, equal_bytes.LABEL)) == (255, 255, 255)
    assert shown[1].label == "codec, 1,234 bytes"
