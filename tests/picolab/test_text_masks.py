"""The text detector's masks on drawn text, on none, and their geometry."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from tiny import photo

from picolab.data import text


@pytest.fixture(scope="module")
def detector() -> text.TextDetector:
    pytest.importorskip("rapidocr", reason="the text detector's package is not installed")
    return text.TextDetector()


def written(height: int, width: int, x: int, y: int) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Black words on a light grey picture, and the box that their ink fills."""
    image = Image.new("RGB", (width, height), (230, 230, 225))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(24)
    draw.text((x, y), "Read every word", (10, 10, 10), font)
    left, top, right, bottom = (int(v) for v in draw.textbbox((x, y), "Read every word", font))
    return np.array(image), (slice(top, bottom), slice(left, right))


def test_words_are_covered_and_the_rest_is_not(detector: text.TextDetector) -> None:
    picture, box = written(200, 320, 60, 80)
    found = detector(picture)
    assert found.shape == (200, 320) and found.dtype == np.float32
    assert 0 <= found.min() and found.max() <= 1
    ink = picture[box].mean(2) < 120
    assert found[box][ink].mean() > 0.9
    outside = found.copy()
    outside[box[0].start - 20 : box[0].stop + 20, box[1].start - 20 : box[1].stop + 20] = 0
    assert outside.max() == 0


def test_a_picture_without_text_has_an_empty_mask(detector: text.TextDetector) -> None:
    assert detector(photo(150, 170)).mean() < 0.01


def test_tiles_find_what_one_pass_finds(detector: text.TextDetector) -> None:
    picture, box = written(64, 1300, 930, 20)  # crosses the end of the first tile
    assert detector(picture)[box].mean() > 0.8


def test_a_core_grows_by_a_share_of_its_height() -> None:
    probabilities = np.zeros((100, 200), np.float32)
    probabilities[45:54, 40:160] = 0.9  # 9 rows: half height 5
    found = text.mask(probabilities)
    inside = found[:, 100] > 0.5
    assert (inside.argmax(), 99 - inside[::-1].argmax()) == (45 - 9, 53 + 9)
    assert 0 < found[34, 100] < 0.5


@pytest.mark.parametrize(("height", "probability"), [(10, 0.4), (80, 0.9), (0, 0.9)])
def test_unsure_and_huge_cores_are_no_text(height: int, probability: float) -> None:
    probabilities = np.full((128, 256), 0.1, np.float32)
    probabilities[10 : 10 + height, 10:200] = probability
    assert not text.mask(probabilities).any()
