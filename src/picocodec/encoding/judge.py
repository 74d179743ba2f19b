"""What a way of coding pixels costs: its bits, and how far what it shows is from them, in bits.

One distortion serves photos, letters, rendered scenes and drawings. It has two parts: squared
errors, and detail that is lost or made up, which squared errors hardly see and people do. Its
numbers are fitted to LPIPS, DISTS and squared errors (docs/experiments/0006-judge.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picocodec.encoding import fitted
from picocodec.format.container import LEVEL_STEPS

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

SQUARE = 8  # pixels to the side of a square, over which detail is measured
UNSEEN = 2  # steps of 255 between neighbours that are hardly seen to differ

# From this share of the highest level on, what is beyond a PSNR, which rises up to that level,
# costs more than any bits: whoever asks for the most wants the pixels.
PROMISE_FROM = 0.8
PROMISED_DB = 25.0, 40.0

LETTERS_WORTH = 3  # how many times what they are elsewhere squared errors are worth in letters
EXACT_WORTH = 0.8  # of its bits, what an exact coding costs

_BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue (BT.601)


@dataclass(frozen=True)
class Judge:
    """The judge at a level in thousandths, of pixels that are letters to be read or not."""

    level: int
    letters: bool = False

    def cost(self, payload: int, pixels: Bytes, shown: Bytes) -> float:
        """The cost in bits of so many bytes that show `shown` for `pixels`, both uint8
        `[h, w, 3]`; infinite where that breaks a promise."""
        if self.promises and _errors(pixels, shown) > self._promised * pixels[:, :, 0].size:
            return math.inf
        return 8 * payload + self.distortion(pixels, shown)

    @staticmethod
    def exact(payload: int) -> float:
        """The cost in bits of so many bytes that show the pixels themselves, which has a worth of
        its own: AV1 that is nearly exact must save more than a little."""
        return EXACT_WORTH * 8 * payload

    def distortion(self, pixels: Bytes, shown: Bytes) -> float:
        """The bits that are worth spending to see `pixels` themselves instead of `shown`, both
        uint8 `[h, w, 3]`; 0 only where they are the same."""
        share = self.level / LEVEL_STEPS
        of_errors, of_detail = (a * growth**share for a, growth in (fitted.ERRORS, fitted.DETAIL))
        if self.letters:
            of_errors, of_detail = LETTERS_WORTH * of_errors, 0
        errors, detail = parts_of_distortion(pixels, shown)
        return of_errors * errors + of_detail * detail

    def is_easy(self, pixels: Bytes) -> bool:
        """Whether the promise for `pixels`, uint8 `[h, w, 3]`, holds whatever a decoder makes of
        their detail: neighbours of noise differ by twice its variance, along rows and as much
        along columns, and other noise in its place is wrong by twice its variance, too."""
        steps = _errors(pixels[1:], pixels[:-1]) + _errors(pixels[:, 1:], pixels[:, :-1])
        return steps <= 2 * self._promised * pixels[:, :, 0].size

    @property
    def promises(self) -> bool:
        """Whether there is a squared error that is not exceeded where there is any way not to."""
        return self.level >= PROMISE_FROM * LEVEL_STEPS

    @property
    def _promised(self) -> float:
        """The mean squared error that is promised, of values 0 to 1."""
        first, last = PROMISED_DB
        share = (self.level / LEVEL_STEPS - PROMISE_FROM) / (1 - PROMISE_FROM)
        decibels = first + (last - first) * share
        return float(10 ** (-decibels / 10))


def parts_of_distortion(pixels: Bytes, shown: Bytes) -> tuple[float, float]:
    """Of pixels uint8 `[h, w, 3]`, sums over all of them: squared errors of values 0 to 1, and
    changes of the logarithm to base 2 of the detail around each."""
    areas = _sums(np.ones(pixels.shape[:2], np.float32))
    ours, theirs = (np.log2(_sums(_steps(p)) / areas + UNSEEN) for p in (pixels, shown))
    return _errors(pixels, shown), float((areas * np.abs(ours - theirs)).sum())


def _errors(pixels: Bytes, shown: Bytes) -> float:
    difference = pixels.astype(np.float32) - shown
    return float(np.vdot(difference, difference)) / (3 * 255**2)


def _steps(pixels: Bytes) -> Floats:
    """How much brightness differs from its left and upper neighbour together, `[h, w]`."""
    brightness = pixels.astype(np.float32) @ _BRIGHTNESS
    steps = np.zeros_like(brightness)
    steps[:, 1:] += np.abs(np.diff(brightness, axis=1))
    steps[1:] += np.abs(np.diff(brightness, axis=0))
    return steps


def _sums(values: Floats) -> Floats:
    """The sums of squares of 8x8 values `[h, w]`; what is left at the end counts as squares."""
    for axis in (0, 1):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], SQUARE), axis)
    return values
