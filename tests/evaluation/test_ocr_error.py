"""The OCR error on a page whose text is known."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from picolab.evaluation import metrics
from picolab.evaluation.metrics import reading
from picolab.evaluation.metrics.reading import OCRError, edits, lines

TEXT = ["The quick brown fox jumps", "over 1234567890 lazy dogs", "and reads what is left."]

needs_ocr = pytest.mark.skipif(
    find_spec("rapidocr_onnxruntime") is None or find_spec("rapidocr") is None,
    reason="no rapidocr-onnxruntime or no rapidocr",
)


@pytest.fixture(scope="module")
def page() -> Image.Image:
    image = Image.new("RGB", (480, 200), (240, 235, 220))
    draw = ImageDraw.Draw(image)
    for number, text in enumerate(TEXT):
        draw.text((24, 20 + 56 * number), text, "black", ImageFont.load_default(24))
    return image


@needs_ocr
@pytest.mark.parametrize("angle", [0, 8])
def test_a_page_is_read_and_what_blur_hides_is_counted(page, angle):
    turned = page.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=(240, 235, 220))
    metric, original = OCRError(), np.asarray(turned)
    assert metric(original, original) == 0
    found = sorted(text for _, text in metric._lines)
    assert found == sorted(text.replace(" ", "") for text in TEXT)
    half, gone = (np.asarray(turned.filter(ImageFilter.GaussianBlur(r))) for r in (3.5, 8))
    assert 0 < metric(original, half) < metric(original, gone) <= 1


@needs_ocr
def test_pictures_without_text_have_no_ocr_error(photo):
    assert OCRError()(photo(96, 120), photo(96, 120)) is None


def test_the_ocr_is_missing_without_its_package(monkeypatch):
    monkeypatch.setattr(reading, "find_spec", lambda name: None)
    with pytest.raises(metrics.Missing, match="rapidocr"):
        metrics.check("ocr_error")


def test_the_core_of_a_line_grows_to_a_box_along_it():
    y, x = np.mgrid[0:120, 0:240]
    along, across = (x - 120) * 0.96 + (y - 60) * 0.28, (y - 60) * 0.96 - (x - 120) * 0.28
    core = ((abs(along) <= 80) & (abs(across) <= 5)).astype(np.float32)
    core[0, :5] = 1  # a speck
    (box,) = lines(core)
    upper_left, lower_left, lower_right, upper_right = np.array(box).reshape(4, 2)
    direction = (upper_right - upper_left) / np.linalg.norm(upper_right - upper_left)
    assert direction == pytest.approx([0.96, 0.28], abs=0.02)
    assert np.linalg.norm(lower_left - upper_left) == pytest.approx(26, abs=2)
    assert np.linalg.norm(lower_right - lower_left) == pytest.approx(176, abs=4)
    assert (upper_left + lower_right) / 2 == pytest.approx([120.5, 60.5], abs=1)


def test_edits():
    assert edits("kitten", "sitting") == 3
    assert edits("", "abc") == edits("abc", "") == 3


@given(st.text("ab", max_size=8), st.text("ab", max_size=8), st.text("ab", max_size=8))
def test_edits_are_a_distance(a, b, c):
    assert (edits(a, b) == 0) == (a == b)
    assert edits(a, b) == edits(b, a)
    assert edits(a, c) <= edits(a, b) + edits(b, c)
