"""The pictures that weights are looked at on before they are released."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

MODULE = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "hard_pictures.py"))
PICTURES = MODULE["PICTURES"]


@pytest.mark.parametrize("name", PICTURES)
def test_they_are_the_same_every_time(name: str) -> None:
    first, second = PICTURES[name](), PICTURES[name]()
    assert (first.shape, first.dtype) == ((576, 1024, 3), np.uint8)
    assert np.array_equal(first, second)


def test_they_are_what_they_are_called() -> None:
    dark, night = PICTURES["dark_gradient"](), PICTURES["night"]()
    assert dark.max() < 70 and dark.std() < 20 and len(np.unique(dark)) > 20
    assert np.median(night) < 60 < 200 < night.max()
    paper = PICTURES["code_on_paper"]()
    assert paper[:, 700:].min() > 130 and paper.min() < 40
    dots = PICTURES["colour_halftone"]()
    assert dots.std() > 70 and not np.array_equal(dots[..., 0], dots[..., 1])
