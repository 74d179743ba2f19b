"""Tiles of screenshots, charts and drawings, kept without loss, in few colours or as AV1 where that
is the better bargain (docs/format.md, section 3)."""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from picocodec.codec import av1
from picocodec.codec.tiles import Tile
from picocodec.errors import CorruptTile, LimitExceeded, UnsupportedVersion
from picocodec.format.container import LEVEL_STEPS, TILE

# Of all pixels of a tile, those that equal their left neighbour, from which on it is worth a try:
# noise leaves a photo far fewer.
FLAT_SHARE = 0.3

# Of all pixels of a flat tile, the hard steps from which on it is taken for part of a screen, with
# photos on it or without: four times what photos have at most (benchmarks/screens.py).
HARD_SHARE = 0.0001
HARD_STEP = 16

# Pixels that equal neither their left nor their upper neighbour, for each byte that drawing may
# take, up to which it is worth a try: each takes 1 to 2.5 bytes in a quick one, fewer only where
# they repeat. Drawings have less than 1.5, photos with an overexposed sky 2 to 100.
MOST_NOVEL = 4

# What a careful try takes of the bytes of a quick one: at least, and three times in four more than.
OF_QUICK = 0.5, 0.75

# Numbers of colours that are tried, and what of the price of all of them the fewer, or AV1, must
# save at least: pixels as they are have a worth of their own.
PALETTES = 128, 64, 32, 16
K_MEANS_STEPS = 6
LEAST_SAVED = 0.2

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

# In thousandths, the level from which on pixels are asked for as they are: neither fewer colours
# nor AV1 take the place of what could be kept exactly.
EXACT_LEVEL = 900

# libavif's quality at levels 0 and 1000, on a line, and at most: within 2 % of the lowest price
# on pages that a browser rendered and charts, with and without photos.
AV1_QUALITIES = 22, 117
BEST_AV1_QUALITY = 95

# Of a lossless WebP file: RIFF, VP8L, a signature, and width - 1 and height - 1 in 14 bits each,
# which leaves 4 bits for alpha and the version. What follows is the stream.
_HEAD = struct.Struct("<4sI4s4sIBI")
_SIGNATURE = 0x2F

# How many times what it is in a photo an error in a drawing is worth: noise shows on flat areas,
# and more so where it ends at the border of a tile that is drawn.
WORTH_IN_DRAWINGS = 8

Pixels = NDArray[np.uint8]


def is_flat(pixels: Pixels) -> bool:
    """Whether a tile's pixels `[h, w, 3]` look drawn rather than photographed."""
    if pixels.shape[1] < 2:
        return False
    equal = _all_equal(pixels[:, 1:], pixels[:, :-1])
    return bool(np.count_nonzero(equal) >= FLAT_SHARE * equal.size)


def has_hard_steps(pixels: Pixels) -> bool:
    """Whether a tile has what lenses and JPEG do not leave."""
    return hard_share(pixels) >= HARD_SHARE


def hard_share(pixels: Pixels) -> float:
    """Of all pixels of a tile, those at an edge between two plain areas with nothing between."""
    steps = 0
    for rows in (pixels, pixels.transpose(1, 0, 2)):
        equal = _all_equal(rows[:, 1:], rows[:, :-1])
        difference = np.abs(rows[:, 2:-1].astype(np.int16) - rows[:, 1:-2])
        step = np.maximum.reduce([difference[:, :, c] for c in range(3)]) >= HARD_STEP
        steps += int(np.count_nonzero(equal[:, :-2] & step & equal[:, 2:]))
    return steps / (pixels.shape[0] * pixels.shape[1])


def is_too_rich(pixels: Pixels, most: int) -> bool:
    """Whether there is no hope to draw pixels in `most` bytes: a cheap test before those that code
    them."""
    here = pixels[1:, 1:]
    repeated = _all_equal(here, pixels[1:, :-1]) | _all_equal(here, pixels[:-1, 1:])
    return int(np.count_nonzero(~repeated)) > MOST_NOVEL * most


