"""Payloads to the pixels of tiles: which pieces of a file a part of the picture needs, and the
coder of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from mmap import mmap
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from picocodec.coders.av1 import Av1Coder
from picocodec.coders.learned import LearnedCoder
from picocodec.coders.lossless import LosslessCoder
from picocodec.coders.protocol import TileCoder
from picocodec.decoding.reduction import reduce
from picocodec.decoding.seams import Frame, frame_of
from picocodec.errors import CorruptTile, PicoError, UnsupportedVersion, tolerate
from picocodec.format import container
from picocodec.format.container import Header
from picocodec.format.pieces import CoderId
from picocodec.format.tiles import MARGIN, Tile
from picocodec.images.canvas import own

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class DecodedTile:
    """The pixels that a tile owns, `[h, w, 3]`, and its frame if it is to fade into others."""

    pixels: Bytes
    frame: Frame | None = None


@dataclass
class SharedPiece:
    """A piece of several tiles: decoded for the first that asks, and let go with the last."""

    payload: bytes = field(repr=False)
    awaited: int  # tiles that have not asked
    lock: Lock = field(default_factory=Lock, repr=False)
    pixels: Bytes | None = field(default=None, repr=False)


def read_pieces(
    header: Header, data: bytes | mmap, wanted: Iterable[int], damage: list[PicoError] | None
) -> dict[int, SharedPiece]:
    """The pieces of the tiles that are wanted, by the tiles' numbers, their checksums verified.

    Raises `CorruptTile`, `Truncated` or `UnsupportedVersion`, or notes that in `damage` and leaves
    the tile out.
    """
    users: dict[int, list[int]] = {}
    for tile in wanted:
        users.setdefault(header.piece_of_tile[tile], []).append(tile)
    pieces: dict[int, SharedPiece] = {}
    for number in sorted(users):
        piece: SharedPiece | None = None
        for tile in users[number]:
            with tolerate(damage, tile=tile):
                if header.pieces[number].coder not in list(CoderId):
                    raise UnsupportedVersion(f"tile {tile} has a coder that is unknown here")
                if piece is None:
                    piece = SharedPiece(container.payload(header, data, number), 0)
                piece.awaited += 1
                pieces[tile] = piece
    return pieces


@dataclass
class TileDecoder:
    """The coders of a file's tiles.

    `learned` is None where no tile needs it. The sides of tiles are divided by `preview`, with
    `is_faded` they come with frames.
    """

    header: Header = field(repr=False)
    pieces: dict[int, SharedPiece] = field(repr=False)  # by tiles' numbers; each is used once
    learned: LearnedCoder | None
    preview: int
    is_faded: bool

    def decode(self, index: int, tile: Tile) -> DecodedTile:
        """A tile by its number; raises `CorruptTile` or `UnsupportedVersion`, which name it."""
        try:
            return self._decode(index, tile)
        except (CorruptTile, UnsupportedVersion) as error:
            raise type(error)(f"tile {index}: {error}") from None

    def _decode(self, index: int, tile: Tile) -> DecodedTile:
        header, shared = self.header, self.pieces.pop(index)
        entry = header.pieces[header.piece_of_tile[index]]
        area = entry.area(header.width, header.height)
        if entry.coder == CoderId.LEARNED and self.preview > 1:
            assert self.learned is not None
            small = self.learned.preview(shared.payload, area, entry.level, self.preview)
            return DecodedTile(own(small, tile.divided(self.preview), MARGIN // self.preview))
        coder, frame = self._coder(entry.coder), None
        if entry.margin:
            canvas = coder.canvas(shared.payload, area, entry.level)
            pixels = own(canvas, tile)
            frame = frame_of(canvas, tile) if self.is_faded else None
        else:
            pixels = self._from_piece(shared, coder, area, entry.level)[tile.within(area)]
        return DecodedTile(reduce(pixels, self.preview) if self.preview > 1 else pixels, frame)

    def _coder(self, number: int) -> TileCoder:
        if number == CoderId.LEARNED:
            assert self.learned is not None
            return self.learned
        return Av1Coder() if number == CoderId.AV1 else LosslessCoder()

    def _from_piece(self, shared: SharedPiece, coder: TileCoder, area: Tile, level: int) -> Bytes:
        """All pixels of a piece, which is decoded once."""
        with shared.lock:
            if shared.pixels is None:
                shared.pixels = coder.decode(shared.payload, area, level)
            pixels = shared.pixels
            shared.awaited -= 1
            if not shared.awaited:
                shared.pixels = None
        return pixels
