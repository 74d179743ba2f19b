"""The error in text and the step across tile borders, on pictures whose answer is known."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from picolab.data import text
from picolab.evaluation import metrics, peers
from picolab.evaluation.images import find
from picolab.evaluation.metrics.local import BorderLow, TextMAE
from picolab.evaluation.runner import evaluate


class Detector:
    """Finds text in the upper half of pictures that begin with a black pixel."""

    version = "upper half"

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        self.asked += 1
        found = np.zeros(picture.shape[:2], np.float32)
        found[: len(found) // 2] = picture[0, 0, 0] == 0
        return found


@pytest.fixture
def text_mae(monkeypatch) -> TextMAE:
    monkeypatch.setattr("picolab.data.text.TextDetector", Detector)
    return TextMAE()


def test_only_errors_in_text_count(text_mae, photo):
    reference = photo(40, 50)
    reference[0, 0] = 0
    decoded = reference.copy()
    decoded[20:] = 0
    assert text_mae(reference, decoded) == 0
    decoded[:20] = np.where(reference[:20] < 128, reference[:20] + 51, reference[:20] - 51)
    assert text_mae(reference, decoded) == pytest.approx(51 / 255)
    assert text_mae.detector.asked == 1


def test_pictures_without_text_have_no_error_in_text(text_mae, photo, tmp_path):
    reference = photo(40, 50)
    reference[0, 0] = 9
    assert text_mae(reference, 255 - reference) is None


def test_text_mae_is_missing_without_its_detector(monkeypatch):
    monkeypatch.setattr(text, "find_spec", lambda name: None)
    with pytest.raises(metrics.Missing, match="rapidocr==3.10.0"):
        metrics.check("text_mae")


@pytest.mark.parametrize("turned", [False, True])
def test_a_step_at_a_border_is_measured_and_one_elsewhere_is_not(turned, photo):
    reference = photo(700, 300) // 2
    tiles = reference.copy()
    tiles[504:, :, 1] += 51
    slope = reference + np.linspace(0, 40, 700).astype(np.uint8)[:, None, None]
    elsewhere = reference.copy()
    elsewhere[450:] += 51
    pictures = [p.swapaxes(0, 1) if turned else p for p in (reference, tiles, slope, elsewhere)]
    reference, tiles, slope, elsewhere = pictures
    metric = BorderLow()
    assert metric(reference, reference) == 0
    assert metric(reference, tiles) == pytest.approx(51 / 255 / 3)
    assert metric(reference, slope) == pytest.approx(0, abs=5e-4)
    assert metric(reference, elsewhere) == 0


def test_noise_knows_no_borders(photo):
    reference = np.full((1100, 1100, 3), 128, np.uint8)
    noise = np.random.default_rng(0).integers(-40, 41, reference.shape)
    steps = abs(BorderLow()(reference, (reference + noise).astype(np.uint8)))
    assert steps < 7e-4  # the steps themselves are 45e-4


def test_pictures_of_one_tile_have_no_borders(photo):
    reference = photo(568, 568)  # the last tile takes up to 64 more pixels
    assert BorderLow()(reference, 255 - reference) is None


def test_a_picture_that_a_metric_says_nothing_about_has_an_empty_cell(tmp_path, photo):
    Image.fromarray(photo(64, 64)).save(tmp_path / "small.png")
    Image.fromarray(photo(600, 32)).save(tmp_path / "tall.png")
    codecs, _ = peers.load(["png"])
    images = find([str(tmp_path)])
    for _ in range(2):  # measured, then from the cache
        small, tall = evaluate(images, codecs, ["border_low"], tmp_path / "out")
        assert small.metrics == {} and small.failures == {}
        assert tall.metrics == {"border_low": 0}
    with open(tmp_path / "out" / "results.csv", newline="") as rows:
        assert [row["border_low"] for row in csv.DictReader(rows)] == ["", "0"]
