"""Errors where this codec could be expected to fail: in text, and across the borders of tiles."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from picocodec.format.tiles import TILE, tiles_along
from picolab.evaluation.metrics.protocol import Missing, Picture

Errors = NDArray[np.float64]
"""Decoded minus original, `[H, W, 3]`, 1 being the whole range."""


class TextMAE:
    """Mean absolute error, 1 being the whole range, over the text of a picture.

    Each pixel counts by the mask that `data.text.TextDetector` finds in the original: 1 on lines
    of text, with soft edges, 0 elsewhere. Pictures with less than 1 % of text are not measured.
    """

    name = "text_mae"
    title = "Error in text (MAE)"
    higher_is_better = False
    training_loss = True

    LEAST_TEXT = 0.01

    def __init__(self) -> None:
        # Here, because a training machine imports this module and has no ONNX Runtime.
        from picolab.data.text import TextDetector

        try:
            self.detector = TextDetector()
        except ModuleNotFoundError as error:
            raise Missing(str(error)) from error
        self.version = f"1, {self.detector.version}"
        self._reference: Picture | None = None
        self._mask = np.zeros((0, 0), np.float32)

    def __call__(self, reference: Picture, decoded: Picture) -> float | None:
        # Many codecs and rates are measured against one original: its mask is kept.
        if self._reference is not reference:
            self._mask = self.detector(reference)
            self._reference = reference
        if self._mask.mean() < self.LEAST_TEXT:
            return None
        errors = np.abs(_errors(reference, decoded)).mean(2)
        return float((self._mask * errors).sum() / self._mask.sum())


class BorderLow:
    """Low-frequency error across the borders of picocodec's tiles, 1 being the whole range.

    Along each border between two tiles of 504x504, and 16 pixels deep on either side of it, the
    error (decoded minus original) is averaged over stretches of 32 pixels and over R, G and B one
    by one: the step of a stretch is how far its means on the two sides are apart. From the mean
    size of the steps at the borders that at lines 128 and 256 pixels before them, inside of tiles,
    is subtracted: about zero, of either sign, for a codec whose errors know nothing of the tiles
    (128 keeps the phase of the blocks of other codecs). Pictures of one tile are not measured.
    """

    name = "border_low"
    title = "Step across tile borders"
    version = "1"
    higher_is_better = False
    training_loss = True

    def __call__(self, reference: Picture, decoded: Picture) -> float | None:
        errors = _errors(reference, decoded)
        extra = [
            _step(lines, border) - (_step(lines, border - 128) + _step(lines, border - 256)) / 2
            for lines, border in _borders(errors)
        ]
        return float(np.mean(extra)) if extra else None


DEPTH, STRETCH = 16, 32


def _errors(reference: Picture, decoded: Picture) -> Errors:
    return (decoded.astype(np.float64) - reference) / 255


def _borders(errors: Errors) -> Iterator[tuple[Errors, int]]:
    """For each border between tiles the errors, turned so that it is the top of a row, and that
    row."""
    for turned in (errors, errors.swapaxes(0, 1)):
        for number in range(1, tiles_along(turned.shape[0])):
            yield turned, number * TILE


def _step(errors: Errors, row: int) -> float:
    """Mean size of the steps between the bands above and below the top of a row."""
    length = errors.shape[1] // STRETCH * STRETCH or errors.shape[1]
    bands = errors[row - DEPTH : row + DEPTH, :length]
    means = bands.reshape(2, DEPTH, -1, min(STRETCH, length), 3).mean((1, 3))
    return float(np.abs(means[1] - means[0]).mean())
