"""Drawings in few colours: palettes, and what they must not do to a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picocodec.encoding.judge import squared_errors
from picocodec.format.tiles import TILE

Bytes = NDArray[np.uint8]


# Numbers of colours that are tried.
PALETTES = 128, 64, 32, 16
K_MEANS_STEPS = 6

# Of all pixels, the different colours that a drawing has at most: it is 0.04 of pages on a screen,
# and 0.09 of a photo with an overexposed sky.
MOST_COLOURS_SHARE = 0.05

# Of all pixels, for each colour of a palette, those between which it may make a step where there
# was a slope: more are bands that show, and the fewer the colours the higher are the steps.
MOST_BANDS = 0.0003

# How the squared error of fewer colours may compare with the learned coding's in a square of 16x16
# pixels, or what it may be anyhow (30 dB): a small photo in a page has few pixels, but shows.
MOST_IN_A_SQUARE = 1.5, 0.001
SQUARE = 16

_COLOURS_AT_ONCE = 4096  # that are compared with a palette together


def has_few_colours(pixels: Bytes) -> bool:
    """Whether pixels, every fourth row and column of them, have few different colours."""
    r, g, b = (pixels[::4, ::4, c].astype(np.uint32) for c in range(3))
    different = np.unique(r << 16 | g << 8 | b).size
    return bool(different <= max(PALETTES[0], MOST_COLOURS_SHARE * r.size))


class Colours:
    """The different colours of pixels `[h, w, 3]`, counted once for palettes of any size."""

    def __init__(self, pixels: Bytes) -> None:
        self._pixels = pixels
        r, g, b = (pixels[:, :, c].astype(np.uint32) for c in range(3))
        codes, self._where, counts = np.unique(
            r << 16 | g << 8 | b, return_inverse=True, return_counts=True
        )
        self._colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1).astype(np.float32)
        self._counts = counts.astype(np.float64)

    def reduced_to(self, most: int) -> Bytes:
        """The pixels in at most so many colours: by median cut and k-means, each then the
        mean of what it stands for, or the colour that most of that has, so that areas stay
        exact."""
        if len(self._counts) <= most:
            return self._pixels
        # A quarter of the pixels is enough for a start, unless there are hardly any.
        step = 2 if min(self._pixels.shape[:2]) >= SQUARE else 1
        image = Image.fromarray(np.ascontiguousarray(self._pixels[::step, ::step]))
        cut = image.quantize(most, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).getpalette()
        palette = np.array(cut, np.float32).reshape(-1, 3)
        for _ in range(K_MEANS_STEPS):
            nearest = self._nearest(palette)
            palette = self._means(nearest, palette)
        palette = np.rint(palette)
        total = np.bincount(nearest, self._counts, len(palette))
        common = 2 * self._counts >= total[nearest]
        palette[nearest[common]] = self._colours[common]
        return palette.astype(np.uint8)[nearest][self._where].reshape(self._pixels.shape)

    def _nearest(self, palette: NDArray[np.float32]) -> NDArray[np.intp]:
        """The number of the colour in a palette that is nearest to each."""
        squares = np.square(palette).sum(1)
        parts = range(0, len(self._colours), _COLOURS_AT_ONCE)
        return np.concatenate(
            [
                (squares - 2 * self._colours[i : i + _COLOURS_AT_ONCE] @ palette.T).argmin(1)
                for i in parts
            ]
        )

    def _means(
        self, nearest: NDArray[np.intp], palette: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The mean of the colours that each of a palette stands for; itself, if for none."""
        size = len(palette)
        total = np.bincount(nearest, self._counts, size)
        sums = [np.bincount(nearest, self._counts * c, size) for c in self._colours.T]
        means = np.stack(sums, 1) / np.maximum(total, 1)[:, None]
        return np.where(total[:, None] > 0, means, palette).astype(np.float32)


def posterised(pixels: Bytes, reduced: Bytes, learned: Bytes) -> bool:
    """Whether some part of a picture suffers from fewer colours, and less from the networks."""
    ours, theirs = (squared_errors(pixels, p) for p in (reduced, learned))
    for axis in (0, 1):
        starts = range(0, pixels.shape[axis], SQUARE)
        ours, theirs = (np.add.reduceat(p, starts, axis) for p in (ours, theirs))
    times, anyhow = MOST_IN_A_SQUARE
    return bool((ours > np.maximum(times * theirs, anyhow * SQUARE**2)).any())


def bands(pixels: Bytes, reduced: Bytes) -> float:
    """Of all pixels of the worst tile, those that were on a smooth slope and with fewer colours
    are at a step."""
    height, width = pixels.shape[:2]
    steps = np.zeros((height, width), np.uint8)
    for axis in (0, 1):
        largest = [
            np.maximum.reduce(
                [abs(np.diff(p[:, :, c].astype(np.int16), axis=axis)) for c in range(3)]
            )
            for p in (pixels, reduced)
        ]
        new = (largest[0] <= 2) & (largest[1] >= 3)
        steps[: new.shape[0], : new.shape[1]] += new
    # In a block, slopes of one tile do not become bands because others have none.
    down, across = max(1, round(height / TILE)), max(1, round(width / TILE))
    return max(
        float(part.mean())
        for row in np.array_split(steps, down)
        for part in np.array_split(row, across, axis=1)
    )