def _all_equal(a: Pixels, b: Pixels) -> NDArray[np.bool_]:
    """Where pixels are equal in all colours; `all(2)` takes eight times as long."""
    equal = a == b
    return equal[:, :, 0] & equal[:, :, 1] & equal[:, :, 2]


def price_of_errors(pixels: Pixels, decoded: Pixels, slope: float) -> float:
    """The bits that are worth spending to see `pixels` themselves instead of `decoded`; `slope` is
    what a mean squared error of 1 (of values 0 to 1) is worth in bits a pixel of a photo."""
    return float(WORTH_IN_DRAWINGS * slope * squared_errors(pixels, decoded).sum())


def squared_errors(pixels: Pixels, decoded: Pixels) -> NDArray[np.float32]:
    """The mean squared error of each pixel, of values 0 to 1; `mean(2)` takes far longer."""
    difference = pixels.astype(np.float32) - decoded
    sums: NDArray[np.float32] = np.einsum("ijk,ijk->ij", difference, difference)
    sums /= 3 * 255**2
    return sums


def has_few_colours(pixels: Pixels) -> bool:
    """Whether pixels, every fourth row and column of them, have few different colours."""
    r, g, b = (pixels[::4, ::4, c].astype(np.uint32) for c in range(3))
    different = np.unique(r << 16 | g << 8 | b).size
    return bool(different <= max(PALETTES[0], MOST_COLOURS_SHARE * r.size))


def quick_size(pixels: Pixels) -> int:
    """The bytes of a quick lossless WebP stream of pixels; a careful one has `OF_QUICK` of them."""
    return len(encode_lossless(pixels, quick=True))


def encode_drawn(
    pixels: Pixels,
    learned: Pixels,
    level: int,
    slope: float,
    most: int,
    limit: float,
    try_exact: bool = True,
) -> tuple[bytes, float] | None:
    """A lossless WebP stream of a tile's or block's pixels, as they are (with `try_exact`) or in
    fewer colours, and its price in bits, errors included: the lowest that is below `limit` and
    takes at most `most` bytes, if any does. `learned` is what the learned coding makes of them at
    `level`, whose `slope` that of `price_of_errors` is."""
    best: tuple[bytes, float] | None = None
    palettes: Colours | None = None
    if try_exact:
        data = encode_lossless(pixels)
        if len(data) <= most and 8 * len(data) < limit:
            best = data, 8 * len(data)
            limit = (1 - LEAST_SAVED) * best[1]
    for colours in PALETTES if level < EXACT_LEVEL and has_few_colours(pixels) else ():
        palettes = palettes or Colours(pixels)
        reduced = palettes.reduced_to(colours)
        errors = price_of_errors(pixels, reduced, slope)
        if (
            errors >= limit
            or OF_QUICK[0] * quick_size(reduced) > most
            or posterised(pixels, reduced, learned)
            or bands(pixels, reduced) > MOST_BANDS * colours
        ):
            break
        data = encode_lossless(reduced)
        price = 8 * len(data) + errors
        if len(data) <= most and price < limit:
            best, limit = (data, price), price
    return best


def encode_screen(
    pixels: Pixels, level: int, slope: float, most: int, limit: float, threads: int
) -> tuple[bytes, float] | None:
    """An AV1 stream of a drawing's pixels and its price in bits, errors included, if that is below
    `limit` and it takes at most `most` bytes; by `threads` at once."""
    low, high = AV1_QUALITIES
    quality = min(round(low + (high - low) * level / LEVEL_STEPS), BEST_AV1_QUALITY)
    data = av1.encode_av1(pixels, quality, threads, told=av1.SCREEN)
    if data is None or len(data) > most or 8 * len(data) >= limit:
        return None
    decoded = av1.decode_av1(data, Tile(0, 0, *pixels.shape[:2]))
    price = 8 * len(data) + price_of_errors(pixels, decoded, slope)
    return (data, price) if price < limit else None


