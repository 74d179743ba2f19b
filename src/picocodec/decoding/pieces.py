"""Payloads to the pixels of tiles: which pieces of a file a part of the picture needs, and the
coder of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from mmap import mmap
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from picocodec.coders.av1 import Av1Coder
from picocodec.coders.learned import LearnedCoder
from picocodec.coders.lossless import LosslessCoder, stream_of
from picocodec.coders.protocol import TileCoder
from picocodec.decoding.reduction import reduce
from picocodec.decoding.seams import Frame, frame_of
from picocodec.errors import CorruptTile, PicoError, UnsupportedVersion, tolerate
from picocodec.format import container, tiles
from picocodec.format.container import Header
from picocodec.format.tiles import MARGIN, Tile
from picocodec.images.canvas import own

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class DecodedTile:
    """The pixels that a tile owns, `[h, w, 3]`, and its frame if it is to fade into others."""

    pixels: Bytes
    frame: Frame | None = None


def read_payloads(
    header: Header, data: bytes | mmap, wanted: Mapping[int, Tile], damage: list[PicoError] | None
) -> dict[int, bytes]:
    """The payloads of the tiles that are wanted, by the tiles' numbers, their checksums verified.

    Raises `CorruptTile`, `Truncated` or `UnsupportedVersion`, or notes that in `damage` and leaves
    the tile out.
    """
    # Of tiles in blocks, the data lie with the first one, which need not be wanted itself.
    users: dict[int, list[int]] = {}
    for i in wanted:
        is_joined = header.tiles[i].mode in container.JOINED
        users.setdefault(tiles.block_of(i, header.columns) if is_joined else i, []).append(i)
    payloads: dict[int, bytes] = {}
    offset = header.size
    for i, entry in enumerate(header.tiles):
        piece: bytes | None = None
        for user in users.get(i, ()):
            with tolerate(damage, tile=user):
                if entry.mode not in container.MODES:
                    raise UnsupportedVersion(f"tile {i} has coding mode {entry.mode}, unknown here")
                if piece is None:
                    piece = container.tile_data(header, data, i, offset)
                payloads[user] = piece
        offset += entry.length
    return payloads


@dataclass
class TileDecoder:
    """The coders of a file's tiles.

    `learned` is None where no tile needs it. With `is_preview` tiles are decoded at half their
    sides, with `is_faded` they come with frames.
    """

    header: Header = field(repr=False)
    payloads: dict[int, bytes] = field(repr=False)  # by tiles' numbers; each is used once
    learned: LearnedCoder | None
    is_preview: bool
    is_faded: bool
    _blocks: dict[int, tuple[int, Bytes]] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def decode(self, index: int, tile: Tile) -> DecodedTile:
        """A tile by its number; raises `CorruptTile` or `UnsupportedVersion`, which name it."""
        try:
            return self._decode(index, tile)
        except (CorruptTile, UnsupportedVersion) as error:
            raise type(error)(f"tile {index}: {error}") from None

    def _decode(self, index: int, tile: Tile) -> DecodedTile:
        entry, payload = self.header.tiles[index], self.payloads.pop(index)
        area = tile.grown(MARGIN)
        if entry.mode == container.MODE_LEARNED and self.is_preview:
            assert self.learned is not None
            half = self.learned.preview(payload, area, entry.level)
            return DecodedTile(own(half, tile.halved, MARGIN // 2))
        frame = None
        if entry.mode in container.WITH_MARGIN:
            canvas = self._coder(entry.mode).canvas(payload, area, entry.level)
            pixels = own(canvas, tile)
            frame = frame_of(canvas, tile) if self.is_faded else None
        elif entry.mode in container.JOINED:
            pixels = self._from_block(index, payload, tile)
        else:
            pixels = self._exact(payload, tile, entry.mode)
        return DecodedTile(reduce(pixels, 2) if self.is_preview else pixels, frame)

    def _coder(self, mode: int) -> TileCoder:
        if mode == container.MODE_LEARNED:
            assert self.learned is not None
            return self.learned
        return Av1Coder() if mode in container.AV1_STREAMS else LosslessCoder()

    def _exact(self, payload: bytes, area: Tile, mode: int) -> Bytes:
        """A tile or block without margin."""
        if mode in container.WEBP_FILES:
            payload = stream_of(payload, area)
        return self._coder(mode).decode(payload, area, 0)

    def _from_block(self, index: int, payload: bytes, tile: Tile) -> Bytes:
        """A tile's part of its block, which is decoded once: the last one of each column stays."""
        first, whole = joined_block(self.header, index)
        row, column = divmod(first, self.header.columns)
        with self._lock:
            if self._blocks.get(column, (-1, None))[0] != row:
                mode = self.header.tiles[index].mode
                self._blocks[column] = row, self._exact(payload, whole, mode)
            pixels = self._blocks[column][1]
        return pixels[tile.within(whole)]


def joined_block(header: Header, index: int) -> tuple[int, Tile]:
    """The first tile of a joined tile's block, which has the block's data, and what the block
    covers; raises `CorruptTile` for a block that no encoder writes."""
    mode, columns = header.tiles[index].mode, header.columns
    first = tiles.block_of(index, columns)
    for i in tiles.members_of_block(first, columns, header.rows):
        entry = header.tiles[i]
        if entry.mode != mode:
            raise CorruptTile(f"tile {i} of its block has another mode")
        if i != first and (entry.length or entry.crc):
            raise CorruptTile(f"its block's data lie with tile {first}, but tile {i} has some, too")
    return first, tiles.block(header.width, header.height, *divmod(first, columns))
