"""How tiles meet: over the pixels that neighbours both decode, one fades into the other.

Each tile's colours are off in their own way, by up to a step or two of 255 where few bits are, and
most so near the end of its canvas. What the eye finds in fog is the line where that jumps; over
eight pixels there is none. Format, section 4; files say whether they want it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picocodec.format.tiles import MARGIN, Tile
from picocodec.images.canvas import to_bytes

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Strip:
    """What a tile's canvas says, `[3, h, w]`, of a place in the picture."""

    owner: Tile
    place: Tile
    values: Floats


@dataclass(frozen=True)
class Frame:
    """What the canvas of a tile says around each of its borders."""

    tile: Tile
    top: Strip
    bottom: Strip
    left: Strip
    right: Strip


def frame_of(canvas: Floats, tile: Tile) -> Frame:
    """The frame of a decoded canvas `[1, 3, H, W]`, clamped; a copy, so that the canvas can go."""
    grown = tile.grown(MARGIN)

    def strip(place: Tile) -> Strip:
        return Strip(tile, place, np.clip(canvas[0, :, *place.within(grown)], 0, 1))

    depth = 2 * MARGIN
    return Frame(
        tile,
        top=strip(Tile(grown.top, grown.left, depth, grown.width)),
        bottom=strip(Tile(tile.top + tile.height - MARGIN, grown.left, depth, grown.width)),
        left=strip(Tile(grown.top, grown.left, grown.height, depth)),
        right=strip(Tile(grown.top, tile.left + tile.width - MARGIN, grown.height, depth)),
    )


def blend(strips: Iterable[Strip], window: Tile) -> Bytes:
    """The pixels `[h, w, 3]` of a window by the strips that meet it, weighed by how far inside of
    its tile each pixel lies. Black where there is none."""
    total = np.zeros((3, window.height, window.width), np.float32)
    weights = np.zeros((window.height, window.width), np.float32)
    for strip in strips:
        common = strip.place.common(window)
        if not common.is_empty:
            rows = _weights(strip.owner.top, strip.owner.height, common.top, common.height)
            columns = _weights(strip.owner.left, strip.owner.width, common.left, common.width)
            weight = rows[:, None] * columns
            inside = common.within(window)
            total[:, *inside] += weight * strip.values[:, *common.within(strip.place)]
            weights[inside] += weight
    total /= np.maximum(weights, np.finfo(np.float32).tiny)
    return to_bytes(total)


def _weights(start: int, length: int, first: int, count: int) -> Floats:
    """Of positions from `first` on, for a tile's canvas along one side: 0 where its margin begins,
    1 as far inside."""
    inside = np.arange(first - start + MARGIN, first - start + MARGIN + count) + 0.5
    nearest = np.minimum(inside, length + 2 * MARGIN - inside)
    return np.clip(nearest / (2 * MARGIN), 0, 1).astype(np.float32)


class Fader:
    """Fades the tiles of a picture into each other as their rows come, from the top.

    The last pixels of each row of tiles wait for those below. Tiles without a frame, drawings or
    damaged, stay as they are. `finish` makes what is wanted of colours `[h, w, 3]`.
    """

    def __init__(self, wanted: Tile, finish: Callable[[Bytes], Bytes]) -> None:
        self._wanted, self._finish = wanted, finish
        self._above: Sequence[Frame] = ()
        self._waiting = Tile(wanted.top, wanted.left, 0, wanted.width)
        self.rest: Bytes | None = None  # the pixels of what waits; in the end, those that are left

    def next(self, band: Bytes, row: Tile, frames: Sequence[Frame]) -> Bytes:
        """What is done once another row of tiles is there.

        `band` `[h, width, channels]` is what is wanted of `row`, all that its tiles own, and
        changed in place; `frames` are those of its tiles with a margin.
        """
        own = row.common(self._wanted)
        for left, right in zip(frames, frames[1:], strict=False):
            border = Tile(row.top, right.tile.left - MARGIN, row.height, 2 * MARGIN)
            window = border.common(own)
            if left.tile.left + left.tile.width == right.tile.left and not window.is_empty:
                band[window.within(own)] = self._finish(blend([left.right, right.left], window))
        waiting = band[:0] if self.rest is None else self.rest
        border = Tile(row.top - MARGIN, row.left, 2 * MARGIN, row.width)
        window = border.common(self._wanted)
        if self._above and frames and not window.is_empty:
            strips = [*(frame.bottom for frame in self._above), *(frame.top for frame in frames)]
            faded = self._finish(blend(strips, window))
            for frame in self._above:
                _copy(faded, window, waiting, self._waiting, frame.tile)
            for frame in frames:
                _copy(faded, window, band, own, frame.tile)
        done = min(len(band), max(0, row.top + row.height - MARGIN - own.top))
        self._above, self.rest = frames, band[done:].copy()
        self._waiting = Tile(own.top + done, own.left, len(band) - done, own.width)
        return np.concatenate([waiting, band[:done]])


def _copy(source: Bytes, window: Tile, target: Bytes, place: Tile, tile: Tile) -> None:
    """What a tile owns, from the pixels of a window to those of a place."""
    part = tile.common(window).common(place)
    if not part.is_empty:
        target[part.within(place)] = source[part.within(window)]