class Colours:
    """The different colours of pixels `[h, w, 3]`, counted once for palettes of any size."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels
        r, g, b = (pixels[:, :, c].astype(np.uint32) for c in range(3))
        codes, self._where, counts = np.unique(
            r << 16 | g << 8 | b, return_inverse=True, return_counts=True
        )
        self._colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1).astype(np.float32)
        self._counts = counts.astype(np.float64)

    def reduced_to(self, most: int) -> Pixels:
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


def posterised(pixels: Pixels, reduced: Pixels, learned: Pixels) -> bool:
    """Whether some part of a picture suffers from fewer colours, and less from the networks."""
    ours, theirs = (squared_errors(pixels, p) for p in (reduced, learned))
    for axis in (0, 1):
        starts = range(0, pixels.shape[axis], SQUARE)
        ours, theirs = (np.add.reduceat(p, starts, axis) for p in (ours, theirs))
    times, anyhow = MOST_IN_A_SQUARE
    return bool((ours > np.maximum(times * theirs, anyhow * SQUARE**2)).any())


def bands(pixels: Pixels, reduced: Pixels) -> float:
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


def encode_lossless(pixels: Pixels, quick: bool = False) -> bytes:
    """A lossless WebP stream; `quick` takes a tenth of the time and up to twice the bytes."""
    out = io.BytesIO()
    effort = {"quality": 0, "method": 1} if quick else {"quality": 100, "method": 4}
    Image.fromarray(pixels).save(out, "WEBP", lossless=True, **effort)
    return stream_of(out.getvalue(), Tile(0, 0, *pixels.shape[:2]))


def stream_of(data: bytes, tile: Tile) -> bytes:
    """The stream in a lossless WebP file of a tile or block; raises `CorruptTile` for any other
    file."""
    if len(data) < _HEAD.size:
        raise CorruptTile("lossless data is too short")
    riff, size, webp, kind, length, signature, bits = _HEAD.unpack_from(data)
    width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    is_whole = size + 8 == len(data) == length + (length & 1) + 20 and not any(data[20 + length :])
    if (riff, webp, kind, signature, bits >> 29) != (b"RIFF", b"WEBP", b"VP8L", _SIGNATURE, 0) or (
        not is_whole
    ):
        raise CorruptTile("lossless data is not a plain lossless WebP file")
    if (width, height) != (tile.width, tile.height):
        raise CorruptTile(
            f"lossless data has {width}x{height} pixels for a tile of {tile.width}x{tile.height}"
        )
    return data[_HEAD.size : 20 + length]


def webp_file(stream: bytes, tile: Tile) -> bytes:
    """A lossless WebP file, without alpha, of the stream of a tile or block."""
    length, bits = len(stream) + 5, (tile.height - 1) << 14 | tile.width - 1
    end = bytes(length & 1)
    size = length + len(end) + 12
    head = _HEAD.pack(b"RIFF", size, b"WEBP", b"VP8L", length, _SIGNATURE, bits)
    return head + stream + end


def decode_lossless(stream: bytes, tile: Tile) -> Pixels:
    """Pixels `[h, w, 3]` of a tile or block from its lossless WebP stream; raises `CorruptTile`
    for noise, `LimitExceeded` where Pillow's limit of pixels is less than half as many."""
    if not features.check("webp"):
        raise UnsupportedVersion("it is lossless, and Pillow was built without WebP")
    from PIL import WebPImagePlugin  # here, since few pictures need it

    file = io.BytesIO(webp_file(stream, tile))
    try:
        with WebPImagePlugin.WebPImageFile(file) as image:
            return np.asarray(image.convert("RGB"))
    except Image.DecompressionBombError as error:  # below its size
        raise LimitExceeded(f"Pillow's limit, PIL.Image.MAX_IMAGE_PIXELS: {error}") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise CorruptTile(f"lossless data cannot be read: {error}") from None
